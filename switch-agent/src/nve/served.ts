import type { Mac, VnId, Vni } from "@nve/protocol-spec";
import type { Departed, Departures } from "./departures.ts";
import type { Difference } from "./difference.ts";
import { remotePlace, type Way } from "./encapsulations.ts";
import type { Fdb } from "./fdb.ts";
import type { GleanedMac, Gleaner } from "./glean.ts";
import {
  type AccessIntent,
  type Intent,
  type MacIntent,
  nowhere,
  type Place,
  placeKey,
  sameIntent,
  type VnIntent,
} from "./intents.ts";
import { rulesOf } from "./profile.ts";
import type { VnInfos } from "./vn-infos.ts";
import {
  accessIntent,
  floodOf,
  ipsHere,
  isAhead,
  type LocalVnic,
  localPlace,
  ownClaim,
  seenClaim,
} from "./vnic.ts";
import type { LocalClaim } from "./vsi.ts";

/** What events touched of a VN since it was last computed: only of these can anything be different. */
export type Touched = { readonly vsis: Set<string>; readonly macs: Set<Mac> };

/** Where a VN finds what it does not keep itself. */
export type Sources = {
  readonly fdb: Fdb;
  readonly gleaned: Gleaner;
  readonly infos: VnInfos;
  readonly departures: Departures;
  /** @returns undefined: the VSI is not active there */
  local(vn: VnId, vsi: string): LocalVnic | undefined;
  /** VSIs that have the MAC, active or not. */
  holders(vn: VnId, mac: Mac): Iterable<string>;
  /** Has any port a tag for it? */
  isHeld(vn: VnId): boolean;
  /** VSIs of a port that are in the VN, active or not. */
  at(port: string, vn: VnId): Iterable<string>;
  /** Of what was gleaned in a VN, keeps what can still be so. @param lost MACs that nobody says to have any more */
  prune(served: Served, lost: ReadonlySet<Mac>): void;
};

/**
 * All that the NVE does for one VN: which VNICs are in it, and what follows for the dataplane and the NVA. After a
 * change only what was touched is computed again, so that a VSI costs the same in a VN of ten and of ten thousand.
 *
 *   VSIs ──► owner of each MAC ─┬─► MAC intents, claims        where it is: said here, then the NVA's, then gleaned
 *     └────► places ────────────┴─► access intents, flood list
 */
export class Served {
  readonly vn: VnId;
  readonly #sources: Sources;
  /** Active VNICs, by VSI. */
  readonly #vnics = new Map<string, LocalVnic>();
  /** How many of them did not say their MACs (filter formats 1 and 3). */
  #silent = 0;
  readonly #owners = new Map<Mac, LocalVnic>();
  readonly #places = new Map<string, LocalVnic>();
  /** MACs that were gleaned when it was last computed. */
  #gleaned: ReadonlySet<Mac> = new Set();
  #vni: Vni | undefined;
  #ways: readonly Way[] = [];
  /** The VNI that the flood list is for. */
  #floodVni: Vni | undefined;
  #flood: VnIntent["flood"] = [];
  #vnIntent: VnIntent | undefined;
  readonly #accessIntents = new Map<string, AccessIntent>();
  readonly #macIntents = new Map<Mac, MacIntent>();
  readonly #claims = new Map<Mac, LocalClaim>();

  constructor(vn: VnId, sources: Sources) {
    this.vn = vn;
    this.#sources = sources;
  }

  /** While it has members here, or such as are to come: the NVEs of the VN send us what they flood (P8). */
  get vni(): Vni | undefined {
    return this.#vni;
  }

  get vnics(): Iterable<LocalVnic> {
    return this.#vnics.values();
  }

  /** Who was said to have each MAC: the latest association of it. */
  get owners(): ReadonlyMap<Mac, LocalVnic> {
    return this.#owners;
  }

  /** Where the VN is here: one VNIC of each place, by `placeKey`. */
  get places(): ReadonlyMap<string, LocalVnic> {
    return this.#places;
  }

  get claims(): Iterable<LocalClaim> {
    return this.#claims.values();
  }

