import type {
  HypervisorId,
  Instant,
  IpAddress,
  IpPrefix,
  Mac,
  NveId,
  Uuid,
  VnId,
  Vni,
} from "@nve/protocol-spec";
import type {
  Admission,
  DuplicateRule,
  ExpectedVnic,
  Policy,
  Profile,
  Tenant,
} from "./declared.ts";
import type { EventTail, Noted } from "./events.ts";
import type { Migration } from "./migration-row.ts";
import type { Standing } from "./standby.ts";

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
  /** Of the underlay, one of each address family at the most. */
  groups?: readonly IpAddress[];
  /** Frames to MACs that an NVE does not know; absent: as it needs to be. */
  unknown?: "flood" | "drop";
  /** Packets for suspended addresses (M8); absent: as this NVA does where nothing is said. */
  suspended?: SuspendedMode;
  /** Who may attach (H26). */
  admission?: Admission;
  /** Of a profile that there is. */
  profile?: string;
  duplicates?: DuplicateRule;
  description?: string;
};

/** Delivered, dropped, or dropped and their senders told. */
export type SuspendedMode = "deliver" | "drop" | "unreachable";

/** As people write it. */
export const called = ({ tenant, alias }: Vn): string => `${tenant}/${alias}`;

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
  /** Source of the VDP that asked for it, and whether it has proven a key: policies ask (H26). */
  station?: Mac;
  authenticated?: true;
  /** The authority's own: its VNIC is in hot standby. */
  standby?: Standing;
};

/** A stored claim: {VN, MAC, source} is its key, `nveId` where the address is. */
export type Claim = Reported & {
  source: Source;
  nveId: NveId;
  description?: string;
  /** The NVE has withdrawn it, and it is held for the arrival of its VNIC elsewhere (H21). */
  departed?: true;
};

