import { decode, EtherType, IpPrefix, readFrame, Vni } from "@nve/protocol-spec";
import type { AclRule, Intent, VnRules } from "@nve/switch-agent/nve";
import { describe, expect, test } from "vitest";
import { type Bench, local, remote } from "./dataplane-bench.ts";
import { checksum, fragment6, ipv4, ipv6, options, TCP, UDP } from "./rule-frames.ts";
import { testFrame } from "./wires.ts";

const rule = (action: "allow" | "deny", more: Partial<AclRule> = {}): AclRule => ({
  action,
  direction: "both",
  ...more,
});
const deny = (more: Partial<AclRule> = {}) => rule("deny", more);
const allow = (more: Partial<AclRule> = {}) => rule("allow", more);
const fromVnic = { direction: "from-vnic" } as const;
const toVnic = { direction: "to-vnic" } as const;

/** ACL and DSCP of a VN's profile (H25). */
export function profiles(bench: Bench): void {
  const vn100 = (rules: VnRules): Intent => ({
    is: "vn",
    vni: Vni(100),
    flood: [local("p1", 10), local("p1", 12), local("p2", 20), remote(bench.rig.a)],
    floodUnknown: false,
    ...rules,
  });
  const apply = (rules: VnRules) => bench.dataplane.ensure([vn100(rules)]);
  const denied = async () => {
    const { acl = 0 } = await bench.dropped();
    return acl;
  };
  /** Which of these get from 0a at p1 to 0b at p2, by their place in the list. */
  async function passing(frames: readonly Uint8Array[]): Promise<number[]> {
    const passed: number[] = [];
    for (const [i, frame] of frames.entries()) {
      await bench.rig.received("p2");
      bench.rig.send("p1", frame);
      const got = await bench.rig.received("p2");
      if (got.some((octets) => isTenants(octets))) passed.push(i);
    }
    return passed;
  }
  const ends = { from: "0a", to: "0b" };

  describe("ACL", () => {
    test("H25: the first rule that matches counts, and what none matches passes", async () => {
      await apply({
        acl: [
          allow({ protocol: UDP, destinationPorts: [53, 53] }),
          deny({ protocol: UDP, destinationPorts: [1, 1023] }),
        ],
      });
      const to = (port: number, protocol = UDP) => ipv4({ ...ends, protocol, ports: [9, port] });
      expect(await passing([to(53), to(54), to(1023), to(1024), to(54, TCP)])).toEqual([0, 3, 4]);
      expect(await denied()).toBe(2);
    });

    test("H25: prefixes of both families, each for packets of its own alone", async () => {
      await apply({
        acl: [
          deny({ source: IpPrefix("10.0.0.0/24"), destination: IpPrefix("10.0.1.0/24") }),
          deny({ destination: IpPrefix("fd00:1::/32") }),
          deny({ source: IpPrefix("0.0.0.0/0"), destination: IpPrefix("192.0.2.7") }),
        ],
      });
      const frames = [
        ipv4({ ...ends, destination: "10.0.1.9" }),
        ipv4({ ...ends, source: "10.0.2.1", destination: "10.0.1.9" }),
        ipv6({ ...ends, destination: "fd00:1::9" }),
        ipv6({ ...ends, destination: "fd00:2::9" }),
        ipv4({ ...ends, destination: "192.0.2.7" }),
        ipv6({ ...ends, destination: "::ffff:192.0.2.8" }),
        testFrame({ from: "0a", to: "0b", tags: "10", text: "hello" }),
      ];
      expect(await passing(frames)).toEqual([1, 3, 5, 6]);
    });

    test("H25: what is no IP is told by its EtherType", async () => {
      await apply({ acl: [allow({ etherType: EtherType.ipv4 }), deny()] });
      const other = testFrame({ from: "0a", to: "0b", tags: "10", text: "hello" });
      expect(await passing([ipv4(ends), ipv6(ends), other])).toEqual([0]);
      await apply({ acl: [deny({ protocol: UDP }), deny({ source: IpPrefix("::/0") })] });
      expect(await passing([ipv4(ends), ipv6(ends), other])).toEqual([2]);
    });

    test("H25: headers of IPv6 hide no port, and a packet with too many of them goes nowhere", async () => {
      await apply({ acl: [deny({ protocol: TCP, destinationPorts: [25, 25] })] });
      const mail = { ...ends, protocol: TCP, ports: [9, 25] } as const;
      const web = { ...ends, protocol: TCP, ports: [9, 80] } as const;
      const many = Array.from({ length: 9 }, () => options);
      expect(
        await passing([
          ipv6({ ...mail, extensions: [options, fragment6(0, true)] }),
          ipv6({ ...web, extensions: [options, fragment6(0, true)] }),
          ipv6({ ...web, extensions: many.slice(1) }),
          ipv6({ ...web, extensions: many }),
        ]),
      ).toEqual([1, 2]);
    });

    test("H25: of a fragment that is not the first the ports are not known; its protocol is", async () => {
      await apply({ acl: [deny({ protocol: TCP, destinationPorts: [25, 25] })] });
      const mail = { ...ends, protocol: TCP, ports: [9, 25] } as const;
      const frames = [
        ipv4({ ...mail, fragment: { at: 0, more: true } }),
        ipv4({ ...mail, fragment: { at: 100 } }),
        ipv6({ ...mail, extensions: [fragment6(100, false)] }),
      ];
      expect(await passing(frames)).toEqual([1, 2]);
      await apply({ acl: [deny({ protocol: TCP })] });
      expect(await passing(frames)).toEqual([]);
    });

    test("H25: a packet that ends before its ports goes nowhere where there is an ACL", async () => {
      const whole = ipv4({ ...ends, protocol: TCP, ports: [9, 80], octets: 30 });
      const options15 = whole.slice();
      options15[18] = 0x4f; // 60 octets of header, 54 are there
      await apply({ acl: [deny({ protocol: TCP, destinationPorts: [25, 25] })] });
      expect(await passing([whole, options15])).toEqual([0]);
    });

    test("H25: from a VNIC wherever it goes, to a VNIC wherever it comes from", async () => {
      const { rig } = bench;
      const over = () => {
        const frame = testFrame({ from: "0c", to: "0a", tags: "", text: "hello" });
        rig.tunnel({ vni: 100, source: rig.a, destination: rig.vtep, frame });
      };
      const both = async () => {
        bench.at("p1", "10", "0a", "0c");
        over();
        return await rig.seen();
      };
      const [there, back] = [
        bench.tunnelTo(rig.a, 100, "0a → 0c [] hello"),
        "p1: 0c → 0a [10] hello",
      ];
      await apply({ acl: [deny(fromVnic)] });
      expect(await both()).toEqual([back]);
      await apply({ acl: [deny(toVnic)] });
      expect(await both()).toEqual([there]);
      await apply({ acl: [allow(fromVnic), deny()] });
      expect(await both()).toEqual([there]);
      await apply({ acl: [] });
      expect(await both()).toEqual([back, there].sort());
    });

    test("H25: what is flooded goes to other NVEs, and to no VNIC here that may not have it", async () => {
      const { rig } = bench;
      await apply({ acl: [deny(toVnic)] });
      bench.at("p1", "10", "0a", "ff");
      expect(await rig.seen()).toEqual([bench.tunnelTo(rig.a, 100, "0a → ff [] hello")]);
      expect(await denied()).toBe(2);
      bench.over(rig.a, 100, "0c", "ff");
      expect(await rig.seen()).toEqual([]);
    });

    test("H25: another VN has its own rules, or none", async () => {
      await apply({ acl: [deny()] });
      bench.at("p1", "20", "0a", "0b");
      expect(await bench.rig.seen()).toEqual(["p3: 0a → 0b [10] hello"]);
    });

    test("H25: 256 rules are held and read back as they are; more are refused, and what was in force stays", async () => {
      const { dataplane } = bench;
      const acl = Array.from({ length: 255 }, (_, i) =>
        deny({ protocol: UDP, destinationPorts: [i + 1, i + 1], ...(i % 2 === 0 && fromVnic) }),
      );
      const last = allow({
        ...toVnic,
        etherType: EtherType.ipv6,
        source: IpPrefix("fd00::/16"),
        destination: IpPrefix("fd00::2"),
        sourcePorts: [1, 65_535],
      });
      const rules = {
        acl: [...acl, last],
        qos: { policeKbps: 8_000_000, burstOctets: 9000, dscp: 0 },
      };
      await apply(rules);
      const held = async () =>
        (await dataplane.applied()).find(({ is, vni }) => is === "vn" && vni === 100);
      expect(await held()).toMatchObject(rules);
      await expect(apply({ acl: [...acl, last, last] })).rejects.toThrow("256 rules at most");
      expect(await held()).toMatchObject(rules);
      const to = (port: number) => ipv4({ ...ends, ports: [9, port] });
      expect(await passing([to(255), to(256)])).toEqual([1]);
      await apply({});
      expect(await held()).not.toHaveProperty("acl");
      expect(await held()).not.toHaveProperty("qos");
    });

    test("H25: while lists that deny the same are exchanged all the time, not one such frame passes", async () => {
      const fill = (n: number) => Array.from({ length: n }, () => allow({ protocol: 200 }));
      const lists = [20, 90, 3].map((n) => ({ acl: [...fill(n), deny({ protocol: UDP })] }));
      await apply(lists[0] ?? {});
      await bench.rig.received("p2");
      const sent = bench.rig.sendMany("p1", ipv4(ends), 2000);
      let done = false;
      const end = sent.then(() => {
        done = true;
      });
      for (let i = 0; !done; i++) {
        await apply(lists[i % 3] ?? {});
        await new Promise((resolve) => setImmediate(resolve));
      }
      await end;
      expect((await bench.rig.received("p2")).filter(isTenants)).toEqual([]);
      expect(await denied()).toBe(2000);
    });
  });

  describe("DSCP", () => {
    test("H25: packets of VNICs get the VN's DSCP, keep their ECN, and a right checksum", async () => {
      await apply({ qos: { dscp: 46 } });
      await passing([ipv4({ ...ends, ds: 0x29 })]);
      bench.rig.send("p1", ipv4({ ...ends, ds: 0x29 }));
      const [four] = (await bench.rig.received("p2")).filter(isTenants).map(packetOf);
      expect(four?.[1]).toBe((46 << 2) | 1);
      expect(checksum(four?.subarray(0, 20) ?? new Uint8Array())).toBe(0);
      bench.rig.send("p1", ipv6({ ...ends, ds: 0x2a }));
      const [six] = (await bench.rig.received("p2")).filter(isTenants).map(packetOf);
      expect((((six?.[0] ?? 0) << 4) & 0xff) | ((six?.[1] ?? 0) >> 4)).toBe((46 << 2) | 2);
    });

    test("H25: a DSCP of 0 is one; what comes from another NVE was marked there", async () => {
      const { rig } = bench;
      await apply({ qos: { dscp: 0 } });
      rig.send("p1", ipv4({ ...ends, ds: 0xb8 }));
      const [here] = (await rig.received("p2")).filter(isTenants).map(packetOf);
      expect(here?.[1]).toBe(0);
      const frame = ipv4({ from: "0c", to: "0b", tags: "", ds: 0xb8 });
      rig.tunnel({ vni: 100, source: rig.a, destination: rig.vtep, frame });
      const [there] = (await rig.received("p2")).filter(isTenants).map(packetOf);
      expect(there?.[1]).toBe(0xb8);
    });
  });
}

const names = ["0a", "0b", "0c"];
/** The switch's own interfaces speak too. */
const isTenants = (octets: Uint8Array): boolean => {
  const { source } = decode(octets, readFrame);
  return names.some((name) => source === `02:00:00:00:00:${name}`);
};
const packetOf = (octets: Uint8Array): Uint8Array => decode(octets, readFrame).payload;
