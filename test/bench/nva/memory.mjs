// What a mapping costs: resident memory of an NVA that holds a million of them, and what of it is the start.
import { call } from "@nve/program/rpc";
import { claimAll, createVns, nveSession, round, rss, withNva } from "./rig.mjs";

const PER_NVE = 200_000; // an NVE's limit

/** Claims `total` addresses of as many NVEs as that takes. */
export function memory(store, total) {
  return withNva(store, async (nva) => {
    await createVns(nva, 100);
    const before = rss(nva);
    const anonymousBefore = rss(nva, "RssAnon");
    const begin = performance.now();
    const nves = Math.ceil(total / PER_NVE);
    const sessions = [];
    for (let n = 0; n < nves; n++) {
      const session = await nveSession(nva.address, `tor${n}`, `10.0.0.${n + 1}`, 4);
      sessions.push(session);
      const count = Math.min(PER_NVE, total - n * PER_NVE);
      await claimAll(session, {
        count,
        first: n * PER_NVE,
        vns: 100,
        batch: 5000,
        macsPerVnic: 20,
      });
    }
    const seconds = (performance.now() - begin) / 1000;
    const peak = rss(nva);
    await new Promise((resolve) => setTimeout(resolve, 16_000)); // when idle it gives memory back, every 5 s
    const held = rss(nva);
    const anonymous = rss(nva, "RssAnon");
    const { claims } = await call(nva.northbound, nva.northbound.status, {});
    for (const session of sessions) session.close();
    return {
      store,
      mappings: claims,
      claimSeconds: round(seconds),
      startMb: round(before / 1e6),
      peakMb: round(peak / 1e6),
      heldMb: round(held / 1e6),
      heldWithoutFilesMb: round(anonymous / 1e6), // without what lmdb maps of its file
      octetsPerMapping: Math.round((anonymous - anonymousBefore) / claims),
    };
  });
}
