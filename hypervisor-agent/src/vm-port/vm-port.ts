import type { Mac, Vid } from "@nve/protocol-spec";

/**
 * The virtual switch between VM interfaces and the uplink: takes the guest's own tag off and puts the lent one on,
 * and the other way round (H10). A frame from `interface` with `guestTag` and source `mac` belongs to the VN of
 * `vid`; anything else from it is dropped.
 */
export interface VirtualSwitch {
  /** All bindings wanted, the whole list each time: what is new is added, what is missing is taken away. */
  bind(bindings: readonly Binding[]): Promise<void>;
  counters(): Promise<VirtualSwitchCounters>;
  /** Takes everything of ours away. */
  close(): Promise<void>;
}

/** `guestTag` is the guest's own 802.1Q tag, of no meaning beyond `interface`; 0: untagged and priority-tagged frames. */
export type Binding = {
  interface: string;
  guestTag: Vid | 0;
  mac: Mac;
  uplink: string;
  vid: Vid;
};

export type VirtualSwitchCounters = {
  interfaces: readonly { interface: string; in: number; out: number }[];
  drops: Readonly<Record<string, number>>;
};
