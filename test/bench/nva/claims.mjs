// Claims a second, from one NVE: until each is acknowledged, that is, on the disk.
import { claimAll, cpuMs, createVns, macOf, nveSession, round, withNva } from "./rig.mjs";

const COUNT = 100_000;
const VNS = 50;

/** @returns a row for each size of report */
export async function claims(store) {
  const rows = [];
  for (const { batch, window, macsPerVnic } of [
    { batch: 200, window: 4, macsPerVnic: 1 }, // as switch-agent does
    { batch: 1000, window: 8, macsPerVnic: 1 },
    { batch: 1000, window: 8, macsPerVnic: 20 },
  ])
    rows.push(await withNva(store, (nva) => measured(nva, { batch, window, macsPerVnic })));
  return rows;
}

async function measured(nva, { batch, window, macsPerVnic }) {
  await createVns(nva, VNS);
  const session = await nveSession(nva.address, "tor1", "10.0.0.1", window);
  const time = async (work) => {
    const [begin, cpu] = [performance.now(), cpuMs(nva)];
    await work();
    const ms = performance.now() - begin;
    return {
      perSecond: Math.round((COUNT / ms) * 1000),
      cpuUs: round(((cpuMs(nva) - cpu) * 1000) / COUNT),
    };
  };
  const all = { count: COUNT, vns: VNS, batch, macsPerVnic };
  const claimed = await time(() => claimAll(session, all));
  const again = await time(() => claimAll(session, all));
  const withdrawn = await time(() => withdrawAll(session, batch, macsPerVnic));
  session.close();
  return {
    batch,
    window,
    macsPerVnic,
    claims: COUNT,
    perSecond: claimed.perSecond,
    nvaCpuUsPerClaim: claimed.cpuUs,
    unchangedPerSecond: again.perSecond,
    withdrawnPerSecond: withdrawn.perSecond,
  };
}

async function withdrawAll(session, batch, macsPerVnic) {
  const acks = [];
  for (let from = 0; from < COUNT; from += batch) {
    const withdrawn = Array.from({ length: batch }, (_, i) => ({
      vnId: 1 + (Math.floor((from + i) / macsPerVnic) % VNS),
      mac: macOf(from + i),
    }));
    acks.push((await session.report({ withdrawn })).ack);
  }
  await Promise.all(acks);
}
