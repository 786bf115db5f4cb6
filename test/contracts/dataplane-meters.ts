import { Uuid, Vni } from "@nve/protocol-spec";
import type { MeterCounts } from "@nve/switch-agent/dataplane/dataplane";
import type { Intent, VnRules } from "@nve/switch-agent/nve";
import { describe, expect, test } from "vitest";
import { access, type Bench, local, mac, remote } from "./dataplane-bench.ts";
import { ipv4 } from "./rule-frames.ts";
import { testFrame } from "./wires.ts";

const vnic = (n: number) => Uuid(`00000000-0000-4000-8000-00000000000${n}`);

/** What each VNIC may send (H25), and what is counted of VNICs, ports and other NVEs. */
export function meters(bench: Bench): void {
  const vn100 = (rules: VnRules): Intent => ({
    is: "vn",
    vni: Vni(100),
    flood: [local("p1", 10), local("p1", 12), local("p2", 20), remote(bench.rig.a)],
    floodUnknown: false,
    ...rules,
  });
  const here = (name: string, port: string, vid: number, n: number): Intent => ({
    ...mac(100, name, local(port, vid)),
    vnic: vnic(n),
  });
  const vnics = () => [here("0a", "p1", 10, 1), here("0e", "p1", 12, 2), here("0b", "p2", 20, 3)];

  describe("police", () => {
    const packet = { from: "0a", to: "0b", octets: 962 } as const; // 1,000 octets with its Ethernet header
    async function arrived(n: number, words: { from?: string; tags?: string } = {}) {
      for (let i = 0; i < n; i++) bench.rig.send("p1", ipv4({ ...packet, ...words }));
      return (await bench.rig.received("p2")).filter((octets) => octets.length >= 1000).length;
    }
    const policed = async () => {
      const { policed: n = 0 } = await bench.dropped();
      return n;
    };
    const slow = { qos: { policeKbps: 8, burstOctets: 10_000 } };

    test("H25: a VNIC sends its burst and no more; another VNIC of the VN has its own", async () => {
      await bench.dataplane.ensure([vn100(slow), ...vnics()]);
      expect(await arrived(25)).toBe(10);
      expect(await policed()).toBe(15);
      expect(await arrived(5, { from: "0e", tags: "12" })).toBe(5);
      expect(await policed()).toBe(15);
    });

    test("H25: all MACs of a VNIC together; those of no VNIC by their place", async () => {
      const second = here("1a", "p1", 10, 1);
      await bench.dataplane.ensure([vn100(slow), ...vnics(), second]);
      expect(await arrived(6)).toBe(6);
      expect(await arrived(6, { from: "1a" })).toBe(4);
      expect(await arrived(12, { from: "77" })).toBe(10);
      expect(await arrived(1, { from: "78" })).toBe(0);
    });

    test("H25: a VNIC that comes has spent nothing, whoever went before it", async () => {
      const { dataplane } = bench;
      await dataplane.ensure([vn100(slow), ...vnics()]);
      expect(await arrived(12)).toBe(10);
      await dataplane.remove([here("0a", "p1", 10, 1)]);
      await dataplane.ensure([here("0a", "p1", 10, 4)]);
      expect(await arrived(12)).toBe(10);
      expect(await policed()).toBe(4);
    });

    test("H25: time fills the bucket again, at the rate of the profile", async () => {
      await bench.dataplane.ensure([
        vn100({ qos: { policeKbps: 80_000, burstOctets: 20_000 } }),
        ...vnics(),
      ]);
      const first = await arrived(60);
      await new Promise((resolve) => setTimeout(resolve, 20)); // 200,000 octets
      expect(await arrived(15)).toBe(15);
      expect(first + (await policed())).toBe(60);
    });

    test("H25: what goes to a VNIC is not of its rate, and a limit is taken away in force", async () => {
      const { rig, dataplane } = bench;
      await dataplane.ensure([vn100({ qos: { policeKbps: 8, burstOctets: 1514 } }), ...vnics()]);
      const frame = ipv4({ ...packet, from: "0c", tags: "" });
      for (let i = 0; i < 10; i++) {
        rig.tunnel({ vni: 100, source: rig.a, destination: rig.vtep, frame });
      }
      expect((await rig.received("p2")).filter(({ length }) => length >= 1000)).toHaveLength(10);
      await dataplane.ensure([vn100({})]);
      expect(await arrived(20)).toBe(20);
      expect(await policed()).toBe(0);
    });
  });

  describe("meters", () => {
    type Counts = Partial<MeterCounts>;
    /** What is not 0. */
    async function counted(): Promise<Record<string, Counts>> {
      const { meters = [] } = await bench.dataplane.counters();
      const lines = meters.map((meter): [string, Counts] => {
        const { in: came, inOctets, out, outOctets, acl, policed, spoofed, dropped } = meter;
        const of = meter.is === "vnic" ? meter.vnic : meter.is === "port" ? meter.port : meter.vtep;
        const counts = { in: came, inOctets, out, outOctets, acl, policed, spoofed, dropped };
        return [of, Object.fromEntries(Object.entries(counts).filter(([, n]) => n > 0))];
      });
      return Object.fromEntries(lines.filter(([, counts]) => Object.keys(counts).length > 0));
    }

    test("V11: frames and octets of each VNIC, port and other NVE", async () => {
      const { rig, dataplane } = bench;
      await dataplane.ensure([vn100({}), ...vnics()]);
      const frame = testFrame({ from: "0c", to: "0a", tags: "", text: "hello" });
      bench.at("p1", "10", "0a", "0b");
      bench.at("p1", "10", "0a", "0c");
      bench.at("p1", "10", "0a", "99");
      rig.tunnel({ vni: 100, source: rig.a, destination: rig.vtep, frame });
      await rig.seen();
      const octets = frame.length;
      const bare = octets - 4; // of the others, which came with a tag
      expect(await counted()).toEqual({
        [vnic(1)]: { in: 3, inOctets: 3 * bare, out: 1, outOctets: octets, dropped: 1 },
        [vnic(3)]: { out: 1, outOctets: bare },
        p1: { in: 3, inOctets: 3 * bare, out: 1, outOctets: octets, dropped: 1 },
        p2: { out: 1, outOctets: bare },
        [rig.a]: { in: 1, inOctets: octets, out: 1, outOctets: bare },
      });
    });

    test("V11: copies of a flood are counted of the ports and NVEs that they go to", async () => {
      const { rig, dataplane } = bench;
      await dataplane.ensure([vn100({}), ...vnics()]);
      bench.at("p1", "10", "0a", "ff");
      await rig.seen();
      expect(await counted()).toMatchObject({
        [vnic(1)]: { in: 1 },
        p1: { in: 1, out: 1 },
        p2: { out: 1 },
        [rig.a]: { out: 1 },
      });
    });

    test("V11: each copy of a flood has the octets of the frame, however many went before it", async () => {
      const { rig, dataplane } = bench;
      const flood = [remote(rig.a), remote(rig.b), local("p2", 20)];
      await dataplane.ensure([{ is: "vn", vni: Vni(100), flood, floodUnknown: false }, ...vnics()]);
      bench.at("p1", "10", "0a", "ff");
      await rig.seen();
      const all = await counted();
      const { inOctets = 0 } = all[vnic(1)] ?? {};
      expect(inOctets).toBeGreaterThan(0);
      for (const of of ["p2", rig.a, rig.b])
        expect(all[of]).toEqual({ out: 1, outOctets: inOctets });
    });

    test("V11: why a VNIC's frames were dropped", async () => {
      const { rig, dataplane } = bench;
      const acl = [{ action: "deny", direction: "from-vnic", protocol: 17 }] as const;
      const rules = { acl, qos: { policeKbps: 8, burstOctets: 200 } };
      await dataplane.ensure([
        vn100(rules),
        ...vnics(),
        access("p1", 10, 100, { checkSource: true }),
      ]);
      rig.send("p1", ipv4({ from: "0a", to: "0b" }));
      for (let i = 0; i < 6; i++) bench.at("p1", "10", "0a", "0b");
      bench.at("p1", "10", "55", "0b");
      await rig.seen();
      const all = await counted();
      expect(all[vnic(1)]).toMatchObject({ in: 7, acl: 1, policed: 3 });
      expect(all).toMatchObject({ p1: { in: 8, acl: 1, policed: 3, spoofed: 1 } });
    });

    test("V11: a VNIC that is gone has no counts, and one that comes begins with none", async () => {
      const { dataplane, rig } = bench;
      await dataplane.ensure([vn100({}), ...vnics()]);
      bench.at("p1", "10", "0a", "0b");
      await rig.seen();
      await dataplane.remove([here("0a", "p1", 10, 1)]);
      expect(await counted()).not.toHaveProperty(vnic(1));
      await dataplane.ensure([here("0a", "p1", 10, 4)]);
      expect(await counted()).not.toHaveProperty(vnic(4));
      expect(await dataplane.applied()).toContainEqual(here("0a", "p1", 10, 4));
    });
  });
}
