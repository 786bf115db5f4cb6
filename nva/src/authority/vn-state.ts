import {
  type Instant,
  type IpAddress,
  type IpPrefix,
  type Mac,
  type NveId,
  networkOf,
  prefixFrom,
  widthOf,
} from "@nve/protocol-spec";
import { isMove, sameClaim, sequenceOf } from "./claims.ts";
import { Few } from "./few.ts";
import type { Heard } from "./heard.ts";
import { Histories } from "./histories.ts";
import { limits } from "./limits.ts";
import {
  bestOf,
  type Entry,
  type Held,
  type LocationOf,
  mappingOf,
  outranksForIp,
} from "./ranking.ts";
import {
  type Claim,
  claimKey,
  type DuplicateRow,
  type Effects,
  historyKey,
  type Mapping,
  type Source,
  type Vn,
} from "./records.ts";
import { activate, losing, succeeding } from "./standby.ts";

/** One VN with its members and claims. Every change of a claim goes through here. */
export class VnState {
  vn: Vn;
  /** Of the store, when the VN itself or its profile was last changed. */
  revision: number;
  readonly members = new Set<NveId>();
  /** Bindings whose rows say another sequence than they were declared with, since the last commit. */
  readonly raised = new Set<Mac>();
  readonly #entries = new Map<Mac, Entry>();
  readonly #gone: Histories;
  readonly #byIp = new Few<IpPrefix, Mac>();
  /** Frozen MACs, and which MAC has a frozen IP (docs/admission.md). */
  readonly #frozen = new Map<Mac, DuplicateRow>();
  readonly #ipHolders = new Map<IpPrefix, Mac>();
  readonly #locationOf: LocationOf;
  readonly #heard: Heard;
  #claims = 0;
  #order = 0;

  constructor(vn: Vn, revision: number, locationOf: LocationOf, heard: Heard = () => {}) {
    this.vn = vn;
    this.revision = revision;
    this.#gone = new Histories(vn.vnId);
    this.#locationOf = locationOf;
    this.#heard = heard;
  }

  get claimCount(): number {
    return this.#claims;
  }

  /** No address is claimed, and no sequence remembered. */
  get isEmpty(): boolean {
    return this.#entries.size === 0 && this.#gone.size === 0;
  }

  get mappingCount(): number {
    return this.#entries.size;
  }

  macs(): IterableIterator<Mac> {
    return this.#entries.keys();
  }

