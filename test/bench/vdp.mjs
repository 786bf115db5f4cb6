// From Associate to its answer, and associations per second: lldpad as the bridge and our switch-agent as the bridge, on
// the same cable, one after the other; then a rack of 48 ports after a power cut. docs/performance.md says how to read it.
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { cases, runCase } from "./vdp/cases.mjs";
import { rack } from "./vdp/rack.mjs";
import { openRig, startNva } from "./vdp/rig.mjs";
import { BASELINE, ratio, table } from "./vdp/table.mjs";

const help = `npm run bench -- vdp [options]   (root; needs lldpad, vdptool, tcpdump)

  --only <pairs>   of ${"lldpad-lldpad lldpad-ours scripted-lldpad scripted-ours ours-ours rack".split(" ").join(", ")};
                   default: all. A pair is <station>-<bridge>; lldpad-lldpad is the baseline
  --vsis <counts>  default 1,100,1000
  --vns <count>    VNs that they are in, default 50
  --ports <count>  of the rack, default 48, with 100 VSIs each
  --store <store>  the NVA's: lmdb (default) or memory
  --json           all figures
BENCH_PROFILE=<folder>: each of our programs leaves a CPU profile there
BENCH_NICE=<n>: all programs run at that priority, -20 to 19, on a machine that has other work
`;

const options = {
  help: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  only: { type: "string", default: "" },
  vsis: { type: "string", default: "1,100,1000" },
  vns: { type: "string", default: "50" },
  ports: { type: "string", default: "48" },
  store: { type: "string", default: "lmdb" },
};

export async function run(...args) {
  const { values } = parseArgs({ args, options });
  if (values.help) return process.stdout.write(help);
  const only = values.only.split(",").filter(Boolean);
  const chosen = (name) => only.length === 0 || only.includes(name);
  const counts = values.vsis.split(",").map(Number);
  const report = { machine: machine(), store: values.store, links: [], rack: [] };
  const wanted = cases(counts, Number(values.vns)).filter(({ name }) => chosen(name));
  if (wanted.length > 0) report.links = await oneLink(wanted, values.store);
  if (chosen("rack")) report.rack = await rack(Number(values.ports), 100, values.store);
  process.stdout.write(
    values.json ? `${JSON.stringify(withRatios(report), null, 2)}\n` : table(report),
  );
}

/** What else ran counts: every figure but the processor time is worse for it. */
const machine = () =>
  `${cpus().length} cores, Node ${process.version}, load ${loadavg()
    .map((n) => n.toFixed(1))
    .join(" ")} before`;

async function oneLink(wanted, store) {
  const rig = await openRig(1);
  try {
    const nva = await startNva(rig, store);
    await nva.createVns(5000, Math.max(...wanted.map(({ vns }) => vns)));
    const rows = [];
    for (const one of wanted) {
      process.stderr.write(`${one.name} ${one.vsis}\n`);
      rows.push(await runCase(rig, one));
    }
    await nva.stop();
    return rows;
  } finally {
    await rig.close();
  }
}

/** Each figure beside the baseline's of as many VSIs. */
function withRatios(report) {
  const links = report.links.map((row) => {
    const base = report.links.find(({ name, vsis }) => name === BASELINE && vsis === row.vsis);
    const against = base && {
      baseline: BASELINE,
      perSecond: ratio(row.burst.perSecond, base.burst.perSecond),
      singleP50: ratio(row.single.p50Ms, base.single.p50Ms),
      singleP99: ratio(row.single.p99Ms, base.single.p99Ms),
    };
    return { ...row, against };
  });
  return { ...report, links };
}
