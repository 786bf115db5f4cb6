import { blast } from "./rig.mjs";
import { byTurns, leastOf, medianOf, ratioOf } from "./rounds.mjs";
import { FLOOR, sideOf, TUNED } from "./sides.mjs";

const BUDGET_MS = 90_000;
/** Short, and more of them: what else runs meets fewer of them. */
const [MS, MORE] = [150, 4];

/** Frames of 64 octets in a second, one sender, 16 flows; and the processor time of one. */
export async function packets(rigs, rounds) {
  const all = await byTurns([...rigs.keys()], rounds * MORE, BUDGET_MS, (name) =>
    blast(rigs.get(name), { ms: MS }),
  );
  const [floor, tuned] = [all.get(FLOOR), all.get(TUNED)];
  const least = (of) => leastOf(of, ({ cpuUs }) => cpuUs);
  const rows = [...all].map(([name, of]) => ({
    name,
    what: sideOf(name).what,
    perSecond: medianOf(of, ({ perSecond }) => perSecond),
    ofFloor: ratioOf(of, floor, ({ perSecond }) => perSecond),
    ofTuned: ratioOf(of, tuned, ({ perSecond }) => perSecond),
    cpuUs: medianOf(of, ({ cpuUs }) => cpuUs),
    cpuOfFloor: ratioOf(of, floor, ({ cpuUs }) => 1 / cpuUs),
    cpuOfTuned: ratioOf(of, tuned, ({ cpuUs }) => 1 / cpuUs),
    leastUs: least(of),
    leastOfFloor: least(floor) / least(of),
    leastOfTuned: tuned && least(tuned) / least(of),
    arrived: medianOf(of, ({ sent, received }) => received / sent),
  }));
  return { rows, rounds: Object.fromEntries(all) };
}