  /** Those who were here and are elsewhere now, whatever their stations still say (M5). */
  *departed(): IterableIterator<[Mac, Departed]> {
    for (const mac of this.#sources.departures.macs(this.vn)) {
      const departed = this.#departed(mac, this.#owners.get(mac));
      if (departed !== undefined) yield [mac, departed];
    }
  }

  *intents(): IterableIterator<Intent> {
    if (this.#vnIntent !== undefined) yield this.#vnIntent;
    yield* this.#accessIntents.values();
    yield* this.#macIntents.values();
  }

  /**
   * @param touched is used up
   * @param nva whether the NVA answers: if not, unknown addresses are flooded (A6)
   */
  update({ vsis, macs }: Touched, nva: boolean, out: Difference): void {
    const places = this.#members(vsis, macs);
    this.#glean(this.#own(macs), macs);
    if (this.#moved(out)) {
      for (const mac of this.#everyMac()) macs.add(mac);
      for (const place of [...this.#places.keys(), ...this.#accessIntents.keys()])
        places.add(place);
    }
    this.#whole(places, nva, out);
    for (const mac of macs) this.#mac(mac, out);
  }

  /** Nobody here is in it any more. */
  leave(out: Difference): void {
    for (const intent of this.intents()) out.intent(intent, undefined);
    for (const [mac, claim] of this.#claims) out.claim(this.vn, mac, claim, undefined);
    if (this.#vni !== undefined) out.report.left.push(this.vn);
  }

  /** @param macs to which those are added that they have or had @returns the places where they are or were */
  #members(vsis: Iterable<string>, macs: Set<Mac>): Set<string> {
    const touched = new Set<string>();
    const vacant = new Map<string, string>();
    for (const key of vsis) {
      const was = this.#vnics.get(key);
      const is = this.#sources.local(this.vn, key);
      for (const vnic of [was, is]) {
        for (const mac of vnic?.macs.keys() ?? []) macs.add(mac);
        if (vnic !== undefined) touched.add(placeKey(localPlace(vnic)));
      }
      if (was !== undefined) this.#leaves(key, was, vacant);
      if (is !== undefined) this.#joins(key, is);
    }
    for (const [place, port] of vacant) {
      for (const key of this.#sources.at(port, this.vn)) {
        const vnic = this.#vnics.get(key);
        if (vnic !== undefined && placeKey(localPlace(vnic)) === place) this.#stands(place, vnic);
      }
    }
    return touched;
  }

  #leaves(key: string, vnic: LocalVnic, vacant: Map<string, string>): void {
    this.#vnics.delete(key);
    if (vnic.macs.size === 0) this.#silent -= 1;
    const place = placeKey(localPlace(vnic));
    if (this.#places.get(place) !== vnic) return;
    this.#places.delete(place);
    vacant.set(place, vnic.port);
  }

  #joins(key: string, vnic: LocalVnic): void {
    this.#vnics.set(key, vnic);
    if (vnic.macs.size === 0) this.#silent += 1;
    this.#stands(placeKey(localPlace(vnic)), vnic);
  }

  /** For its place, if it is the best that was found. */
  #stands(place: string, vnic: LocalVnic): void {
    const other = this.#places.get(place);
    if (other === undefined || isAhead(vnic, other)) this.#places.set(place, vnic);
  }

  /** @returns MACs that had an owner and have none */
  #own(macs: Iterable<Mac>): ReadonlySet<Mac> {
    const lost = new Set<Mac>();
    for (const mac of macs) {
      let owner: LocalVnic | undefined;
      for (const key of this.#sources.holders(this.vn, mac)) {
        const vnic = this.#vnics.get(key);
        if (vnic?.macs.has(mac) && (owner === undefined || owner.order < vnic.order)) owner = vnic;
      }
      if (owner !== undefined) this.#owners.set(mac, owner);
      else if (this.#owners.delete(mac)) lost.add(mac);
    }
    return lost;
  }

  /** What was gleaned is little, and much changes it: all of it is looked at each time. */
  #glean(lost: ReadonlySet<Mac>, macs: Set<Mac>): void {
    const { gleaned } = this.#sources;
    if (this.#gleaned.size + gleaned.of(this.vn).size === 0) return;
    this.#sources.prune(this, lost);
    for (const mac of this.#gleaned) macs.add(mac);
    this.#gleaned = new Set(gleaned.of(this.vn).keys());
    for (const mac of this.#gleaned) macs.add(mac);
  }

  /** @returns whether the VN has come, gone, or has another VNI: then everything of it is different */
  #moved({ report }: Difference): boolean {
    const was = this.#vni;
    // Those who are in it take nothing from others: so we are in it before a VNIC arrives (H23), and as long as we forward or hold.
    const { departures } = this.#sources;
    const isIn = this.#sources.isHeld(this.vn) || departures.keepsIn(this.vn);
    const is = isIn ? this.#sources.infos.get(this.vn)?.vni : undefined;
    if (was === is) return false;
    this.#vni = is;
    if (was === undefined) report.joined.push(this.vn);
    if (is === undefined) report.left.push(this.vn);
    return true;
  }

  *#everyMac(): IterableIterator<Mac> {
    yield* this.#owners.keys();
    yield* this.#sources.fdb.remotes(this.vn).keys();
    yield* this.#sources.departures.macs(this.vn);
    yield* this.#macIntents.keys();
    yield* this.#claims.keys();
  }

  /** What is of the VN and its places; the VN first, as a driver best takes it. */
  #whole(places: ReadonlySet<string>, nva: boolean, out: Difference): void {
    const { fdb } = this.#sources;
    const vni = this.#vni;
    const accesses = [...places].map((place) => {
      const vnic = this.#places.get(place);
      const is = vni === undefined || vnic === undefined ? undefined : accessIntent(vni, vnic);
      return { place, is };
    });
    const ways = fdb.ways(this.vn);
    const isSame =
      ways === this.#ways &&
      vni === this.#floodVni &&
      accesses.every(({ place, is }) => {
        return this.#accessIntents.has(place) === (is !== undefined);
      });
    if (!isSame && vni !== undefined) {
      this.#flood = floodOf([...this.#places.values()], ways, vni);
    }
    this.#ways = ways;
    this.#floodVni = vni;
    const pull = this.#sources.infos.pull(this.vn);
    // In pull nearly all members are silent.
    const silent = this.#silent > 0 || (pull === undefined && fdb.hasSilent(this.vn));
    const { mtu, profile, flooding } = this.#sources.infos.get(this.vn) ?? {};
    const isNeeded = !nva || !fdb.complete(this.vn) || silent || pull === "flood";
    const floodUnknown = flooding?.unknown === undefined ? isNeeded : flooding.unknown === "flood";
    const unknown = { floodUnknown, ...(pull !== undefined && { askUnknown: true as const }) };
    const group = this.#sources.infos.group(this.vn);
    const suspended = this.#sources.infos.suspendedIn(this.vn);
    const own = { ...rulesOf(profile), ...group, ...suspended, ...(mtu !== undefined && { mtu }) };
    const rules = { ...unknown, ...this.#sources.infos.rules, ...own };
    const is: VnIntent | undefined =
      vni === undefined ? undefined : { is: "vn", vni, flood: this.#flood, ...rules };
    this.#vnIntent = replaced(this.#vnIntent, is, out);
    for (const { place, is } of accesses) put(this.#accessIntents, place, is, out);
  }

  /** Said here comes before the NVA's, and that before what was gleaned (H17). */
  #mac(mac: Mac, out: Difference): void {
    const vni = this.#vni;
    const owner = this.#owners.get(mac);
    const gleaned = this.#sources.gleaned.of(this.vn).get(mac);
    const departed = this.#departed(mac, owner);
    const at = departed ? this.#isNowAt(departed) : this.#whereIs(mac, owner, gleaned);
    const intent: MacIntent | undefined =
      vni === undefined || at === undefined
        ? undefined
        : {
            ...{ is: "mac", vni, mac, at, ...this.#known(mac, at, owner, gleaned, departed) },
            ...(departed?.forwards && at.is === "remote" && { moved: true }),
            ...((at === nowhere || (at.is === "local" && owner?.suspended)) && { suspended: true }),
          };
    const before = this.#macIntents.get(mac)?.at;
    put(this.#macIntents, mac, intent, out);
    if (before !== undefined && intent !== undefined) this.#announce(mac, before, intent.at, out);
    const was = this.#claims.get(mac);
    const is = vni === undefined ? undefined : this.#claimOf(mac, owner, gleaned);
    if (is === undefined) this.#claims.delete(mac);
    else this.#claims.set(mac, is);
    out.claim(this.vn, mac, was, is);
  }

  /** Of a MAC what the dataplane needs beside its place, and no more: there are many behind the overlay. */
  #known(
    mac: Mac,
    at: Place,
    owner: LocalVnic | undefined,
    gleaned: GleanedMac | undefined,
    departed: Departed | undefined,
  ): Pick<MacIntent, "ips" | "vnic"> {
    const { fdb, infos } = this.#sources;
    const { answer } = infos.rules;
    if (at === nowhere) {
      const held = answer ? (departed?.ips ?? []) : [];
      return held.length > 0 ? { ips: held } : nothing;
    }
    if (at.is === "remote") {
      const ips = answer ? fdb.remotes(this.vn).get(mac)?.ips : undefined;
      return ips === undefined || ips.length === 0 ? nothing : { ips };
    }
    const vnic = owner ?? this.#places.get(placeKey(at));
    const ips = answer || vnic?.rules.checkIps ? ipsHere(mac, vnic, gleaned) : [];
    return { ...(ips.length > 0 && { ips }), ...(vnic && { vnic: vnic.vnic }) };
  }

  /** To all that are here, but at its own place. */
  #announce(mac: Mac, before: Place, at: Place, { announcements }: Difference): void {
    if (at === nowhere || placeKey(before) === placeKey(at)) return;
    const said = [...(this.#owners.get(mac)?.macs.get(mac) ?? [])];
    const ips = said.length > 0 ? said : (this.#sources.fdb.remotes(this.vn).get(mac)?.ips ?? []);
    const places = [...this.#places]
      .filter(([place]) => place !== placeKey(at) && place !== placeKey(before))
      .map(([, vnic]) => localPlace(vnic));
    if (ips.length > 0 && places.length > 0) announcements.push({ vn: this.vn, mac, ips, places });
  }

  /** What the NVA says of one that has moved on, unless it is another's now, or is back. */
  #departed(mac: Mac, owner: LocalVnic | undefined): Departed | undefined {
    const departed = this.#sources.departures.of(this.vn, mac);
    if (departed === undefined) return undefined;
    const isElsewhere = departed.to === undefined && this.#sources.fdb.remotes(this.vn).has(mac);
    if (isElsewhere) return undefined; // it has arrived
    if (owner === undefined) return departed;
    return owner.vnic === departed.vnic && owner.order < departed.order ? departed : undefined;
  }

  #isNowAt({ to }: Departed): Place | undefined {
    if (to === undefined) return nowhere;
    return this.#vni === undefined ? undefined : remotePlace(to, this.#vni);
  }

  /** Behind a dead link it is not reached: its server has another uplink (RFC 8394 Req-3), or it has moved. */
  #whereIs(
    mac: Mac,
    owner: LocalVnic | undefined,
    gleaned: GleanedMac | undefined,
  ): Place | undefined {
    const remote = this.#sources.fdb.remotes(this.vn).get(mac);
    if (owner !== undefined && (owner.up || remote === undefined)) return localPlace(owner);
    if (remote === undefined || this.#vni === undefined) return gleaned?.at;
    return remotePlace(remote, this.#vni);
  }

  #claimOf(
    mac: Mac,
    owner: LocalVnic | undefined,
    gleaned: GleanedMac | undefined,
  ): LocalClaim | undefined {
    if (owner !== undefined) return ownClaim(this.vn, mac, owner, gleaned);
    const vnic = gleaned && this.#places.get(placeKey(gleaned.at));
    return vnic && seenClaim(this.vn, vnic, gleaned);
  }
}

const nothing = {};

function put<K, I extends Intent>(
  intents: Map<K, I>,
  key: K,
  is: I | undefined,
  out: Difference,
): void {
  const now = replaced(intents.get(key), is, out);
  if (now === undefined) intents.delete(key);
  else intents.set(key, now);
}

/** @returns what there was, if it is the same */
function replaced<I extends Intent>(
  was: I | undefined,
  is: I | undefined,
  out: Difference,
): I | undefined {
  if (was === undefined && is === undefined) return undefined;
  if (was !== undefined && is !== undefined && sameIntent(was, is)) return was;
  out.intent(was, is);
  return is;
}
