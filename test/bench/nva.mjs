// What the NVA does in a second, how soon it tells whom, and what it costs. docs/performance-nva.md says how to read it.
import { existsSync } from "node:fs";
import { cpus, loadavg, setPriority } from "node:os";
import { delimiter, join } from "node:path";
import { parseArgs } from "node:util";
import { claims } from "./nva/claims.mjs";
import { coldSync } from "./nva/cold-sync.mjs";
import { failover } from "./nva/failover.mjs";
import { fanout } from "./nva/fanout.mjs";
import { frr } from "./nva/frr.mjs";
import { lettingGo } from "./nva/letting-go.mjs";
import { memory } from "./nva/memory.mjs";
import { table } from "./nva/table.mjs";
import { takeOver } from "./nva/take-over.mjs";

const parts = ["claims", "fanout", "letting-go", "sync", "frr", "failover", "memory", "take-over"];

const help = `npm run bench -- nva [options]

  --only <parts>     of ${parts.join(", ")}; default: all (sync and frr need root)
  --stores <stores>  that claims are measured on, of memory, lmdb, etcd (three members on this machine); default: lmdb,
                     and etcd where it is installed
  --watchers <n>     of fanout, default 1000
  --mappings <n>     of sync and frr, default 100000
  --held <n>         mappings of memory, default 1000000, and of take-over, default 100000
  --json             all figures
Each part takes less than a minute, but take-over: 500000 mappings were not loaded in 290 s on a busy machine. frr is the baseline of sync: MACs from one FRR over another as route server to a third.
BENCH_PROFILE=<folder>: each of our programs leaves a CPU profile there
BENCH_NICE=<n>: all programs run at that priority, -20 to 19, on a machine that has other work
`;

const onPath = (command) =>
  (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, command)));

const options = {
  help: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  only: { type: "string", default: "" },
  stores: { type: "string", default: onPath("etcd") ? "lmdb,etcd" : "lmdb" },
  watchers: { type: "string", default: "1000" },
  mappings: { type: "string", default: "100000" },
  held: { type: "string" },
};

export async function run(...args) {
  const { values } = parseArgs({ args, options });
  if (values.help) return process.stdout.write(help);
  const only = values.only.split(",").filter(Boolean);
  const unknown = only.filter((name) => !parts.includes(name));
  if (unknown.length > 0) throw new Error(`no part ${unknown}: there are ${parts.join(", ")}`);
  if (process.env.BENCH_NICE !== undefined) setPriority(Number(process.env.BENCH_NICE)); // and so its children
  const report = { machine: machine() };
  const part = async (name, work) => {
    if (only.length > 0 && !only.includes(name)) return;
    process.stderr.write(`${name}\n`);
    try {
      report[name] = await work();
    } catch (error) {
      report[name] = { failed: error.message };
    }
  };
  const mappings = Number(values.mappings);
  await part("claims", async () => {
    const rows = [];
    for (const store of values.stores.split(","))
      for (const row of await claims(store)) rows.push({ store, ...row });
    return rows;
  });
  await part("fanout", () => fanout("lmdb", Number(values.watchers)));
  await part("letting-go", () => lettingGo("lmdb"));
  await part("sync", () => coldSync(mappings));
  await part("frr", () => frr(mappings));
  await part("failover", () =>
    onPath("etcd") ? failover() : { skipped: "etcd is not installed" },
  );
  await part("memory", () => memory("lmdb", Number(values.held ?? 1_000_000)));
  await part("take-over", () =>
    onPath("etcd")
      ? takeOver(Number(values.held ?? 100_000))
      : { skipped: "etcd is not installed" },
  );
  process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : table(report));
  process.exitCode = parts.some((name) => report[name]?.failed !== undefined) ? 1 : 0;
}

/** What else ran counts: every figure but the processor time is worse for it. */
const machine = () =>
  `${cpus().length} cores, Node ${process.version}, load ${loadavg()
    .map((n) => n.toFixed(1))
    .join(" ")} before`;
