import { blast, openRig } from "./rig.mjs";
import { byTurns, leastOf } from "./rounds.mjs";
import { FLOOR, ours, PROTECTIONS, sideOf } from "./sides.mjs";

const BUDGET_MS = 40_000;

/** Where the time goes: the floor, ours with nothing, with one protection at a time, and with all of them. */
export async function each(programs, rounds) {
  const sets = {
    none: [],
    ...Object.fromEntries(PROTECTIONS.map((one) => [one, [one]])),
    all: PROTECTIONS,
  };
  const rigs = new Map();
  try {
    rigs.set(FLOOR, await openRig(programs, sideOf(FLOOR)));
    for (const [name, of] of Object.entries(sets))
      rigs.set(name, await openRig(programs, ours(4, "auto", of)));
    const all = await byTurns([...rigs.keys()], rounds * 4, BUDGET_MS, (name) =>
      blast(rigs.get(name), { ms: 100 }),
    );
    const floor = leastOf(all.get(FLOOR), ({ cpuUs }) => cpuUs);
    const none = leastOf(all.get("none"), ({ cpuUs }) => cpuUs);
    const rows = [...all].map(([name, of]) => {
      const cpuUs = leastOf(of, (one) => one.cpuUs);
      const isOne = PROTECTIONS.includes(name);
      return { name, cpuUs, overFloor: cpuUs - floor, ...(isOne && { overNone: cpuUs - none }) };
    });
    return { rows, rounds: Object.fromEntries(all) };
  } finally {
    for (const rig of rigs.values()) await rig.close();
  }
}