  mapping(mac: Mac): Mapping | undefined {
    const entry = this.#entries.get(mac);
    if (entry === undefined || !this.#counts(entry)) return undefined;
    const mapping = mappingOf(entry.best, entry.held, this.#locationOf);
    if (this.#ipHolders.size === 0) return mapping;
    return { ...mapping, ips: mapping.ips.filter((ip) => this.#mayHave(mac, ip)) };
  }

  #mayHave(mac: Mac, ip: IpPrefix): boolean {
    const holder = this.#ipHolders.get(ip);
    return holder === undefined || holder === mac || !this.#byIp.has(ip, holder);
  }

  /** The claim that counts. */
  best(mac: Mac): Claim | undefined {
    return this.#entries.get(mac)?.best.claim;
  }

  /** The claim of the MAC that has this IP address or prefix itself; not looked for where very many have it. */
  bestByIp(ip: IpPrefix): Claim | undefined {
    const isShared = this.#byIp.count(ip) > limits.macsPerIp;
    return isShared ? undefined : this.#latest(ip)?.best.claim;
  }

  /** MACs whose best claims have this IP address or prefix itself, whether it is theirs or not. */
  macsWith(ip: IpPrefix): Iterable<Mac> {
    return this.#byIp.of(ip);
  }

  /** The claim of the row's holder counts; lets it go, the row says where the MAC is frozen from then on. Undefined: no more. */
  freeze(mac: Mac, row: DuplicateRow | undefined, effects: Effects): void {
    if (row === undefined) this.#frozen.delete(mac);
    else this.#frozen.set(mac, row);
    const entry = this.#entries.get(mac);
    if (entry !== undefined) this.#settle(mac, entry.held, entry.best, entry.highest, effects);
  }

  /** Freezes an IP: `holder` has it, as long as it is claimed for that MAC. Undefined: no more. */
  freezeIp(ip: IpPrefix, holder: Mac | undefined, effects: Effects): void {
    if (holder === undefined) this.#ipHolders.delete(ip);
    else this.#ipHolders.set(ip, holder);
    for (const mac of this.#byIp.of(ip)) effects.touch(this.vn.vnId).macs.add(mac);
  }

  /** The mapping that has this IP address, or the longest prefix that it is in. */
  mappingByIp(ip: IpAddress): Mapping | undefined {
    for (let length = widthOf(ip); length >= 0; length--) {
      const found = this.#latest(prefixFrom(networkOf(ip, length), length));
      if (found !== undefined) return this.mapping(found.best.claim.mac);
    }
    return undefined;
  }

  /** The one that changed last where several have it, and one that somebody said before one that was gleaned. */
  #latest(prefix: IpPrefix): Entry | undefined {
    let found: Entry | undefined;
    for (const mac of this.#byIp.of(prefix)) {
      const entry = this.#mayHave(mac, prefix) ? this.#entries.get(mac) : undefined;
      if (entry === undefined || !this.#counts(entry)) continue;
      if (found === undefined || outranksForIp(entry, found)) found = entry;
    }
    return found;
  }

  /** A binding to an NVE that was never heard of is no mapping, and nobody else claims the address. */
  #counts({ best }: Entry): boolean {
    return best.claim.source !== "static" || this.#locationOf(best.claim) !== undefined;
  }

  *claims(): Generator<Held & { best: boolean }> {
    for (const mac of this.#entries.keys()) yield* this.claimsFor(mac);
  }

  *claimsFor(mac: Mac): Generator<Held & { best: boolean }> {
    const entry = this.#entries.get(mac);
    for (const one of entry?.held ?? []) yield { ...one, best: one === entry?.best };
  }

  heldBy(mac: Mac, source: Source): Held | undefined {
    return this.#entries.get(mac)?.held.find(({ claim }) => claim.source === source);
  }

  /** How many IP addresses and prefixes `source` claims for `mac`. */
  ipsOf(mac: Mac, source: Source): number {
    return this.heldBy(mac, source)?.claim.ips.length ?? 0;
  }

  /** IP addresses and prefixes in the mapping of `mac`. */
  ipCount(mac: Mac): number {
    return this.#entries.get(mac)?.best.claim.ips.length ?? 0;
  }

  /** The sources that claim `mac` now. */
  claimsOf(mac: Mac): number {
    return this.#entries.get(mac)?.held.length ?? 0;
  }

  /**
   * Puts a claim in place of the one that its source has. Sequence 0 keeps what the source has, or takes the next;
   * it never goes down for a {VN, MAC}, so a best claim that comes back after a higher one is raised above it.
   */
  put(claim: Claim, generation: number, effects: Effects): void {
    const { mac, source } = claim;
    const entry = this.#entries.get(mac);
    const before = entry?.best;
    const highest = entry?.highest ?? this.#gone.sequenceOf(mac);
    const own = this.heldBy(mac, source);
    const sequence = sequenceOf(claim, own, before, highest);
    const settled = { ...succeeding(claim, own?.claim), sequence };
    if (own !== undefined && sameClaim(own.claim, settled)) {
      this.#named(own, generation, effects);
      return;
    }
    const fresh: Held = { claim: settled, generation, stale: false };
    const held = entry?.held.filter((one) => one !== own) ?? [];
    held.push(fresh);
    if (own === undefined) this.#claims += 1;
    if (entry === undefined) this.#gone.delete(mac);
    this.#settle(mac, held, before, highest, effects);
    effects.changes.push({
      table: "claim",
      key: claimKey(claim.vnId, mac, source),
      row: fresh.claim,
    });
  }

  /** Withdraws what `source` claims of `mac`, and nothing of any other source. @returns whether there was such. */
  withdraw(mac: Mac, source: Source, now: Instant, effects: Effects): boolean {
    const entry = this.#entries.get(mac);
    const own = this.heldBy(mac, source);
    if (entry === undefined || own === undefined) return false;
    this.#claims -= 1;
    effects.changes.push({ table: "claim", key: claimKey(this.vn.vnId, mac, source) });
    const left = entry.held.filter((one) => one !== own);
    if (left.length === 0) {
      this.#unindex(mac, entry.best.claim.ips);
      this.#entries.delete(mac);
      effects.touch(this.vn.vnId).macs.add(mac);
      this.#touchRivals(mac, entry.best.claim.ips, effects);
      this.#gone.bury(mac, entry.highest, now, effects);
      this.#heard(this, own.claim, { best: true, after: undefined }, now, effects);
      return true;
    }
    this.#settle(mac, left, entry.best, entry.highest, effects);
    const kept = this.#entries.get(mac);
    if (kept !== undefined && kept.highest > Math.max(...left.map((one) => one.claim.sequence)))
      this.#gone.remember(mac, kept.highest, effects);
    const which = { best: entry.best === own, after: kept?.best.claim };
    this.#heard(this, own.claim, which, now, effects);
    return true;
  }

  /** The NVE of this claim is lost: served on, marked. */
  age(mac: Mac, source: Source, effects: Effects, stopping = false): void {
    const own = this.heldBy(mac, source);
    if (own === undefined || own.stale) return;
    own.stale = true;
    if (own.claim.standby === undefined || stopping) this.#touchIfSeen(mac, own, effects);
    else this.revise(losing(own.claim), effects);
  }

  /** Another claim in place of the one that its source has, as of the same session. */
  revise(claim: Claim, effects: Effects): void {
    const { mac, source } = claim;
    const entry = this.#entries.get(mac);
    const own = this.heldBy(mac, source);
    if (entry === undefined || own === undefined || sameClaim(own.claim, claim)) return;
    const held = entry.held.filter((one) => one !== own);
    const revised = { ...own, claim };
    held.push(revised);
    this.#settle(mac, held, entry.best, entry.highest, effects, true);
    const key = claimKey(claim.vnId, mac, source);
    effects.changes.push({ table: "claim", key, row: revised.claim });
  }

  /** The NVE of some claim of `mac` is elsewhere now, or somewhere at last, or nowhere any more. */
  relocated(mac: Mac, effects: Effects): void {
    const entry = this.#entries.get(mac);
    if (entry !== undefined)
      this.#settle(mac, entry.held, entry.best, entry.highest, effects, true);
  }

  /** Takes a stored claim as it is, in place of the one that its source had. */
  load(claim: Claim): void {
    const { mac, source } = claim;
    const entry = this.#entries.get(mac);
    const held = entry?.held.filter((one) => one.claim.source !== source) ?? [];
    if (held.length === (entry?.held.length ?? 0)) this.#claims += 1;
    held.push({ claim, generation: 0, stale: source !== "static" });
    const highest = entry?.highest ?? this.#gone.sequenceOf(mac);
    this.#gone.delete(mac);
    this.#place(mac, held, Math.max(highest, claim.sequence));
  }

  /** A stored claim is there no more; its sequence stays with those of others only. */
  unload(mac: Mac, source: Source): void {
    const entry = this.#entries.get(mac);
    const left = entry?.held.filter((one) => one.claim.source !== source) ?? [];
    if (entry === undefined || left.length === entry.held.length) return;
    this.#claims -= 1;
    this.#unindex(mac, entry.best.claim.ips);
    this.#entries.delete(mac);
    if (left.length > 0) this.#place(mac, left, entry.highest);
  }

  /** Takes a stored history row, after the changes of claims. */
  loadHistory(mac: Mac, sequence: number, now: Instant): void {
    const entry = this.#entries.get(mac);
    if (entry !== undefined) entry.highest = Math.max(entry.highest, sequence);
    else this.#gone.load(mac, sequence, now);
  }

  unloadHistory(mac: Mac): void {
    this.#gone.delete(mac);
    const entry = this.#entries.get(mac);
    if (entry !== undefined)
      entry.highest = Math.max(...entry.held.map(({ claim }) => claim.sequence));
  }

  /** Takes a stored freeze, or its end: what it makes of claims is in their rows. */
  loadFrozen(row: DuplicateRow, is: boolean): void {
    const { mac, ip, frozen } = row;
    if (!frozen) return;
    if (ip !== undefined && is) this.#ipHolders.set(ip, mac);
    else if (ip !== undefined) this.#ipHolders.delete(ip);
    else {
      if (is) this.#frozen.set(mac, row);
      else this.#frozen.delete(mac);
      this.rank(mac);
    }
  }

  /** Which claim is the best may be otherwise: an NVE is elsewhere, or there at last, or gone. */
  rank(mac: Mac): void {
    const entry = this.#entries.get(mac);
    if (entry !== undefined) this.#place(mac, entry.held, entry.highest);
  }

  /** Forgets the sequences of addresses that nobody has claimed since `before`. */
  forget(before: Instant, effects: Effects): void {
    this.#gone.forget(before, effects);
  }

  /** Addresses that nobody claims any more, whose sequences are remembered. */
  gone(): IterableIterator<Mac> {
    return this.#gone.macs();
  }

  #settle(
    mac: Mac,
    held: Held[],
    before: Held | undefined,
    highest: number,
    effects: Effects,
    moved = false,
  ): void {
    const frozen = this.#frozen.get(mac);
    const best = bestOf(held, this.#locationOf, frozen?.holder);
    if (best === undefined) return;
    if (frozen !== undefined) this.#follow(frozen, best.claim, effects);
    const floor =
      before === undefined || isMove(before, best) ? highest + 1 : before.claim.sequence;
    if (best.claim.sequence < floor) {
      best.claim = { ...best.claim, sequence: floor };
      const { vnId, source } = best.claim;
      effects.changes.push({ table: "claim", key: claimKey(vnId, mac, source), row: best.claim });
      if (source === "static") {
        this.raised.add(mac);
        effects.touch(vnId);
      }
    }
    activate(best, held, effects);
    const top = Math.max(highest, ...held.map(({ claim }) => claim.sequence));
    this.#place(mac, held, top);
    this.#touchRivals(mac, [...(before?.claim.ips ?? []), ...best.claim.ips], effects);
    if (moved || best !== before || best.claim.anycast) effects.touch(this.vn.vnId).macs.add(mac);
  }

  /** The holder may have gone: it is frozen where it is now. A static claim comes and goes before them all. */
  #follow(frozen: DuplicateRow, { source }: Claim, effects: Effects): void {
    if (source === "static" || source === frozen.holder) return;
    frozen.holder = source;
    const key = historyKey(frozen.vnId, frozen.mac);
    effects.changes.push({ table: "duplicate", key, row: { ...frozen } });
  }

  /** Others have a frozen IP in their mappings as far as its holder has it not. */
  #touchRivals(mac: Mac, ips: readonly IpPrefix[], effects: Effects): void {
    if (this.#ipHolders.size === 0) return;
    for (const ip of ips)
      if (this.#ipHolders.get(ip) === mac)
        for (const rival of this.#byIp.of(ip)) effects.touch(this.vn.vnId).macs.add(rival);
  }

  #place(mac: Mac, held: Held[], highest: number): void {
    const best = bestOf(held, this.#locationOf, this.#frozen.get(mac)?.holder);
    if (best === undefined) return;
    const entry = this.#entries.get(mac);
    if (entry !== undefined) this.#unindex(mac, entry.best.claim.ips);
    this.#order += 1;
    this.#entries.set(mac, { held, best, highest, order: this.#order });
    for (const ip of best.claim.ips) this.#byIp.add(ip, mac);
  }

  #unindex(mac: Mac, ips: readonly IpPrefix[]): void {
    for (const ip of ips) this.#byIp.delete(ip, mac);
  }

  /** Named again, unchanged. */
  #named(own: Held, generation: number, effects: Effects): void {
    own.generation = generation;
    if (!own.stale) return;
    own.stale = false;
    this.#touchIfSeen(own.claim.mac, own, effects);
  }

  #touchIfSeen(mac: Mac, own: Held, effects: Effects): void {
    if (this.#entries.get(mac)?.best === own || own.claim.anycast)
      effects.touch(this.vn.vnId).macs.add(mac);
  }
}
