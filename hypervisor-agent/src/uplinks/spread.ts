import { Instant } from "@nve/protocol-spec";

/** A VN as this host first called it: its VN Name, or the digits of its VN ID. */
export type VnKey = string;

/**
 * Which VN goes over which uplink (RFC 8394 Req-3: one at a time). All VNs have a home, by rendezvous hash, so that
 * they are spread evenly and an uplink more or less moves no other VN than its own. A VN leaves an uplink when it is
 * lost or gives no service, for the best that is left, and goes home when home has been well for `failbackMs`.
 *
 *   home ─lost─► next best ─lost─► next …
 *     ▲             │
 *     └──failbackMs─┘
 */
export type Spread = {
  is: "spread";
  uplinks: ReadonlyMap<string, Health>;
  vns: ReadonlyMap<VnKey, Place>;
  deadline?: Instant;
};

/** `since`: ready without trouble since; in the future while a trouble is remembered. */
type Health = { ready: boolean; since: Instant };

/** `avoid`: uplinks that gave this VN no service, and until when that is remembered. */
type Place = { on: string; avoid: ReadonlyMap<string, Instant> };

export type SpreadEvent =
  | { on: "uplink"; uplink: string; ready: boolean }
  /** An uplink gives no service: to one VN, or to none at all. */
  | { on: "trouble"; uplink: string; vn?: VnKey }
  /** The first VNIC of this host in a VN; after the last one, `leave`. */
  | { on: "join" | "leave"; vn: VnKey }
  | { on: "tick" };

export type Move = { do: "move"; vn: VnKey; from: string; to: string; why: "lost" | "failback" };

/** `failbackMs`: Infinity for never. */
export type SpreadSettings = { failbackMs: number };

/** How long a trouble is remembered while the uplink stays ready. */
export const TROUBLE_MS = 30_000;

/** @param names of all uplinks, whether they are there or not: a VN's home is the same after each start */
export const emptySpread = (names: readonly string[]): Spread => ({
  is: "spread",
  uplinks: new Map(names.map((name) => [name, { ready: false, since: Instant(0) }])),
  vns: new Map(),
});

export function stepSpread(
  { uplinks: before, vns: were }: Spread,
  event: SpreadEvent,
  now: Instant,
  { failbackMs }: SpreadSettings,
): readonly [Spread, ...Move[]] {
  const uplinks = new Map(before);
  const vns = new Map(were);
  learn(uplinks, vns, event, now);
  const moves: Move[] = [];
  let deadline = Number.POSITIVE_INFINITY;
  for (const [vn, place] of vns) {
    const next = nextPlace(vn, place, uplinks, now, failbackMs);
    deadline = Math.min(deadline, next.again);
    if (next.on === place.on) continue;
    vns.set(vn, { ...place, on: next.on });
    if (place.on === NOWHERE) continue;
    moves.push({ do: "move", vn, from: place.on, to: next.on, why: next.why });
  }
  const at = Number.isFinite(deadline) ? { deadline: Instant(deadline) } : {};
  return [{ is: "spread", uplinks, vns, ...at }, ...moves];
}

/** A name that no interface has. */
const NOWHERE = "";

function learn(
  uplinks: Map<string, Health>,
  vns: Map<VnKey, Place>,
  event: SpreadEvent,
  now: Instant,
): void {
  switch (event.on) {
    case "uplink": {
      const health = uplinks.get(event.uplink);
      if (health?.ready === !event.ready) {
        uplinks.set(event.uplink, { ready: event.ready, since: now });
      }
      return;
    }
    case "trouble":
      trouble(uplinks, vns, event, Instant(now + TROUBLE_MS));
      return;
    case "join":
      if (!vns.has(event.vn)) vns.set(event.vn, { on: NOWHERE, avoid: new Map() });
      return;
    case "leave":
      vns.delete(event.vn);
      return;
    case "tick":
      return;
  }
}

function trouble(
  uplinks: Map<string, Health>,
  vns: Map<VnKey, Place>,
  { uplink, vn }: SpreadEvent & { on: "trouble" },
  until: Instant,
): void {
  const health = uplinks.get(uplink);
  if (vn === undefined) {
    if (health?.ready === true) uplinks.set(uplink, { ready: true, since: until });
    return;
  }
  const place = vns.get(vn);
  if (place === undefined) return;
  vns.set(vn, { ...place, avoid: new Map(place.avoid).set(uplink, until) });
}

type Next = { on: string; why: Move["why"]; again: number };

/** The best for this VN now; `again`: when it may be another one without any event. */
function nextPlace(
  vn: VnKey,
  { on, avoid }: Place,
  uplinks: ReadonlyMap<string, Health>,
  now: Instant,
  failbackMs: number,
): Next {
  const wellSince = (name: string, { since }: Health): number =>
    Math.max(since, avoid.get(name) ?? 0);
  const ranked = homesOf(vn, [...uplinks.keys()]).flatMap((name) => {
    const health = uplinks.get(name);
    if (health === undefined) return [];
    const since = health.ready ? wellSince(name, health) : Number.POSITIVE_INFINITY;
    return [{ name, since, rank: !health.ready ? 2 : since > now ? 1 : 0 }];
  });
  const own = ranked.find(({ name }) => name === on) ?? { name: on, rank: 3 };
  const best = ranked.reduce((a, b) => (b.rank < a.rank ? b : a), ranked[0] ?? { ...own });
  if (best.rank < own.rank) {
    return { on: best.name, why: "lost", again: againOf(ranked, best.name, now, failbackMs) };
  }
  const nearer = ranked.slice(
    0,
    ranked.findIndex(({ name }) => name === on),
  );
  const home = nearer.find(({ since, rank }) => rank === 0 && since + failbackMs <= now);
  const next = own.rank === 0 && home !== undefined ? home.name : on;
  return { on: next, why: "failback", again: againOf(ranked, next, now, failbackMs) };
}

/** The end of the next remembered trouble, or of the next wait for going home. */
function againOf(
  ranked: readonly { name: string; since: number; rank: number }[],
  on: string,
  now: Instant,
  failbackMs: number,
): number {
  const own = ranked.findIndex(({ name }) => name === on);
  const times = ranked.flatMap(({ since }, at) => {
    if (!Number.isFinite(since)) return [];
    return at < own ? [since, since + failbackMs] : [since];
  });
  return Math.min(Number.POSITIVE_INFINITY, ...times.filter((time) => time > now));
}

/** All uplinks, the home of a VN first: each has a weight for each VN, and the heaviest wins (rendezvous hashing). */
export const homesOf = (vn: VnKey, uplinks: readonly string[]): string[] =>
  uplinks
    .map((name) => ({ name, weight: hash(`${name} ${vn}`) }))
    .sort((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1))
    .map(({ name }) => name);

/** FNV-1a, and the finalizer of MurmurHash3, so that near numbers come out far apart. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
