import { performance } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** How often it is looked at, milliseconds. */
const EVERY_MS = 5000;
/** Octets that the process must have grown by: less is not worth a collection. */
const WORTH = 8 << 20;
/** Calls until it is tried again though nothing has grown: twice as many each time, and an hour at the most. */
const PAUSE = 6;
const LONGEST_PAUSE = 720;
/** Share of the loop's time beyond which there is something better to do. */
const BUSY = 0.2;

export type Memory = {
  /** Octets that the process has now. */
  rss(): number;
  /** Share of the time since the last call in which the loop was busy, 0 … 1. */
  busy(): number;
  collect(): void;
};

/**
 * Gives memory back after a storm. V8 collects all garbage only when it needs room, so that a process that is quiet
 * again keeps for hours what a flood has cost it (V10). It takes some 60 ms: only when nothing happens.
 *
 * @param trim gives back what is none of V8's
 * @returns stops it
 */
export function giveMemoryBack(
  trim: () => void = () => {},
  memory: Memory = processMemory(trim),
): () => void {
  const tidy = tidier(memory);
  const timer = setInterval(tidy, EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** To be called now and then. */
export function tidier({ rss, busy, collect }: Memory): () => void {
  let least = rss();
  let floor = least;
  let [pause, calls] = [PAUSE, 0];
  return () => {
    const now = rss();
    least = Math.min(least, now);
    floor = Math.min(floor, now);
    calls += 1;
    const grown = now >= least + WORTH;
    // What was collected in a storm may have been in use just then.
    const again = now >= floor + WORTH && calls >= pause;
    if (busy() > BUSY || !(grown || again)) return;
    collect();
    least = rss(); // what is left is in use
    pause = grown ? PAUSE : Math.min(2 * pause, LONGEST_PAUSE);
    calls = 0;
  };
}

/**
 * Passes that are worth it where nobody may wait for long: each takes a millisecond or two for a MB of heap, three times as long
 * on a busy machine, and a lease of 2 s must not run out meanwhile.
 */
export const promptPasses = (heapOctets: number): number =>
  heapOctets <= 64 << 20 ? 3 : heapOctets <= 256 << 20 ? 1 : 0;

/** @param passes collections of a heap of so many octets */
export function processMemory(
  trim: () => void = () => {},
  passes: (heapOctets: number) => number = () => 3,
): Memory {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  let before = performance.eventLoopUtilization();
  return {
    rss: () => process.memoryUsage.rss(),
    busy: () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, before);
      before = now;
      return utilization;
    },
    // pages that the first leaves empty go with the next ones
    collect: () => {
      const { heapUsed } = process.memoryUsage();
      for (let pass = passes(heapUsed); pass > 0; pass--) gc();
      trim();
    },
  };
}
