// `npm run soak`: for long what CI has minutes for. The model-based test of the NVA (test/model), each minute of which begins
// anew with the next seed, so that what it finds takes a minute to see again; or, with `migration`, VNICs that move to and
// fro in a lab among faults (test/soak/migration).
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const USAGE = `usage: npm run soak -- [options]
       npm run soak -- migration [options]

The NVA held against a model:
  --minutes <n>   how long (60)
  --store <name>  memory, lmdb, or etcd where this machine has it; default: lmdb
  --seed <n>      of the first minute; default: by chance. A find is told with its seed: that seed with --minutes 1 is
                  the same operations again (not the same interleaving: it may take several runs)

migration: VNICs moved between servers of three racks, with real agents in network namespaces (needs root):
  --moves <n>           how many, roll-backs among them (10000)
  --vnics <n>           of how many VNICs (50), --vns <n> in so many virtual networks (5)
  --quiet-every <n>     moves after which all is held against the model (500)
  --fault-every <n>     moves for each fault, on average (25); 0: none
  --seed <n>            of moves and faults; default: by chance
Exit codes: 0 no find, 1 a find, 2 usage.
`;

const root = fileURLToPath(new URL("..", import.meta.url));
const seed = { type: "string", default: String(Date.now() % 2 ** 31) };
const help = { type: "boolean", short: "h", default: false };

/** @returns of a soak its tests, and what they take from the environment */
const soaks = {
  model(args) {
    const values = parsed(args, {
      ...{ minutes: { type: "string", default: "60" }, seed, help },
      store: { type: "string", default: "lmdb" },
    });
    if (!/^[a-z]+$/.test(values.store)) throw new Error("--store is a name such as lmdb");
    const seconds = String(Math.max(1, Math.round(Number(values.minutes) * 60)));
    const env = { MODEL_SECONDS: seconds, MODEL_SEED: values.seed, MODEL_STORE: values.store };
    return { help: values.help, test: "test/model", env };
  },
  migration(args) {
    const values = parsed(args, {
      ...{ moves: { type: "string", default: "10000" }, seed, help },
      ...{ vnics: { type: "string", default: "50" }, vns: { type: "string", default: "5" } },
      "quiet-every": { type: "string", default: "500" },
      "fault-every": { type: "string", default: "25" },
    });
    const env = {
      ...{ SOAK_MOVES: values.moves, SOAK_SEED: values.seed },
      ...{ SOAK_VNICS: values.vnics, SOAK_VNS: values.vns },
      SOAK_QUIET_EVERY: values["quiet-every"],
      SOAK_FAULT_EVERY: values["fault-every"],
    };
    return { help: values.help, test: "test/lab/migration-soak.test.ts", env };
  },
};

/** @throws Error that says what is wrong */
function parsed(args, options) {
  const { values } = parseArgs({ args, options });
  for (const [name, value] of Object.entries(values))
    if (name !== "store" && name !== "help" && !/^\d+(\.\d+)?$/.test(value))
      throw new Error(`--${name} is a number`);
  return values;
}

try {
  const [first = "", ...rest] = process.argv.slice(2);
  const isNamed = first === "migration";
  const soak = isNamed ? soaks.migration(rest) : soaks.model(process.argv.slice(2));
  if (soak.help) process.stdout.write(USAGE);
  else {
    const vitest = join(root, "node_modules/vitest/vitest.mjs");
    const words = [vitest, "run", "--project=root", soak.test];
    const env = { ...process.env, ...soak.env };
    const child = spawn(process.execPath, words, { cwd: root, env, stdio: "inherit" });
    for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
    process.exitCode = await new Promise((resolve) =>
      child.on("exit", (code) => resolve(code ?? 1)),
    );
  }
} catch (error) {
  process.stderr.write(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
