import type { Instant, IpPrefix, Mac, Uuid, VnId, Vni } from "@nve/protocol-spec";
import type { Report } from "./events.ts";
import type { Fdb } from "./fdb.ts";
import type { GleanedMac } from "./glean.ts";
import {
  type AccessRules,
  type Intent,
  type IntentChange,
  intentChange,
  intentKey,
  type LocalPlace,
  type MacIntent,
  type Place,
  placeKey,
} from "./intents.ts";
import type { Port } from "./ports.ts";
import type { Granted, LocalClaim, PortTag, VnInfo } from "./vsi.ts";

/** A VNIC that is active in one VN, and what it has there. */
export type LocalVnic = {
  vnic: Uuid;
  port: string;
  vid: PortTag;
  /** Of its port. */
  rules: AccessRules;
  up: boolean;
  hypervisor: string;
  suspended: boolean;
  /** Counts up with each association: the latest has the MAC, as after a move between two ports (H20). */
  order: number;
  /** Who says what is in it, and since when. */
  by: "signalled" | "static";
  since: Instant;
  macs: ReadonlyMap<Mac, ReadonlySet<IpPrefix>>;
  /** What was computed of it, good for as long as it is this object. */
  made: { intents: Map<Mac, Keyed>; claims: Map<Mac, LocalClaim> };
};

/** @returns undefined: it is not active there */
export function localVnic(
  vn: VnId,
  { ask, order, since, filters, locals }: Granted,
  { pool, rules: ofPort, up }: Port,
  macs: LocalVnic["macs"],
): LocalVnic | undefined {
  const vid = pool.tagOf(vn);
  if (ask.mode !== "associate" || vid === undefined) return undefined;
  const { vnic, port, hypervisor, suspended, rules = ofPort } = ask;
  const before = locals.get(vn);
  if (before?.macs === macs && before.vid === vid && before.up === up && before.rules === rules) {
    return before;
  }
  const by = filters.by === "fixed" ? "static" : "signalled";
  const seen = {
    vnic,
    port,
    vid,
    rules,
    up,
    macs,
    made: { intents: new Map(), claims: new Map() },
  };
  const now: LocalVnic = { ...seen, hypervisor, suspended, order, by, since };
  locals.set(vn, now);
  return now;
}

/** All that the NVE does for one VN. It is computed anew after each change, and compared with what was. */
export type Served = {
  intents: ReadonlyMap<string, Intent>;
  claims: ReadonlyMap<Mac, LocalClaim>;
  vni?: Vni;
  /** Who was said to have each MAC. */
  owners: ReadonlyMap<Mac, LocalVnic>;
  /** Where the VN is here: one VNIC of each place, by `placeKey`. */
  places: ReadonlyMap<string, LocalVnic>;
  /** It has active members here: the NVEs of the VN send us what they flood (P8). */
  joined: boolean;
};

export const nothing: Served = {
  intents: new Map(),
  claims: new Map(),
  owners: new Map(),
  places: new Map(),
  joined: false,
};

/**
 * @param nva whether the NVA answers: if not, unknown addresses are flooded (A6)
 * @param gleaned what was seen here and not said: it gives way to all that was (H17)
 */
export function serve(
  info: VnInfo | undefined,
  vnics: readonly LocalVnic[],
  fdb: Fdb,
  nva: boolean,
  gleaned: ReadonlyMap<Mac, GleanedMac>,
): Served {
  if (info === undefined || vnics.length === 0) return nothing;
  const here: Here = { vnics, owners: ownersOf(vnics), places: placesOf(vnics), gleaned };
  return {
    intents: intentsOf(info, here, fdb, nva),
    claims: claimsOf(info.vn, here),
    vni: info.vni,
    owners: here.owners,
    places: here.places,
    joined: true,
  };
}

/** A VN at this NVE. */
type Here = {
  vnics: readonly LocalVnic[];
  owners: ReadonlyMap<Mac, LocalVnic>;
  places: ReadonlyMap<string, LocalVnic>;
  gleaned: ReadonlyMap<Mac, GleanedMac>;
};

