import { type Instant, Mac, NveId, Uuid, VnId } from "@nve/protocol-spec";
import { remainsOf } from "./attach.ts";
import { Catalogue, type Declared, defaultTenant, type Kind } from "./catalogue.ts";
import type { Binding } from "./declared.ts";
import { Duplicates } from "./duplicates.ts";
import { eventsIn } from "./event-block.ts";
import { EventLog, recentEvents } from "./events.ts";
import { Migrations } from "./migrations.ts";
import {
  everyClaim,
  forgetVn,
  indexClaim,
  type NveState,
  newNve,
  sameLocation,
  unindexClaim,
  usesVn,
} from "./nve-state.ts";
import {
  bindingKey,
  type Change,
  type Claim,
  claimKey,
  type DuplicateRow,
  type EventBlock,
  type HistoryRow,
  historyKey,
  memberKey,
  type NveRow,
  type Revised,
  type Source,
  type Tables,
  type Vn,
  vnKey,
} from "./records.ts";
import { partAll, type RowKey, rowsBehind, type Undone } from "./reopen.ts";
import { type Piece, Remains } from "./slices.ts";
import { VnState } from "./vn-state.ts";

/** A row, or that it is gone, with the revision of the commit that says so. */
export type Stored = Change & { revision: number };
type StoredOf<T extends Change["table"]> = Extract<Stored, { table: T }>;

const declared = ["tenant", "profile", "policy", "vn", "vnic"] as const;

/**
 * What an authority holds, as rows say it: of a store that is read, or commit by commit as another replica decides. It decides
 * nothing. Of the same rows comes the same, whichever way they came; only what is not in rows (which of several MACs had an IP
 * last, when a history was begun) is as it was seen here.
 */
export class Inventory {
  readonly catalogue: Catalogue;
  readonly vns = new Map<VnId, VnState>();
  readonly nves = new Map<NveId, NveState>();
  readonly events = new EventLog();
  readonly duplicates = new Duplicates(this.events);
  readonly migrations = new Migrations(this, this.events);
  /** What is left in the store of VNs that are gone; known when all is complete. */
  remains = new Remains();
  /** VNs that went here, until the last of their rows is deleted. */
  readonly #going = new Map<VnId, { state: VnState; users: NveState[] }>();
  /** Rows whose VN was never here. */
  readonly #loose = new Map<VnId, Map<string, Loose>>();
  /** First numbers of the blocks of events, and the newest blocks. */
  readonly #blocks = new Set<number>();
  #newest: Revised<EventBlock>[] = [];

  constructor(revision = 0) {
    this.catalogue = new Catalogue(revision);
  }

  static of(tables: Tables, now: Instant): Inventory {
    const found = new Inventory(tables.revision);
    for (const kind of ["tenant", "profile", "policy", "vnic"] as const)
      for (const entry of tables[kind]) found.#declare(kind, keyOf(kind, entry.row), entry);
    for (const { row, revision } of tables.vn) found.#putVn(row, revision);
    for (const row of tables.nve) found.#putNve(row, now);
    for (const { vnId, nveId } of tables.member) found.#join(vnId, nveId);
    for (const row of tables.duplicate ?? []) found.#duplicate(row);
    for (const { row, revision } of tables.migration ?? []) found.migrations.load(row, revision);
    for (const claim of tables.claim) found.#putClaim(claim, 0);
    for (const { row, revision } of tables.binding) found.#putClaim(row, revision);
    for (const row of tables.history) found.#putHistory(row, now);
    found.events.restore(tables.events ?? { blocks: [], recent: [] });
    found.#tellRemains();
    return found;
  }

  vn(vnId: VnId): VnState | undefined {
    return this.vns.get(vnId);
  }

  nve(nveId: NveId): NveState | undefined {
    return this.nves.get(nveId);
  }

  readonly newVn = (vn: Vn, revision: number): VnState =>
    new VnState(
      vn,
      revision,
      ({ nveId }) => this.nves.get(nveId)?.row.location,
      this.migrations.gone,
    );

