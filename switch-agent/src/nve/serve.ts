import type { IpPrefix, Mac, Uuid, VnId } from "@nve/protocol-spec";
import type { Report } from "./events.ts";
import type { Fdb } from "./fdb.ts";
import {
  type AccessRules,
  type Intent,
  type IntentChange,
  intentChange,
  intentKey,
  type Place,
} from "./intents.ts";
import type { LocalClaim, PortTag, VnInfo } from "./vsi.ts";

/** A VNIC that is active in one VN, and what it has there. */
export type LocalVnic = {
  vnic: Uuid;
  port: string;
  vid: PortTag;
  /** Of its port. */
  rules: AccessRules;
  hypervisor: string;
  suspended: boolean;
  /** Counts up with each association: the latest has the MAC, as after a move between two ports (H20). */
  order: number;
  macs: ReadonlyMap<Mac, ReadonlySet<IpPrefix>>;
};

/** All that the NVE does for one VN. It is computed anew after each change, and compared with what was. */
export type Served = {
  intents: ReadonlyMap<string, Intent>;
  claims: ReadonlyMap<Mac, LocalClaim>;
  /** It has active members here: the NVEs of the VN send us what they flood (P8). */
  joined: boolean;
};

export const nothing: Served = { intents: new Map(), claims: new Map(), joined: false };

/** @param nva whether the NVA answers: if not, unknown addresses are flooded (A6). */
export function serve(
  info: VnInfo | undefined,
  vnics: readonly LocalVnic[],
  fdb: Fdb,
  nva: boolean,
): Served {
  if (info === undefined || vnics.length === 0) return nothing;
  const owners = ownersOf(vnics);
  return {
    intents: intentsOf(info, vnics, owners, fdb, nva),
    claims: new Map([...owners].map(([mac, vnic]) => [mac, claimOf(info.vn, mac, vnic)])),
    joined: true,
  };
}

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

export const localPlace = ({ port, vid }: LocalVnic): Place => ({ is: "local", port, vid });

function intentsOf(
  info: VnInfo,
  vnics: readonly LocalVnic[],
  owners: ReadonlyMap<Mac, LocalVnic>,
  fdb: Fdb,
  nva: boolean,
): Map<string, Intent> {
  const { vn, vni } = info;
  const places = new Map(vnics.map((vnic) => [`${vnic.port} ${vnic.vid}`, vnic]));
  const flood = floodOf([...places.values()], vn, fdb);
  const floodUnknown = !nva || !fdb.complete(vn) || hasSilent(vnics, vn, fdb);
  const intents: Intent[] = [{ is: "vn", vni, flood, floodUnknown }];
  for (const { port, vid, rules } of places.values()) {
    intents.push({ is: "access", port, vid, vni, ...rules });
  }
  for (const [mac, owner] of owners) intents.push({ is: "mac", vni, mac, at: localPlace(owner) });
  for (const { mac, vtep } of fdb.remotes(vn).values()) {
    if (!owners.has(mac)) intents.push({ is: "mac", vni, mac, at: { is: "remote", vtep } });
  }
  return new Map(intents.map((intent) => [intentKey(intent), intent]));
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

function claimOf(vn: VnId, mac: Mac, vnic: LocalVnic): LocalClaim {
  const { vnic: name, hypervisor, port, suspended } = vnic;
  const ips = [...(vnic.macs.get(mac) ?? [])].sort();
  return { vn, mac, ips, vnic: name, hypervisor, port, suspended };
}

/**
 * Would the NVA see a difference? The port is told but is no reason to tell: a move between two ports of
 * one NVE is not announced (H20).
 */
export const sameClaim = (a: LocalClaim, b: LocalClaim): boolean =>
  a.vnic === b.vnic &&
  a.suspended === b.suspended &&
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
    for (const [key, intent] of was.intents) this.#before.set(key, intent);
    for (const [key, intent] of is.intents) this.#after.set(key, intent);
    for (const [mac, claim] of is.claims) {
      const old = was.claims.get(mac);
      if (old === undefined || !sameClaim(old, claim)) this.report.claims.push(claim);
    }
    for (const mac of was.claims.keys()) {
      if (!is.claims.has(mac)) this.report.withdrawn.push({ vn, mac });
    }
    if (is.joined && !was.joined) this.report.joined.push(vn);
    if (!is.joined && was.joined) this.report.left.push(vn);
  }
}
