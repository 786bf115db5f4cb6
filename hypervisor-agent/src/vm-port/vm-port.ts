import type { Mac, Vid } from "@nve/protocol-spec";

/**
 * The virtual switch between VM interfaces and the uplink: pushes and pops the lent tag. A frame from
 * `interface` with source `mac` belongs to the VN of `vid`; anything else from it is dropped.
 */
export interface VirtualSwitch {
  /** All bindings wanted, the whole list each time: what is new is added, what is missing is taken away. */
  bind(bindings: readonly Binding[]): Promise<void>;
  counters(): Promise<VirtualSwitchCounters>;
  /** Takes everything of ours away. */
  close(): Promise<void>;
}

export type Binding = { interface: string; mac: Mac; uplink: string; vid: Vid };

export type VirtualSwitchCounters = {
  interfaces: readonly { interface: string; in: number; out: number }[];
  drops: Readonly<Record<string, number>>;
};
