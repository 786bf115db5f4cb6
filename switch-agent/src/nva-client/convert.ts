import {
  type DigestLocation,
  type IpAddress,
  type IpPrefix,
  ipFrom,
  ipOctets,
  isMulticast,
  isSingle,
  type Mac,
  macFrom,
  macOctets,
  mappingOctets,
  memberOctets,
  NveId,
  OutOfRange,
  prefixFromOctets,
  prefixParts,
  printable,
  type Uuid,
  uuidFrom,
  uuidOctets,
  VdpError,
  VnId,
  Vni,
} from "@nve/protocol-spec";
import {
  type AdmitRequest,
  type AdmitResponse,
  type Denial,
  DenialCode,
  type DigestsResponse,
  type Disconnect,
  type NveMessage,
  type VnicAddress,
  type WatchRequest,
} from "@nve/protocol-spec/proto/nve";
import {
  type Claim,
  type Cursor,
  FloodMode,
  type Location,
  type Mapping,
  type Prefix,
  UnknownMode,
  type Vn,
} from "@nve/protocol-spec/proto/types";
import type {
  LocalClaim,
  Member,
  NveEvent,
  Remote,
  RemoteChange,
  Unknown,
  Verdict,
  VnInfo,
  VnicContent,
} from "@nve/switch-agent/nve";
import { type Via, viaVxlan } from "@nve/switch-agent/nve";
import { attempt } from "./attempt.ts";
import { preparedOf, suspendedOf } from "./convert-departure.ts";
import { profileOf } from "./convert-profile.ts";
import type { NvaDigests } from "./digest.ts";
import { kindsTo, Locations } from "./locations.ts";
import type { Parcel } from "./outbox.ts";
import type { ToldDelta, ToldMapping } from "./watch-wire.ts";

export type {
  AdmitRequest,
  AdmitResponse,
  Disconnect,
  NvaMessage,
  NveClient,
  NveMessage,
  ReportAck,
  Verdicts,
  WatchRequest,
  Welcome,
} from "@nve/protocol-spec/proto/nve";
export type { Cursor } from "@nve/protocol-spec/proto/types";

/** Of nve.proto: what we speak. */
export const PROTOCOL_VERSION = 1;

/** Who we are in the underlay. */
export type Self = {
  nve: NveId;
  vtep: IpAddress;
  /** What we send and take, best first; absent: VXLAN. */
  encapsulations?: Via;
};

const locationOf = ({ nve, vtep, encapsulations = viaVxlan }: Self): Location => ({
  nveId: nve,
  vteps: [Buffer.from(ipOctets(vtep))],
  encapsulations: kindsTo(encapsulations),
});

/** Single addresses and prefixes are two fields. */
const ipsTo = (all: readonly IpPrefix[]): { ips: Buffer[]; prefixes: Prefix[] } => ({
  ips: all.filter(isSingle).map((ip) => Buffer.from(ipOctets(ip))),
  prefixes: all
    .filter((prefix) => !isSingle(prefix))
    .map(prefixParts)
    .map(({ ip, length }) => ({ ip: Buffer.from(ipOctets(ip)), length })),
});

function ipsFrom({ ips, prefixes }: ToldMapping): IpPrefix[] {
  const all: IpPrefix[] = ips.map(ipFrom);
  for (const { ip, length } of prefixes) all.push(prefixFromOctets(ip, length));
  return all;
}

const claimOf = (claim: LocalClaim): Claim => ({
  vnId: claim.vn,
  mac: Buffer.from(macOctets(claim.mac)),
  ...ipsTo(claim.ips),
  vnic: Buffer.from(uuidOctets(claim.vnic)),
  hypervisor: claim.hypervisor,
  port: claim.port,
  sequence: 0n,
  sticky: false,
  anycast: false,
  suspended: claim.suspended,
  gleaned: claim.gleaned ?? false,
  station: claim.station && Buffer.from(macOctets(claim.station)),
  authenticated: claim.authenticated,
});

/** @param incarnation 16 octets, new at each start */
export const helloOf = (self: Self, incarnation: Uint8Array): NveMessage => ({
  message: {
    $case: "hello",
    value: {
      versionMin: PROTOCOL_VERSION,
      versionMax: PROTOCOL_VERSION,
      location: locationOf(self),
      incarnation: Buffer.from(incarnation),
    },
  },
});

export const alive: NveMessage = { message: { $case: "alive", value: {} } };

export const reportOf = (serial: bigint, parcel: Parcel): NveMessage => ({
  message: {
    $case: "report",
    value: {
      serial,
      claims: parcel.claims.map(claimOf),
      withdrawn: parcel.withdrawn.map(({ vn, mac }) => ({
        vnId: vn,
        mac: Buffer.from(macOctets(mac)),
      })),
      prepared: (parcel.prepared ?? []).map(preparedOf),
      unprepared: (parcel.unprepared ?? []).map((vnic) => Buffer.from(uuidOctets(vnic))),
      joinedVns: [...parcel.joined],
      leftVns: [...parcel.left],
      complete: parcel.complete,
    },
  },
});

