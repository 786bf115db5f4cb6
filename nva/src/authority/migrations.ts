import type { Instant, NveId, Uuid, VnId } from "@nve/protocol-spec";
import { withdrawClaim } from "./attach.ts";
import type { EventLog } from "./events.ts";
import { stepMigration } from "./migration.ts";
import {
  type Address,
  dueOf,
  isMoving,
  isOver,
  type Migration,
  type MigrationEvent,
  type MigrationState,
  migrationTimes,
  reservedAt,
  type Spot,
} from "./migration-row.ts";
import type { NveState } from "./nve-state.ts";
import { type Claim, type Effects, nveSource, type Reported } from "./records.ts";
import type { VnState } from "./vn-state.ts";

type Around = {
  readonly vns: ReadonlyMap<VnId, VnState>;
  readonly nves: ReadonlyMap<NveId, NveState>;
};
/** `revision`: of the commit with its last change; 0: not stored yet. `session`: of the NVE that has reserved. */
type Kept = { row: Migration; revision: number; session: number };

/** What an NVE says of a VNIC that is pre-associated there. */
export type Reservation = {
  vnic: Uuid;
  hypervisor?: Spot["hypervisor"];
  port?: string;
  migrating: boolean;
  addresses: readonly Address[];
};

/** How long the last migration of a VNIC is shown, milliseconds, and of how many VNICs. */
const shownMs = 3_600_000;
const mostShown = 10_000;
/** At a time; of more VNICs only the addresses move. */
const mostRunning = 50_000;

/** The migrations of all VNICs: what claims and reservations come to, and what follows for claims (V2). */
export class Migrations {
  times = migrationTimes;
  readonly #all = new Map<Uuid, Kept>();
  readonly #running = new Set<Uuid>();
  /** Since the last commit. */
  readonly #changed = new Set<Kept>();
  readonly #around: Around;
  readonly #log: EventLog;

  constructor(around: Around, log: EventLog) {
    this.#around = around;
    this.#log = log;
  }

  /** Takes a stored row. */
  load(row: Migration, revision: number): void {
    this.#keep(row, revision);
  }

  unload(vnic: Uuid): void {
    this.#all.delete(vnic);
    this.#running.delete(vnic);
  }

  of(vnic: Uuid): Migration | undefined {
    return this.#all.get(vnic)?.row;
  }

