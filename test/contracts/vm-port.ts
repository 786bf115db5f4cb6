import type { VirtualSwitch } from "@nve/hypervisor-agent/vm-port/vm-port";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bind } from "./vm-port-bind.ts";
import { virtualSwitchTrunks } from "./vm-port-trunks.ts";
import { testFrame } from "./wires.ts";

/** A server with VM interfaces vm1, vm2, vm3 and an uplink u0, and what a virtual switch does in it. */
export type VirtualSwitchRig = {
  open(): Promise<VirtualSwitch>;
  /** Sends as a VM does, or as the switch at the far end of `u0`. */
  send(wire: string, frame: Uint8Array): void;
  /** What has come out since the last call at the far ends, sorted: `vm2: 0a → 0b [] hello`, `u0: … [10] hello`. */
  seen(): Promise<string[]>;
  /** Whether the server's own stack answers an untagged frame at the uplink. */
  hostAnswers(): Promise<boolean>;
  deleteInterface(name: string): void;
  addInterface(name: string): void;
  close(): void;
};

/** VID 10: 0a at vm1, 0b at vm2. VID 20: another 0a at vm3, 1a at vm1. */
const standard = [
  bind("vm1", "0a", 10),
  bind("vm2", "0b", 10),
  bind("vm3", "0a", 20),
  bind("vm1", "1a", 20),
];

