// `npm run soak -- [--minutes 60] [--store lmdb] [--seed n]`: the model-based test of the NVA (test/model) for long. Each
// minute begins anew with the next seed, so that what it finds takes a minute to see again.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const USAGE = `usage: npm run soak -- [options]

  --minutes <n>   how long (60)
  --store <name>  memory, lmdb, or etcd where this machine has it; default: lmdb
  --seed <n>      of the first minute; default: by chance. A find is told with its seed: that seed with --minutes 1 is
                  the same operations again (not the same interleaving: it may take several runs)
Exit codes: 0 no find, 1 a find, 2 usage.
`;

const root = fileURLToPath(new URL("..", import.meta.url));

function options() {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "60" },
      store: { type: "string", default: "lmdb" },
      seed: { type: "string", default: String(Date.now() % 2 ** 31) },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  for (const name of ["minutes", "seed"])
    if (!/^\d+(\.\d+)?$/.test(values[name])) throw new Error(`--${name} is a number`);
  if (!/^[a-z]+$/.test(values.store)) throw new Error("--store is a name such as lmdb");
  return values;
}

try {
  const { minutes, store, seed, help } = options();
  if (help) process.stdout.write(USAGE);
  else {
    const seconds = String(Math.max(1, Math.round(Number(minutes) * 60)));
    const env = { ...process.env, MODEL_SECONDS: seconds, MODEL_SEED: seed, MODEL_STORE: store };
    const vitest = join(root, "node_modules/vitest/vitest.mjs");
    const words = [vitest, "run", "--project=root", "test/model"];
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
