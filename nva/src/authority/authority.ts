import {
  holdsHosts,
  Instant,
  type IpAddress,
  isGroup,
  type Mac,
  type NveId,
  type Uuid,
  type VnId,
} from "@nve/protocol-spec";
import { historyMs, limits } from "./limits.ts";
import {
  everyClaim,
  forgetVn,
  indexClaim,
  type NveState,
  newNve,
  type Session,
  unindexClaim,
  usesVn,
} from "./nve-state.ts";
import type { Held } from "./ranking.ts";
import {
  type Claim,
  Effects,
  type Location,
  type Mapping,
  memberKey,
  type NveRow,
  nveSource,
  type Reported,
  type Step,
  type Tables,
  type Touched,
  type Vn,
  vnKey,
} from "./records.ts";
import { type Refusal, VnBook, type VnWish } from "./vn-book.ts";
import { VnState } from "./vn-state.ts";

export type Report = {
  claims: readonly Reported[];
  withdrawn: readonly { vnId: VnId; mac: Mac }[];
  joined: readonly VnId[];
  left: readonly VnId[];
  /** The last of the reports that name all there is. */
  complete: boolean;
};
export type ClaimRefusal = { vnId: VnId; mac: Mac; reason: string };

/**
 * What is where in all VNs. Holds claims, computes mappings. Does no IO and reads no clock: each method that
 * changes something takes `now` and answers with the rows to store, the keys that watchers must hear of, and its
 * result; it checks first and changes then, so that a refusal leaves everything as it was.
 */
export class Authority {
  readonly #vns = new Map<VnId, VnState>();
  readonly #nves = new Map<NveId, NveState>();
  readonly #book = new VnBook();
  readonly #holdMs: number;