/** @param serial of the session's questions */
export const admissionsOf = (serial: bigint, requests: AdmitRequest[]): NveMessage => ({
  message: { $case: "admissions", value: { serial, requests } },
});

const macsTo = (macs: Iterable<Mac>): Buffer[] =>
  [...macs].map((mac) => Buffer.from(macOctets(mac)));

/**
 * What the NVE wants to be told of, or no more (A17): a VN with all its mappings, or in pull (A18) with those of some
 * MACs only. Without a cursor a VN begins with a snapshot.
 */
export const watchOf = (
  self: Self,
  change: {
    add?: readonly (readonly [VnId, Cursor | undefined, ReadonlySet<Mac> | undefined])[];
    remove?: readonly VnId[];
    applied?: bigint;
    /** In pull: MACs of a VN. */
    select?: { vn: VnId; add: readonly Mac[]; remove: readonly Mac[] };
  },
): WatchRequest => ({
  add: (change.add ?? []).map(([vnId, cursor, only]) => ({
    vnId,
    cursor,
    ...(only && { only: { macs: macsTo(only) } }),
  })),
  ...(change.select && {
    select: {
      vnId: change.select.vn,
      add: macsTo(change.select.add),
      remove: macsTo(change.select.remove),
    },
  }),
  remove: [...(change.remove ?? [])],
  applied: change.applied ?? 0n,
  nveId: self.nve,
});

/** Whom the NVA wants to go. What cannot be read is left out and handed to `odd`. */
export function disconnectOf(
  { vnId, vnics, reason }: Disconnect,
  odd: (reason: string) => void,
): NveEvent | undefined {
  const vn = attempt(VnId, vnId, odd);
  if (vn === undefined) return undefined;
  const known = vnics.flatMap((octets) => attempt(uuidFrom, octets, odd) ?? []);
  return { on: "disconnect", vn, vnics: known, reason: printable(reason).slice(0, REASON_LENGTH) };
}

/** Characters of a reason: it goes to the station and into logs. */
const REASON_LENGTH = 255;

/** What is asked of the NVA before a VNIC joins a VN. */
export type Admission = {
  /** By VN ID; or by VN Name, to be told its VN ID (H4). */
  vn: VnId | Uuid;
  vnic: Uuid;
  hypervisor: string;
  port: string;
  /** Source address of its VDP, where a station asked. */
  station?: Mac;
  /** The station has proven that it has a key of the port's. */
  authenticated?: boolean;
  content: VnicContent;
};

export const admitRequest = (self: Self, ask: Admission): AdmitRequest => ({
  nveId: self.nve,
  vn:
    typeof ask.vn === "number"
      ? { $case: "vnId", value: ask.vn }
      : { $case: "vnName", value: Buffer.from(uuidOctets(ask.vn)) },
  vnic: Buffer.from(uuidOctets(ask.vnic)),
  hypervisor: ask.hypervisor,
  port: ask.port,
  addresses: addressesIn(ask),
  station: Buffer.from(ask.station === undefined ? [] : macOctets(ask.station)),
  authenticated: ask.authenticated ?? false,
});

const addressesIn = ({ vn, content }: Admission): VnicAddress[] =>
  [...(typeof vn === "number" ? (content.get(vn) ?? []) : [])].map(([mac, ips]) => ({
    mac: Buffer.from(macOctets(mac)),
    ...ipsTo([...ips]),
  }));

/** @throws OutOfRange when the NVA says what cannot be */
export function verdictOf({ verdict }: AdmitResponse): Verdict {
  switch (verdict?.$case) {
    case "granted":
      return { is: "granted", info: infoOf(verdict.value) };
    case "denied":
      return denied(verdict.value);
    case "unusable":
      throw new OutOfRange(verdict.value);
    case undefined:
      throw new OutOfRange("neither granted nor denied");
  }
}

const CODES: Partial<Record<DenialCode, number>> = {
  [DenialCode.DENIAL_CODE_NO_SUCH_VN]: VdpError.invalidVidGroupOrMac,
  [DenialCode.DENIAL_CODE_LIMIT]: VdpError.insufficientResources,
  [DenialCode.DENIAL_CODE_ADDRESS]: VdpError.invalidVidGroupOrMac,
};

/** Asking again helps when a VN may be made or an address set free, not against a policy. */
const denied = ({ code, reason }: Denial): Verdict => ({
  is: "denied",
  code: CODES[code] ?? VdpError.other,
  hard: code === DenialCode.DENIAL_CODE_NOT_ALLOWED,
  reason: `the NVA says no: ${reason}`,
  ...(code === DenialCode.DENIAL_CODE_NO_SUCH_VN && { unknownVn: true }),
});

