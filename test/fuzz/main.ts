import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { agents } from "./agents.ts";
import { startCoverage } from "./coverage.ts";
import { decoders } from "./decoders.ts";
import { findsOf } from "./finds.ts";
import { type Find, fuzz } from "./fuzz.ts";
import type { Target } from "./target.ts";
import { startWatchdog } from "./watchdog.ts";

// What scripts/fuzz.mjs runs: `main.js <finds folder> <seed> <seconds> [target]`.

const [, , folder = ".", seed = "1", seconds = "60", wanted] = process.argv;
const all = [...decoders, ...agents];
const targets = all.filter(({ name }) => wanted === undefined || name === wanted);
if (targets.length === 0) {
  process.stderr.write(
    `error: no target ${wanted}; there are ${all.map((t) => t.name).join(", ")}\n`,
  );
  process.exit(2);
}

// What a promise throws that nobody waits for is a find, too: of the input that runs just then.
process.on("unhandledRejection", (error) => {
  process.stderr.write(`unhandled: ${error instanceof Error ? error.stack : error}\n`);
  process.exit(1);
});

const coverage = startCoverage(import.meta.url);
let running = "";
const watchdog = startWatchdog(() => join(folder, running, "never-ends.hex"));
let finds = 0;
for (const target of targets) finds += await one(target);
process.exit(finds > 0 ? 1 : 0);

async function one(target: Target): Promise<number> {
  const end = performance.now() + (Number(seconds) * 1000) / targets.length;
  const enough = () => performance.now() > end;
  const earlier = findsOf(folder, target.name);
  const seeds = () => [...target.seeds(), ...earlier];
  running = target.name;
  const run = (octets: Uint8Array) => {
    watchdog.begin(octets);
    return target.run(octets);
  };
  const outcome = await fuzz({ ...target, seeds, run }, { seed: Number(seed), enough, coverage });
  const { executions, corpus, finds } = outcome;
  const what = `${executions} executions, ${corpus.length} inputs that ran something new`;
  process.stdout.write(`${target.name}: ${what}, ${finds.length} finds\n`);
  for (const find of finds) keep(target.name, find);
  return finds.length;
}

function keep(name: string, { octets, error }: Find): void {
  const hash = createHash("sha256").update(octets).digest("hex").slice(0, 12);
  mkdirSync(join(folder, name), { recursive: true });
  const file = join(folder, name, `${hash}.hex`);
  writeFileSync(file, `${Buffer.from(octets).toString("hex")}\n`);
  process.stdout.write(`  ${file}: ${error.stack}\n`);
}