  /** @param tables what the store holds; whatever lacks its VN or NVE is left out. */
  constructor(tables: Tables, holdMs: number, now: Instant) {
    this.#holdMs = holdMs;
    for (const { row, revision } of tables.vn) this.#addVn(row, revision);
    for (const row of tables.nve) {
      const nve = { ...newNve(row, now), deadline: Instant(now + holdMs) };
      this.#nves.set(row.location.nveId, nve);
    }
    for (const { vnId, nveId } of tables.member) {
      const nve = this.#nves.get(nveId);
      if (nve !== undefined && this.#vns.get(vnId)?.members.add(nveId)) nve.members.set(vnId, 0);
    }
    for (const claim of tables.claim) {
      const nve = this.#nves.get(claim.nveId);
      const vn = this.#vns.get(claim.vnId);
      if (nve === undefined || vn === undefined) continue;
      vn.load(claim);
      indexClaim(nve, claim.vnId, claim.mac);
      nve.ips += claim.ips.length;
    }
    for (const { vnId, mac, sequence } of tables.history)
      this.#vns.get(vnId)?.loadHistory(mac, sequence, now);
  }

  /** After a start nobody is connected: what was, is lost from now on. */
  start(now: Instant): Step<void> {
    const effects = new Effects();
    for (const nve of this.#nves.values()) if (nve.row.connected) this.#lose(nve, now, effects);
    return effects.step(undefined);
  }

  createVn(wish: VnWish): Step<Vn | Refusal> {
    const effects = new Effects();
    const vn = this.#book.settle(wish);
    if ("refused" in vn) return effects.step(vn);
    this.#addVn(vn, 0);
    effects.changes.push({ table: "vn", key: vnKey(vn.vnId), row: vn });
    effects.touch(vn.vnId).vn = true;
    return effects.step(vn);
  }

  /** Refused while NVEs use it, unless forced: then its members and claims go with it. */
  deleteVn(vnId: VnId, force: boolean): Step<Vn | Refusal> {
    const effects = new Effects();
    const state = this.#vns.get(vnId);
    if (state === undefined) return effects.step({ refused: `no VN ${vnId}` });
    const users = [...this.#nves.values()].filter((nve) => usesVn(nve, vnId));
    if (users.length > 0 && !force) return effects.step({ refused: inUse(state, users) });
    for (const nve of users) {
      if (nve.members.has(vnId))
        effects.changes.push({ table: "member", key: memberKey(vnId, nve.row.location.nveId) });
      const source = nveSource(nve.row.location.nveId);
      for (const mac of nve.macs.get(vnId) ?? []) nve.ips -= state.ipsOf(mac, source);
      forgetVn(nve, vnId);
    }
    state.clear(effects);
    this.#vns.delete(vnId);
    this.#book.delete(state.vn);
    effects.changes.push({ table: "vn", key: vnKey(vnId) });
    effects.touch(vnId).vn = true;
    return effects.step(state.vn);
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
    if (moved) this.#relocate(nve, effects);
    return effects.step({ nveId, generation: nve.generation });
  }

  /** Applies a report whole; single claims may be refused. `undefined`: the session is over, nothing was done. */
  report(session: Session, report: Report, now: Instant): Step<ClaimRefusal[] | undefined> {
    const effects = new Effects();
    const nve = this.#nves.get(session.nveId);
    if (nve?.generation !== session.generation || !nve.row.connected)
      return effects.step(undefined);
    const refused: ClaimRefusal[] = [];
    for (const vnId of report.left) this.#leave(nve, vnId, now, effects);
    for (const vnId of report.joined) this.#join(nve, vnId, effects);
    for (const { vnId, mac } of report.withdrawn) this.#withdraw(nve, vnId, mac, now, effects);
    for (const claim of report.claims) {
      const reason = this.#claim(nve, claim, effects);
      if (reason !== undefined) refused.push({ vnId: claim.vnId, mac: claim.mac, reason });
    }
    if (report.complete) this.#sweep(nve, now, effects);
    // What is seen anew must have a revision, also when no row is new.
    if (effects.changes.length === 0 && effects.touched.size > 0) this.#storeNve(nve, effects);
    return effects.step(refused);
  }

  /** A session has ended: its claims are served on, as stale, for the hold time. */
  loseNve(session: Session, now: Instant): Step<boolean> {
    const effects = new Effects();
    const nve = this.#nves.get(session.nveId);
    if (nve?.generation !== session.generation || !nve.row.connected) return effects.step(false);
    this.#lose(nve, now, effects);
    return effects.step(true);
  }

  /** Drops what nobody has named again in time. @returns the NVEs that are gone. */
  tick(now: Instant): Step<NveId[]> {
    const effects = new Effects();
    const gone: NveId[] = [];
    for (const nve of this.#nves.values()) {
      if (nve.deadline === undefined || now < nve.deadline) continue;
      if (nve.row.connected) {
        this.#sweep(nve, now, effects);
        continue;
      }
      nve.generation += 1; // so that everything is of an earlier one
      this.#sweep(nve, now, effects);
      const { nveId } = nve.row.location;
      this.#nves.delete(nveId);
      effects.changes.push({ table: "nve", key: nveId });
      gone.push(nveId);
    }
    for (const vn of this.#vns.values()) vn.forget(Instant(now - historyMs), effects);
    return effects.step(gone);
  }

  /** When `tick` has next to be called because of an NVE. */
  get deadline(): Instant | undefined {
    let first: Instant | undefined;
    for (const { deadline } of this.#nves.values())
      if (deadline !== undefined && (first === undefined || deadline < first)) first = deadline;
    return first;
  }

  /** The store has it at this revision. */
  committed(touched: Touched, revision: number): void {
    for (const [vnId, touch] of touched) {
      const vn = touch.vn ? this.#vns.get(vnId) : undefined;
      if (vn !== undefined) vn.revision = revision;
    }
  }

  vn(vnId: VnId): VnState | undefined {
    return this.#vns.get(vnId);
  }

  vnByName(name: Uuid): VnState | undefined {
    return this.#found(this.#book.byName(name));
  }

  vnByAlias(tenant: string, alias: string): VnState | undefined {
    return this.#found(this.#book.byAlias(tenant, alias));
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

  #addVn(vn: Vn, revision: number): void {
    const locationOf = ({ nveId }: Claim) => this.#nves.get(nveId)?.row.location;
    this.#vns.set(vn.vnId, new VnState(vn, revision, locationOf));
    this.#book.add(vn);
  }

  #storeNve(nve: NveState, effects: Effects): void {
    effects.changes.push({ table: "nve", key: nve.row.location.nveId, row: nve.row });
  }

  #claim(nve: NveState, claim: Reported, effects: Effects): string | undefined {
    const vn = this.#vns.get(claim.vnId);
    const { nveId } = nve.row.location;
    const source = nveSource(nveId);
    const reason = vn === undefined ? `no VN ${claim.vnId}` : faultOf(claim, vn, nve, source);
    if (vn === undefined || reason !== undefined) return reason;
    nve.ips += claim.ips.length - vn.ipsOf(claim.mac, source);
    vn.put({ ...claim, source, nveId }, nve.generation, effects);
    indexClaim(nve, claim.vnId, claim.mac);
    return undefined;
  }

  #withdraw(nve: NveState, vnId: VnId, mac: Mac, now: Instant, effects: Effects): void {
    const vn = this.#vns.get(vnId);
    const source = nveSource(nve.row.location.nveId);
    nve.ips -= vn?.ipsOf(mac, source) ?? 0;
    vn?.withdraw(mac, source, now, effects);
    unindexClaim(nve, vnId, mac);
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

  /** The last member is gone there, and with it all that it had (H2, H7). */
  #leave(nve: NveState, vnId: VnId, now: Instant, effects: Effects): void {
    for (const mac of [...(nve.macs.get(vnId) ?? [])]) this.#withdraw(nve, vnId, mac, now, effects);
    const { nveId } = nve.row.location;
    if (!nve.members.delete(vnId)) return;
    this.#vns.get(vnId)?.members.delete(nveId);
    effects.changes.push({ table: "member", key: memberKey(vnId, nveId) });
    effects.touch(vnId).members.add(nveId);
  }

  /** Drops what this session has not named. */
  #sweep(nve: NveState, now: Instant, effects: Effects): void {
    const source = nveSource(nve.row.location.nveId);
    for (const [vnId, mac] of everyClaim(nve)) {
      const held = this.#vns.get(vnId)?.heldBy(mac, source);
      if (held?.generation !== nve.generation) this.#withdraw(nve, vnId, mac, now, effects);
    }
    for (const [vnId, generation] of [...nve.members])
      if (generation !== nve.generation && !nve.macs.has(vnId))
        this.#leave(nve, vnId, now, effects);
    delete nve.deadline;
  }

  #lose(nve: NveState, now: Instant, effects: Effects): void {
    nve.row = { ...nve.row, connected: false };
    nve.since = now;
    nve.deadline = Instant(now + this.#holdMs);
    this.#storeNve(nve, effects);
    const source = nveSource(nve.row.location.nveId);
    for (const [vnId, mac] of everyClaim(nve)) this.#vns.get(vnId)?.age(mac, source, effects);
  }

  #relocate(nve: NveState, effects: Effects): void {
    for (const [vnId, mac] of everyClaim(nve)) this.#vns.get(vnId)?.relocated(mac, effects);
    for (const vnId of nve.members.keys()) effects.touch(vnId).members.add(nve.row.location.nveId);
  }
}

