import type { Binding } from "@nve/hypervisor-agent/vm-port/vm-port";
import { Vid } from "@nve/protocol-spec";
import { station } from "./wires.ts";

/** A binding to `u0`; a guest tag of 0: untagged frames. */
export const bind = (name: string, mac: string, vid: number, guestTag = 0): Binding => ({
  interface: name,
  guestTag: guestTag === 0 ? 0 : Vid(guestTag),
  mac: station(mac),
  uplink: "u0",
  vid: Vid(vid),
});