  /** What one commit changed, whole, or rows as they stand: in any order, of each row the last counts. */
  take(changes: Iterable<Stored>, now: Instant): void {
    const last = new Map<string, Stored>();
    for (const change of changes) last.set(`${change.table}/${change.key}`, change);
    const by = new Map<Change["table"], Stored[]>();
    for (const change of last.values()) {
      const some = by.get(change.table);
      if (some === undefined) by.set(change.table, [change]);
      else some.push(change);
    }
    const of = <T extends Change["table"]>(table: T) => (by.get(table) ?? []) as StoredOf<T>[];
    this.#takeDeclared(of);
    for (const { row } of of("nve")) if (row !== undefined) this.#putNve(row, now);
    for (const { key, row } of of("member"))
      if (row === undefined) this.#leave(key);
      else this.#join(row.vnId, row.nveId);
    for (const { key, row } of of("claim")) if (row === undefined) this.#dropClaim(key);
    for (const { row, revision } of of("claim"))
      if (row !== undefined) this.#putClaim(row, revision);
    for (const { key, row } of of("history"))
      if (row === undefined) this.#dropHistory(key);
      else this.#putHistory(row, now);
    for (const { key, row } of of("duplicate"))
      if (row === undefined) this.duplicates.unload(key, (vnId) => this.vns.get(vnId));
      else this.#duplicate(row);
    for (const { key, row, revision } of of("migration"))
      if (row === undefined) this.migrations.unload(Uuid(key));
      else this.migrations.load(row, revision);
    for (const { key, row } of of("nve")) if (row === undefined) this.#dropNve(NveId(key));
    for (const { key, row } of of("vn")) if (row === undefined) this.#dropVn(vnOf(key));
    for (const event of of("event")) this.#event(event);
    for (const [vnId, { state }] of this.#going)
      if (state.isEmpty && state.members.size === 0) this.#going.delete(vnId);
  }

  /** All is taken, up to this revision of the store: an authority may be made of it. */
  complete(revision: number): void {
    this.catalogue.restored(revision);
    const recent = this.#newest.flatMap(({ row, revision: at }) =>
      eventsIn(row).map((one) => ({ row: one, revision: at })),
    );
    this.events.restore({ blocks: [...this.#blocks], recent });
    this.#tellRemains();
  }

  /**
   * Follows again, after an authority has used it that decides no more.
   * @param undone what that has decided and not stored
   * @returns the rows that are to be put back (`restore`), with all that there are of events, before it follows. undefined: it
   * must be read as a whole, and this one is of no use any more
   */
  reopen(undone: readonly Undone[]): RowKey[] | undefined {
    const behind = this.remains.isEmpty ? rowsBehind(undone) : undefined;
    if (behind === undefined) return undefined;
    this.#going.clear();
    this.#loose.clear();
    this.#blocks.clear();
    this.#newest = [];
    this.duplicates.forgetMoves();
    partAll(this.nves, this.vns);
    for (const [vnId, vn] of this.vns) {
      vn.revision = this.catalogue.get("vn", vnKey(vnId))?.revision ?? 0; // a profile's change is not in its row
      vn.raised.clear();
    }
    return behind;
  }

  /** Puts rows back as they are stored, whatever they came to here. */
  restore(behind: readonly RowKey[], stored: readonly Stored[], now: Instant): void {
    // What is not there is said by its absence: how high a sequence ever was follows from what is.
    const gone = behind.flatMap(({ table, key }): Stored[] =>
      table === "claim" || table === "history" ? [{ table, key, revision: 0 }] : [],
    );
    this.take(gone, now);
    this.take(stored, now);
  }

  #tellRemains(): void {
    this.remains = new Remains();
    for (const [vnId, { state, users }] of this.#going)
      this.remains.brokenOff(vnId, remainsOf(state, users));
    for (const [vnId, rows] of this.#loose) this.remains.brokenOff(vnId, deletions(rows.values()));
  }

  /** First all goes that is no more, or not as it was: two VNs may have changed their names. */
  #takeDeclared(of: <T extends Change["table"]>(table: T) => StoredOf<T>[]): void {
    for (const kind of declared)
      for (const { key } of of(kind)) {
        const always = kind === "tenant" && key === defaultTenant;
        if (always) this.#declare("tenant", key, { row: { name: key }, revision: 0 });
        else this.#declare(kind, key, undefined);
      }
    const put = <K extends Exclude<Kind, "vn" | "binding">>(
      kind: K,
      some: readonly Stored[],
    ): void => {
      for (const { key, row, revision } of some)
        if (row !== undefined) this.#declare(kind, key, { row: row as Declared[K], revision });
    };
    put("tenant", of("tenant"));
    put("profile", of("profile"));
    put("policy", of("policy"));
    put("vnic", of("vnic"));
    for (const { row, revision } of of("vn")) if (row !== undefined) this.#putVn(row, revision);
  }

  #declare<K extends Kind>(kind: K, key: string, entry: Revised<Declared[K]> | undefined): void {
    this.catalogue.set(kind, key, entry && { ...entry });
  }

  #putVn(vn: Vn, revision: number): void {
    this.catalogue.load(vn, revision);
    this.#going.delete(vn.vnId); // what was left of an earlier one goes in the commit that makes it
    this.#loose.delete(vn.vnId);
    const state = this.vns.get(vn.vnId);
    if (state === undefined) this.vns.set(vn.vnId, this.newVn(vn, revision));
    else {
      state.vn = vn;
      state.revision = revision;
    }
  }

  #dropVn(vnId: VnId): void {
    const state = this.vns.get(vnId);
    if (state === undefined) return;
    const users = [...this.nves.values()].filter((nve) => usesVn(nve, vnId));
    for (const nve of users) forgetVn(nve, vnId);
    for (const key of [...this.catalogue.bindingsOfVn(vnId)])
      this.#declare("binding", key, undefined);
    this.vns.delete(vnId);
    this.#going.set(vnId, { state, users });
  }

