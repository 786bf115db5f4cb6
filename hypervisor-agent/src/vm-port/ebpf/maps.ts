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
  bindings: BpfMap<{ ifindex: number; mac: Mac; guestTag: number }, SegmentKey>;
  /** The guest tags that an interface has a VN for, 0 for untagged frames; the value says nothing. */
  guestTags: BpfMap<{ ifindex: number; guestTag: number }, number>;
  stations: BpfMap<{ uplink: number; vid: number; mac: Mac }, VmPort>;
  segments: BpfMap<SegmentKey, { n: number; generation: number }>;
  flood: BpfMap<{ uplink: number; vid: number; generation: number; at: number }, VmPort>;
  portCounts: PerCpuMap<number, PortCounts>;
  drops: PerCpuMap<number, number>;
};

/** A lent tag on an uplink, by the uplink's interface number. */
export type SegmentKey = { uplink: number; vid: number };

/** Where a VM's frames go, and with which tag of the guest's; 0: without. */
export type VmPort = { ifindex: number; guestTag: number };

/** Frames from the VM, and to it. */
export type PortCounts = { in: number; out: number };

/**
 * Why a frame was dropped, in the order of `enum reason`. Of a VM's frames alone: `unknown-guest-tag` has no VN on
 * the interface, nor has `untagged` there; `not-bound` is another's source MAC, or none's; `hairpin` is to itself.
 */
export const dropReasons = [
  "unknown-guest-tag",
  "untagged",
  "not-bound",
  "link-local",
  "malformed",
  "hairpin",
  "double-tagged",
] as const;

export function switchMaps(object: BpfObject): SwitchMaps {
  const segment = struct({ uplink: u32, vid: u32 });
  const port = struct({ ifindex: u32, guestTag: u32 });
  return {
    bindings: object.map("bindings", struct({ ifindex: u32, mac, guestTag: u16 }), segment),
    guestTags: object.map("guest_tags", port, u32),
    stations: object.map("stations", struct({ uplink: u32, vid: u16, mac }), port),
    segments: object.map("segments", segment, struct({ n: u32, generation: u32 })),
    flood: object.map("flood", struct({ uplink: u32, vid: u32, generation: u32, at: u32 }), port),
    portCounts: object.perCpuMap("port_counts", u32, struct({ in: u64, out: u64 })),
    drops: object.perCpuMap("drops", u32, u64),
  };
}
