import type { Instant, IpPrefix, Mac, Uuid, VnId, Vni } from "@nve/protocol-spec";
import { remotePlace, type Way } from "./encapsulations.ts";
import type { GleanedMac } from "./glean.ts";
import type { AccessIntent, AccessRules, LocalPlace, Place } from "./intents.ts";
import type { Port } from "./ports.ts";
import type { Ask, Granted, LocalClaim, PortTag } from "./vsi.ts";

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
  station?: Mac;
  authenticated?: true;
  /** Counts up with each association: the latest has the MAC, as after a move between two ports (H20). */
  order: number;
  /** Who says what is in it, and since when. */
  by: "signalled" | "static";
  since: Instant;
  macs: ReadonlyMap<Mac, ReadonlySet<IpPrefix>>;
};

/** @returns undefined: it is not active there */
export function localVnic(
  vn: VnId,
  { ask, order, since, filters }: Granted,
  { pool, rules: ofPort, up }: Port,
  macs: LocalVnic["macs"],
): LocalVnic | undefined {
  const vid = pool.tagOf(vn);
  if (ask.mode !== "associate" || vid === undefined) return undefined;
  const { vnic, port, hypervisor, suspended } = ask;
  const { floodLimit } = ofPort;
  const rules =
    ask.rules === undefined ? ofPort : { ...(floodLimit && { floodLimit }), ...ask.rules };
  const by = filters.by === "fixed" ? "static" : "signalled";
  const known = {
    vnic,
    port,
    vid,
    rules,
    up,
    hypervisor,
    suspended,
    order,
    by,
    since,
    macs,
  } as const;
  return { ...known, ...asker(ask) };
}

const asker = ({ station, authenticated }: Pick<Ask, "station" | "authenticated">) => ({
  ...(station !== undefined && { station }),
  ...(authenticated && { authenticated: true as const }),
});

export const localPlace = ({ port, vid }: LocalVnic): LocalPlace => ({ is: "local", port, vid });

/** What is seen at a place is best told as of a VNIC that did not say its MACs; else as of the latest. */
export const isAhead = (a: LocalVnic, b: LocalVnic): boolean =>
  (a.macs.size === 0) === (b.macs.size === 0) ? a.order > b.order : a.macs.size === 0;

export const accessIntent = (vni: Vni, { port, vid, rules }: LocalVnic): AccessIntent => ({
  is: "access",
  port,
  vid,
  vni,
  ...rules,
});

/** Sorted, so that the same members always make the same list. @param ways sorted too, each once (A10, P8) */
export function floodOf(vnics: readonly LocalVnic[], ways: readonly Way[], vni: Vni): Place[] {
  const ordered = [...vnics].sort((a, b) => {
    if (a.port !== b.port) return a.port < b.port ? -1 : 1;
    return a.vid - b.vid;
  });
  return [...ordered.map(localPlace), ...ways.flatMap((way) => remotePlace(way, vni) ?? [])];
}

/**
 * The IPs of a MAC here, sorted: those that were said, or else were seen. Where they are checked none counts that was
 * only seen: it would keep the next from being seen.
 */
export function ipsHere(
  mac: Mac,
  vnic: LocalVnic | undefined,
  gleaned: GleanedMac | undefined,
): readonly IpPrefix[] {
  const said = vnic?.macs.get(mac) ?? none;
  if (said.size > 0) return [...said].sort();
  return vnic?.rules.checkIps ? [] : [...(gleaned?.ips.keys() ?? none)].sort();
}

/** Of a MAC that was said; IPs that were seen complete it where none were said (H17). */
export function ownClaim(
  vn: VnId,
  mac: Mac,
  vnic: LocalVnic,
  gleaned: GleanedMac | undefined,
): LocalClaim {
  const said = vnic.macs.get(mac) ?? none;
  return claimOf(vn, mac, vnic, said.size > 0 ? said : (gleaned?.ips.keys() ?? none));
}

/** Of a MAC that was seen and not said, at the place of this VNIC (H16). */
export const seenClaim = (vn: VnId, vnic: LocalVnic, { mac, ips }: GleanedMac): LocalClaim => ({
  ...claimOf(vn, mac, vnic, ips.keys()),
  suspended: false,
  gleaned: true,
});

const none: ReadonlySet<IpPrefix> = new Set();

function claimOf(vn: VnId, mac: Mac, vnic: LocalVnic, ips: Iterable<IpPrefix>): LocalClaim {
  const { vnic: name, hypervisor, port, suspended } = vnic;
  const claim = { vn, mac, ips: [...ips].sort(), vnic: name, hypervisor, port, suspended };
  return { ...claim, ...asker(vnic) };
}
