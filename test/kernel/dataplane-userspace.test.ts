import { dataplaneContract, tunnelContract } from "../contracts/dataplane.ts";
import { UserspaceRig } from "./dataplane-rig.ts";

dataplaneContract("userspace dataplane, IPv4 underlay", async () => new UserspaceRig(4));
dataplaneContract("M1: userspace dataplane, IPv6 underlay", async () => new UserspaceRig(6));

for (const family of [4, 6] as const) {
  for (const kind of ["nvgre", "mpls-over-gre"] as const) {
    const name = `A24: userspace dataplane with ${kind}, IPv${family} underlay`;
    tunnelContract(name, async () => new UserspaceRig(family, kind));
  }
}
