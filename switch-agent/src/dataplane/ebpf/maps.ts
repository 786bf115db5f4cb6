import {
  type BpfMap,
  type BpfObject,
  type BpfQueue,
  ip,
  mac,
  octets,
  type PerCpuMap,
  struct,
  u8,
  u16,
  u32,
  u64,
} from "@nve/linux/bpf";
import { IpAddress, isIpv6, Mac } from "@nve/protocol-spec";
import type { RemotePlace } from "../../nve/intents.ts";
import { type AddressMaps, addressMaps } from "./addresses.ts";
import { type LimitMaps, limitMaps } from "./limits.ts";
import { type MeterMaps, meterMaps } from "./meters.ts";
import { type RuleMaps, ruleMaps } from "./rules.ts";

/** The maps of programs/tor.h: same names, same layouts, same order; and those of the other headers. */
export type TorMaps = AddressMaps &
  LimitMaps &
  MeterMaps &
  RuleMaps & {
    access: BpfMap<AccessKey, KernelAccess>;
    fdb: BpfMap<FdbKey, KernelPlace>;
    vns: BpfMap<number, KernelVn>;
    flood: BpfMap<FloodKey, KernelPlace>;
    peers: BpfMap<PeerKey, { places: number; meter: number }>;
    vnCounts: PerCpuMap<number, VnCounts>;
    drops: PerCpuMap<number, number>;
    config: BpfMap<number, KernelConfig>;
    nextHops: BpfMap<number, KernelNextHop>;
    samples: BpfQueue<KernelSample>;
    sights: BpfMap<SightKey, KernelSight>;
  };

/** `port`: of UDP, in network order. */
export type KernelConfig = { tunnel: number; vtep: IpAddress; port: number; flags: number };
/** How packets get to a VTEP; `ifindex` 0: not by hand. `mtu`: of IP packets on the way, octets. */
export type KernelNextHop = {
  vtep: IpAddress;
  ifindex: number;
  mtu: number;
  destination: Mac;
  source: Mac;
};
type AccessKey = { ifindex: number; vid: number; zero: number };
type KernelAccess = { vni: number; flags: number };
type FdbKey = { vni: number; mac: Mac; zero: number };
export type KernelPlace = {
  type: number;
  encapsulation: number;
  vid: number;
  ifindex: number;
  vtep: IpAddress;
  owner: number;
  flags: number;
};
export type KernelVn = {
  n: number;
  generation: number;
  flags: number;
  rules: number;
  ruleCount: number;
  mtu: number;
  /** As in `polices` (rules.ts); 0: to be looked up there. */
  policeCost: number;
  policeBurst: number;
};
type FloodKey = { vni: number; generation: number; at: number };
export type KernelSample = {
  vni: number;
  ifindex: number;
  vid: number;
  length: number;
  wanted: number;
  zero: number;
  octets: Uint8Array;
};
export type SightKey = {
  vni: number;
  ifindex: number;
  address: number;
  vid: number;
  mac: Mac;
  what: number;
  zero: number;
};
/** Nanoseconds of the monotonic clock. */
type KernelSight = { shown: number; seen: number };
type PeerKey = { vni: number; vtep: IpAddress };
export type VnCounts = {
  accessIn: number;
  accessOut: number;
  overlayIn: number;
  overlayOut: number;
  flooded: number;
};

export const placeType = { local: 1, remoteV4: 2, remoteV6: 3, nowhere: 4 } as const;
export const vnFlag = {
  floodUnknown: 1,
  gleanLeases: 2,
  askUnknown: 4,
  answer: 8,
  floodLimit: 16,
  police: 32,
  mark: 64,
  floodGre: 128,
  dropSuspended: 256,
  tellSuspended: 512,
} as const;
export const configFlag = {
  fastPath: 1,
  nvgre: 2,
  "mpls-over-gre": 4,
  metered: 8,
  captured: 16,
} as const;
/** Of a MAC here; `inFlight`: of one that was; `suspended`: of one that is or was. */
export const placeFlag = { hasIps: 1, inFlight: 2, hasNets: 4, suspended: 8 } as const;
export const encapsulationNumber = { vxlan: 0, nvgre: 1, "mpls-over-gre": 2 } as const;
/** By `encapsulationNumber`; of VXLAN nothing is said. */
export const encapsulationOf = [undefined, "nvgre", "mpls-over-gre"] as const;
/** `what` of a sight: `enum sight_of`. */
export const sightOf = { mac: 0, used: 5 } as const;
export const accessFlag = { checkSource: 1, glean: 2, checkIps: 4, floodLimit: 8 } as const;

/**
 * Why a frame was dropped, in the order of `enum reason`:
 * `unknown-source`: from a MAC that is not known to be at that place, which checks it;
 * `glean-overrun`: forwarded, but not shown to the agent, as too much was; `pull-overrun`: the same of those for whom
 * the NVA is to be asked;
 * `port-absent`: known to be at a port that is not there; `no-vn`: the tag is lent, its VN not set up (yet);
 * `spoofed-ip`: from an IP that its MAC does not have; `flood-limit`, `policed`: more than it may; `acl`: denied by the VN's
 * profile; `no-next-hop`: no neighbour of the underlay is known; `too-big-told`: too long, and its sender was told so;
 * `congested`: marked by the underlay, of a tenant's packet that may not be (RFC 6040 §4.2);
 * `split-horizon`: from the overlay to a MAC behind the overlay, unless that was here; or back to where it came from;
 * `hop-limit`: on to where a MAC has moved, too often; `inner-tag`: tagged inside the tunnel;
 * `suspended`: for a MAC whose user is suspended, or that has left and arrived nowhere yet (M8); `suspended-told`: so, too,
 * and its sender was told.
 */
