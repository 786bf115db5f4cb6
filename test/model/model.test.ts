import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runSeed } from "../support/seed.ts";
import { type Figures, History } from "./history.ts";
import { stores } from "./stores.ts";

// MODEL_SEED=<number>: the same operations again. MODEL_SECONDS=<number>: for so long; beyond a minute in histories of a
// minute, each of the next seed. MODEL_STORE=<name>: over that store alone.
const { MODEL_SEED = String(runSeed), MODEL_SECONDS = "50" } = process.env;
const { MODEL_STORE: only } = process.env;
if (only !== undefined && stores[only] === undefined)
  throw new Error(`no store "${only}": there are ${Object.keys(stores).join(", ")}`);
const seed = Number(MODEL_SEED);
const ms = Number(MODEL_SECONDS) * 1000;
const pieceMs = 60_000;

describe(`from seed ${seed} on`, () => {
  for (const [store, { missing }] of Object.entries(stores))
    test.skipIf(only === undefined ? missing() !== undefined : only !== store)(
      `A14, A15: any history over ${store}: no acknowledged write is lost, none comes back that was withdrawn, watchers converge`,
      async () => {
        const end = performance.now() + ms;
        for (let n = 0; n === 0 || end - performance.now() > 1000; n++)
          await piece(store, seed + n, Math.min(pieceMs, end - performance.now()));
      },
      2 * ms + 60_000,
    );
});

async function piece(store: string, seed: number, ms: number): Promise<void> {
  const kind = stores[store];
  const missing = kind?.missing();
  if (kind === undefined || missing !== undefined)
    throw new Error(`this machine has no ${missing}: \`npm run setup\` installs it`);
  const authorities = await kind.start();
  const history = new History(authorities, seed);
  try {
    const figures = await history.run({ ms });
    expect(figures.rounds).toBeGreaterThan(0);
    tell(store, seed, figures);
  } catch (error) {
    const path = join(tmpdir(), `model-${store}-${seed}-${process.pid}.log`);
    writeFileSync(path, `${error}\n\n${history.trace}\n${authorities.logs()}`);
    if (error instanceof Error)
      error.message = `seed ${seed} over ${store} (${path} has it all): ${error.message}`;
    throw error;
  } finally {
    await authorities.stop();
  }
}

const tell = (store: string, seed: number, figures: Figures): boolean =>
  process.stdout.write(`${store}, seed ${seed}: ${JSON.stringify(figures)}\n`);