  list(): Migration[] {
    return [...this.#all.values()].map(({ row }) => row);
  }

  *running(): Generator<Migration> {
    for (const vnic of this.#running) {
      const row = this.of(vnic);
      if (row !== undefined) yield row;
    }
  }

  /** Those that wait until all others have what was stored at `revision`. */
  *unknown(): Generator<{ row: Migration; revision: number }> {
    for (const vnic of this.#running) {
      const kept = this.#all.get(vnic);
      if (kept === undefined || kept.revision === 0 || !isMoving(kept.row)) continue;
      if (kept.row.departures.some(({ forwards }) => forwards?.known === false)) yield kept;
    }
  }

  committed(revision: number): void {
    for (const kept of this.#changed) kept.revision = revision;
    this.#changed.clear();
  }

  /** An NVE has reserved for a VNIC that is elsewhere (H23); of one that is nowhere it is no migration. */
  prepared(nve: NveState, said: Reservation, now: Instant, effects: Effects): void {
    const { vnic, hypervisor, port, addresses } = said;
    const { nveId } = nve.row.location;
    const from = this.#whereIs(vnic, addresses);
    if (from === undefined || from.nveId === nveId) return;
    this.#feed(
      vnic,
      { on: "prepared", at: spotOf({ nveId, port, hypervisor }), from, addresses },
      now,
      effects,
    );
    const kept = this.#all.get(vnic);
    if (kept !== undefined && reservedAt(kept.row) === nveId) kept.session = nve.generation;
  }

  unprepared(nveId: NveId, vnic: Uuid, now: Instant, effects: Effects): void {
    this.#feed(vnic, { on: "unprepared", nveId }, now, effects);
  }

  /** What this session of an NVE has not named is reserved there no more. */
  sweep(nve: NveState, now: Instant, effects: Effects): void {
    const { nveId } = nve.row.location;
    for (const vnic of [...this.#running]) {
      const kept = this.#all.get(vnic);
      if (kept === undefined || reservedAt(kept.row) !== nveId) continue;
      if (kept.session !== nve.generation || !nve.row.connected)
        this.unprepared(nveId, vnic, now, effects);
    }
  }

  /** May this address be claimed? @returns why not: it is held for another VNIC (H21) */
  heldAgainst(claim: Reported, vn: VnState): string | undefined {
    const best = vn.best(claim.mac);
    if (best?.departed !== true || best.vnic === claim.vnic || claim.gleaned) return undefined;
    return `MAC ${claim.mac} is held for VNIC ${best.vnic}, which is migrating`;
  }

  /**
   * An NVE has claimed an address of a VNIC.
   * @param before the claim that counted, and what the NVE claimed itself
   */
  claimed(
    vn: VnState,
    is: Claim,
    before: { best: Claim | undefined; own: Claim | undefined },
    now: Instant,
    effects: Effects,
  ): void {
    const { vnic, mac } = is;
    const { best, own } = before;
    if (vnic === undefined || is.gleaned || is.anycast) return;
    const address = { vnId: vn.vn.vnId, mac };
    const at = spotOf(is);
    if (own?.departed) this.#feed(vnic, { on: "active", at, from: at, address }, now, effects);
    const on = is.suspended ? "suspended" : "resumed";
    if (own !== undefined && own.vnic === vnic && own.suspended !== is.suspended)
      this.#feed(vnic, { on, at, address }, now, effects);
    const counts = vn.best(mac)?.source === is.source;
    if (counts && best !== undefined && best.source !== is.source && isMove(best, vnic))
      this.#feed(vnic, { on: "active", at, from: spotOf(best), address }, now, effects);
  }

  /** Is the withdrawal of this claim a departure for elsewhere (H21), and not a shutdown (H22)? */
  isDeparture({ vnic, nveId, suspended, gleaned, anycast, departed }: Claim): boolean {
    const isNone = vnic === undefined || gleaned || anycast || departed;
    if (isNone || this.times.holdMs === 0) return false;
    const m = this.of(vnic);
    if (m?.is === "prepared") return m.from.nveId === nveId;
    if (isMoving(m) && m.to.nveId === nveId && m.next !== undefined) return true;
    return suspended;
  }

  /** It is held: its claim counts on, as of a VNIC that is suspended. */
  departed(vn: VnState, { mac, vnic, ...claim }: Claim, now: Instant, effects: Effects): void {
    if (vnic === undefined) return;
    const at = spotOf(claim);
    this.#feed(vnic, { on: "departed", at, address: { vnId: vn.vn.vnId, mac } }, now, effects);
  }

  /** A claim is gone. `after`: what counts now. */
  readonly gone = (
    vn: VnState,
    was: Claim,
    { best, after }: { best: boolean; after: Claim | undefined },
    now: Instant,
    effects: Effects,
  ): void => {
    const { vnic, mac, nveId } = was;
    if (vnic === undefined || was.source === "static" || was.gleaned) return;
    const address = { vnId: vn.vn.vnId, mac };
    if (best && after !== undefined && isMove(after, vnic))
      this.#feed(
        vnic,
        { on: "active", at: spotOf(after), from: spotOf(was), address },
        now,
        effects,
      );
    const m = this.of(vnic);
    if (m === undefined || isOver(m) || this.#claims(m, nveId)) return;
    const last = !m.addresses.some(
      ({ vnId, mac }) => this.#around.vns.get(vnId)?.best(mac)?.vnic === vnic,
    );
    this.#feed(vnic, { on: "left", nveId, last }, now, effects);
  };

  /** All others that are in its VNs have what was stored. */
  known(vnic: Uuid, now: Instant, effects: Effects): void {
    this.#feed(vnic, { on: "known" }, now, effects);
  }

  tick(now: Instant, effects: Effects): void {
    const at = this.#log.atUnixMs(now);
    for (const vnic of [...this.#running]) {
      const row = this.of(vnic);
      const due = row && dueOf(row);
      if (due !== undefined && due <= at) this.#feed(vnic, { on: "tick" }, now, effects);
    }
    for (const { row } of this.#all.values()) {
      const over = this.#all.size - this.#running.size;
      if (isOver(row) && (at - row.endedUnixMs >= shownMs || over > mostShown))
        this.#forget(row.vnic, effects);
    }
  }

  deadline(): Instant | undefined {
    let first: number | undefined;
    for (const row of this.running()) {
      const due = dueOf(row);
      if (due !== undefined && (first === undefined || due < first)) first = due;
    }
    return first === undefined ? undefined : ((first - this.#log.epochMs) as Instant);
  }

  /** A VN is gone; what moved in it alone moves no more. */
  forgetVn(vnId: VnId, now: Instant, effects: Effects): void {
    for (const row of [...this.running()]) {
      if (!row.addresses.some((one) => one.vnId === vnId)) continue;
      const addresses = row.addresses.filter((one) => one.vnId !== vnId);
      if (addresses.length === 0) this.#forget(row.vnic, effects);
      else this.#put({ ...row, addresses }, now, effects);
    }
  }

  #feed(vnic: Uuid, event: MigrationEvent, now: Instant, effects: Effects): void {
    const was = this.of(vnic);
    const isNew = was === undefined || isOver(was);
    if (isNew && this.#running.size >= mostRunning) return;
    const at = Math.round(this.#log.atUnixMs(now));
    const is = stepMigration(was, vnic, event, at, this.times);
    if (is === undefined || is === was) return;
    this.#put(is, now, effects);
    if (is.is !== was?.is || (isNew && !isOver(is))) this.#note(is, was, effects);
    this.#release(is, now, effects);
  }

  #put(row: Migration, _now: Instant, effects: Effects): void {
    this.#changed.add(this.#keep(row, 0));
    effects.changes.push({ table: "migration", key: row.vnic, row });
    effects.migrated.add(row.vnic);
  }

  #keep(row: Migration, revision: number): Kept {
    const kept = this.#all.get(row.vnic) ?? { row, revision, session: 0 };
    this.#all.delete(row.vnic); // to the back: the longest over goes first
    this.#all.set(row.vnic, kept);
    kept.row = row;
    kept.revision = revision;
    if (isOver(row)) this.#running.delete(row.vnic);
    else this.#running.add(row.vnic);
    return kept;
  }

  #forget(vnic: Uuid, effects: Effects): void {
    this.unload(vnic);
    effects.changes.push({ table: "migration", key: vnic });
    effects.migrated.add(vnic);
  }

  /** Held claims go when nothing holds them any more: it has arrived, or its time is over. */
  #release(m: Migration, now: Instant, effects: Effects): void {
    for (const { vnId, mac } of m.addresses) {
      const vn = this.#around.vns.get(vnId);
      if (vn === undefined) continue;
      for (const { claim } of [...vn.claimsFor(mac)]) {
        if (!claim.departed || claim.vnic !== m.vnic) continue;
        if (m.is === "held" && m.from.nveId === claim.nveId) continue;
        const nve = this.#around.nves.get(claim.nveId);
        if (nve !== undefined) withdrawClaim(nve, vn, mac, "nva", now, effects);
      }
    }
  }

  /** Does this NVE still claim something of what moves? */
  #claims(m: Migration, nveId: NveId): boolean {
    const source = nveSource(nveId);
    return m.addresses.some(({ vnId, mac }) => {
      const held = this.#around.vns.get(vnId)?.heldBy(mac, source)?.claim;
      return held?.vnic === m.vnic && !held.departed;
    });
  }

  #whereIs(vnic: Uuid, addresses: readonly Address[]): Spot | undefined {
    const m = this.of(vnic);
    if (isMoving(m)) return m.to;
    if (m?.is === "held") return m.from;
    for (const { vnId, mac } of addresses) {
      const best = this.#around.vns.get(vnId)?.best(mac);
      if (best !== undefined && isMove(best, vnic)) return spotOf(best);
    }
    return undefined;
  }