/** What the claims of one {VN, MAC} come to. Computed, never stored. */
export type Mapping = {
  vnId: VnId;
  mac: Mac;
  ips: readonly IpPrefix[];
  /** One, or several of an anycast address; of a VNIC in hot standby the active one first. */
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
export type HistoryRow = { vnId: VnId; mac: Mac; sequence: number };

/** Something that somebody may be asked about later: never changed. */
export type EventRow = {
  /** Counts up, over restarts too. */
  id: number;
  atUnixMs: number;
  /** "unix:<uid>", "cert:<name>", "nve:<id>", "nva:<id>" */
  actor: string;
  /** "vn.create", "vnic.attach", "vnic.refuse", …: docs/events.md */
  action: string;
  /** The key of what it was done to. */
  object: string;
  /** Why it was refused, if it was. */
  refused?: string;
  detail?: Readonly<Record<string, unknown>>;
};

/** As they are stored, several in a row: the first, and of each that follows what is not as in the one before it. */
export type EventBlock = EventRow & { more?: readonly EventDifference[] };
export type EventDifference = {
  actor?: string;
  action?: string;
  object?: string;
  /** `false`: it was not refused. */
  refused?: string | false;
  /** Its keys that are new or different; `false`: there is none at all. */
  detail?: Readonly<Record<string, unknown>> | false;
  /** Keys of the detail that it does not have. */
  gone?: readonly string[];
};

/**
 * These may be attached no more: their NVE is to let go of them (H26). What it claims for them goes at once, and so do its
 * claims of `macs`, of VNICs that may stay.
 */
export type Disconnect = {
  nveId: NveId;
  vnId: VnId;
  vnics: readonly Uuid[];
  macs?: readonly Mac[];
  /** Of `vnics`, as far as they were seen: who lets go need not look for these. */
  seen?: readonly Mac[];
  reason: string;
};

/** An address that several stations have: a MAC, or `ip` that `mac` and others have (docs/admission.md). */
export type DuplicateRow = {
  vnId: VnId;
  mac: Mac;
  ip?: IpPrefix;
  moves: number;
  sinceUnixMs: number;
  /** When it is over by itself; 0: when somebody clears it. */
  untilUnixMs: number;
  frozen: boolean;
  /** Frozen: whose claim counts. */
  holder?: Source;
  sources: readonly string[];
};

/** One row put (`row` there) or deleted. */
export type Change =
  | { table: "tenant"; key: string; row?: Tenant }
  | { table: "profile"; key: string; row?: Profile }
  | { table: "policy"; key: string; row?: Policy }
  | { table: "vnic"; key: string; row?: ExpectedVnic }
  | { table: "event"; key: string; row?: EventBlock }
  | { table: "duplicate"; key: string; row?: DuplicateRow }
  | { table: "migration"; key: string; row?: Migration }
  | { table: "vn"; key: string; row?: Vn }
  | { table: "nve"; key: string; row?: NveRow }
  | { table: "member"; key: string; row?: MemberRow }
  | { table: "claim"; key: string; row?: Claim }
  | { table: "history"; key: string; row?: HistoryRow };

/** All rows, as a store holds them. `revision` is that of the row. */
export type Tables = {
  vn: readonly Revised<Vn>[];
  nve: readonly NveRow[];
  member: readonly MemberRow[];
  claim: readonly Claim[];
  history: readonly HistoryRow[];
  /** The static ones among the rows of "claim". */
  binding: readonly Revised<Claim>[];
  tenant: readonly Revised<Tenant>[];
  profile: readonly Revised<Profile>[];
  policy: readonly Revised<Policy>[];
  vnic: readonly Revised<ExpectedVnic>[];
  /** Of the store, when they were read. */
  revision?: number;
  duplicate?: readonly DuplicateRow[];
  migration?: readonly Revised<Migration>[];
  events?: EventTail;
};

export type Revised<T> = { row: T; revision: number };

const hex = (vnId: VnId): string => vnId.toString(16).padStart(6, "0");
export const vnKey = (vnId: VnId): string => hex(vnId);
export const memberKey = (vnId: VnId, nveId: NveId): string => `${hex(vnId)}/${nveId}`;
export const historyKey = (vnId: VnId, mac: Mac): string => `${hex(vnId)}/${mac}`;
export const bindingKey = (vnId: VnId, mac: Mac): string => `${hex(vnId)}/${mac}`;
export const claimKey = (vnId: VnId, mac: Mac, source: Source): string =>
  `${hex(vnId)}/${mac}/${source}`;

/** What changed of one VN, for those who watch it. `life`: it began or ended, so what was before is not its own. */
export type Touch = { vn: boolean; macs: Set<Mac>; members: Set<NveId>; life?: true };
export type Touched = Map<VnId, Touch>;

export function touchOf(touched: Touched, vnId: VnId): Touch {
  let touch = touched.get(vnId);
  if (touch === undefined) {
    touch = { vn: false, macs: new Set(), members: new Set() };
    touched.set(vnId, touch);
  }
  return touch;
}

/** Adds to a touch what another event changed of the same VN. */
export function mergeTouch(into: Touch, { vn, macs, members, life }: Touch): void {
  into.vn ||= vn;
  if (life) into.life = true;
  for (const mac of macs) into.macs.add(mac);
  for (const member of members) into.members.add(member);
}

/** What one event came to: rows to store, keys to tell the watchers of, whom to disconnect, and the answer. */
export type Step<T> = {
  changes: readonly Change[];
  touched: Touched;
  disconnect?: readonly Disconnect[];
  /** VNICs whose migrations are another now. */
  migrated?: readonly Uuid[];
  /** To be remembered, in the same commit. */
  events?: readonly Noted[];
  /** What is left to do, each in a commit of its own, one after another (slices.ts). */
  later?: readonly Later[];
  result: T;
};

export type Later = (now: Instant) => Step<void>;

/** Collects what one event changes. */
export class Effects {
  readonly changes: Change[] = [];
  readonly touched: Touched = new Map();
  readonly disconnect: Disconnect[] = [];
  readonly events: Noted[] = [];
  readonly later: Later[] = [];
  readonly migrated = new Set<Uuid>();

  touch(vnId: VnId): Touch {
    return touchOf(this.touched, vnId);
  }

  /** For the audit (docs/events.md). */
  note(event: Noted): void {
    this.events.push(event);
  }

  step<T>(result: T): Step<T> {
    const { changes, touched, disconnect, events, later, migrated } = this;
    return {
      changes,
      touched,
      result,
      ...(disconnect.length > 0 && { disconnect }),
      ...(events.length > 0 && { events }),
      ...(migrated.size > 0 && { migrated: [...migrated] }),
      ...(later.length > 0 && { later }),
    };
  }
}
