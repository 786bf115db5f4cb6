import type { Instant, IpPrefix, Mac, VnId } from "@nve/protocol-spec";
import { type DuplicateRule, duplicateRule } from "./declared.ts";
import type { EventLog } from "./events.ts";
import { type Claim, called, type DuplicateRow, type Effects, historyKey } from "./records.ts";
import type { VnState } from "./vn-state.ts";

/** An address of a VN: a MAC, or an IP that several MACs have. */
type Address = { mac: Mac; ip?: IpPrefix };
/** Where an address was, and where it is now. */
type Move = { address: Address; from: Claim; to: Claim };
type VnOf = (vnId: VnId) => VnState | undefined;
/** Moves of late, as instants. Signalled migrations are counted apart. */
type Track = { vnId: VnId; moves: Instant[]; migrations: Instant[]; sources: Set<string> };

/** A VM that migrates so many times more often than others may move does not migrate: two have its UUID. */
export const migrationFactor = 4;
/** Addresses whose moves are counted; the one that has not moved for longest goes first. */
const tracked = 20_000;
/** Duplicates that are remembered: of more, addresses only move. */
const remembered = 10_000;
/** Sources that are named. */
const named = 16;

/**
 * Addresses that several stations have (RFC 7432 §15.1): one that moves between sources `moves` times in `windowMs`.
 * A move of the same VNIC, signalled at both ends, is a migration and does not count, unless there are
 * `migrationFactor` times as many of them. What is found is a row, so a freeze outlives a restart; counts do not.
 */
export class Duplicates {
  readonly #found = new Map<string, DuplicateRow>();
  readonly #tracks = new Map<string, Track>();
  readonly #log: EventLog;

  constructor(log: EventLog) {
    this.#log = log;
  }

  /** Takes a stored row: what was frozen is. */
  load(row: DuplicateRow, vnOf: VnOf): void {
    const key = keyOf(row.vnId, row);
    this.unload(key, vnOf);
    const own = { ...row };
    this.#found.set(key, own);
    vnOf(own.vnId)?.loadFrozen(own, true);
  }

  unload(key: string, vnOf: VnOf): void {
    const before = this.#found.get(key);
    if (before === undefined) return;
    this.#found.delete(key);
    vnOf(before.vnId)?.loadFrozen(before, false);
  }

  /** As after a start: moves are counted from nothing. */
  forgetMoves(): void {
    this.#tracks.clear();
  }

