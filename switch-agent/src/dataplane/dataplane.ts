import type { IpAddress, Mac, Uuid, Vni } from "@nve/protocol-spec";
import type { Sample } from "../nve/glean.ts";
import type { Intent, LocalPlace } from "../nve/intents.ts";
import type { Capture, CaptureFilter, HearCaptured } from "./capture.ts";
import type { Trace, TraceNames, TraceQuestion } from "./trace.ts";

/** A forwarding plane. Every driver passes the same suite, test/contracts/dataplane.ts. */
export interface Dataplane {
  /** Makes them so, all or a thrown DataplaneError that says which not. What is already so is left alone. */
  ensure(intents: readonly Intent[]): Promise<void>;
  /** Makes them gone. What was never there is gone. */
  remove(intents: readonly Intent[]): Promise<void>;
  /** Removes all of ours that is not wanted: after a restart nobody knows what was left behind. */
  prune(wanted: readonly Intent[]): Promise<void>;
  /** Access ports come and go; intents for a port that is absent are kept and take effect when it comes. */
  portUp(port: string): Promise<void>;
  portDown(port: string): Promise<void>;
  /**
   * What is seen at accesses with `glean`, a batch at a time and within 200 ms: a source MAC that the VN does not
   * have there, and ARP and neighbour discovery, each once a second at the most; and what DHCP servers say anywhere
   * in their VNs. What is too much is counted as `glean-overrun` (H16).
   */
  onSamples(hear: (samples: readonly Sample[]) => void): void;
  /**
   * Frames of members here for whom the dataplane does not know, in VNs with `askUnknown`, and ARP and neighbour
   * discovery that ask for an IP: each address once a second at the most, within 30 ms. What is too much is counted
   * as `pull-overrun` (A18).
   */
  onWanted(hear: (samples: readonly Sample[]) => void): void;
  /** How long ago a member here spoke to this MAC behind the overlay, in a VN with `askUnknown`; undefined: not known. */
  unusedMs(vni: Vni, mac: Mac): number | undefined;
  /** How long ago a frame of this MAC came in at this place, which gleans; undefined: not that we know. A second off. */
  silentMs(vni: Vni, mac: Mac, at: LocalPlace): number | undefined;
  counters(): Promise<DataplaneCounters>;
  /** What the kernel holds now, read back: for `show` and for tests. */
  applied(): Promise<readonly Intent[]>;
  /** The longest packet of a tenant that the underlay leaves room for, octets; absent: not known. */
  readonly mtu?: number | undefined;
  /**
   * What an earlier run left and is forwarded all the time; absent: nothing. It stays until it is replaced, removed,
   * or pruned.
   */
  readonly inherited?: readonly Intent[] | undefined;
  /** What has to be seen to in the underlay, in words. */
  readonly warnings?: readonly string[] | undefined;
  /** How full each table is; absent: it has no bounds of its own. */
  tables?(): readonly DataplaneTable[];
  /**
   * What would become of a frame, as the tables say now: nothing is sent, counted or learnt. Absent: the driver cannot tell.
   * @throws NotFound of a port that is not there
   */
  trace?(question: TraceQuestion, names: TraceNames): Trace;
  /**
   * Frames with what became of them, a batch at a time and within 100 ms. 5,000 a second at the most for all who capture.
   * Absent: the driver cannot. @throws NotFound of a port that is not there; Refused when too many capture
   */
  capture?(filter: CaptureFilter, hear: HearCaptured): Capture;
  /** With "keep" forwarding goes on without us, as far as the driver can; else nothing is left. */
  close(how?: "keep"): Promise<void>;
}

/** Since the start: frames by VN, and drops by reason (`no-such-tag`, `unknown-vni`, `oversize`, …). */
export type DataplaneCounters = {
  vns: readonly {
    vni: Vni;
    accessIn: number;
    accessOut: number;
    overlayIn: number;
    overlayOut: number;
    flooded: number;
  }[];
  drops: Readonly<Record<string, number>>;
  /** Of each VNIC in a VN, access port and other NVE; absent: they are not counted one by one. */
  meters?: readonly (Metered & MeterCounts)[];
};

/** Whom a meter is of. */
export type Metered =
  | { is: "vnic"; vni: Vni; vnic: Uuid }
  | { is: "port"; port: string }
  | { is: "peer"; vtep: IpAddress };

/**
 * Frames and octets (without tag and tunnel), in and out as the switch sees it, and what was dropped of what came in:
 * `acl`, `policed`, `spoofed` (of a MAC or IP that is another's), and for all other reasons that are told apart there.
 * A super-packet is one frame. What is flooded is counted for ports and peers that it goes to, not for their VNICs.
 */
export type MeterCounts = {
  in: number;
  inOctets: number;
  out: number;
  outOctets: number;
  acl: number;
  policed: number;
  spoofed: number;
  dropped: number;
};

/** Of one that was just seen. */
export const noCounts: MeterCounts = {
  in: 0,
  inOctets: 0,
  out: 0,
  outOctets: 0,
  acl: 0,
  policed: 0,
  spoofed: 0,
  dropped: 0,
};

/**
 * `entries` of `size` at the most; `octets`: of memory that one takes; `memory`: octets of all, where that is known;
 * `refused`: how many there was no room for.
 */
export type DataplaneTable = {
  name: string;
  entries: number;
  size: number;
  octets: number;
  memory?: number;
  refused: number;
};
