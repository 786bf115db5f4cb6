import { blast, openRig } from "./rig.mjs";
import { byTurns, leastOf, medianOf, ratioOf } from "./rounds.mjs";
import { FLOOR, ours, PROTECTIONS, sideOf } from "./sides.mjs";

const BUDGET_MS = 60_000;
const [MS, MORE] = [150, 4];
const counts = [1, 1000, 64_000, 256_000];

/** As many MACs in the tables of both ToRs, each frame to any of them; all protections. The floor gets the same frames. */
export async function macs(programs, rounds) {
  const rigs = new Map();
  try {
    rigs.set(FLOOR, await openRig(programs, sideOf(FLOOR)));
    for (const n of counts)
      rigs.set(n, await openRig(programs, ours(4, "auto", PROTECTIONS, { macs: n })));
    const keys = counts.flatMap((n) => [`${FLOOR} ${n}`, `ours ${n}`]);
    const all = await byTurns(keys, rounds * MORE, BUDGET_MS, (key) => {
      const [side, n] = key.split(" ");
      return blast(rigs.get(side === "ours" ? Number(n) : side), { ms: MS, macs: Number(n) });
    });
    const first = all.get(`ours ${counts[0]}`);
    const rows = counts.map((n) => {
      const [of, floor] = [all.get(`ours ${n}`), all.get(`${FLOOR} ${n}`)];
      return {
        macs: n,
        perSecond: medianOf(of, ({ perSecond }) => perSecond),
        ofFloor: ratioOf(of, floor, ({ perSecond }) => perSecond),
        floorCpuUs: medianOf(floor, ({ cpuUs }) => cpuUs),
        ofOne: ratioOf(of, first, ({ perSecond }) => perSecond),
        cpuUs: medianOf(of, ({ cpuUs }) => cpuUs),
        cpuOfOne: ratioOf(of, first, ({ cpuUs }) => 1 / cpuUs),
        leastUs: leastOf(of, ({ cpuUs }) => cpuUs),
        leastOfFloor: leastOf(floor, ({ cpuUs }) => cpuUs) / leastOf(of, ({ cpuUs }) => cpuUs),
        arrived: medianOf(of, ({ sent, received }) => received / sent),
      };
    });
    return { rows, rounds: Object.fromEntries(all) };
  } finally {
    for (const rig of rigs.values()) await rig.close();
  }
}
