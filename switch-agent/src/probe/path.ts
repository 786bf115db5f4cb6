import { Instant } from "@nve/protocol-spec";

/**
 * The way to another NVE, as probes of several lengths find it (RFC 4821: by what arrives, not by what routers say).
 * Octets of whole IP packets of the underlay.
 *
 *   probing ─► ok           the longest that is needed arrives
 *          ├─► black-hole   short ones arrive, and none longer than `mtu`
 *          └─► silent       not even short ones are answered: nothing can be said
 */
export type Path = {
  readonly state: "probing" | "ok" | "black-hole" | "silent";
  readonly since: Instant;
  readonly need: number;
  /** The longest that has arrived; 0: none. */
  readonly mtu: number;
  readonly trying: Trying;
  /** How often this length was lost. */
  readonly lost: number;
  /** One is on its way. */
  readonly isOut: boolean;
  /** When the next is to go, or the one on its way counts as lost. */
  readonly at: Instant;
};

/** `known`: what arrived last time, before all is looked for again. */
type Trying = { is: "need" | "known" | "floor" } | { is: "search"; low: number; high: number };

export type PathEvent = { on: "sent" } | { on: "reply" } | { on: "lost" };

export type Timing = {
  /** What every link carries: 576 (RFC 791), 1280 (RFC 8200 §5). */
  floor: number;
  intervalMs: number;
  /** 0 up to, not including, 1: all do not go at once. */
  random: () => number;
};

const REPLY_MS = 1000;
/** One lost probe says nothing; while it is looked for how long they may be, it costs little to be wrong. */
const TRIES = { need: 3, known: 3, floor: 3, search: 2 };
/** What is wrong is looked at so often at least. */
const WRONG_MS = 10_000;

/** @param within the first probe goes within so many milliseconds */
export const beginPath = (need: number, now: Instant, within: number): Path => ({
  ...{ state: "probing", since: now, need, mtu: 0, trying: { is: "need" }, lost: 0 },
  ...{ isOut: false, at: Instant(now + within) },
});

/** VNs come and go, and their MTU changes. */
export function needs(path: Path, need: number, now: Instant): Path {
  if (need === path.need) return path;
  const isEnough = path.mtu >= need && (path.state === "ok" || path.state === "black-hole");
  const since = path.state === "ok" ? path.since : now;
  if (isEnough) return { ...path, state: "ok", since, need };
  return { ...path, need, trying: { is: "need" }, lost: 0, isOut: false, at: now };
}

/** How long the next probe is. */
export function lengthOf({ trying, need, mtu }: Path, { floor }: Timing): number {
  switch (trying.is) {
    case "need":
      return need;
    case "known":
      return mtu;
    case "floor":
      return Math.min(floor, need);
    case "search":
      return Math.ceil((trying.low + trying.high) / 2);
  }
}

export function stepPath(path: Path, event: PathEvent, now: Instant, timing: Timing): Path {
  switch (event.on) {
    case "sent":
      return { ...path, isOut: true, at: Instant(now + REPLY_MS) };
    case "reply":
      return arrived({ ...path, isOut: false, lost: 0, at: now }, now, timing);
    case "lost":
      if (path.lost + 1 < TRIES[path.trying.is])
        return { ...path, isOut: false, lost: path.lost + 1, at: now };
      return notArrived({ ...path, isOut: false, lost: 0, at: now }, now, timing);
  }
}

function arrived(path: Path, now: Instant, timing: Timing): Path {
  const length = lengthOf(path, timing);
  if (length >= path.need) return settled(path, "ok", path.need, now, timing);
  if (path.trying.is === "known") return settled(path, "black-hole", length, now, timing);
  const high = path.trying.is === "search" ? path.trying.high : path.need;
  return search(path, length, high, now, timing);
}

function notArrived(path: Path, now: Instant, timing: Timing): Path {
  const { trying } = path;
  switch (trying.is) {
    case "need":
      return { ...path, trying: { is: path.state === "black-hole" ? "known" : "floor" } };
    case "known":
      return { ...path, trying: { is: "floor" } };
    case "floor":
      return settled(path, "silent", 0, now, timing);
    case "search":
      return search(path, trying.low, lengthOf(path, timing), now, timing);
  }
}

/** @param low arrives @param high does not */
function search(path: Path, low: number, high: number, now: Instant, timing: Timing): Path {
  if (high - low <= 1) return settled(path, "black-hole", low, now, timing);
  return { ...path, trying: { is: "search", low, high } };
}

function settled(
  path: Path,
  state: "ok" | "black-hole" | "silent",
  mtu: number,
  now: Instant,
  { intervalMs, random }: Timing,
): Path {
  const usual = intervalMs * (0.75 + random() / 2);
  const at = Instant(now + (state === "black-hole" ? Math.min(usual, WRONG_MS) : usual));
  const since = state === path.state ? path.since : now;
  return { ...path, state, since, mtu, trying: { is: "need" }, at };
}