function faultOf(
  claim: Reported,
  vn: VnState,
  nve: NveState,
  source: Claim["source"],
): string | undefined {
  if (isGroup(claim.mac)) return `${claim.mac} is a group address: no station has it`;
  if (claim.mac === "00:00:00:00:00:00") return "the all-zero address is no station's";
  const odd = claim.ips.find((ip) => !holdsHosts(ip));
  if (odd !== undefined) return `${odd} is no address that a host has`;
  if (claim.ips.length > limits.ipsPerClaim)
    return `more than ${limits.ipsPerClaim} IP addresses and prefixes for one MAC address`;
  if (nve.ips + claim.ips.length - vn.ipsOf(claim.mac, source) > limits.ipsPerNve)
    return `this NVE has ${nve.ips} IP addresses and prefixes already: ${limits.ipsPerNve} go`;
  if (claim.sequence > limits.sequence) return `sequence ${claim.sequence} exceeds 32 bits`;
  if (vn.heldBy(claim.mac, source) !== undefined) return undefined; // replaces its own
  if (nve.claims >= limits.claimsPerNve)
    return `this NVE has ${limits.claimsPerNve} claims already`;
  if (vn.claimCount >= limits.claimsPerVn)
    return `VN ${vn.vn.vnId} has ${limits.claimsPerVn} claims already`;
  if (vn.claimsOf(claim.mac) >= limits.claimsPerMac)
    return `${limits.claimsPerMac} NVEs claim this address already`;
  return undefined;
}

function inUse({ vn }: VnState, users: readonly NveState[]): string {
  const names = users.map(({ row }) => row.location.nveId);
  const shown = names.slice(0, 20).join(", ");
  const more = names.length > 20 ? ` and ${names.length - 20} more` : "";
  return `VN "${vn.alias}" (VN ID ${vn.vnId}) is in use by ${shown}${more}: detach its members first, or force it`;
}

const sameLocation = (a: Location, b: Location): boolean =>
  a.vteps.join() === b.vteps.join() && a.encapsulations.join() === b.encapsulations.join();
