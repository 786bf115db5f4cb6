import {
  HypervisorId,
  type IpAddress,
  type IpPrefix,
  ipFrom,
  ipOctets,
  isSingle,
  isUnicast,
  type Mac,
  macFrom,
  macOctets,
  NveId,
  OutOfRange,
  prefixFromOctets,
  prefixParts,
  type Uuid,
  uuidFrom,
  uuidOctets,
  VnId,
} from "@nve/protocol-spec";
import type * as northbound from "@nve/protocol-spec/proto/northbound";
import type * as nve from "@nve/protocol-spec/proto/nve";
import * as wire from "@nve/protocol-spec/proto/types";
import type { ClaimRefusal, Report } from "../authority/authority.ts";
import { limits } from "../authority/limits.ts";
import type { Reservation } from "../authority/migrations.ts";
import type { Claim, Encapsulation, Location, Mapping, Reported } from "../authority/records.ts";

// From the wire: what is not as it should be throws OutOfRange with the field's name.

export function fromMac(octets: Uint8Array, what = "mac"): Mac {
  if (octets.length !== 6)
    throw new OutOfRange(`${what}: a MAC address has 6 octets, not ${octets.length}`);
  return macFrom(octets);
}

export function fromIp(octets: Uint8Array): IpAddress {
  checkIp(octets);
  return ipFrom(octets);
}

function checkIp(octets: Uint8Array): void {
  if (octets.length === 4 || octets.length === 16) return;
  throw new OutOfRange(`ip: an IP address has 4 or 16 octets, not ${octets.length}`);
}

export function fromUuid(octets: Uint8Array, what: string): Uuid {
  if (octets.length !== 16)
    throw new OutOfRange(`${what}: a UUID has 16 octets, not ${octets.length}`);
  return uuidFrom(octets);
}

export function fromText(text: string, what: string): string {
  // Format characters too: they turn what a terminal shows.
  if (text.length > limits.textLength || /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text))
    throw new OutOfRange(
      `${what}: at most ${limits.textLength} characters, none a control character`,
    );
  return text;
}

export function fromLocation(location: wire.Location | undefined): Location {
  if (location === undefined) throw new OutOfRange("location: missing");
  if (location.vteps.length === 0 || location.vteps.length > 16)
    throw new OutOfRange(`location: 1 to 16 VTEP addresses, not ${location.vteps.length}`);
  return {
    nveId: NveId(location.nveId),
    vteps: location.vteps.map(fromVtep),
    encapsulations: [...new Set(location.encapsulations)].flatMap(
      (one) => encapsulations.find(([, number]) => number === one)?.[0] ?? [], // a newer one: not ours to know (A16)
    ),
  };
}

/** Frames of a whole VN are sent there: to one host, and not to ourselves. */
function fromVtep(octets: Uint8Array): IpAddress {
  const ip = fromIp(octets);
  if (isUnicast(ip)) return ip;
  throw new OutOfRange(`location: ${ip} is no address that a VTEP can have`);
}

export function fromReport(report: nve.Report): Report {
  return {
    claims: report.claims.map(fromClaim),
    withdrawn: report.withdrawn.map(({ vnId, mac }) => ({ vnId: VnId(vnId), mac: fromMac(mac) })),
    joined: report.joinedVns.map(VnId),
    left: report.leftVns.map(VnId),
    complete: report.complete,
    prepared: report.prepared.map(fromPrepared),
    unprepared: report.unprepared.map((vnic) => fromUuid(vnic, "unprepared")),
  };
}

function fromPrepared({ vnic, hypervisor, port, migrating, addresses }: nve.Prepared): Reservation {
  if (addresses.length > limits.macsPerVnic)
    throw new OutOfRange(`prepared: at most ${limits.macsPerVnic} addresses of a VNIC`);
  return {
    vnic: fromUuid(vnic, "prepared"),
    ...(hypervisor === "" ? {} : { hypervisor: HypervisorId(hypervisor) }),
    ...(port === "" ? {} : { port: fromText(port, "port") }),
    migrating,
    addresses: addresses.map(({ vnId, mac }) => ({ vnId: VnId(vnId), mac: fromMac(mac) })),
  };
}

export function fromPrefix({ ip, length }: wire.Prefix): IpPrefix {
  checkIp(ip);
  return prefixFromOctets(ip, length);
}

