import { EtherType, frameOctets } from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import { type Bench, local, remote, vn } from "./dataplane-bench.ts";
import { station, testFrame } from "./wires.ts";

/** A5, V6, V8: known unicast. */
export function unicast(bench: Bench): void {
  describe("unicast", () => {
    test("A5: to a MAC at another NVE goes to its VTEP, bare, with the VNI", async () => {
      bench.at("p1", "10", "0a", "0c");
      expect(await bench.rig.seen()).toEqual([
        bench.tunnelTo(bench.rig.a, 100, "0a → 0c [] hello"),
      ]);
      expect(await bench.dropped()).toEqual({});
    });

    test("A5: from another NVE goes to the port of its MAC with that port's tag", async () => {
      bench.over(bench.rig.b, 100, "0d", "0b");
      expect(await bench.rig.seen()).toEqual(["p2: 0d → 0b [20] hello"]);
    });

    test("V6, V8: between two ports of a VN changes the tag", async () => {
      bench.at("p1", "10", "0a", "0b");
      bench.at("p2", "20", "0b", "0a");
      expect(await bench.rig.seen()).toEqual(["p1: 0b → 0a [10] hello", "p2: 0a → 0b [20] hello"]);
    });

    test("V8: between two tags of one port changes the tag", async () => {
      bench.at("p1", "10", "0a", "0e");
      expect(await bench.rig.seen()).toEqual(["p1: 0a → 0e [12] hello"]);
    });

    test("does not go back to the port and tag that it came from", async () => {
      bench.at("p1", "10", "0b", "0a");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(bench.told({ hairpin: 1 }));
    });

    test("from the overlay does not go into the overlay again", async () => {
      bench.over(bench.rig.a, 100, "0c", "0d");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(bench.told({ "split-horizon": 1 }));
    });

    test("to a MAC that nobody has is dropped and counted", async () => {
      bench.at("p1", "10", "0a", "77");
      bench.over(bench.rig.a, 100, "0c", "77");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(bench.told({ "unknown-mac": 2 }));
    });

    test("of the longest packet passes, one octet more is dropped and counted, not fragmented", async () => {
      const frame = (length: number) =>
        testFrame({ from: "0a", to: "0c", tags: "10", text: "x".repeat(length) });
      bench.rig.send("p1", frame(bench.rig.mtu));
      bench.rig.send("p1", frame(bench.rig.mtu + 1));
      expect(await bench.rig.seen()).toEqual([
        bench.tunnelTo(bench.rig.a, 100, `0a → 0c [] ${bench.rig.mtu} octets`),
      ]);
      expect(await bench.dropped()).toEqual(bench.told({ oversize: 1 }));
    });
  });
}

/** A2, A10: broadcast, multicast and unknown unicast. */
export function flooding(bench: Bench): void {
  describe("flooding", () => {
    test("A2, A10: a broadcast goes to each other member once, tagged as each port has it", async () => {
      bench.at("p1", "10", "0a", "ff");
      expect(await bench.rig.seen()).toEqual(
        [
          "p1: 0a → ff [12] hello",
          "p2: 0a → ff [20] hello",
          bench.tunnelTo(bench.rig.a, 100, "0a → ff [] hello"),
          bench.tunnelTo(bench.rig.b, 100, "0a → ff [] hello"),
        ].sort(),
      );
    });

    test("A2: a multicast goes where broadcast goes", async () => {
      bench.at("p3", "10", "0b", "01:00:5e:01:02:03");
      expect(await bench.rig.seen()).toEqual(
        [
          "p1: 0b → 01:00:5e:01:02:03 [20] hello",
          bench.tunnelTo(bench.rig.a, 200, "0b → 01:00:5e:01:02:03 [] hello"),
        ].sort(),
      );
    });

    test("a broadcast from the overlay goes to the ports only", async () => {
      bench.over(bench.rig.a, 100, "0c", "ff");
      expect(await bench.rig.seen()).toEqual([
        "p1: 0c → ff [10] hello",
        "p1: 0c → ff [12] hello",
        "p2: 0c → ff [20] hello",
      ]);
    });

    test("A6: unknown unicast is flooded in a VN that wants it", async () => {
      await bench.dataplane.ensure([
        vn(200, [local("p1", 20), local("p3", 10), remote(bench.rig.a)], true),
      ]);
      bench.at("p1", "20", "0a", "77");
      expect(await bench.rig.seen()).toEqual(
        ["p3: 0a → 77 [10] hello", bench.tunnelTo(bench.rig.a, 200, "0a → 77 [] hello")].sort(),
      );
      bench.over(bench.rig.a, 200, "0c", "77");
      expect(await bench.rig.seen()).toEqual(["p1: 0c → 77 [20] hello", "p3: 0c → 77 [10] hello"]);
    });

    test("link-local groups of tenants stay where they are", async () => {
      bench.at("p1", "10", "0a", "01:80:c2:00:00:0e");
      bench.over(bench.rig.a, 100, "0c", "01:80:c2:00:00:00");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(bench.told({ "link-local": 2 }));
    });

    test("P8: a list that is replaced holds for the next frame", async () => {
      await bench.dataplane.ensure([vn(100, [local("p1", 10), remote(bench.rig.b)])]);
      bench.at("p2", "20", "0b", "ff");
      expect(await bench.rig.seen()).toEqual(
        ["p1: 0b → ff [10] hello", bench.tunnelTo(bench.rig.b, 100, "0b → ff [] hello")].sort(),
      );
    });
  });
}