/** Who has each MAC: the latest association of it. */
export function ownersOf(vnics: readonly LocalVnic[]): Map<Mac, LocalVnic> {
  const owners = new Map<Mac, LocalVnic>();
  for (const vnic of vnics) {
    for (const mac of vnic.macs.keys()) {
      const other = owners.get(mac);
      if (other === undefined || other.order < vnic.order) owners.set(mac, vnic);
    }
  }
  return owners;
}

/** What is seen at a place is best told as of a VNIC that did not say its MACs. */
function placesOf(vnics: readonly LocalVnic[]): Map<string, LocalVnic> {
  const places = new Map<string, LocalVnic>();
  for (const vnic of vnics) {
    const key = placeKey(localPlace(vnic));
    if (vnic.macs.size === 0 || places.get(key)?.macs.size !== 0) places.set(key, vnic);
  }
  return places;
}

export const localPlace = ({ port, vid }: LocalVnic): LocalPlace => ({ is: "local", port, vid });

function intentsOf(info: VnInfo, here: Here, fdb: Fdb, nva: boolean): Map<string, Intent> {
  const { vn, vni } = info;
  const { vnics, owners, places, gleaned } = here;
  const flood = floodOf([...places.values()], vn, fdb);
  const floodUnknown = !nva || !fdb.complete(vn) || hasSilent(vnics, vn, fdb);
  const intents = new Map<string, Intent>();
  const add = (intent: Intent): unknown => intents.set(intentKey(intent), intent);
  add({ is: "vn", vni, flood, floodUnknown });
  for (const { port, vid, rules } of places.values()) {
    add({ is: "access", port, vid, vni, ...rules });
  }
  const remotes = fdb.remotes(vn);
  // Behind a dead link it is not reached: its server has another uplink (RFC 8394 Req-3), or it has moved.
  const isAway = (mac: Mac) => owners.get(mac)?.up === false && remotes.has(mac);
  for (const [mac, owner] of owners) {
    if (!isAway(mac)) intents.set(...ownIntent(owner, vni, mac));
  }
  for (const { mac, vtep } of remotes.values()) {
    if (owners.has(mac) && !isAway(mac)) continue;
    add({ is: "mac", vni, mac, at: { is: "remote", vtep } });
  }
  for (const { mac, at } of gleaned.values()) {
    if (!owners.has(mac) && !remotes.has(mac)) add({ is: "mac", vni, mac, at });
  }
  return intents;
}

/** An intent with its key. */
type Keyed = readonly [key: string, intent: MacIntent];

function ownIntent(owner: LocalVnic, vni: Vni, mac: Mac): Keyed {
  const before = owner.made.intents.get(mac);
  if (before?.[1].vni === vni) return before;
  const intent: MacIntent = { is: "mac", vni, mac, at: localPlace(owner) };
  const now: Keyed = [intentKey(intent), intent];
  owner.made.intents.set(mac, now);
  return now;
}

/** Sorted, so that the same members always make the same list; an underlay address once (A10, P8). */
function floodOf(locals: readonly LocalVnic[], vn: VnId, fdb: Fdb): Place[] {
  const vteps = new Set([...fdb.members(vn).values()].map(({ vtep }) => vtep));
  const ordered = [...locals].sort(
    (a, b) => a.port.localeCompare(b.port) || Number(a.vid) - Number(b.vid),
  );
  const remote = [...vteps].sort().map((vtep): Place => ({ is: "remote", vtep }));
  return [...ordered.map(localPlace), ...remote];
}

/**
 * Somebody is in the VN whose MAC nobody was told (filter formats 1 and 3), here or behind an NVE that has
 * members but no mapping: only a flood reaches them.
 */