function fromClaim(claim: wire.Claim): Reported {
  const { vnic, hypervisor, port } = claim;
  return {
    vnId: VnId(claim.vnId),
    mac: fromMac(claim.mac),
    ips: [...claim.ips.map(fromIp), ...claim.prefixes.map(fromPrefix)],
    ...(vnic.length === 0 ? {} : { vnic: fromUuid(vnic, "vnic") }),
    ...(hypervisor === "" ? {} : { hypervisor: HypervisorId(hypervisor) }),
    ...(port === "" ? {} : { port: fromText(port, "port") }),
    // Beyond 2^53 all are alike out of range.
    sequence: Number(claim.sequence),
    sticky: claim.sticky,
    anycast: claim.anycast,
    suspended: claim.suspended,
    ...(claim.gleaned && { gleaned: true }),
    ...(claim.station?.length && { station: fromMac(claim.station, "station") }),
    ...(claim.authenticated && { authenticated: true }),
  };
}

// To the wire.

export const toMac = (mac: Mac): Buffer => Buffer.from(macOctets(mac));
export const toIp = (ip: IpAddress): Buffer => Buffer.from(ipOctets(ip));
/** Single addresses and prefixes are two fields. */
export const toIps = (all: readonly IpPrefix[]): { ips: Buffer[]; prefixes: wire.Prefix[] } => ({
  ips: all.filter(isSingle).map(toIp),
  prefixes: all
    .filter((prefix) => !isSingle(prefix))
    .map(prefixParts)
    .map(({ ip, length }) => ({ ip: toIp(ip), length })),
});
export const toUuid = (uuid: Uuid): Buffer => Buffer.from(uuidOctets(uuid));

/** Made once: a location is in every mapping of its NVE, and none is ever changed. */
export function toLocation(location: Location): wire.Location {
  const known = onWire.get(location);
  if (known !== undefined) return known;
  const made = locationOf(location);
  onWire.set(location, made);
  return made;
}

const onWire = new WeakMap<Location, wire.Location>();

function locationOf({ nveId, vteps, encapsulations: kinds }: Location): wire.Location {
  return {
    nveId,
    vteps: vteps.map(toIp),
    encapsulations: encapsulations.flatMap(([kind, number]) =>
      kinds.includes(kind) ? [number] : [],
    ),
  };
}

export function toMapping(mapping: Mapping): wire.Mapping {
  return {
    vnId: mapping.vnId,
    mac: toMac(mapping.mac),
    ...toIps(mapping.ips),
    locations: mapping.locations.map(toLocation),
    sequence: BigInt(mapping.sequence),
    vnic: mapping.vnic === undefined ? Buffer.alloc(0) : toUuid(mapping.vnic),
    sticky: mapping.sticky,
    anycast: mapping.anycast,
    suspended: mapping.suspended,
    stale: mapping.stale,
  };
}

export function toClaim(claim: Claim): wire.Claim {
  return {
    vnId: claim.vnId,
    mac: toMac(claim.mac),
    ...toIps(claim.ips),
    vnic: claim.vnic === undefined ? Buffer.alloc(0) : toUuid(claim.vnic),
    hypervisor: claim.hypervisor ?? "",
    port: claim.port ?? "",
    sequence: BigInt(claim.sequence),
    sticky: claim.sticky,
    anycast: claim.anycast,
    suspended: claim.suspended,
    gleaned: claim.gleaned ?? false,
    station: claim.station === undefined ? undefined : toMac(claim.station),
    authenticated: claim.authenticated,
  };
}

/** Places are counted from 1 on. */
export const toClaimStandby = ({ standby }: Claim): northbound.ClaimStandby | undefined =>
  standby && {
    place: standby.preference + 1,
    active: standby.active ?? false,
    lost: standby.lost ?? false,
  };

export const toCursor = (storeId: Uuid, revision: number): wire.Cursor => ({
  storeId: toUuid(storeId),
  revision: BigInt(revision),
});

export const toRefusal = ({ vnId, mac, reason }: ClaimRefusal): nve.ClaimRefusal => ({
  key: { vnId, mac: toMac(mac) },
  reason,
});

const encapsulations: readonly (readonly [Encapsulation, wire.Encapsulation])[] = [
  ["vxlan", wire.Encapsulation.ENCAPSULATION_VXLAN],
  ["nvgre", wire.Encapsulation.ENCAPSULATION_NVGRE],
  ["mpls-over-gre", wire.Encapsulation.ENCAPSULATION_MPLS_OVER_GRE],
];
