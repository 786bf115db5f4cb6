import { after } from "../nva/rig.mjs";
import { blast, openRig, vteps } from "./rig.mjs";
import { median } from "./rounds.mjs";
import { ours, PROTECTIONS } from "./sides.mjs";

const [MACS, RATE, MS] = [100_000, 20_000, 2000];
const OTHER = "192.0.2.9";

/** 100,000 MACs said at once, all new and then all moved to another NVE, while frames pass to one that stays. */
export async function updates(programs, rounds) {
  const rig = await openRig(programs, ours(4, "auto", PROTECTIONS));
  try {
    const [tor1] = rig.agents;
    const seen = [];
    for (let round = 0; round <= rounds; round++) {
      const vtep = round % 2 === 0 ? vteps[4][1] : OTHER;
      const passing = blast(rig, { ms: MS, rate: RATE });
      await after(200);
      const took = await tor1.ask({ do: "move", macs: MACS, vtep });
      const { sent, received } = await passing;
      seen.push({ what: round === 0 ? "new" : "moved", ...took, sent, lost: sent - received });
    }
    const row = (what) => {
      const of = seen.filter((one) => one.what === what);
      return {
        what,
        macs: MACS,
        ms: median(of.map(({ ms }) => ms)),
        cpuMs: median(of.map(({ cpuMs }) => cpuMs)),
        sent: of.reduce((all, { sent }) => all + sent, 0),
        lost: of.reduce((all, { lost }) => all + lost, 0),
      };
    };
    return { rows: [row("new"), row("moved")], rounds: seen };
  } finally {
    await rig.close();
  }
}