export const dropReasons = [
  "untagged",
  "priority-tagged",
  "no-such-tag",
  "double-tagged",
  "link-local",
  "bad-source",
  "malformed",
  "hairpin",
  "port-absent",
  "unknown-vni",
  "unknown-mac",
  "stranger-vtep",
  "split-horizon",
  "inner-tag",
  "oversize",
  "tunnel-error",
  "no-vn",
  "unknown-source",
  "glean-overrun",
  "pull-overrun",
  "spoofed-ip",
  "flood-limit",
  "acl",
  "policed",
  "no-next-hop",
  "too-big-told",
  "congested",
  "hop-limit",
  "suspended",
  "suspended-told",
] as const;

const accessKey = struct({ ifindex: u32, vid: u16, zero: u16 });
const access = struct({ vni: u32, flags: u32 });
const fdbKey = struct({ vni: u32, mac, zero: u16 });
/** `struct place`. */
export const placeLayout = struct({
  type: u8,
  encapsulation: u8,
  vid: u16,
  ifindex: u32,
  vtep: ip,
  owner: u32,
  flags: u32,
});
const vn = struct({
  n: u32,
  generation: u32,
  flags: u32,
  rules: u32,
  ruleCount: u16,
  mtu: u16,
  policeCost: u64,
  policeBurst: u64,
});
const floodKey = struct({ vni: u32, generation: u32, at: u32 });
const peerKey = struct({ vni: u32, vtep: ip });
const vnCounts = struct({
  accessIn: u64,
  accessOut: u64,
  overlayIn: u64,
  overlayOut: u64,
  flooded: u64,
});

const nextHop = struct({ vtep: ip, ifindex: u32, mtu: u32, destination: mac, source: mac });

const sample = struct({
  vni: u32,
  ifindex: u32,
  vid: u16,
  length: u16,
  wanted: u16,
  zero: u16,
  octets: octets(384),
});
const sightKey = struct({
  vni: u32,
  ifindex: u32,
  address: u32,
  vid: u16,
  mac,
  what: u16,
  zero: u16,
});

export function torMaps(object: BpfObject): TorMaps {
  return {
    access: object.map("access_map", accessKey, access),
    fdb: object.map("fdb", fdbKey, placeLayout),
    vns: object.map("vns", u32, vn),
    flood: object.map("flood", floodKey, placeLayout),
    peers: object.map("peers", peerKey, struct({ places: u32, meter: u32 })),
    vnCounts: object.perCpuMap("vn_counts", u32, vnCounts),
    drops: object.perCpuMap("drops", u32, u64),
    config: object.map("config", u32, struct({ tunnel: u32, vtep: ip, port: u16, flags: u16 })),
    nextHops: object.map("next_hops", u32, nextHop),
    samples: object.queue("samples", sample),
    sights: object.map("sights", sightKey, struct({ shown: u64, seen: u64 })),
    ...addressMaps(object),
    ...limitMaps(object),
    ...meterMaps(object),
    ...ruleMaps(object),
  };
}

const noVtep = IpAddress("::");

const noMac = Mac("00:00:00:00:00:00");

export const noNextHop: KernelNextHop = {
  vtep: noVtep,
  ifindex: 0,
  mtu: 0,
  destination: noMac,
  source: noMac,
};

const somewhere = { encapsulation: 0, vid: 0, ifindex: 0, vtep: noVtep, owner: 0, flags: 0 };

export const nowhere: KernelPlace = { ...somewhere, type: placeType.nowhere };

export const localPlace = (ifindex: number, vid: number): KernelPlace => ({
  ...somewhere,
  type: placeType.local,
  vid,
  ifindex,
});

/** @param hop its number in `nextHops`; 0: none */
export const remotePlace = ({ vtep, encapsulation }: Remote, hop: number): KernelPlace => ({
  ...somewhere,
  ifindex: hop,
  type: isIpv6(vtep) ? placeType.remoteV6 : placeType.remoteV4,
  encapsulation: encapsulationNumber[encapsulation ?? "vxlan"],
  vtep,
});

type Remote = Pick<RemotePlace, "vtep" | "encapsulation">;

/** A UDP port, as the kernel's maps have it. */
export const networkOrder = (port: number): number =>
  new DataView(new Uint16Array([port]).buffer).getUint16(0);

export const zeroCounts: VnCounts = {
  accessIn: 0,
  accessOut: 0,
  overlayIn: 0,
  overlayOut: 0,
  flooded: 0,
};

/** Local copies go out before the frame carries a tunnel's metadata; those in GRE last, whose headers stay on it. */
export const localFirst = (a: KernelPlace, b: KernelPlace): number =>
  a.type - b.type || a.encapsulation - b.encapsulation;
