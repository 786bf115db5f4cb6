import type { IpAddress } from "@nve/protocol-spec";
import type { MacIntent } from "@nve/switch-agent/nve";
import { describe, expect, test } from "vitest";
import { type Bench, local, mac, remote, sorted } from "./dataplane-bench.ts";
import { testFrame } from "./wires.ts";

/** M5: what others send here still, to a MAC that has moved to another NVE. */
export function inFlight(bench: Bench): void {
  describe("in flight", () => {
    const movedTo = (vtep: IpAddress): MacIntent => ({
      ...mac(100, "0b", remote(vtep)),
      moved: true,
    });
    const from = (source: IpAddress, ttl: number): void =>
      bench.rig.tunnel({
        ...{ vni: 100, source, destination: bench.rig.vtep, ttl },
        frame: testFrame({ from: "0c", to: "0b", tags: "", text: "hello" }),
      });

    test("M5: what comes from the overlay for a MAC that has moved goes on to where it is", async () => {
      await bench.dataplane.ensure([movedTo(bench.rig.b)]);
      from(bench.rig.a, 64);
      expect(await bench.rig.seen()).toEqual([
        bench.tunnelTo(bench.rig.b, 100, "0c → 0b [] hello"),
      ]);
      bench.at("p1", "10", "0a", "0b"); // members here are as near to it as ever
      expect(await bench.rig.seen()).toEqual([
        bench.tunnelTo(bench.rig.b, 100, "0a → 0b [] hello"),
      ]);
      expect(await bench.dropped()).toEqual({});
    });

    test("M5: nothing goes back to the NVE that it came from", async () => {
      await bench.dataplane.ensure([movedTo(bench.rig.b)]);
      from(bench.rig.b, 64);
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual({ "split-horizon": 1 });
    });

    test("M5: with each NVE that it goes through its packet lives shorter, so that no ring is for ever", async () => {
      await bench.dataplane.ensure([movedTo(bench.rig.b)]);
      from(bench.rig.a, 2);
      from(bench.rig.a, 1);
      expect(await bench.rig.seen()).toHaveLength(1);
      expect(await bench.dropped()).toEqual({ "hop-limit": 1 });
    });

    test("M5: a member that only is elsewhere, or is no more said to have moved, gets nothing from the overlay", async () => {
      await bench.dataplane.ensure([movedTo(bench.rig.b)]);
      await bench.dataplane.ensure([mac(100, "0b", remote(bench.rig.b))]);
      from(bench.rig.a, 64);
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual({ "split-horizon": 1 });
      await bench.dataplane.ensure([movedTo(bench.rig.b)]);
      await bench.dataplane.ensure([mac(100, "0b", local("p2", 20))]); // it has come back
      from(bench.rig.a, 64);
      expect(await bench.rig.seen()).toEqual(["p2: 0c → 0b [20] hello"]);
    });

    test("M5: what has moved is read back as that", async () => {
      await bench.dataplane.ensure([movedTo(bench.rig.b)]);
      const moved = (await bench.dataplane.applied()).filter(
        (intent) => intent.is === "mac" && intent.moved,
      );
      expect(sorted(moved)).toEqual(sorted([movedTo(bench.rig.b)]));
    });
  });
}
