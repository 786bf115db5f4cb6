// `npm run fuzz -- [target] [seconds]`: feeds decoders and whole agents with octets, guided by V8's coverage of them, from
// the packages' sources. Finds are kept in test/fuzz/finds; one that is committed there is a test from then on.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const USAGE = `usage: npm run fuzz -- [target] [seconds]

Without a target all of them share the time (60 s). A target that is none is answered with their names.
SEED=<number> in the environment: the same run again. Exit codes: 0 no find, 1 a find, 2 usage.
`;

const root = fileURLToPath(new URL("..", import.meta.url));
const words = process.argv.slice(2);
if (words.some((word) => word.startsWith("-"))) {
  process.stdout.write(USAGE);
  process.exit(words.every((word) => word === "--help" || word === "-h") ? 0 : 2);
}
const seconds = words.find((word) => /^\d+$/.test(word)) ?? "60";
const target = words.find((word) => !/^\d+$/.test(word));
const { SEED = String(Date.now() % 1_000_000) } = process.env;

const folder = join(root, "test/build"); // beside test/captures, which the bundle reads
const name = `fuzz-${process.pid}.js`;

/** One file with all that is fuzzed: V8 counts by file. */
async function bundle() {
  await build({
    root,
    configFile: false,
    logLevel: "error",
    resolve: { conditions: ["source"] },
    ssr: { noExternal: [/^@nve/], resolve: { conditions: ["source"] } },
    build: {
      ssr: join(root, "test/fuzz/main.ts"),
      outDir: folder,
      emptyOutDir: false,
      minify: false,
      sourcemap: "inline",
      target: "node20",
      rollupOptions: { output: { entryFileNames: name } },
    },
  });
  return join(folder, name);
}

try {
  const program = await bundle();
  process.stdout.write(`seed ${SEED}, ${seconds} s\n`);
  const finds = join(root, "test/fuzz/finds");
  const args = ["--enable-source-maps", program, finds, SEED, seconds, ...(target ? [target] : [])];
  process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1;
} finally {
  rmSync(join(folder, name), { force: true });
}
