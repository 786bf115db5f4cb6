// What forwarding costs: ours beside the bare redirect, Linux' own bridge and VXLAN device, and Open vSwitch, by turns in
// one run. docs/performance-dataplane.md says how to read it.
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, setPriority } from "node:os";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { onPath } from "../../scripts/doctor.mjs";
import { each } from "./dataplane/each.mjs";
import { macs } from "./dataplane/macs.mjs";
import { hasOvs } from "./dataplane/ovs.mjs";
import { packets } from "./dataplane/packets.mjs";
import { quic } from "./dataplane/quic.mjs";
import { buildPrograms, openRig } from "./dataplane/rig.mjs";
import { rtt } from "./dataplane/rtt.mjs";
import { FLOOR, sideNames, sideOf } from "./dataplane/sides.mjs";
import { table } from "./dataplane/table.mjs";
import { tcp } from "./dataplane/tcp.mjs";
import { updates } from "./dataplane/updates.mjs";
import { file } from "./nva/rig.mjs";

/** Those that the rigs of all sides serve, and those that have rigs of their own. */
const shared = { packets, rtt, tcp, quic };
const own = { each, macs, updates };
const parts = [...Object.keys(shared), ...Object.keys(own)];
const kept = file("../../build/bench-dataplane.json");

const help = `npm run bench -- dataplane [options]   (root; clang, cc; iperf3 for tcp, openvswitch-switch for ovs)

  --only <parts>    of ${parts.join(", ")}; default: all
  --sides <names>   default: all; the floor (${FLOOR}) is always there. Of
                    ${sideNames.join(" ")}
  --rounds <n>      default 5; of packets two more
  --keep <file>     all figures of all rounds as JSON, default ${kept}
  --json            the same instead of the tables
The tables are Markdown. All of it takes less than 8 minutes: a part that takes too long ends with fewer rounds.
BENCH_NICE=<n>: all programs run at that priority, -20 to 19, on a machine that has other work
`;

const options = {
  help: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  only: { type: "string", default: "" },
  sides: { type: "string", default: sideNames.join(",") },
  rounds: { type: "string", default: "5" },
  keep: { type: "string", default: kept },
};

export async function run(...args) {
  const { values } = parseArgs({ args, options });
  if (values.help) return process.stdout.write(help);
  const only = known(values.only, parts);
  const isWanted = (name) => only.length === 0 || only.includes(name);
  const rounds = Number(values.rounds);
  if (!(rounds >= 1 && rounds <= 100)) throw new Error("--rounds: 1 to 100");
  if (process.env.BENCH_NICE !== undefined) setPriority(Number(process.env.BENCH_NICE)); // and so its children
  const report = { machine: machine(), rounds, left: [], parts: {} };
  const part = async (name, work) => {
    if (!isWanted(name)) return;
    process.stderr.write(`${name}\n`);
    const start = performance.now();
    try {
      report.parts[name] = await work();
    } catch (error) {
      report.parts[name] = { failed: error.message };
      process.exitCode = 1;
    }
    report.parts[name].seconds = Math.round((performance.now() - start) / 1000);
  };
  const programs = buildPrograms();
  const rigs = new Map();
  try {
    if (Object.keys(shared).some(isWanted)) {
      const names = new Set([FLOOR, ...known(values.sides, sideNames)]);
      await openAll(rigs, programs, names, report.left);
    }
    for (const [name, work] of Object.entries(shared))
      await part(name, () =>
        name === "tcp" && !onPath("iperf3")
          ? { skipped: "iperf3 is not installed: apt-get install -y iperf3" }
          : work(rigs, rounds),
      );
    for (const rig of rigs.values()) await rig.close();
    rigs.clear();
    for (const [name, work] of Object.entries(own)) await part(name, () => work(programs, rounds));
  } finally {
    for (const rig of rigs.values()) await rig.close();
    programs.remove();
  }
  const json = `${JSON.stringify(report, null, 2)}\n`;
  mkdirSync(dirname(values.keep), { recursive: true });
  writeFileSync(values.keep, json);
  process.stdout.write(values.json ? json : table(report));
  process.stderr.write(`all rounds: ${values.keep}\n`);
}

function known(said, all) {
  const names = said.split(",").filter(Boolean);
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length > 0) throw new Error(`no ${unknown}: there are ${all.join(", ")}`);
  return names;
}

async function openAll(rigs, programs, names, left) {
  for (const name of names) {
    process.stderr.write(`  ${name}\n`);
    if (name === "ovs" && !hasOvs()) {
      left.push("ovs: not installed (apt-get install -y openvswitch-switch)");
      continue;
    }
    try {
      rigs.set(name, await openRig(programs, sideOf(name)));
    } catch (error) {
      if (name !== "ovs") throw error;
      left.push(`ovs: ${error.message}`);
    }
  }
}

/** What else ran counts: see how the figures by processor time compare with those by the clock. */
const machine = () =>
  `${cpus().length} cores (${cpus()[0]?.model}), Linux ${release()}, Node ${process.version}, load ${loadavg()
    .map((n) => n.toFixed(1))
    .join(" ")} before`;
