import { after } from "../nva/rig.mjs";
import { startTraffic, traffic, vmIps } from "./rig.mjs";
import { byTurns, medianOf, ratioOf } from "./rounds.mjs";
import { sideOf, TUNED } from "./sides.mjs";

const BUDGET_MS = 60_000;
const TIMES = 5000;

/** A datagram of 18 octets to the other virtual machine and back, one at a time. */
export async function rtt(rigs, rounds) {
  const servers = [...rigs.values()].map((rig) => startTraffic(rig, "vm2", 1, "echo"));
  try {
    await after(200);
    const all = await byTurns([...rigs.keys()], rounds, BUDGET_MS, (name) =>
      traffic(rigs.get(name), "vm1", 0, "rtt", vmIps[1], TIMES),
    );
    const tuned = all.get(TUNED);
    const rows = [...all].map(([name, of]) => ({
      name,
      what: sideOf(name).what,
      p50Us: medianOf(of, ({ p50Us }) => p50Us),
      p99Us: medianOf(of, ({ p99Us }) => p99Us),
      p50OfTuned: ratioOf(of, tuned, ({ p50Us }) => p50Us),
      p99OfTuned: ratioOf(of, tuned, ({ p99Us }) => p99Us),
    }));
    return { rows, rounds: Object.fromEntries(all) };
  } finally {
    for (const server of servers) server.kill("SIGKILL");
  }
}
