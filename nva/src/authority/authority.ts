import {
  Instant,
  type IpAddress,
  type Mac,
  type NveId,
  type Uuid,
  type VnId,
} from "@nve/protocol-spec";
import { applicantOf, Gate, recheckInSlices, Turned } from "./admission.ts";
import { accept, leaveVn, takeBack } from "./arrivals.ts";
import { letGo, together } from "./attach.ts";
import { affected, declaredEvents, nveEvent, refusalOf } from "./audit.ts";
import type { Catalogue, DeclaredChange } from "./catalogue.ts";
import { faultOf } from "./claim-fault.ts";
import type { Duplicates } from "./duplicates.ts";
import { enact } from "./enact.ts";
import { type EventLog, type Noted, RefusalLimit } from "./events.ts";
import { Inventory } from "./inventory.ts";
import { age, sweep, type withdraw } from "./leaving.ts";
import { historyMs, limits } from "./limits.ts";
import type { Migrations, Reservation } from "./migrations.ts";
import { everyClaim, type NveState, newNve, type Session, sameLocation } from "./nve-state.ts";
import type { Held } from "./ranking.ts";
import {
  bindingKey,
  type Disconnect,
  Effects,
  type Location,
  type Mapping,
  memberKey,
  type NveRow,
  type Reported,
  type Step,
  type Tables,
  type Touched,
} from "./records.ts";
import { inSlices, type Piece } from "./slices.ts";
import type { Refusal } from "./vn-book.ts";
import type { VnState } from "./vn-state.ts";

export type Report = {
  claims: readonly Reported[];
  withdrawn: readonly { vnId: VnId; mac: Mac }[];
  joined: readonly VnId[];
  left: readonly VnId[];
  /** The last of the reports that name all there is. */
  complete: boolean;
  /** VNICs that are pre-associated, and those that are so no more (H23). */
  prepared?: readonly Reservation[];
  unprepared?: readonly Uuid[];
};
export type ClaimRefusal = { vnId: VnId; mac: Mac; reason: string };

/**
 * What is where in all VNs. Holds claims, computes mappings. Does no IO and reads no clock: each method that
 * changes something takes `now` and answers with the rows to store, the keys that watchers must hear of, and its
 * result; it checks first and changes then, so that a refusal leaves everything as it was.
 */
export class Authority {
  /** What administrators declare: changed by ../catalogue, made to count by `enact`. */
  readonly catalogue: Catalogue;
  readonly #domain: Inventory;
  readonly #vns: Map<VnId, VnState>;
  readonly #nves: Map<NveId, NveState>;
  readonly events: EventLog;
  readonly duplicates: Duplicates;
  readonly migrations: Migrations;
  readonly #refusals = new RefusalLimit();
  readonly #holdMs: number;

  /**
   * @param found what the store holds: what lacks its NVE is left out, and what lacks its VN deleted by `resume`. An inventory is
   * this authority's from now on
   */
  constructor(found: Tables | Inventory, holdMs: number, now: Instant) {
    this.#holdMs = holdMs;
    const all = found instanceof Inventory ? found : Inventory.of(found, now);
    this.#domain = all;
    this.catalogue = all.catalogue;
    this.events = all.events;
    this.duplicates = all.duplicates;
    this.migrations = all.migrations;
    this.#vns = all.vns;
    this.#nves = all.nves;
    for (const nve of this.#nves.values()) {
      nve.since = now;
      nve.deadline = Instant(now + holdMs);
    }
  }

  /** After a start nobody is connected: what was, is lost from now on. */
  start(now: Instant): Step<void> {
    const effects = new Effects();
    for (const nve of this.#nves.values()) {
      if (!nve.row.connected) continue;
      this.#part(nve, now); // what it claims is stale already, as all is that was loaded
      this.#storeNve(nve, effects);
    }
    return effects.step(undefined);
  }

  /** Deletes what is left of VNs that are gone. */
  resume(now: Instant): Step<void> {
    const effects = new Effects();
    this.#domain.remains.resume(now, effects);
    return effects.step(undefined);
  }

