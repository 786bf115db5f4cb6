import { noGuest } from "@nve/lab/vm/qemu";
import { describe, test } from "vitest";
import { dataplaneContract } from "../contracts/dataplane.ts";
import { GuestRig } from "./dataplane-guest.ts";

// The programs on the oldest kernel that we name: Debian 12's, Linux 6.1.

const absent = noGuest();
if (absent !== undefined) {
  describe.skip(`eBPF dataplane in a guest: ${absent}`, () => {
    test("the contract", () => {});
  });
} else {
  // before the tests, whose time is bounded
  const rig = await GuestRig.make("ebpf", 4);
  // What a driver says by itself does not get out of the guest.
  dataplaneContract("eBPF dataplane on Linux 6.1", async () => rig, [
    ...(["gleaning", "neighbours", "pull"] as const),
  ]);
}
