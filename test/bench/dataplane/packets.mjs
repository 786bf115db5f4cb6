import { blast } from "./rig.mjs";
import { byTurns, medianOf, ratioOf } from "./rounds.mjs";
import { FLOOR, sideOf, TUNED } from "./sides.mjs";

const BUDGET_MS = 90_000;

/** Frames of 64 octets in a second, one sender, 16 flows; and the processor time of one. */
export async function packets(rigs, rounds) {
  const all = await byTurns([...rigs.keys()], rounds + 2, BUDGET_MS, (name) =>
    blast(rigs.get(name)),
  );
  const [floor, tuned] = [all.get(FLOOR), all.get(TUNED)];
  const rows = [...all].map(([name, of]) => ({
    name,
    what: sideOf(name).what,
    perSecond: medianOf(of, ({ perSecond }) => perSecond),
    ofFloor: ratioOf(of, floor, ({ perSecond }) => perSecond),
    ofTuned: ratioOf(of, tuned, ({ perSecond }) => perSecond),
    cpuUs: medianOf(of, ({ cpuUs }) => cpuUs),
    cpuOfFloor: ratioOf(of, floor, ({ cpuUs }) => 1 / cpuUs),
    cpuOfTuned: ratioOf(of, tuned, ({ cpuUs }) => 1 / cpuUs),
    arrived: medianOf(of, ({ sent, received }) => received / sent),
  }));
  return { rows, rounds: Object.fromEntries(all) };
}