/** P11: what must not get anywhere. */
export function isolation(bench: Bench): void {
  describe("isolation", () => {
    test("H5, P11: the same MACs in two VNs stay apart", async () => {
      bench.at("p1", "20", "0a", "0b");
      bench.at("p1", "20", "0a", "0c");
      bench.over(bench.rig.a, 200, "0c", "0a");
      expect(await bench.rig.seen()).toEqual(
        [
          "p1: 0c → 0a [20] hello",
          "p3: 0a → 0b [10] hello",
          bench.tunnelTo(bench.rig.a, 200, "0a → 0c [] hello"),
        ].sort(),
      );
    });

    test("P11: a tag lent on one port means nothing on another", async () => {
      bench.at("p2", "10", "0b", "0a");
      bench.at("p3", "20", "0b", "ff");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(bench.told({ "no-such-tag": 2 }));
    });

    test("P11: a tag that nobody can be lent means nothing either", async () => {
      bench.at("p1", "4095", "0a", "0b");
      bench.at("p1", "1", "0a", "0b");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual({ "no-such-tag": 2 });
      bench.at("p1", "10", "0a", "0b");
      expect(await bench.rig.seen()).toEqual(["p2: 0a → 0b [20] hello"]);
    });

    test("P11: a second tag, a priority tag and no tag are dropped", async () => {
      bench.at("p1", "10.20", "0a", "0b");
      bench.at("p1", "10.10", "0a", "ff");
      bench.at("p1", "0", "0a", "0b");
      bench.at("p1", "0.10", "0a", "0b");
      bench.at("p1", "", "0a", "0b");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(
        bench.told({
          "double-tagged": 2,
          "priority-tagged": 2,
          untagged: 1,
        }),
      );
    });

    test("P11: a VNI without members here is dropped", async () => {
      bench.over(bench.rig.a, 300, "0c", "0a");
      bench.over(bench.rig.a, 300, "0c", "ff");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(bench.told({ "unknown-vni": 2 }));
    });

    test("P11, M10: tunnels from a VTEP that is no member of the VN are dropped", async () => {
      bench.over(bench.rig.stranger, 100, "0c", "0a");
      bench.over(bench.rig.b, 200, "0c", "0a");
      bench.over(bench.rig.b, 200, "0c", "ff");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(bench.told({ "stranger-vtep": 3 }));
    });

    test("P11: a tag inside a tunnel is dropped (RFC 7348 §6.1)", async () => {
      bench.over(bench.rig.a, 100, "0c", "0a", "20");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(bench.told({ "inner-tag": 1 }));
    });

    test("untagged control frames are neither forwarded nor dropped", async () => {
      bench.at("p1", "", "0a", "01:80:c2:00:00:00");
      bench.at("p1", "", "0a", "01:80:c2:00:00:0e");
      for (const etherType of [EtherType.lldp, EtherType.ecp]) {
        const frame = { source: station("0a"), destination: station("0b"), etherType };
        bench.rig.send("p1", frameOctets({ ...frame, payload: new Uint8Array(46) }));
      }
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual({});
    });

    test("a group address as source is dropped", async () => {
      bench.at("p1", "10", "ff", "0b");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(bench.told({ "bad-source": 1 }));
    });
  });
}
