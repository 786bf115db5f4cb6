import { concat, EtherType, frameOctets, macOctets, uint } from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import { type Bench, mac, remote } from "./dataplane-bench.ts";
import { tunnelOctets } from "./tunnels.ts";
import { station, testFrame } from "./wires.ts";

const plain = (from: string, to: string): Uint8Array =>
  testFrame({ from, to, tags: "", text: "hello" });

/** With tags of any kind between the addresses and what follows. */
const tagged = (...tags: readonly (readonly [type: number, tci: number])[]): Uint8Array => {
  const frame = plain("0a", "ff");
  const between = tags.flatMap(([type, tci]) => [uint(2, type), uint(2, tci)]);
  return concat(frame.subarray(0, 12), ...between, frame.subarray(12));
};

/** The interface of the underlay, as rigs have it. */
const underlay = station("02:ee:00:00:00:01");

/** P11: what is not as it should be gets nowhere. */
export function malformed(bench: Bench): void {
  describe("malformed", () => {
    test("P11: service tags, VID 4095, several tags and tags that are cut off get nowhere", async () => {
      const [c, s] = [0x8100, 0x88a8];
      const frames = [
        tagged([s, 10]),
        tagged([0x9100, 10]),
        tagged([c, 4095]),
        tagged([c, 0], [c, 10]),
        tagged([c, 10], [c, 20]),
        tagged([c, 10], [s, 20]),
        tagged([c, 10], [c, 10], [c, 10]),
        tagged([s, 10], [c, 10]),
        tagged([c, 10]).subarray(0, 14),
        tagged([c, 10]).subarray(0, 16),
        tagged([c, 10], [c, 20]).subarray(0, 18),
      ];
      for (const frame of frames) {
        bench.rig.send("p1", frame);
        expect(await bench.rig.seen(), Buffer.from(frame).toString("hex")).toEqual([]);
      }
      bench.rig.send("p1", tagged([c, 0xf00a])); // priority and drop eligible: of VID 10 all the same
      expect((await bench.rig.seen()).length).toBe(4);
    });

    test("P11: a tunnel that is cut off before the end of the tenant's header gets nowhere", async () => {
      const { rig } = bench;
      const ends = { source: rig.a, destination: rig.vtep, vni: 100 };
      for (const cut of [0, 1, 4, 7, 8, 9, 14, 20, 21]) {
        rig.tunnel({ ...ends, frame: plain("0c", "ff"), cut });
        expect(await rig.seen(), `${cut} octets`).toEqual([]);
      }
      rig.tunnel({ ...ends, frame: plain("0c", "0a") });
      expect(await rig.seen()).toEqual(["p1: 0c → 0a [10] hello"]);
    });

    test("P11: bits that mean nothing lead to no other VN (RFC 7348 §5)", async () => {
      const { rig } = bench;
      if (rig.encapsulation !== "vxlan") return;
      const ends = { source: rig.a, destination: rig.vtep, reserved: true };
      rig.tunnel({ ...ends, vni: 200, frame: plain("0c", "0b") });
      // What is no IP goes through the kernel's tunnel device, which takes none of them.
      for (const line of await rig.seen()) expect(line).toBe("p3: 0c → 0b [10] hello");
      rig.tunnel({ ...ends, vni: 300, frame: plain("0c", "ff") });
      rig.tunnel({ ...ends, vni: 200, source: rig.b, frame: plain("0c", "ff") });
      expect(await rig.seen()).toEqual([]);
    });

    test("P11: what a tenant sends to the underlay's own address, a tunnel even, is a tenant's frame", async () => {
      const { rig } = bench;
      const type = rig.vtep.includes(":") ? EtherType.ipv6 : EtherType.ipv4;
      const payload = tunnelOctets({
        ...{ source: rig.a, destination: rig.vtep, vni: 200 },
        ...{ frame: plain("0c", "ff"), encapsulation: rig.encapsulation },
      });
      const bare = frameOctets({
        source: station("0a"),
        destination: underlay,
        etherType: type,
        payload,
      });
      const tag = concat(uint(2, 0x8100), uint(2, 10));
      const inVn = concat(bare.subarray(0, 12), tag, bare.subarray(12));
      for (const frame of [bare, inVn]) rig.send("p1", frame);
      expect(await rig.seen()).toEqual([]);

      // A VM may have that very address, and then it is for the VM.
      await bench.dataplane.ensure([{ ...mac(100, "0c", remote(rig.a)), mac: underlay }]);
      rig.send("p1", inVn);
      const [only, ...more] = await rig.received("ul");
      expect(more).toEqual([]);
      expect(Buffer.from(only ?? []).includes(Buffer.from(macOctets(underlay)))).toBe(true);
    });
  });
}
