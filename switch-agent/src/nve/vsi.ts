import type {
  Filters,
  Instant,
  IpAddress,
  IpPrefix,
  Mac,
  Uuid,
  Vid,
  VnId,
  Vni,
  VsiAddress,
  VsiRequest,
} from "@nve/protocol-spec";
import type { AccessRules } from "./intents.ts";
import type { VnProfile } from "./profile.ts";
import type { SuspendedMode } from "./vn-infos.ts";

/** How far a VSI is: checked, prepared (a tag is lent), or forwarding. */
export type VsiMode = VsiRequest["type"];

/** How frames of a VN are told on a port: by a VLAN tag, or as those that have none (0). */
export type PortTag = Vid | 0;

/**
 * What an administrator or a co-located hypervisor wants (A8, A11), and no station asked for in VDP: the tags are
 * given, not lent, and need not be in the port's range.
 */
export type Fixed = {
  by: "fixed";
  entries: readonly { vn: VnId; tag: PortTag; mac?: Mac }[];
};

/** What is asked for one VSI on one port: by a station in VDP, or for what has no protocol. */
export type Ask = {
  /** Unlike any other VSI's on any port (spec/vdp.md 3): also the VNIC's key in the tree. */
  vsi: string;
  port: string;
  /** VNIC Name (H5): the 16 octets of the VSI ID. */
  vnic: Uuid;
  /** Source address of its VDP. */
  station?: Mac;
  /** It has proven that it has a key of the port's (RFC 8394 Req-11). */
  authenticated?: boolean;
  hypervisor: string;
  /** Who asked when no station did: an administrator (A11), or the hypervisor on this machine (A8). */
  origin?: "static" | "local";
  /** In place of those of its port. */
  rules?: AccessRules;
  /** Name of its VM, for people. */
  vm?: string;
  mode: VsiMode;
  /** S-bit: its user is suspended, as at the source of a migration. */
  suspended: boolean;
  /** M-bit: it is about to arrive, as at the destination of a migration. */
  migrating?: boolean;
  filters: Filters | Fixed;
  /** All IP addresses of the VSI; absent: nothing was said. */
  addresses?: readonly VsiAddress[];
};

/** One that a station made, in VDP. */
export type StationAsk = Ask & { station: Mac; filters: Filters };

/** What the NVA tells of a VN (H25). The VNI stays on this side (H4). `mtu`: octets, where it is set. */
export type VnInfo = {
  vn: VnId;
  vni: Vni;
  name?: Uuid;
  alias: string;
  mtu?: number;
  profile?: VnProfile;
  flooding?: VnFlooding;
  /** Packets for its suspended addresses (M8). Absent: as the NVA says for all VNs. */
  suspended?: SuspendedMode;
};

/** What the NVA wants of frames to all, and to MACs that are not known (A10, A18). */
export type VnFlooding = {
  /** Of the underlay, of one address family or both. */
  groups: readonly IpAddress[];
  /** Frames to all go to a group, and not to each NVE. */
  byGroup: boolean;
  /** Absent: flooded where somebody may have the MAC that nobody was told. */
  unknown?: "flood" | "drop";
};

/** May this VNIC join this VN (A7, H26)? */
export type Verdict =
  | { is: "granted"; info: VnInfo }
  /** `unknownVn`: there is no such VN now. */
  | { is: "denied"; code: number; hard: boolean; reason: string; unknownVn?: true }
  | { is: "unreachable"; reason: string };

/**
 * A VDP error code (spec/vdp.md 1.3) with what happened in words. The station is told the reason, so it holds
 * nothing of the underlay, no VNI above all (H4); `detail` is for the switch's own operator.
 */
export type Refusal = { code: number; hard: boolean; reason: string; detail?: string };

/** An address that this NVE serves, as the NVA is told (H18). */
export type LocalClaim = {
  vn: VnId;
  mac: Mac;
  ips: readonly IpPrefix[];
  vnic: Uuid;
  hypervisor: string;
  port: string;
  suspended: boolean;
  /** Seen in frames, nobody said it (H16). */
  gleaned?: true;
  /** Source of the VDP that asked for the VNIC, and whether it has proven a key: the NVA's policies ask (H26). */
  station?: Mac;
  authenticated?: true;
};

/** One entry of the filter info, resolved: which VN, with which tag if one was named, which MAC if any. */
export type Entry = { vn: VnId; vid?: PortTag; mac?: Mac; fixed?: boolean };

/** A VSI in force. */
export type Granted = {
  ask: Ask;
  entries: readonly Entry[];
  filters: Filters | Fixed;
  order: number;
  since: Instant;
};

/**
 *   ask ─► admitting ─verdicts─► applying ─applied─► (granted)
 *              └─denied─► refused     └─unapplied─► refused, the older state back
 */
export type Pending =
  | { is: "admitting"; serial: number; ask: Ask }
  | { is: "applying"; serial: number; older: Granted | undefined };

/** One VSI of one port: what is in force, and what is under decision. */
export type Vsi = { ask: Ask; granted?: Granted; pending?: Pending };
