import type { Clock } from "./clock.ts";

/** Whether so long has passed since it was last true; the first time it has. For what must not be said too often. */
export function seldom(clock: Clock, everyMs: number): () => boolean {
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    const now = clock.now();
    if (now - last < everyMs) return false;
    last = now;
    return true;
  };
}