/** The contract of `VirtualSwitch`: every driver passes it. */
export function virtualSwitchContract(name: string, make: () => Promise<VirtualSwitchRig>): void {
  describe(name, () => {
    let rig: VirtualSwitchRig;
    let vswitch: VirtualSwitch;

    beforeAll(async () => {
      rig = await make();
    });
    afterAll(() => rig?.close());
    beforeEach(async () => {
      vswitch = await rig.open();
      await vswitch.bind(standard);
      await rig.seen();
    });
    afterEach(() => vswitch?.close());

    const at = (wire: string, tags: string, from: string, to: string) =>
      rig.send(wire, testFrame({ from, to, tags, text: "hello" }));
    const dropped = async () => {
      const { drops } = await vswitch.counters();
      return Object.fromEntries(Object.entries(drops).filter(([, n]) => n > 0));
    };

    describe("unicast", () => {
      test("H1: from a VM to elsewhere goes to the uplink with the lent tag", async () => {
        at("vm1", "", "0a", "0c");
        expect(await rig.seen()).toEqual(["u0: 0a → 0c [10] hello"]);
      });

      test("H1: from the uplink with a lent tag goes to the VM of the MAC, bare", async () => {
        at("u0", "10", "0c", "0b");
        expect(await rig.seen()).toEqual(["vm2: 0c → 0b [] hello"]);
      });

      test("between two VMs of one VN does not touch the uplink", async () => {
        at("vm1", "", "0a", "0b");
        expect(await rig.seen()).toEqual(["vm2: 0a → 0b [] hello"]);
      });

      test("H6: an interface with MACs in two VNs has each frame in the right one", async () => {
        at("vm1", "", "1a", "0a");
        at("vm1", "", "1a", "0b");
        at("u0", "20", "0c", "1a");
        expect(await rig.seen()).toEqual([
          "u0: 1a → 0b [20] hello",
          "vm1: 0c → 1a [] hello",
          "vm3: 1a → 0a [] hello",
        ]);
      });

      test("H5: the same MAC in two VNs of one uplink stays apart", async () => {
        at("vm3", "", "0a", "0c");
        at("u0", "20", "0c", "0a");
        at("u0", "10", "0c", "0a");
        expect(await rig.seen()).toEqual([
          "u0: 0a → 0c [20] hello",
          "vm1: 0c → 0a [] hello",
          "vm3: 0c → 0a [] hello",
        ]);
      });

      test("to a MAC of the same interface is dropped", async () => {
        at("vm1", "", "0a", "0a");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ hairpin: 1 });
      });
    });

    describe("groups and unknown MACs", () => {
      test("a VM's broadcast goes to the uplink and to the other VMs of the VN, not back", async () => {
        at("vm1", "", "0a", "ff");
        expect(await rig.seen()).toEqual(["u0: 0a → ff [10] hello", "vm2: 0a → ff [] hello"]);
      });

      test("a broadcast from the uplink goes to the VMs of the tag's VN", async () => {
        at("u0", "20", "0c", "ff");
        expect(await rig.seen()).toEqual(["vm1: 0c → ff [] hello", "vm3: 0c → ff [] hello"]);
      });

      test("H12: an unknown MAC from the uplink goes to the VMs of the tag's VN", async () => {
        at("u0", "10", "0c", "77");
        expect(await rig.seen()).toEqual(["vm1: 0c → 77 [] hello", "vm2: 0c → 77 [] hello"]);
      });

      test("link-local groups stay where they are", async () => {
        at("vm1", "", "0a", "01:80:c2:00:00:0e");
        at("u0", "10", "0c", "01:80:c2:00:00:00");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "link-local": 2 });
      });
    });

    describe("isolation", () => {
      test("M10: a source MAC that is not bound to the interface is dropped", async () => {
        at("vm1", "", "0b", "0c");
        at("vm2", "", "0a", "ff");
        at("vm2", "", "1a", "0a");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "not-bound": 3 });
      });

      test("P11: a VM that tags its frames itself gets into no VN", async () => {
        at("vm1", "10", "0a", "0b");
        at("vm1", "20", "0a", "ff");
        at("vm1", "20.10", "0a", "ff");
        at("vm1", "0.10", "0a", "ff");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "unknown-guest-tag": 2, "double-tagged": 2 });
      });

      test("a VM's priority-tagged frame counts as untagged", async () => {
        at("vm1", "0", "0a", "0b");
        at("vm1", "0", "0a", "0c");
        expect(await rig.seen()).toEqual(["u0: 0a → 0c [10] hello", "vm2: 0a → 0b [] hello"]);
        expect(await dropped()).toEqual({});
      });

      test("P11: a second tag from the uplink is dropped", async () => {
        at("u0", "10.20", "0c", "0a");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "double-tagged": 1 });
      });

      test("the uplink's untagged frames and tags not lent are the server's own", async () => {
        at("u0", "", "0c", "0a");
        at("u0", "30", "0c", "0a");
        at("u0", "30", "0c", "ff");
        at("u0", "0", "0c", "0a");
        expect(await rig.seen()).toEqual([]);
        expect(await rig.hostAnswers()).toBe(true);
        expect(await dropped()).toEqual({});
      });
    });

    virtualSwitchTrunks(() => ({ rig, vswitch, at, dropped }));

    describe("changes", () => {
      test("H2: a binding that is gone forwards nothing in either direction", async () => {
        await vswitch.bind(standard.filter(({ interface: name }) => name !== "vm2"));
        at("vm2", "", "0b", "0c");
        at("vm1", "", "0a", "0b");
        at("u0", "10", "0c", "ff");
        expect(await rig.seen()).toEqual(["u0: 0a → 0b [10] hello", "vm1: 0c → ff [] hello"]);
        await vswitch.bind([]);
        at("u0", "10", "0c", "0a");
        at("vm1", "", "0a", "0c");
        expect(await rig.seen()).toEqual([]);
      });

      test("what is unbound and bound again at once forwards as before", async () => {
        await vswitch.bind([]);
        await vswitch.bind(standard);
        at("vm1", "", "0a", "0b");
        expect(await rig.seen()).toEqual(["vm2: 0a → 0b [] hello"]);
      });

      test("a VNIC that gets another tag uses it from then on", async () => {
        await vswitch.bind([bind("vm1", "0a", 11), bind("vm2", "0b", 10)]);
        at("vm1", "", "0a", "0b");
        at("u0", "11", "0c", "0a");
        at("u0", "10", "0c", "0a"); // unknown there now
        expect(await rig.seen()).toEqual([
          "u0: 0a → 0b [11] hello",
          "vm1: 0c → 0a [] hello",
          "vm2: 0c → 0a [] hello",
        ]);
      });

      test("a MAC that changes its interface is found at the new one", async () => {
        await vswitch.bind([bind("vm3", "0a", 10), bind("vm2", "0b", 10)]);
        at("vm2", "", "0b", "0a");
        expect(await rig.seen()).toEqual(["vm3: 0b → 0a [] hello"]);
      });

      test("bindings that contradict one another are refused and change nothing", async () => {
        const refused = [
          [bind("vm1", "0a", 10), bind("vm2", "0a", 10)],
          [bind("vm1", "0a", 10), bind("vm1", "0a", 20)],
          [{ ...bind("vm1", "0a", 10), uplink: "nothing" }],
        ];
        for (const bindings of refused) {
          await expect(vswitch.bind(bindings)).rejects.toMatchObject({ name: "Refused" });
        }
        at("vm1", "", "0a", "0b");
        expect(await rig.seen()).toEqual(["vm2: 0a → 0b [] hello"]);
      });

      test("bound again as it is, nothing changes", async () => {
        await vswitch.bind(standard);
        await vswitch.bind([...standard].reverse());
        at("vm1", "", "0a", "ff");
        expect(await rig.seen()).toEqual(["u0: 0a → ff [10] hello", "vm2: 0a → ff [] hello"]);
      });
    });

    describe("interfaces that come and go", () => {
      const passes = async (wire: string, tags: string, from: string, to: string, out: string) =>
        expect
          .poll(
            () => {
              at(wire, tags, from, to);
              return rig.seen();
            },
            { timeout: 5000 },
          )
          .toEqual([out]);

      test("a VM interface that is deleted and made again is bound by itself", async () => {
        rig.deleteInterface("vm2");
        at("u0", "10", "0c", "ff");
        expect(await rig.seen()).toEqual(["vm1: 0c → ff [] hello"]);
        rig.addInterface("vm2");
        await passes("vm2", "", "0b", "0a", "vm1: 0b → 0a [] hello");
        at("u0", "10", "0c", "0b");
        expect(await rig.seen()).toEqual(["vm2: 0c → 0b [] hello"]);
      });

      test("a VM interface that is absent when it is bound is waited for", async () => {
        rig.deleteInterface("vm3");
        await vswitch.bind(standard);
        rig.addInterface("vm3");
        await passes("vm3", "", "0a", "0c", "u0: 0a → 0c [20] hello");
      });

      test("an uplink that is deleted and made again carries on", async () => {
        rig.deleteInterface("u0");
        at("vm1", "", "0a", "0c");
        expect(await rig.seen()).toEqual([]);
        rig.addInterface("u0");
        await passes("vm1", "", "0a", "0c", "u0: 0a → 0c [10] hello");
        at("u0", "20", "0c", "0a");
        expect(await rig.seen()).toEqual(["vm3: 0c → 0a [] hello"]);
      });
    });

    test("V10: counters tell frames from and to each VM", async () => {
      at("vm1", "", "0a", "0c");
      at("vm1", "", "0a", "ff");
      at("u0", "10", "0c", "0b");
      at("vm1", "", "77", "0c");
      await rig.seen();
      const { interfaces } = await vswitch.counters();
      expect(interfaces).toEqual([
        { interface: "vm1", in: 2, out: 0 },
        { interface: "vm2", in: 0, out: 2 },
        { interface: "vm3", in: 0, out: 0 },
      ]);
      expect(await dropped()).toEqual({ "not-bound": 1 });
    });

    test("closed, it forwards nothing and refuses to be asked", async () => {
      await vswitch.close();
      await vswitch.close();
      at("vm1", "", "0a", "0b");
      at("u0", "10", "0c", "0a");
      expect(await rig.seen()).toEqual([]);
      await expect(vswitch.bind([])).rejects.toThrow("closed");
    });
  });
}