  /** Makes what the catalogue was changed to count. */
  enact(changes: readonly DeclaredChange[], now: Instant): Effects {
    const effects = new Effects();
    enact(this.#domain, changes, now, effects);
    for (const { kind, before, after } of changes)
      if (kind === "vn" && before !== undefined && after === undefined)
        this.#forgetVn(before.row.vnId, now, effects);
    for (const event of declaredEvents(this.catalogue, changes)) effects.note(event);
    recheckInSlices(this, affected(this, changes), now, effects);
    return effects;
  }

  /** Lets go of what may be attached no more: in the commit of what forbids it. */
  expel(disconnect: readonly Disconnect[], now: Instant): Effects {
    const effects = new Effects();
    for (const { nveId, vnId, ...who } of together(disconnect)) {
      const [nve, vn] = [this.#nves.get(nveId), this.#vns.get(vnId)];
      if (nve !== undefined && vn !== undefined) letGo(nve, vn, who, now, effects);
    }
    return effects;
  }

  /** Writes down that these were not admitted. */
  refuse(refusals: readonly Noted[], now: Instant): Step<void> {
    const effects = new Effects();
    for (const refusal of refusals) this.#note(refusal, now, effects);
    return effects.step(undefined);
  }

  clearDuplicate(vnId: VnId, mac: Mac, actor: string): Step<number> {
    const effects = new Effects();
    const vn = this.#vns.get(vnId);
    const cleared = vn === undefined ? 0 : this.duplicates.clear(vn, mac, actor, effects);
    return effects.step(cleared);
  }

  /** Begins a session of an NVE; what an earlier one of it claimed stays until named again or dropped. */
  connectNve(location: Location, incarnation: Uuid, now: Instant): Step<Session | Refusal> {
    const effects = new Effects();
    const { nveId } = location;
    const known = this.#nves.get(nveId);
    if (known === undefined && this.#nves.size >= limits.nves)
      return effects.step({ refused: `this NVA serves ${limits.nves} NVEs already` });
    const row: NveRow = { location, incarnation, connected: true };
    const nve = known ?? newNve(row, now);
    const moved = known !== undefined && !sameLocation(known.row.location, location);
    this.#nves.set(nveId, nve);
    if (!nve.row.connected || known === undefined) nve.since = now;
    nve.row = row;
    nve.generation += 1;
    if (nve.claims > 0 || nve.members.size > 0) nve.deadline ??= Instant(now + this.#holdMs);
    this.#storeNve(nve, effects);
    effects.note(nveEvent("nve.connect", nveId, { vteps: location.vteps, incarnation }));
    if (moved) this.#relocate(nve, effects);
    if (moved || known === undefined) this.#relocateBindings(nveId, effects);
    return effects.step({ nveId, generation: nve.generation });
  }

  /** Applies a report whole; single claims may be refused. `undefined`: the session is over, nothing was done. */
  report(session: Session, report: Report, now: Instant): Step<ClaimRefusal[] | undefined> {
    const effects = new Effects();
    const nve = this.#nves.get(session.nveId);
    if (nve?.generation !== session.generation || !nve.row.connected)
      return effects.step(undefined);
    const refused: ClaimRefusal[] = [];
    for (const vnId of report.left) leaveVn(this.#domain, nve, vnId, now, effects);
    for (const vnId of report.joined) this.#join(nve, vnId, effects);
    for (const { vnId, mac } of report.withdrawn)
      takeBack(this.#domain, nve, vnId, mac, now, effects);
    const [gate, turned] = [new Gate(this.catalogue), new Turned()];
    for (const claim of report.claims) {
      const reason = this.#claim(nve, claim, gate, turned, now, effects);
      if (reason !== undefined) refused.push({ vnId: claim.vnId, mac: claim.mac, reason });
    }
    effects.disconnect.push(...turned.take());
    for (const one of report.prepared ?? []) this.migrations.prepared(nve, one, now, effects);
    for (const vnic of report.unprepared ?? [])
      this.migrations.unprepared(session.nveId, vnic, now, effects);
    if (report.complete) this.migrations.sweep(nve, now, effects);
    if (report.complete) inSlices(sweep(this.#vns, nve, this.#departs), now, effects);
    // What is seen anew must have a revision, also when no row is new.
    if (effects.changes.length === 0 && effects.touched.size > 0) this.#storeNve(nve, effects);
    return effects.step(refused);
  }

  /** A session has ended: its claims are served on, as stale, for the hold time. */
  loseNve(session: Session, now: Instant, stopping = false): Step<boolean> {
    const effects = new Effects();
    const nve = this.#nves.get(session.nveId);
    if (nve?.generation !== session.generation || !nve.row.connected) return effects.step(false);
    this.#lose(nve, now, effects, stopping);
    effects.note(nveEvent("nve.lost", session.nveId, { claims: nve.claims }));
    return effects.step(true);
  }

  /** Drops what nobody has named again in time. @returns the NVEs that are gone. */
  tick(now: Instant): Step<NveId[]> {
    const effects = new Effects();
    const gone: NveId[] = [];
    const due = [...this.#nves.values()].filter(({ deadline = now + 1 }) => deadline <= now);
    for (const nve of due) {
      delete nve.deadline;
      if (!nve.row.connected) nve.generation += 1; // so that everything is of an earlier one
    }
    inSlices(this.#dropped(due, gone), now, effects);
    this.duplicates.tick((vnId) => this.#vns.get(vnId), now, effects);
    this.migrations.tick(now, effects);
    for (const vn of this.#vns.values()) vn.forget(Instant(now - historyMs), effects);
    return effects.step(gone);
  }

  /** When `tick` has next to be called because of an NVE or a duplicate. */
  get deadline(): Instant | undefined {
    let first = earlier(this.duplicates.deadline(), this.migrations.deadline());
    for (const { deadline } of this.#nves.values())
      if (deadline !== undefined && (first === undefined || deadline < first)) first = deadline;
    return first;
  }

  /** The store has it at this revision. */
  committed(touched: Touched, revision: number): void {
    this.catalogue.committed(revision);
    this.events.committed(revision);
    this.migrations.committed(revision);
    for (const [vnId, touch] of touched) {
      const vn = this.#vns.get(vnId);
      if (vn === undefined) continue;
      if (touch.vn) vn.revision = revision;
      for (const mac of vn.raised)
        this.catalogue.rewritten("binding", bindingKey(vnId, mac), revision);
      vn.raised.clear();
    }
  }

  vn(vnId: VnId): VnState | undefined {
    return this.#vns.get(vnId);
  }

  vnByName(name: Uuid): VnState | undefined {
    return this.#found(this.catalogue.book.byName(name));
  }

  vnByAlias(tenant: string, alias: string): VnState | undefined {
    return this.#found(this.catalogue.book.byAlias(tenant, alias));
  }

  /** In the order of their VN IDs. */
  vns(): VnState[] {
    return [...this.#vns.values()].sort((a, b) => a.vn.vnId - b.vn.vnId);
  }

  get vnCount(): number {
    return this.#vns.size;
  }

  nves(): IterableIterator<NveState> {
    return this.#nves.values();
  }

  nve(nveId: NveId): NveState | undefined {
    return this.#nves.get(nveId);
  }

  mapping(vnId: VnId, mac: Mac): Mapping | undefined {
    return this.#vns.get(vnId)?.mapping(mac);
  }

  lookup(vnId: VnId, ip: IpAddress): Mapping | undefined {
    return this.#vns.get(vnId)?.mappingByIp(ip);
  }

  claims(vnId: VnId): Iterable<Held & { best: boolean }> {
    return this.#vns.get(vnId)?.claims() ?? [];
  }

  get claimCount(): number {
    let count = 0;
    for (const vn of this.#vns.values()) count += vn.claimCount;
    return count;
  }

  #found(vnId: VnId | undefined): VnState | undefined {
    return vnId === undefined ? undefined : this.#vns.get(vnId);
  }

  #storeNve(nve: NveState, effects: Effects): void {
    effects.changes.push({ table: "nve", key: nve.row.location.nveId, row: nve.row });
  }

  /** @returns why not; `turned` and the audit hear of it when a rule forbids it */
  #claim(
    nve: NveState,
    claim: Reported,
    gate: Gate,
    turned: Turned,
    now: Instant,
    effects: Effects,
  ): string | undefined {
    const vn = this.#vns.get(claim.vnId);
    if (vn === undefined) return `no VN ${claim.vnId}`;
    const fault = faultOf(claim, vn, nve);
    if (fault !== undefined) return fault;
    const denied = gate.claim(nve, claim, vn);
    if (denied === undefined) {
      const held = this.migrations.heldAgainst(claim, vn);
      if (held === undefined) accept(this.#domain, nve, vn, claim, now, effects);
      return held;
    }
    turned.add(nve, claim, denied);
    this.#note(refusalOf(applicantOf(nve, claim), vn.vn, denied.reason), now, effects);
    return denied.reason;
  }

  /** What an NVE that is there has no more may have left for elsewhere while it could not say so (H21). */
  readonly #departs: typeof withdraw = (_vns, nve, ...more) => takeBack(this.#domain, nve, ...more);

  #forgetVn(vnId: VnId, now: Instant, effects: Effects): void {
    this.duplicates.forgetVn(vnId, effects);
    this.migrations.forgetVn(vnId, now, effects);
  }

  /** All others that are in the VNs of these VNICs have where they are. */
  migrationsKnown(vnics: readonly Uuid[], now: Instant): Step<void> {
    const effects = new Effects();
    for (const vnic of vnics) this.migrations.known(vnic, now, effects);
    return effects.step(undefined);
  }

  #note(refusal: Noted, now: Instant, effects: Effects): void {
    const noted = this.#refusals.pass(refusal, now);
    if (noted !== undefined) effects.note(noted);
  }

  #join(nve: NveState, vnId: VnId, effects: Effects): void {
    const vn = this.#vns.get(vnId);
    if (vn === undefined) return; // deleted meanwhile: the NVE hears of that from its watch
    const { nveId } = nve.row.location;
    nve.members.set(vnId, nve.generation);
    if (vn.members.has(nveId)) return;
    vn.members.add(nveId);
    effects.changes.push({ table: "member", key: memberKey(vnId, nveId), row: { vnId, nveId } });
    effects.touch(vnId).members.add(nveId);
  }

  /** Of NVEs that have not named it again; with it go those that are not back. */
  *#dropped(due: readonly NveState[], gone: NveId[]): Generator<Piece> {
    const all = due.map((nve) => [nve, nve.generation] as const);
    for (const [nve, generation] of all) {
      if (nve.generation !== generation) continue; // back meanwhile
      yield* sweep(this.#vns, nve);
      yield (now, effects) => {
        if (nve.generation !== generation || nve.row.connected) return;
        this.migrations.sweep(nve, now, effects);
        const { nveId } = nve.row.location;
        this.#nves.delete(nveId);
        effects.changes.push({ table: "nve", key: nveId });
        this.#relocateBindings(nveId, effects);
        effects.note({ ...nveEvent("nve.gone", nveId), actor: "nva" });
        gone.push(nveId);
      };
    }
  }

  #part(nve: NveState, now: Instant): void {
    nve.row = { ...nve.row, connected: false };
    nve.since = now;
    nve.deadline = Instant(now + this.#holdMs);
  }

  #lose(nve: NveState, now: Instant, effects: Effects, stopping = false): void {
    this.#part(nve, now);
    // What is seen of it anew must have a revision.
    inSlices(age(this.#vns, nve, stopping), now, effects, (own) => this.#storeNve(nve, own));
  }

  #relocate(nve: NveState, effects: Effects): void {
    for (const [vnId, mac] of everyClaim(nve)) this.#vns.get(vnId)?.relocated(mac, effects);
    for (const vnId of nve.members.keys()) effects.touch(vnId).members.add(nve.row.location.nveId);
  }

  /** What administrators bound to it. */
  #relocateBindings(nveId: NveId, effects: Effects): void {
    for (const { vnId, mac } of this.catalogue.bindingsAt(nveId))
      this.#vns.get(vnId)?.relocated(mac, effects);
  }
}

const earlier = (a: Instant | undefined, b: Instant | undefined): Instant | undefined =>
  a === undefined || (b !== undefined && b < a) ? b : a;
