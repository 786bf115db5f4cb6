import {
  type BpfMap,
  type BpfObject,
  mac,
  type PerCpuMap,
  struct,
  u16,
  u32,
  u64,
} from "@nve/linux/bpf";
import type { Mac } from "@nve/protocol-spec";

/** The maps of programs/vm-port.bpf.c: same names, same layouts, same order. */
export type SwitchMaps = {
  bindings: BpfMap<{ ifindex: number; mac: Mac; zero: number }, SegmentKey>;
  stations: BpfMap<{ uplink: number; vid: number; mac: Mac }, number>;
  segments: BpfMap<SegmentKey, { n: number; generation: number }>;
  flood: BpfMap<{ uplink: number; vid: number; generation: number; at: number }, number>;
  portCounts: PerCpuMap<number, PortCounts>;
  drops: PerCpuMap<number, number>;
};

/** A lent tag on an uplink, by the uplink's interface number. */
export type SegmentKey = { uplink: number; vid: number };

/** Frames from the VM, and to it. */
export type PortCounts = { in: number; out: number };

/** Why a frame was dropped, in the order of `enum reason`: `tagged` and `not-bound` by a VM, the rest by either. */
export const dropReasons = [
  "tagged",
  "not-bound",
  "link-local",
  "malformed",
  "hairpin",
  "double-tagged",
] as const;

export function switchMaps(object: BpfObject): SwitchMaps {
  const segment = struct({ uplink: u32, vid: u32 });
  return {
    bindings: object.map("bindings", struct({ ifindex: u32, mac, zero: u16 }), segment),
    stations: object.map("stations", struct({ uplink: u32, vid: u16, mac }), u32),
    segments: object.map("segments", segment, struct({ n: u32, generation: u32 })),
    flood: object.map("flood", struct({ uplink: u32, vid: u32, generation: u32, at: u32 }), u32),
    portCounts: object.perCpuMap("port_counts", u32, struct({ in: u64, out: u64 })),
    drops: object.perCpuMap("drops", u32, u64),
  };
}
