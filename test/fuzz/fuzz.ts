import { random } from "../support/cable.ts";
import type { Coverage } from "./coverage.ts";
import { mutated } from "./mutate.ts";
import type { Target } from "./target.ts";

export type Outcome = {
  executions: number;
  /** The seeds, and inputs that ran something new. */
  corpus: readonly Uint8Array[];
  finds: readonly Find[];
};

/** Octets that broke something, as short as could be made. */
export type Find = { octets: Uint8Array; error: Error };

export type FuzzOptions = {
  seed: number;
  /** Ends after so many inputs, or when `enough` says so. */
  executions?: number;
  enough?: () => boolean;
  coverage?: Coverage;
};

/** One input may not hold up the process for so long, milliseconds. */
const SLOW_MS = 1000;
/** Different ones, by the place that threw. */
const MAX_FINDS = 5;

/** Feeds a target with its seeds, and with changes of what has run something new; the same ones for the same seed. */
export async function fuzz(target: Target, options: FuzzOptions): Promise<Outcome> {
  const { executions: most = Number.POSITIVE_INFINITY, coverage } = options;
  const chance = random(options.seed);
  const finds = new Map<string, Find>();
  const corpus: Uint8Array[] = [];
  let executions = 0;

  async function attempt(octets: Uint8Array): Promise<void> {
    executions += 1;
    const error = await faultOf(target, octets);
    if (error === undefined || finds.has(placeOf(error)) || finds.size >= MAX_FINDS) return;
    finds.set(placeOf(error), { octets: await shortened(target, octets, error), error });
  }

  const attempts = async (inputs: readonly Uint8Array[]): Promise<void> => {
    for (const octets of inputs) await attempt(octets);
  };

  /** A batch at a time, for asking V8 takes as long as many inputs do. */
  async function measure(inputs: readonly Uint8Array[], by: Coverage): Promise<void> {
    const fresh = await by.during(() => attempts(inputs));
    await keep(inputs, fresh, by);
  }

  /** Looks for those that ran the fresh places, by halves. What runs once only (a first use) is nobody's. */
  async function keep(
    inputs: readonly Uint8Array[],
    fresh: Set<number>,
    by: Coverage,
  ): Promise<void> {
    const hit = fresh.size === 0 ? fresh : await by.among(() => attempts(inputs), fresh);
    if (hit.size === 0) return;
    if (inputs.length === 1) {
      corpus.push(...inputs);
      for (const place of hit) fresh.delete(place);
      return;
    }
    const middle = inputs.length >> 1;
    await keep(inputs.slice(0, middle), fresh, by);
    await keep(inputs.slice(middle), fresh, by);
  }

  async function feed(inputs: readonly Uint8Array[]): Promise<void> {
    await (coverage === undefined ? attempts(inputs) : measure(inputs, coverage));
  }

  const seeds = target.seeds();
  if (coverage === undefined) corpus.push(...seeds);
  for (let at = 0; at < seeds.length; at += target.batch)
    await feed(seeds.slice(at, at + target.batch));
  if (corpus.length === 0) corpus.push(...seeds); // all that they run has run before
  const enough = () => executions >= most || finds.size >= MAX_FINDS || options.enough?.() === true;
  while (!enough()) {
    const inputs = Array.from({ length: Math.min(target.batch, most - executions) }, () => {
      const from = corpus[Math.floor(chance() * corpus.length)] ?? new Uint8Array();
      return mutated(from, corpus, chance, target.maxLength);
    });
    await feed(inputs);
  }
  return { executions, corpus, finds: [...finds.values()] };
}

/** What the target did that it must not; undefined when all is well. */
export async function faultOf(target: Target, octets: Uint8Array): Promise<Error | undefined> {
  const begun = performance.now();
  try {
    await target.run(octets.slice());
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
  const ms = performance.now() - begun;
  return ms > SLOW_MS ? new Error(`slow: ${Math.round(ms)} ms`) : undefined;
}

/** Two finds are the same when they throw at the same place. */
const placeOf = ({ message, stack = "" }: Error): string =>
  stack.split("\n").find((line) => line.trimStart().startsWith("at ")) ?? message;

/** Leaves out what can be left out. */
async function shortened(target: Target, octets: Uint8Array, error: Error): Promise<Uint8Array> {
  let best = octets;
  for (let size = octets.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < best.length; ) {
      const less = Uint8Array.from([...best.subarray(0, at), ...best.subarray(at + size)]);
      const same = await faultOf(target, less);
      if (same !== undefined && placeOf(same) === placeOf(error)) best = less;
      else at += size;
    }
  }
  return best;
}