  #note(is: Migration, was: Migration | undefined, effects: Effects): void {
    const step = is.steps.at(-1);
    effects.note({
      actor: "nva",
      action: actions[is.is],
      object: is.vnic,
      detail: {
        from: is.from.nveId,
        ...("to" in is && is.to !== undefined && { to: is.to.nveId }),
        ...(step !== undefined && { what: step.what, atUnixMs: step.atUnixMs }),
        ...(was !== undefined && !isOver(was) && { afterMs: sinceStart(is) }),
      },
    });
  }
}

const actions: Record<MigrationState, string> = {
  prepared: "migration.prepare",
  held: "migration.hold",
  "switched-over": "migration.switch-over",
  "rolling-back": "migration.roll-back",
  completed: "migration.complete",
  "rolled-back": "migration.rolled-back",
  "given-up": "migration.give-up",
};

const sinceStart = ({ startedUnixMs, steps }: Migration): number =>
  (steps.at(-1)?.atUnixMs ?? startedUnixMs) - startedUnixMs;

/** Of the same VNIC, said at both ends. */
const isMove = (claim: Claim, vnic: Uuid): boolean =>
  claim.vnic === vnic && claim.source !== "static" && !claim.gleaned && !claim.anycast;

const spotOf = ({
  nveId,
  port,
  hypervisor,
}: {
  nveId: NveId;
  port?: string | undefined;
  hypervisor?: Spot["hypervisor"] | undefined;
}): Spot => ({
  nveId,
  ...(port !== undefined && { port }),
  ...(hypervisor !== undefined && { hypervisor }),
});
