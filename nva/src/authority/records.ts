import type {
  HypervisorId,
  IpAddress,
  IpPrefix,
  Mac,
  NveId,
  Uuid,
  VnId,
  Vni,
} from "@nve/protocol-spec";

/** A virtual network (H4). The VNI is for NVEs only. */
export type Vn = {
  vnId: VnId;
  name: Uuid;
  /** For people: 1 … 64 characters, unique in its tenant. */
  alias: string;
  vni: Vni;
  tenant: string;
  service: "l2" | "l3";
  /** Octets of a tenant's frame without its Ethernet header; 0: not set. */
  mtu: number;
  flood: "head-end" | "multicast";
};

export type Encapsulation = "vxlan" | "nvgre" | "mpls-over-gre";

/** Where an NVE is in the underlay and what it understands (A24). */
export type Location = {
  nveId: NveId;
  vteps: readonly IpAddress[];
  encapsulations: readonly Encapsulation[];
};

/** An NVE as it was last heard of. `connected` tells a restarted NVA whose claims have yet to turn stale. */
export type NveRow = { location: Location; incarnation: Uuid; connected: boolean };

/** Who makes a claim: an administrator or an NVE. */
export type Source = "static" | `nve:${string}`;
export const nveSource = (nveId: NveId): Source => `nve:${nveId}`;

/** What an NVE says that it serves (H18). Sequence 0: the authority chooses. */
export type Reported = {
  vnId: VnId;
  mac: Mac;
  ips: readonly IpPrefix[];
  vnic?: Uuid;
  hypervisor?: HypervisorId;
  port?: string;
  sequence: number;
  sticky: boolean;
  anycast: boolean;
  suspended: boolean;
  /** Seen in frames, nobody said it: what somebody said comes first (H17). */
  gleaned?: true;
};

/** A stored claim: {VN, MAC, source} is its key, `nveId` where the address is. */
export type Claim = Reported & { source: Source; nveId: NveId };

/** What the claims of one {VN, MAC} come to. Computed, never stored. */
export type Mapping = {
  vnId: VnId;
  mac: Mac;
  ips: readonly IpPrefix[];
  /** One, or several of an anycast address. */
  locations: readonly Location[];
  sequence: number;
  vnic?: Uuid;
  sticky: boolean;
  anycast: boolean;
  suspended: boolean;
  /** Its NVE is lost and the hold time runs. */
  stale: boolean;
};

type MemberRow = { vnId: VnId; nveId: NveId };
/** The highest sequence that a {VN, MAC} ever had: outlives its claims, so that it never goes down. */
type HistoryRow = { vnId: VnId; mac: Mac; sequence: number };

/** One row put (`row` there) or deleted. */
export type Change =
  | { table: "vn"; key: string; row?: Vn }
  | { table: "nve"; key: string; row?: NveRow }
  | { table: "member"; key: string; row?: MemberRow }
  | { table: "claim"; key: string; row?: Claim }
  | { table: "history"; key: string; row?: HistoryRow };

/** All rows, as a store holds them. `revision` is that of the row. */
export type Tables = {
  vn: readonly { row: Vn; revision: number }[];
  nve: readonly NveRow[];
  member: readonly MemberRow[];
  claim: readonly Claim[];
  history: readonly HistoryRow[];
};

const hex = (vnId: VnId): string => vnId.toString(16).padStart(6, "0");
export const vnKey = (vnId: VnId): string => hex(vnId);
export const memberKey = (vnId: VnId, nveId: NveId): string => `${hex(vnId)}/${nveId}`;
export const historyKey = (vnId: VnId, mac: Mac): string => `${hex(vnId)}/${mac}`;
export const claimKey = (vnId: VnId, mac: Mac, source: Source): string =>
  `${hex(vnId)}/${mac}/${source}`;

/** What changed of one VN, for those who watch it. */
export type Touch = { vn: boolean; macs: Set<Mac>; members: Set<NveId> };
export type Touched = Map<VnId, Touch>;

export function touchOf(touched: Touched, vnId: VnId): Touch {
  let touch = touched.get(vnId);
  if (touch === undefined) {
    touch = { vn: false, macs: new Set(), members: new Set() };
    touched.set(vnId, touch);
  }
  return touch;
}

/** What one event came to: rows to store, keys to tell the watchers of, and the answer. */
export type Step<T> = { changes: readonly Change[]; touched: Touched; result: T };

/** Collects what one event changes. */
export class Effects {
  readonly changes: Change[] = [];
  readonly touched: Touched = new Map();

  touch(vnId: VnId): Touch {
    return touchOf(this.touched, vnId);
  }

  step<T>(result: T): Step<T> {
    return { changes: this.changes, touched: this.touched, result };
  }
}
