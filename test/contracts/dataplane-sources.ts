import { beforeEach, describe, expect, test } from "vitest";
import { access, type Bench, local, remote } from "./dataplane-bench.ts";
import { withIps } from "./dataplane-neighbours.ts";
import {
  advertisement,
  arp,
  extension,
  neighbourText,
  packet4,
  packet6,
  solicitation,
} from "./neighbour-frames.ts";

/** Packets from IPs that their MAC does not have (M10). */
export function sources(bench: Bench): void {
  describe("IPs of sources", () => {
    const strict = { checkSource: true, checkIps: true } as const;
    /** 0a is checked, 0e at the other tag is not; of 0f, at 0a's place, no IP was said. */
    beforeEach(() =>
      bench.dataplane.ensure([
        access("p1", 10, 100, strict),
        withIps(
          100,
          "0a",
          local("p1", 10),
          "10.0.0.1",
          "10.0.0.11",
          "fd00::1",
          "10.1.0.0/16",
          "fd01::/64",
        ),
        withIps(100, "0b", local("p2", 20), "10.0.0.2", "fd00::2"),
        withIps(100, "0f", local("p1", 10)),
        withIps(100, "0e", local("p1", 12), "10.0.0.5"),
      ]),
    );
    const to = (from: string, tags = "10") => ({ from, to: "0b", tags });
    /** How many of these get to p2, each sent for itself. */
    async function passing(...frames: Uint8Array[]): Promise<boolean[]> {
      const passed: boolean[] = [];
      for (const frame of frames) {
        bench.rig.send("p1", frame);
        passed.push((await bench.rig.seen(neighbourText)).some((line) => line.startsWith("p2: ")));
      }
      return passed;
    }
    const spoofed = async () => (await bench.dropped())["spoofed-ip"] ?? 0;

    test("M10: IPv4 packets pass from the MAC's own IPs and prefixes, and from 0.0.0.0, and from no others", async () => {
      const good = ["10.0.0.1", "10.0.0.11", "10.1.255.255", "0.0.0.0"];
      const bad = ["10.0.0.2", "10.0.0.5", "10.2.0.0", "192.0.2.1"];
      const frames = (ips: string[]) => ips.map((ip) => packet4(to("0a"), ip));
      expect(await passing(...frames(good))).toEqual([true, true, true, true]);
      expect(await spoofed()).toBe(0);
      expect(await passing(...frames(bad))).toEqual([false, false, false, false]);
      expect(await spoofed()).toBe(4);
    });

    test("M10: IPv6 packets pass from its own, from ::, and from the link-local address of its MAC", async () => {
      const good = ["fd00::1", "fd01::99", "::", "fe80::ff:fe00:a"];
      const bad = ["fd00::2", "fd02::1", "fe80::ff:fe00:b", "fe80::1"];
      const frames = (ips: string[]) => ips.map((ip) => packet6(to("0a"), ip));
      expect(await passing(...frames(good))).toEqual([true, true, true, true]);
      expect(await passing(...frames(bad))).toEqual([false, false, false, false]);
      expect(await spoofed()).toBe(4);
    });

    test("M10: ARP passes if both sender addresses are its own, also as a probe", async () => {
      const ends = { from: "0a", asks: "10.0.0.9" };
      expect(
        await passing(
          arp({ ...ends, ip: "10.0.0.1" }),
          arp({ ...ends, ip: "0.0.0.0" }),
          arp({ ...ends, ip: "10.0.0.1", op: 2 }),
        ),
      ).toEqual([true, true, true]);
      expect(
        await passing(
          arp({ ...ends, ip: "10.0.0.2" }),
          arp({ ...ends, ip: "10.0.0.2", asks: "10.0.0.2" }), // gratuitous
          arp({ ...ends, ip: "10.0.0.2", op: 2, to: "0b" }),
          arp({ ...ends, ip: "10.0.0.1", mac: "0b" }),
        ),
      ).toEqual([false, false, false, false]);
      expect(await spoofed()).toBe(4);
    });

    test("M10: an advertisement of another's address does not pass, nor one behind an extension header", async () => {
      const ends = { from: "0a" };
      expect(
        await passing(
          advertisement(ends, "fd00::1", "fd00::1"),
          advertisement(ends, "fe80::ff:fe00:a", "fe80::ff:fe00:a"),
          solicitation(ends, "fd00::1", "fd00::2"),
          solicitation(ends, "::", "fd00::1"),
          packet6(to("0a"), "fd00::1", "fd00::2", 60, extension.with(0, 59)),
        ),
      ).toEqual([true, true, true, true, true]);
      expect(
        await passing(
          advertisement(ends, "fd00::1", "fd00::2"),
          advertisement(ends, "fd00::2", "fd00::2"),
          advertisement(ends, "fd00::1", "fd00::1", extension),
          advertisement(ends, "fd00::1", "fd00::2", extension),
          solicitation(ends, "fd00::2", "fd00::3"),
        ),
      ).toEqual([false, false, false, false, false]);
      expect(await spoofed()).toBe(5);
    });

    test("M10: cut off in the midst of its addresses, a packet does not pass", async () => {
      const cut = packet6(to("0a"), "fd00::1").slice(0, 18 + 10);
      expect(await passing(cut)).toEqual([false]);
      expect(await spoofed()).toBe(1);
    });

    test("a MAC with no IPs, and a place that does not check them, may use any", async () => {
      expect(
        await passing(packet4(to("0f"), "10.0.0.2"), packet4(to("0e", "12"), "10.0.0.2")),
      ).toEqual([true, true]);
      await bench.dataplane.ensure([access("p1", 10, 100, { checkSource: true })]);
      expect(await passing(packet4(to("0a"), "10.0.0.2"))).toEqual([true]);
      expect(await spoofed()).toBe(0);
    });

    test("M10: IPs that are said anew count at once, and those of before no more", async () => {
      const { dataplane, rig } = bench;
      const [old, fresh] = ["10.0.0.1", "10.0.0.77"].map((ip) => packet4(to("0a"), ip));
      if (old === undefined || fresh === undefined) return;
      await dataplane.ensure([withIps(100, "0a", local("p1", 10), "10.0.0.77", "fd00::1")]);
      expect(await passing(old, fresh)).toEqual([false, true]);
      // Away and back: it has what is said then.
      await dataplane.ensure([withIps(100, "0a", remote(rig.a), "10.0.0.1")]);
      await dataplane.ensure([withIps(100, "0a", local("p1", 10), "fd00::1")]);
      expect(await passing(old, fresh, packet6(to("0a"), "fd00::1"))).toEqual([false, false, true]);
      await dataplane.ensure([withIps(100, "0a", local("p1", 10))]);
      expect(await passing(old)).toEqual([true]);
    });

    test("V10: its rules are read back, and hold when its port was made again", async () => {
      const { dataplane } = bench;
      expect(await dataplane.applied()).toContainEqual(access("p1", 10, 100, strict));
      await dataplane.portDown("p1");
      await dataplane.portUp("p1");
      expect(await passing(packet4(to("0a"), "10.0.0.11"), packet4(to("0a"), "10.0.0.2"))).toEqual([
        true,
        false,
      ]);
    });
  });
}
