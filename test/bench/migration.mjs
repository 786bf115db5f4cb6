// What a move costs: VNICs that move under a stream, ours beside FRR's EVPN, by turns in one run; and a server that is
// evacuated. docs/performance-migration.md says how to read it.
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, setPriority } from "node:os";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { evacuation } from "./migration/evacuation.mjs";
import { summary } from "./migration/figures.mjs";
import { openFrr } from "./migration/frr.mjs";
import { movesOf, stillOf } from "./migration/moves.mjs";
import { openOurs } from "./migration/ours.mjs";
import { buildProbe } from "./migration/probe.mjs";
import { table } from "./migration/table.mjs";
import { missingFrr } from "./nva/frr-daemons.mjs";
import { file } from "./nva/rig.mjs";

const kinds = ["across", "within"];
const parts = [...kinds, "evacuation"];
const openers = { ours: openOurs, frr: openFrr };
const kept = file("../../build/bench-migration.json");
/** Of one kind at one side, until it is the other's turn. */
const TURN = 50;

const help = `npm run bench -- migration [options]   (root; cc; frr for the baseline)

  --only <parts>    of ${parts.join(", ")}; default: all.
                    across: from ToR to ToR; within: between two servers of one ToR
  --moves <n>       of each kind at each side, default 1000
  --sides <names>   of ${Object.keys(openers).join(", ")}; default: both, by turns of ${TURN} moves
  --vnics <n>       that are evacuated, default 500
  --at-once <n>     of them, whose calls are under way at a time, default 500
  --attach <how>    of auto, tcx, clsact: hypervisor-agents that are evacuated; default auto
  --keep <file>     every move as JSON, default ${kept}
  --json            the summary as JSON instead of the tables
The tables are Markdown. All of it takes about 8 minutes on a quiet machine.
BENCH_PROFILE=<folder>: each of our agents leaves a CPU profile there
BENCH_NICE=<n>: all programs run at that priority, -20 to 19, on a machine that has other work
`;

const options = {
  help: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  only: { type: "string", default: parts.join(",") },
  moves: { type: "string", default: "1000" },
  sides: { type: "string", default: Object.keys(openers).join(",") },
  vnics: { type: "string", default: "500" },
  "at-once": { type: "string", default: "500" },
  attach: { type: "string", default: "auto" },
  keep: { type: "string", default: kept },
};

export async function run(...args) {
  const { values } = parseArgs({ args, options });
  if (values.help) return process.stdout.write(help);
  const only = known("--only", values.only, parts);
  const sides = known("--sides", values.sides, Object.keys(openers));
  const moves = count("--moves", values.moves, 100_000);
  const [attach] = known("--attach", values.attach, ["auto", "tcx", "clsact"]);
  const atOnce = count("--at-once", values["at-once"], 2000);
  const vnics = count("--vnics", values.vnics, 2000);
  if (process.getuid() !== 0) throw new Error("needs root, for network namespaces");
  if (process.env.BENCH_NICE !== undefined) setPriority(Number(process.env.BENCH_NICE)); // and so its children
  process.setMaxListeners(100); // one for each program
  const program = buildProbe();
  const report = { machine: machine(), parts: {}, left: [] };
  const all = {};
  const part = async (names, work) => {
    if (names.every((name) => !only.includes(name))) return;
    try {
      await work();
    } catch (error) {
      for (const name of names) report.parts[name] = { failed: error.message };
      process.exitCode = 1;
    }
  };
  try {
    await part(kinds, () =>
      compared(program, report, all, {
        kinds: kinds.filter((kind) => only.includes(kind)),
        sides,
        moves,
      }),
    );
    await part(["evacuation"], async () => {
      process.stderr.write("evacuation\n");
      report.parts.evacuation = await evacuation(program, vnics, { attach, atOnce });
    });
  } finally {
    program.remove();
  }
  mkdirSync(dirname(values.keep), { recursive: true });
  writeFileSync(values.keep, `${JSON.stringify({ ...report, moves: all })}\n`);
  process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : table(report));
  process.stderr.write(`all moves: ${values.keep}\n`);
}

/** Both sides stand at the same time, and take turns. */
async function compared(program, report, all, { kinds, sides, moves }) {
  const rigs = new Map();
  const keep = (side, kind, rows) => {
    all[side] ??= {};
    all[side][kind] ??= [];
    all[side][kind].push(...rows);
  };
  try {
    for (const side of sides) {
      if (side === "frr" && missingFrr() !== undefined) report.left.push(`frr: ${missingFrr()}`);
      else rigs.set(side, await openers[side](program));
    }
    for (let done = 0; done < moves; done += TURN) {
      process.stderr.write(`${done} of ${moves} moves of each kind\n`);
      for (const kind of kinds)
        for (const [side, rig] of rigs) {
          keep(side, kind, await movesOf(rig, kind, Math.min(TURN, moves - done)));
          keep(
            side,
            "still",
            await stillOf(rig, kind, Math.ceil(Math.min(TURN, moves - done) / 10)),
          );
        }
    }
  } finally {
    for (const rig of rigs.values()) await rig.close();
    for (const [side, of] of Object.entries(all))
      report.parts[side] = Object.fromEntries(
        Object.entries(of).map(([kind, rows]) => [kind, summary(rows)]),
      );
  }
}

function known(option, said, all) {
  const names = said.split(",").filter(Boolean);
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length > 0 || names.length === 0)
    throw new Error(`${option}: of ${all.join(", ")}, not "${unknown}"`);
  return names;
}

function count(option, said, most) {
  const n = Number(said);
  if (Number.isInteger(n) && n >= 1 && n <= most) return n;
  throw new Error(`${option}: 1 to ${most}`);
}

/** What else ran counts. */
const machine = () =>
  `${cpus().length} cores (${cpus()[0]?.model}), Linux ${release()}, Node ${process.version}, load ${loadavg()
    .map((n) => n.toFixed(1))
    .join(" ")} before`;
