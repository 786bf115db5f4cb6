// The leader of etcd is killed while an NVE claims: the longest time without an acknowledgement, and what was lost.
import { call } from "@nve/program/rpc";
import { after, claimOf, createVns, nveSession, quantiles, withNva } from "./rig.mjs";

const BATCH = 50;
const MS = 8000;

export function failover() {
  return withNva("etcd", async (nva) => {
    await createVns(nva, 1);
    const session = await nveSession(nva.address, "tor1", "10.0.0.1", 4);
    const gaps = [];
    const pending = [];
    let [acknowledged, sent, last] = [0, 0, performance.now()];
    const begin = last;
    let killed = false;
    while (performance.now() - begin < MS) {
      if (!killed && performance.now() - begin > MS / 3) {
        killed = true;
        await nva.etcd.killLeader();
      }
      const claims = Array.from({ length: BATCH }, (_, n) => claimOf(1, sent + n));
      sent += BATCH;
      const { ack } = await session.report({ claims, joinedVns: [1] });
      pending.push(
        ack.then(() => {
          acknowledged += BATCH;
          gaps.push(performance.now() - last);
          last = performance.now();
        }),
      );
    }
    await Promise.all(pending);
    await after(100);
    const held = await claimsOf(nva);
    session.close();
    return {
      acknowledged,
      lost: acknowledged - held,
      perSecond: Math.round((acknowledged / MS) * 1000),
      longestGapMs: Math.round(Math.max(...gaps)),
      gapP50Ms: quantiles(gaps).p50Ms,
    };
  });
}

const claimsOf = async ({ northbound }) => (await call(northbound, northbound.status, {})).claims;