  list(vnId?: VnId): DuplicateRow[] {
    const all = [...this.#found.values()];
    return vnId === undefined ? all : all.filter((row) => row.vnId === vnId);
  }

  /** The best claim of a MAC was another source's until now. A freeze puts it back there at once. */
  macMoved(vn: VnState, from: Claim, to: Claim, now: Instant, effects: Effects): void {
    if (from.source === "static" || to.source === "static") return;
    if (from.anycast && to.anycast) return;
    this.#moved(vn, { address: { mac: to.mac }, from, to }, now, effects);
  }

  /** An IP that another MAC had is claimed for this one; both were signalled. */
  ipMoved(vn: VnState, ip: IpPrefix, from: Claim, to: Claim, now: Instant, effects: Effects): void {
    if (from.gleaned || to.gleaned || from.source === "static" || to.source === "static") return;
    if (from.vnic !== undefined && from.vnic === to.vnic) return; // one station with two cards
    this.#moved(vn, { address: { mac: from.mac, ip }, from, to }, now, effects);
  }

  /** Those of this MAC, and of the IPs that it has. @returns how many there were */
  clear(vn: VnState, mac: Mac, actor: string, effects: Effects): number {
    const rows = this.list(vn.vn.vnId).filter((row) => row.mac === mac);
    for (const row of rows) this.#clear(vn, row, { actor, why: "cleared" }, effects);
    for (const [key, track] of this.#tracks)
      if (track.vnId === vn.vn.vnId && key === keyOf(track.vnId, { mac })) this.#tracks.delete(key);
    return rows.length;
  }

  /** Ends what has lasted its time, and forgets moves of long ago. */
  tick(vnOf: (vnId: VnId) => VnState | undefined, now: Instant, effects: Effects): void {
    const at = this.#log.atUnixMs(now);
    for (const row of [...this.#found.values()]) {
      const vn = vnOf(row.vnId);
      if (vn === undefined) this.#forget(row, effects);
      else if (row.untilUnixMs > 0 && at >= row.untilUnixMs)
        this.#clear(vn, row, { actor: "nva", why: "its time is over" }, effects);
    }
    for (const [key, { vnId, moves, migrations }] of this.#tracks) {
      const windowMs = vnOf(vnId)?.vn.duplicates?.windowMs ?? duplicateRule.windowMs;
      const last = Math.max(moves.at(-1) ?? 0, migrations.at(-1) ?? 0);
      if (now - last > windowMs) this.#tracks.delete(key);
    }
  }

  /** When `tick` has next something to end. */
  deadline(): Instant | undefined {
    let first: number | undefined;
    for (const { untilUnixMs } of this.#found.values())
      if (untilUnixMs > 0 && (first === undefined || untilUnixMs < first)) first = untilUnixMs;
    return first === undefined ? undefined : ((first - this.#log.epochMs) as Instant);
  }

  /** A VN is going, with all that was found in it. */
  forgetVn(vnId: VnId, effects: Effects): void {
    for (const row of this.list(vnId)) this.#forget(row, effects);
    for (const [key, track] of this.#tracks) if (track.vnId === vnId) this.#tracks.delete(key);
  }

  #moved(vn: VnState, move: Move, now: Instant, effects: Effects): void {
    const rule = vn.vn.duplicates ?? duplicateRule;
    const key = keyOf(vn.vn.vnId, move.address);
    const known = this.#found.get(key);
    if (known?.frozen) return; // it is where it was: this is told only
    const track = this.#track(key, vn.vn.vnId);
    const count = counted(track, move, rule, now);
    if (count < rule.moves || this.#found.size >= remembered) return;
    const row = this.#rowOf(vn, move, track, count, rule, now);
    this.#put(key, row, effects);
    if (row.frozen) this.#freeze(vn, row, effects);
    if (known !== undefined) return; // said already
    effects.note({
      actor: "nva",
      action: "duplicate.found",
      object: objectOf(vn, row),
      detail: {
        moves: count,
        windowMs: rule.windowMs,
        action: rule.action,
        sources: row.sources,
        ...(row.holder !== undefined && { holder: row.holder }),
      },
    });
  }

  #rowOf(
    vn: VnState,
    { address, from }: Move,
    { sources }: Track,
    moves: number,
    rule: DuplicateRule,
    now: Instant,
  ): DuplicateRow {
    const at = this.#log.atUnixMs(now);
    const frozen = rule.action === "freeze";
    const lasts = frozen ? rule.freezeMs : rule.windowMs;
    return {
      vnId: vn.vn.vnId,
      ...address,
      moves,
      sinceUnixMs: this.#found.get(keyOf(vn.vn.vnId, address))?.sinceUnixMs ?? at,
      untilUnixMs: lasts === 0 ? 0 : at + lasts,
      frozen,
      ...(frozen && { holder: from.source }),
      sources: [...sources].slice(0, named),
    };
  }

  #track(key: string, vnId: VnId): Track {
    const track = this.#tracks.get(key) ?? {
      vnId,
      moves: [],
      migrations: [],
      sources: new Set<string>(),
    };
    this.#tracks.delete(key); // to the back
    this.#tracks.set(key, track);
    const [oldest] = this.#tracks.keys();
    if (this.#tracks.size > tracked && oldest !== undefined) this.#tracks.delete(oldest);
    return track;
  }

  #freeze(vn: VnState, row: DuplicateRow, effects: Effects): void {
    if (row.ip !== undefined) vn.freezeIp(row.ip, row.mac, effects);
    else vn.freeze(row.mac, row, effects);
  }

  #clear(
    vn: VnState,
    row: DuplicateRow,
    { actor, why }: { actor: string; why: string },
    effects: Effects,
  ): void {
    this.#forget(row, effects);
    this.#tracks.delete(keyOf(row.vnId, row));
    if (row.ip !== undefined) vn.freezeIp(row.ip, undefined, effects);
    else vn.freeze(row.mac, undefined, effects);
    effects.note({
      actor,
      action: "duplicate.cleared",
      object: objectOf(vn, row),
      detail: { why, frozen: row.frozen },
    });
  }

  #put(key: string, row: DuplicateRow, effects: Effects): void {
    this.#found.set(key, row);
    effects.changes.push({ table: "duplicate", key, row: { ...row } });
  }

  #forget(row: DuplicateRow, effects: Effects): void {
    const key = keyOf(row.vnId, row);
    this.#found.delete(key);
    effects.changes.push({ table: "duplicate", key });
  }
}

/** Adds the move to those in the window. @returns how many count now */
function counted(
  track: Track,
  { address, from, to }: Move,
  rule: DuplicateRule,
  now: Instant,
): number {
  const isMigration =
    address.ip === undefined &&
    from.vnic !== undefined &&
    from.vnic === to.vnic &&
    !from.gleaned &&
    !to.gleaned;
  const most = rule.moves * migrationFactor;
  const recent = (all: readonly Instant[]): Instant[] =>
    all.filter((at) => now - at < rule.windowMs).slice(1 - most);
  track.moves = recent(track.moves);
  track.migrations = recent(track.migrations);
  (isMigration ? track.migrations : track.moves).push(now);
  for (const claim of [from, to])
    if (track.sources.size < named) track.sources.add(sayer(claim, address));
  const clones = track.migrations.length >= most ? track.migrations.length : 0;
  return track.moves.length + clones;
}

/** Who says so; for an IP, with the MAC that is to have it. */
const sayer = ({ source, mac }: Claim, { ip }: Address): string =>
  ip === undefined ? source : `${source} ${mac}`;

const keyOf = (vnId: VnId, { mac, ip }: Address): string =>
  ip === undefined ? historyKey(vnId, mac) : `${historyKey(vnId, mac).slice(0, 6)}/${ip}`;

const objectOf = ({ vn }: VnState, { mac, ip }: Address): string => `${called(vn)}/${ip ?? mac}`;
