import type { Vni } from "@nve/protocol-spec";
import type { Intent } from "../nve/intents.ts";

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
  counters(): Promise<DataplaneCounters>;
  /** What the kernel holds now, read back: for `show` and for tests. */
  applied(): Promise<readonly Intent[]>;
  /** The longest packet of a tenant that the underlay leaves room for, octets; absent: not known. */
  readonly mtu?: number | undefined;
  close(): Promise<void>;
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
};