  /** Also one that is going. */
  #stateOf(vnId: VnId): VnState | undefined {
    return this.vns.get(vnId) ?? this.#going.get(vnId)?.state;
  }

  #lose(vnId: VnId, table: Loose["table"], key: string): void {
    const rows = this.#loose.get(vnId) ?? new Map<string, Loose>();
    this.#loose.set(vnId, rows);
    rows.set(`${table}/${key}`, { table, key });
  }

  #found(table: Loose["table"], key: string): void {
    const rows = this.#loose.get(vnOf(key));
    if (rows?.delete(`${table}/${key}`) && rows.size === 0) this.#loose.delete(vnOf(key));
  }

  #putNve(row: NveRow, now: Instant): void {
    const { nveId } = row.location;
    const nve = this.nves.get(nveId);
    const moved = nve === undefined || !sameLocation(nve.row.location, row.location);
    if (nve === undefined) this.nves.set(nveId, newNve(row, now));
    else nve.row = row;
    if (moved) this.#rank(nveId);
  }

  #dropNve(nveId: NveId): void {
    this.nves.delete(nveId);
    this.#rank(nveId);
  }

  /** The best claim may depend on where an NVE is, or whether it was ever heard of. */
  #rank(nveId: NveId): void {
    const nve = this.nves.get(nveId);
    for (const [vnId, mac] of nve === undefined ? [] : everyClaim(nve))
      this.vns.get(vnId)?.rank(mac);
    for (const { vnId, mac } of this.catalogue.bindingsAt(nveId)) this.vns.get(vnId)?.rank(mac);
  }

  /** What lacks its NVE is left out, here and below. */
  #join(vnId: VnId, nveId: NveId): void {
    const [vn, nve] = [this.vns.get(vnId), this.nves.get(nveId)];
    if (vn === undefined) this.#lose(vnId, "member", memberKey(vnId, nveId));
    if (vn === undefined || nve === undefined) return;
    vn.members.add(nveId);
    nve.members.set(vnId, 0);
  }

  #leave(key: string): void {
    const [vnId, nveId] = [vnOf(key), NveId(key.slice(7))];
    this.#found("member", key);
    this.#stateOf(vnId)?.members.delete(nveId);
    this.nves.get(nveId)?.members.delete(vnId);
  }

  #putClaim(claim: Claim, revision: number): void {
    const { vnId, mac, source, nveId, ips } = claim;
    const vn = this.vns.get(vnId);
    if (vn === undefined) this.#lose(vnId, "claim", claimKey(vnId, mac, source));
    if (vn === undefined) return;
    if (source === "static") {
      this.#declare("binding", bindingKey(vnId, mac), { row: bindingOf(claim), revision });
      vn.load(claim);
      return;
    }
    const nve = this.nves.get(nveId);
    if (nve === undefined) return;
    nve.ips += ips.length - vn.ipsOf(mac, source);
    vn.load(claim);
    indexClaim(nve, vnId, mac);
  }

  #dropClaim(key: string): void {
    const [vnId, mac, source] = [vnOf(key), Mac(key.slice(7, 24)), key.slice(25) as Source];
    const vn = this.#stateOf(vnId);
    this.#found("claim", key);
    if (source === "static") this.#declare("binding", bindingKey(vnId, mac), undefined);
    else {
      const nve = this.nves.get(NveId(source.slice("nve:".length)));
      if (nve !== undefined) {
        nve.ips -= vn?.ipsOf(mac, source) ?? 0;
        unindexClaim(nve, vnId, mac);
      }
    }
    vn?.unload(mac, source);
  }

  #putHistory({ vnId, mac, sequence }: HistoryRow, now: Instant): void {
    const vn = this.vns.get(vnId);
    if (vn === undefined) this.#lose(vnId, "history", historyKey(vnId, mac));
    else vn.loadHistory(mac, sequence, now);
  }

  #dropHistory(key: string): void {
    this.#found("history", key);
    this.#stateOf(vnOf(key))?.unloadHistory(Mac(key.slice(7)));
  }

  #duplicate(row: DuplicateRow): void {
    this.duplicates.load(row, (vnId) => this.vns.get(vnId));
  }

  #event({ key, row, revision }: StoredOf<"event">): void {
    const first = Number(key);
    if (row === undefined) {
      this.#blocks.delete(first);
      return;
    }
    if (this.#blocks.has(first)) return; // read already, and now heard of
    this.#blocks.add(first);
    this.#newest.push({ row, revision });
    let old = 0;
    for (const next of this.#newest.slice(1)) {
      if (first - next.row.id < recentEvents) break;
      old += 1;
    }
    if (old > 0) this.#newest = this.#newest.slice(old);
  }
}

type Loose = { table: "member" | "claim" | "history"; key: string };

function* deletions(rows: Iterable<Loose>): Generator<Piece> {
  for (const { table, key } of rows) yield (_, effects) => effects.changes.push({ table, key });
}

const vnOf = (key: string): VnId => VnId(Number.parseInt(key.slice(0, 6), 16));

function bindingOf({ vnId, mac, ips, nveId, description }: Claim): Binding {
  return { vnId, mac, ips, nveId, ...(description !== undefined && { description }) };
}

const keyOf = <K extends "tenant" | "profile" | "policy" | "vnic">(
  kind: K,
  row: Declared[K],
): string => (kind === "vnic" ? (row as Declared["vnic"]).vnic : (row as Declared["tenant"]).name);