function hasSilent(vnics: readonly LocalVnic[], vn: VnId, fdb: Fdb): boolean {
  if (vnics.some(({ macs }) => macs.size === 0)) return true;
  const heard = new Set([...fdb.remotes(vn).values()].map(({ nve }) => nve));
  return [...fdb.members(vn).keys()].some((nve) => !heard.has(nve));
}

function claimsOf(vn: VnId, { owners, places, gleaned }: Here): Map<Mac, LocalClaim> {
  const claims = new Map<Mac, LocalClaim>();
  for (const [mac, vnic] of owners) {
    const said = vnic.macs.get(mac) ?? none;
    const seen = said.size > 0 ? undefined : gleaned.get(mac)?.ips.keys();
    const claim =
      seen === undefined ? saidClaim(vn, mac, vnic, said) : claimOf(vn, mac, vnic, seen);
    claims.set(mac, claim);
  }
  for (const { mac, at, ips } of gleaned.values()) {
    const vnic = places.get(placeKey(at));
    if (owners.has(mac) || vnic === undefined) continue;
    claims.set(mac, { ...claimOf(vn, mac, vnic, ips.keys()), suspended: false, gleaned: true });
  }
  return claims;
}

const none: ReadonlySet<IpPrefix> = new Set();

function saidClaim(vn: VnId, mac: Mac, vnic: LocalVnic, said: Iterable<IpPrefix>): LocalClaim {
  const { claims } = vnic.made;
  const claim = claims.get(mac) ?? claimOf(vn, mac, vnic, said);
  claims.set(mac, claim);
  return claim;
}

function claimOf(vn: VnId, mac: Mac, vnic: LocalVnic, ips: Iterable<IpPrefix>): LocalClaim {
  const { vnic: name, hypervisor, port, suspended } = vnic;
  return { vn, mac, ips: [...ips].sort(), vnic: name, hypervisor, port, suspended };
}

/**
 * Would the NVA see a difference? The port is told but is no reason to tell: a move between two ports of
 * one NVE is not announced (H20).
 */
export const sameClaim = (a: LocalClaim, b: LocalClaim): boolean =>
  a.vnic === b.vnic &&
  a.suspended === b.suspended &&
  a.gleaned === b.gleaned &&
  a.ips.length === b.ips.length &&
  a.ips.every((ip, i) => ip === b.ips[i]);

/** What became different in the VNs that one event touched. */
export class Difference {
  readonly watch: VnId[] = [];
  readonly unwatch: VnId[] = [];
  readonly report = {
    claims: [] as LocalClaim[],
    withdrawn: [] as Report["withdrawn"][number][],
    joined: [] as VnId[],
    left: [] as VnId[],
  };
  readonly #before = new Map<string, Intent>();
  readonly #after = new Map<string, Intent>();

  /** Over all VNs at once: a tag that went from one to another is replaced, not removed. */
  get change(): IntentChange {
    return intentChange(this.#before, this.#after);
  }

  add(vn: VnId, was: Served | undefined, is: Served | undefined): void {
    if (was === undefined && is !== undefined) this.watch.push(vn);
    if (was !== undefined && is === undefined) this.unwatch.push(vn);
    this.#compare(vn, was ?? nothing, is ?? nothing);
  }

  #compare(vn: VnId, was: Served, is: Served): void {
    for (const [key, intent] of is.intents) {
      if (was.intents.get(key) !== intent) this.#after.set(key, intent);
    }
    for (const [key, intent] of was.intents) {
      if (is.intents.get(key) !== intent) this.#before.set(key, intent);
    }
    for (const [mac, claim] of is.claims) {
      const old = was.claims.get(mac);
      if (old === claim) continue;
      if (old === undefined || !sameClaim(old, claim)) this.report.claims.push(claim);
    }
    for (const mac of was.claims.keys()) {
      if (!is.claims.has(mac)) this.report.withdrawn.push({ vn, mac });
    }
    if (is.joined && !was.joined) this.report.joined.push(vn);
    if (!is.joined && was.joined) this.report.left.push(vn);
  }
}