export function infoOf(vn: Vn): VnInfo {
  const { vnId, vni, name, alias, mtu } = vn;
  const profile = profileOf(vn);
  const known = name.length === 16 ? { name: uuidFrom(name) } : {};
  const isMtu = mtu >= 68 && mtu <= 65_535; // 0: not set
  return {
    vn: VnId(vnId),
    vni: Vni(vni),
    alias,
    ...known,
    ...(isMtu && { mtu }),
    ...(profile && { profile }),
    ...floodingOf(vn),
    ...suspendedOf(vn),
  };
}

/** What an older NVA does not say is empty. */
function floodingOf({ groups, flood, unknown }: Vn): Pick<VnInfo, "flooding"> {
  const known = groups.map(ipFrom).filter(isMulticast);
  const mode = unknown === undefined ? undefined : UNKNOWN[unknown];
  if (known.length === 0 && mode === undefined) return {};
  const byGroup = flood === FloodMode.FLOOD_MODE_MULTICAST;
  return { flooding: { groups: known, byGroup, ...(mode && { unknown: mode }) } };
}

const UNKNOWN: Partial<Record<UnknownMode, Unknown>> = {
  [UnknownMode.UNKNOWN_MODE_FLOOD]: "flood",
  [UnknownMode.UNKNOWN_MODE_DROP]: "drop",
};

/**
 * What one delta tells the core. What cannot be read is left out and handed to `odd`: one bad entry does not
 * cost the others.
 */
export function eventsOf(
  delta: ToldDelta,
  locations: Locations,
  odd: (reason: string) => void,
): readonly NveEvent[] {
  const each = <In, Out>(values: readonly In[], make: (value: In) => Out | undefined): Out[] =>
    values.flatMap((value) => attempt(make, value, odd) ?? []);
  const vn = attempt(VnId, delta.vnId, odd);
  if (vn === undefined) return [];
  if (delta.vnGone) return [{ on: "vn-gone", vn }];
  const { remotes, ours, digests } = mappingsIn(delta, locations, odd);
  const change = {
    vn,
    digests: { mappings: digests, members: membersIn(delta) },
    mappings: remotes,
    withdrawn: [...each(delta.withdrawn, macFrom), ...ours],
    members: each(delta.members, (location) => locations.memberAt(location)),
    membersLeft: each(delta.membersLeft, NveId),
  };
  const info = delta.vn === undefined ? [] : each([delta.vn], infoOf);
  return [...info.map((info): NveEvent => ({ on: "vn", info })), { on: "remote", change }];
}

/** In one go: a VN may have a hundred thousand of them. */
function mappingsIn(
  { vnId, mappings }: ToldDelta,
  places: Locations,
  odd: (reason: string) => void,
): { remotes: Remote[]; ours: Mac[]; digests: [Mac, Uint8Array][] } {
  const remotes: Remote[] = [];
  const ours: Mac[] = [];
  const digests: [Mac, Uint8Array][] = [];
  const octetsOf = (location: DigestLocation): Uint8Array => places.octetsOf(location);
  const read = (mapping: ToldMapping): void => {
    const mac = macFrom(mapping.mac);
    // As it was told, also where it cannot be read.
    const { ips, prefixes, locations } = mapping;
    const told = { vnId, mac: mapping.mac, ips, prefixes, locations };
    digests.push([mac, mappingOctets(told, octetsOf)]);
    const remote = remoteOf(mac, mapping, places);
    if (remote === undefined) ours.push(mac);
    else remotes.push(remote);
  };
  for (const mapping of mappings) attempt(read, mapping, odd);
  return { remotes, ours, digests };
}

const membersIn = ({ vnId, members }: ToldDelta): [NveId, Uint8Array][] =>
  members.map((one) => [one.nveId as NveId, memberOctets(vnId, one)]);

/** What the NVA says that VNs come to. */
export const nvaDigestsOf = ({ digests, revision }: DigestsResponse): NvaDigests => ({
  revision,
  vns: new Map(
    digests.map(({ vnId, mappings, members, digest, membersDigest = 0n }) => [
      vnId as VnId, // only asked for what there is
      { mappings, members, digest, membersDigest },
    ]),
  ),
});

/** One mapping as a change. @throws OutOfRange when the NVA says what cannot be */
export function changeOf(
  vn: VnId,
  mapping: Mapping,
  self: Self,
): { mac: Mac; change: RemoteChange } {
  const mac = macFrom(mapping.mac);
  const remote = remoteOf(mac, mapping, new Locations(self));
  const known =
    remote === undefined
      ? { mappings: [], withdrawn: [mac] }
      : { mappings: [remote], withdrawn: [] };
  return { mac, change: { vn, ...known, members: [], membersLeft: [] } };
}

/** Undefined: the address is nowhere else, the NVA has it here, or where we cannot send to. */
function remoteOf(mac: Mac, mapping: ToldMapping, locations: Locations): Remote | undefined {
  let member: Member | undefined;
  for (const location of mapping.locations) {
    const found = locations.memberAt(location); // of each, so that each is looked at
    member ??= found;
  }
  return member && { mac, ips: ipsFrom(mapping), ...member };
}
