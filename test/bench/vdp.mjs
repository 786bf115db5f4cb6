// From Associate to its answer, and associations per second: lldpad as the bridge and our switch-agent as the bridge, on
// the same cable, one after the other; then a rack of 48 ports after a power cut.
import { parseArgs } from "node:util";
import { cases, runCase } from "./vdp/cases.mjs";
import { rack } from "./vdp/rack.mjs";
import { openRig, startNva } from "./vdp/rig.mjs";
import { table } from "./vdp/table.mjs";

export async function run(...args) {
  const { values } = parseArgs({
    args,
    options: {
      json: { type: "boolean", default: false },
      only: { type: "string", default: "" },
      vsis: { type: "string", default: "1,100,1000" },
      vns: { type: "string", default: "50" },
      ports: { type: "string", default: "48" },
      store: { type: "string", default: "lmdb" },
    },
  });
  const only = values.only.split(",").filter(Boolean);
  const counts = values.vsis.split(",").map(Number);
  const report = { links: [], rack: [] };
  const wanted = cases(counts, Number(values.vns)).filter(
    ({ name }) => only.length === 0 || only.includes(name),
  );
  if (wanted.length > 0) report.links = await oneLink(wanted, values.store);
  if (only.length === 0 || only.includes("rack")) {
    report.rack = await rack(Number(values.ports), 100, values.store);
  }
  process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : table(report));
}

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
