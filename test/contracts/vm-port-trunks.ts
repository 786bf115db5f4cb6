import type { VirtualSwitch } from "@nve/hypervisor-agent/vm-port/vm-port";
import { beforeEach, describe, expect, test } from "vitest";
import type { VirtualSwitchRig } from "./vm-port.ts";
import { bind } from "./vm-port-bind.ts";
import { testFrame } from "./wires.ts";

type Running = {
  rig: VirtualSwitchRig;
  vswitch: VirtualSwitch;
  at(wire: string, tags: string, from: string, to: string): void;
  /** The reasons that have counted, with their numbers. */
  dropped(): Promise<Record<string, number>>;
};

/**
 * VID 10: 0a at vm1 with guest tag 7, 0b and 1b at vm2 with 9, 0c at vm3 untagged. VID 20: 0a at vm1 with 8,
 * 0b at vm2 with 7. VID 30: 0a at vm1 untagged.
 */
const trunks = [
  bind("vm1", "0a", 10, 7),
  bind("vm1", "0a", 20, 8),
  bind("vm1", "0a", 30),
  bind("vm2", "0b", 10, 9),
  bind("vm2", "1b", 10, 9),
  bind("vm2", "0b", 20, 7),
  bind("vm3", "0c", 10),
];

/** Trunk VNICs: part of the contract of `VirtualSwitch`. @param running what the test at hand has */
export function virtualSwitchTrunks(running: () => Running): void {
  describe("H10: trunk VNICs", () => {
    let { rig, vswitch, at, dropped }: Running = {} as Running;

    beforeEach(async () => {
      ({ rig, vswitch, at, dropped } = running());
      await vswitch.bind(trunks);
    });

    test("each guest tag of a VNIC is a VN of its own, and so is no tag", async () => {
      for (const tag of ["7", "8", "", "0"]) at("vm1", tag, "0a", "0e");
      expect(await rig.seen()).toEqual([
        "u0: 0a → 0e [10] hello",
        "u0: 0a → 0e [20] hello",
        "u0: 0a → 0e [30] hello",
        "u0: 0a → 0e [30] hello",
      ]);
    });

    test("frames to a VM leave with its guest tag for their VN", async () => {
      for (const vid of ["10", "20", "30"]) at("u0", vid, "0e", "0a");
      expect(await rig.seen()).toEqual([
        "vm1: 0e → 0a [7] hello",
        "vm1: 0e → 0a [8] hello",
        "vm1: 0e → 0a [] hello",
      ]);
    });

    test("between two VMs of one server the tags are translated", async () => {
      at("vm1", "7", "0a", "0b");
      at("vm2", "9", "0b", "0a");
      at("vm1", "8", "0a", "0b");
      at("vm2", "7", "0b", "0a");
      at("vm1", "7", "0a", "0c");
      at("vm3", "", "0c", "1b");
      expect(await rig.seen()).toEqual([
        "vm1: 0b → 0a [7] hello",
        "vm1: 0b → 0a [8] hello",
        "vm2: 0a → 0b [7] hello",
        "vm2: 0a → 0b [9] hello",
        "vm2: 0c → 1b [9] hello",
        "vm3: 0a → 0c [] hello",
      ]);
    });

    test("a broadcast reaches each VM of its VN once, with the tag of that guest", async () => {
      at("vm1", "7", "0a", "ff");
      expect(await rig.seen()).toEqual([
        "u0: 0a → ff [10] hello",
        "vm2: 0a → ff [9] hello",
        "vm3: 0a → ff [] hello",
      ]);
      at("vm3", "", "0c", "ff");
      expect(await rig.seen()).toEqual([
        "u0: 0c → ff [10] hello",
        "vm1: 0c → ff [7] hello",
        "vm2: 0c → ff [9] hello",
      ]);
    });

    test("a broadcast or an unknown MAC from the uplink does, too", async () => {
      at("u0", "10", "0e", "ff");
      at("u0", "20", "0e", "77");
      expect(await rig.seen()).toEqual([
        "vm1: 0e → 77 [8] hello",
        "vm1: 0e → ff [7] hello",
        "vm2: 0e → 77 [7] hello",
        "vm2: 0e → ff [9] hello",
        "vm3: 0e → ff [] hello",
      ]);
    });

    test("P11: the guest tags of one VM do not leak into each other", async () => {
      await vswitch.bind([bind("vm1", "0a", 10, 7), bind("vm1", "1a", 20, 8)]);
      at("vm1", "7", "0a", "1a"); // in the VN of 7 nobody here has 1a
      at("vm1", "7", "0a", "ff");
      at("u0", "10", "0e", "1a");
      expect(await rig.seen()).toEqual([
        "u0: 0a → 1a [10] hello",
        "u0: 0a → ff [10] hello",
        "vm1: 0e → 1a [7] hello",
      ]);
      at("vm1", "7", "0a", "0a");
      at("vm1", "8", "0a", "0e"); // a MAC of the other guest tag
      expect(await rig.seen()).toEqual([]);
      expect(await dropped()).toEqual({ hairpin: 1, "not-bound": 1 });
    });

    test("P11: what no VN is known for is dropped and counted by reason", async () => {
      const stag = testFrame({ from: "0a", to: "0e", tags: "7", text: "hello" });
      stag.set([0x88, 0xa8], 12);
      rig.send("vm1", stag);
      at("vm1", "9", "0a", "0e");
      at("vm1", "10", "0a", "ff"); // the lent tag means nothing to a guest
      at("vm2", "", "0b", "0e");
      at("vm2", "0", "0b", "ff");
      at("vm1", "7.8", "0a", "0e");
      at("vm1", "0.7", "0a", "ff");
      at("vm1", "7", "0b", "0e");
      at("u0", "10.7", "0e", "0a");
      expect(await rig.seen()).toEqual([]);
      expect(await dropped()).toEqual({
        "unknown-guest-tag": 3,
        untagged: 2,
        "double-tagged": 3,
        "not-bound": 1,
      });
    });

    test("a guest tag that is taken away forwards nothing, another in its place does", async () => {
      await vswitch.bind(trunks.filter((one) => one.guestTag !== 8));
      at("vm1", "8", "0a", "0b");
      at("vm2", "7", "0b", "ff");
      expect(await rig.seen()).toEqual(["u0: 0b → ff [20] hello"]);
      expect(await dropped()).toEqual({ "unknown-guest-tag": 1 });

      await vswitch.bind([bind("vm1", "0a", 10, 4094), bind("vm2", "0b", 10, 1)]);
      at("vm1", "7", "0a", "0b");
      at("vm1", "4094", "0a", "0b");
      at("u0", "10", "0e", "ff");
      expect(await rig.seen()).toEqual([
        "vm1: 0e → ff [4094] hello",
        "vm2: 0a → 0b [1] hello",
        "vm2: 0e → ff [1] hello",
      ]);
      expect(await dropped()).toEqual({ "unknown-guest-tag": 2 });
    });

    test("a VN that gets another guest tag has it in all its copies", async () => {
      await vswitch.bind(trunks.map((one, n) => (n === 0 ? bind("vm1", "0a", 10, 17) : one)));
      at("vm3", "", "0c", "ff");
      at("vm3", "", "0c", "0a");
      at("vm1", "17", "0a", "0c");
      expect(await rig.seen()).toEqual([
        "u0: 0c → ff [10] hello",
        "vm1: 0c → 0a [17] hello",
        "vm1: 0c → ff [17] hello",
        "vm2: 0c → ff [9] hello",
        "vm3: 0a → 0c [] hello",
      ]);
    });

    test("a guest tag that moves to another VN is of that VN alone", async () => {
      await vswitch.bind([bind("vm1", "0a", 20, 7), bind("vm2", "0b", 10, 9)]);
      at("vm1", "7", "0a", "0b");
      at("u0", "10", "0e", "0a"); // unknown there now
      at("u0", "20", "0e", "0a");
      expect(await rig.seen()).toEqual([
        "u0: 0a → 0b [20] hello",
        "vm1: 0e → 0a [7] hello",
        "vm2: 0e → 0a [9] hello",
      ]);
    });

    test("bindings that contradict one another are refused, in words, and change nothing", async () => {
      const refused: [ReturnType<typeof bind>[], RegExp][] = [
        [
          [bind("vm1", "0a", 10, 7), bind("vm1", "0a", 20, 7)],
          /guest tag 7 is bound to VID 10 .* VID 20/,
        ],
        [
          [bind("vm1", "0a", 10, 7), bind("vm1", "1a", 10, 8)],
          /on vm1 to guest tag 7 and to guest tag 8/,
        ],
        [
          [bind("vm1", "0a", 10), bind("vm1", "1a", 10, 8)],
          /on vm1 to no guest tag and to guest tag 8/,
        ],
        [[bind("vm1", "0a", 10, 7), bind("vm2", "0a", 10, 8)], /bound to vm1 and to vm2/],
      ];
      for (const [bindings, why] of refused) {
        await expect(vswitch.bind(bindings)).rejects.toMatchObject({
          name: "Refused",
          message: expect.stringMatching(why),
        });
      }
      at("vm1", "7", "0a", "0b");
      expect(await rig.seen()).toEqual(["vm2: 0a → 0b [9] hello"]);
    });

    test("a VM interface that is made again has its guest tags", async () => {
      rig.deleteInterface("vm1");
      rig.addInterface("vm1");
      await expect
        .poll(
          () => {
            at("vm1", "7", "0a", "0c");
            return rig.seen();
          },
          { timeout: 5000 },
        )
        .toEqual(["vm3: 0a → 0c [] hello"]);
      at("u0", "20", "0e", "0a");
      expect(await rig.seen()).toEqual(["vm1: 0e → 0a [8] hello"]);
    });

    test("V10: frames of all guest tags of a VNIC count as its own", async () => {
      at("vm1", "7", "0a", "0b");
      at("vm1", "8", "0a", "0e");
      at("u0", "30", "0e", "0a");
      await rig.seen();
      const { interfaces } = await vswitch.counters();
      expect(interfaces).toEqual([
        { interface: "vm1", in: 2, out: 1 },
        { interface: "vm2", in: 0, out: 1 },
        { interface: "vm3", in: 0, out: 0 },
      ]);
    });
  });
}
