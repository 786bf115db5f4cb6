import type { Filters, Instant, Mac, Uuid, Vid, VnId, Vni, VsiAddress } from "@nve/protocol-spec";
import type { Announcement } from "./announce.ts";
import type { Departure } from "./departures.ts";
import type { RemoteChange } from "./fdb.ts";
import type { Sample } from "./glean.ts";
import type { AccessRules, IntentChange } from "./intents.ts";
import type { PreparedVnic } from "./prepared.ts";
import type { TagRange } from "./tag-pool.ts";
import type { SuspendedMode } from "./vn-infos.ts";
import type { Ask, Fixed, LocalClaim, PortTag, Refusal, Verdict, VnInfo } from "./vsi.ts";

export type NveEvent =
  /** A station wants something new of a VSI: answered with `admit`, then `grant` or `refuse`. */
  | { on: "ask"; ask: Ask }
  /** What the NVA says, for each VN of the `admit`. */
  | { on: "verdicts"; vsi: string; serial: number; verdicts: ReadonlyMap<VnId, Verdict> }
  /** The dataplane has (or has not) made the intents so that were given out for this VSI. `said`: to the station. */
  | { on: "applied"; vsi: string; serial: number }
  | { on: "unapplied"; vsi: string; serial: number; reason: string; said?: string }
  /** The station was answered without us (resource wait): what it asked is off, the older state stays. */
  | { on: "cancel"; vsi: string }
  | { on: "addresses"; vsi: string; addresses: readonly VsiAddress[] }
  /** The VSI is gone, whatever the reason. */
  | { on: "release"; vsi: string; why: string }
  /** A port more: of a VM beside us (A8), or of an administrator (A11). One that is there stays as it is. */
  | { on: "port"; port: PortOptions }
  /** The link of a port: what is behind one that is down may be reached elsewhere meanwhile. */
  | { on: "link"; port: string; up: boolean }
  /** It is gone with all that was on it; nobody is told. */
  | { on: "port-gone"; name: string }
  | { on: "nva"; connected: boolean }
  | { on: "vn"; info: VnInfo }
  | { on: "vn-gone"; vn: VnId }
  /** The NVA says that these may stay in the VN no more, and why (H26). */
  | { on: "disconnect"; vn: VnId; vnics: readonly Uuid[]; reason: string }
  /** The NVA says which VNICs have moved on from here. `all`: no others. */
  | { on: "departures"; all: boolean; departures: readonly Departure[] }
  /** What becomes of packets for suspended addresses, where a VN does not say it (M8). */
  | { on: "suspended"; mode: SuspendedMode }
  | { on: "snapshot-begin" | "snapshot-end"; vn: VnId }
  | { on: "remote"; change: RemoteChange }
  /** Something was seen at an access that gleans (H16). */
  | { on: "sample"; sample: Sample }
  /** What of an earlier run nobody has asked for again is nobody's any more. */
  | { on: "inheritance-over" }
  /** Time for what was gleaned to age: which MACs have been heard meanwhile, and when. */
  | { on: "tick"; heard: readonly { vn: VnId; mac: Mac; seen: Instant }[] };

/** Who waits for intents: say `applied` or `unapplied` when the dataplane is done. */
export type Waiting = { vsi: string; serial: number };

export type NveEffect =
  | { do: "admit"; ask: Ask; serial: number; vns: readonly VnId[] }
  | { do: "intents"; change: IntentChange; owners: readonly Waiting[] }
  | { do: "grant"; port: string; vsi: string; filters: Filters | Fixed }
  | { do: "refuse"; ask: Ask; refusal: Refusal }
  | { do: "order-de-associate"; port: string; vsi: string; why: string }
  | { do: "watch" | "unwatch"; vns: readonly VnId[] }
  /** Once the intents that come before it are so: then others send to us. */
  | ({ do: "report" } & Report)
  /** What comes for these goes on to where they are now: the NVA is told once the intents are so. */
  | { do: "departed"; vnics: readonly Uuid[] }
  /** Once the intents that come with it are so. */
  | { do: "announce"; all: readonly Announcement[] }
  | { do: "log"; level: "info" | "warn"; what: string; fields: Readonly<Record<string, unknown>> };

export type Report = {
  claims: readonly LocalClaim[];
  withdrawn: readonly { vn: VnId; mac: Mac }[];
  joined: readonly VnId[];
  left: readonly VnId[];
  /** VNICs that are to arrive here, and those that are no more (H23). */
  prepared?: readonly PreparedVnic[];
  unprepared?: readonly Uuid[];
};

export type PortOptions = {
  name: string;
  tags: TagRange;
  /** Where lending begins; default the first. */
  startTag?: Vid;
  /** Tags that an earlier run had lent, and to which VN: it gets the same again (`inheritance-over`). */
  keptTags?: readonly { vid: PortTag; vni: Vni }[];
  /** VSIs at most (V10). */
  maxVnics: number;
  rules?: AccessRules;
  /** MACs gleaned at most; default 1024. */
  maxGleaned?: number;
};
