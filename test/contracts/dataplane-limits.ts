import { Vni } from "@nve/protocol-spec";
import type { Intent, VnRules } from "@nve/switch-agent/nve";
import { describe, expect, test } from "vitest";
import { access, type Bench, local, remote } from "./dataplane-bench.ts";
import { testFrame } from "./wires.ts";

/** What one place may send to all (P12, V11). */
export function floodLimits(bench: Bench): void {
  describe("flood limits", () => {
    const vn100 = (rules: VnRules, floodUnknown = false): Intent => ({
      is: "vn",
      vni: Vni(100),
      flood: [local("p1", 10), local("p1", 12), local("p2", 20), remote(bench.rig.a)],
      floodUnknown,
      ...rules,
    });
    const slow = { perSecond: 1, burst: 20 };
    const limited = async () => (await bench.dropped())["flood-limit"] ?? 0;
    /** Of `n` frames at once, those that get to p2. */
    async function arrived(n: number, tags = "10", to = "ff"): Promise<number> {
      for (let i = 0; i < n; i++) bench.at("p1", tags, "0a", to);
      return (await bench.rig.seen()).filter((line) => line.startsWith("p2: ")).length;
    }

    test("V11: of a VN's broadcasts a place sends its burst and no more; unicast goes on, and so does another place", async () => {
      await bench.dataplane.ensure([vn100({ floodLimit: slow })]);
      expect(await arrived(50)).toBe(20);
      expect(await limited()).toBe(30);
      expect(await arrived(50, "10", "0b")).toBe(50);
      expect(await arrived(5, "12")).toBe(5);
      expect(await limited()).toBe(30);
    });

    test("V11: unknown unicast and multicast count too", async () => {
      await bench.dataplane.ensure([vn100({ floodLimit: slow }, true)]);
      expect(await arrived(15, "10", "99")).toBe(15);
      expect(await arrived(15, "10", "01:00:5e:00:00:05")).toBe(5);
      expect(await limited()).toBe(10);
    });

    test("V11: what comes from another NVE was limited there", async () => {
      await bench.dataplane.ensure([vn100({ floodLimit: slow })]);
      const { rig } = bench;
      const frame = testFrame({ from: "0c", to: "ff", tags: "", text: "hello" });
      for (let i = 0; i < 40; i++) {
        rig.tunnel({ vni: 100, source: rig.a, destination: rig.vtep, frame });
      }
      expect((await rig.seen()).filter((line) => line.startsWith("p2: "))).toHaveLength(40);
      expect(await limited()).toBe(0);
    });

    test("V11: a port's limit is of all its VNs together, and both hold", async () => {
      const rules = { floodLimit: { perSecond: 1, burst: 10 } };
      const tags = [10, 12].map((tag) => access("p1", tag, 100, rules));
      await bench.dataplane.ensure([
        vn100({ floodLimit: { perSecond: 1, burst: 8 } }),
        ...tags,
        access("p1", 20, 200, rules),
      ]);
      expect(await arrived(20)).toBe(8);
      expect(await arrived(20, "12")).toBe(2);
      bench.at("p1", "20", "0a", "ff"); // VN 200
      expect(await bench.rig.seen()).toEqual([]);
      expect(await limited()).toBe(12 + 18 + 1);
    });

    test("V11: time fills the bucket again", async () => {
      await bench.dataplane.ensure([vn100({ floodLimit: { perSecond: 1000, burst: 20 } })]);
      const first = await arrived(200);
      expect(first).toBeGreaterThanOrEqual(20);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(await arrived(20)).toBe(20);
      expect(first + (await limited())).toBe(200);
    });

    test("V11: a limit is replaced and taken away in force, and is read back", async () => {
      const { dataplane } = bench;
      await dataplane.ensure([
        vn100({ floodLimit: slow }),
        access("p1", 10, 100, { floodLimit: slow }),
      ]);
      expect(await arrived(30)).toBe(20);
      const isVn = ({ is, vni }: Intent) => is === "vn" && vni === 100;
      expect((await dataplane.applied()).find(isVn)).toMatchObject({ floodLimit: slow });
      expect(await dataplane.applied()).toContainEqual(access("p1", 10, 100, { floodLimit: slow }));
      await dataplane.ensure([vn100({}), access("p1", 10, 100)]);
      expect(await arrived(30)).toBe(30);
      expect((await dataplane.applied()).find(isVn)).not.toHaveProperty("floodLimit");
    });
  });
}
