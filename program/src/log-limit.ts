/** Lines of one kind: so many at once, and so many more in a second. */
const BURST = 500;
const PER_SECOND = 10;
/** Kinds that are told apart. */
const KINDS = 10_000;

/**
 * Says of each log line, by its kind, how many of the same were left out before it; `undefined`: it is to be left
 * out, too.
 * @param now milliseconds on a clock that never goes back
 */
export function logLimit(now: () => number): (kind: string) => number | undefined {
  const kinds = new Map<string, { room: number; at: number; leftOut: number }>();
  return (kind) => {
    if (kinds.size >= KINDS) kinds.clear();
    const at = now();
    const was = kinds.get(kind) ?? { room: BURST, at, leftOut: 0 };
    const room = Math.min(BURST, was.room + ((at - was.at) * PER_SECOND) / 1000);
    if (room < 1) {
      kinds.set(kind, { room, at, leftOut: was.leftOut + 1 });
      return undefined;
    }
    kinds.set(kind, { room: room - 1, at, leftOut: 0 });
    return was.leftOut;
  };
}
