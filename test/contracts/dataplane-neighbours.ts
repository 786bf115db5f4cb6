import { IpPrefix, Vni } from "@nve/protocol-spec";
import type { Intent, Place, Sample } from "@nve/switch-agent/nve";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { access, type Bench, local, mac, remote, sorted } from "./dataplane-bench.ts";
import { advertisement, arp, neighbourText, solicitation } from "./neighbour-frames.ts";
import { station } from "./wires.ts";

export const withIps = (vni: number, name: string, at: Place, ...ips: string[]): Intent => ({
  ...mac(vni, name, at),
  ips: ips.map(IpPrefix).sort(),
});

/** ARP, ND and RARP answered in place of whom they ask for (P12, H11, M4). */
export function neighbours(bench: Bench): void {
  describe("neighbours", () => {
    const answering = (vni: number, flood: readonly Place[]): Intent => ({
      is: "vn",
      vni: Vni(vni),
      flood,
      floodUnknown: false,
      answer: true,
    });
    /** VN 100, in which 0a asks at p1, answers for 0b and 0c; VN 200 has the same IP elsewhere, and does not answer. */
    beforeEach(() =>
      bench.dataplane.ensure([
        answering(100, [local("p1", 10), local("p2", 20), remote(bench.rig.a)]),
        withIps(100, "0a", local("p1", 10), "10.0.0.1", "fd00::1"),
        withIps(100, "0b", local("p2", 20), "10.0.0.2", "fd00::2", "fe80::2", "10.9.0.0/24"),
        withIps(100, "0c", remote(bench.rig.a), "10.0.0.3", "fd00::3"),
        withIps(200, "0c", remote(bench.rig.a), "10.0.0.4"),
      ]),
    );
    const seen = () => bench.rig.seen(neighbourText);
    const asks = (asks: string, more: Partial<Parameters<typeof arp>[0]> = {}) =>
      bench.rig.send("p1", arp({ from: "0a", ip: "10.0.0.1", asks, ...more }));
    const flooded = (words: string) =>
      [`p2: ${words.replace("[]", "[20]")}`, bench.tunnelTo(bench.rig.a, 100, words)].sort();

    test("P12, H11: ARP for a MAC here or behind the overlay is answered to who asked, and goes nowhere", async () => {
      asks("10.0.0.2");
      expect(await seen()).toEqual(["p1: 0b → 0a [10] arp 2 0b 10.0.0.2, 0a 10.0.0.1"]);
      asks("10.0.0.3");
      expect(await seen()).toEqual(["p1: 0c → 0a [10] arp 2 0c 10.0.0.3, 0a 10.0.0.1"]);
      bench.rig.send("p2", arp({ from: "0b", tags: "20", ip: "10.0.0.2", asks: "10.0.0.1" }));
      expect(await seen()).toEqual(["p2: 0a → 0b [20] arp 2 0a 10.0.0.1, 0b 10.0.0.2"]);
      expect(await bench.dropped()).toEqual({});
    });

    test("A11: where frames have no tag, the answer has none", async () => {
      await bench.dataplane.ensure([access("p3", 0, 100), mac(100, "1d", local("p3", 0))]);
      bench.rig.send("p3", arp({ from: "1d", tags: "", ip: "10.0.0.7", asks: "10.0.0.3" }));
      expect(await seen()).toEqual(["p3: 0c → 1d [] arp 2 0c 10.0.0.3, 1d 10.0.0.7"]);
    });

    test("P12: who looks whether an IP is free (RFC 5227, RFC 4862) hears it of whoever has it, and of nobody else", async () => {
      for (const ip of ["10.0.0.2", "10.0.0.1"]) {
        asks(ip, { ip: "0.0.0.0" });
        const words = `0a → ff [] arp 1 0a 0.0.0.0, 00:00:00:00:00:00 ${ip}`;
        expect(await seen()).toEqual(flooded(words));
      }
      for (const target of ["fd00::2", "fd00::1"]) {
        bench.rig.send("p1", solicitation({ from: "0a" }, "::", target));
        const words = `solicitation :: → ff02::1:ff00:1 ${target}`;
        expect(await seen()).toEqual(flooded(`0a → 33:33:ff:00:00:01 [] ${words}`));
      }
      asks("10.0.0.1", { ip: "10.0.0.5" }); // its own, by another name
      expect(await seen()).toHaveLength(2);
    });

    test("P11, P12: an IP of another VN, an unknown one, and one in a prefix are asked of all", async () => {
      for (const ip of ["10.0.0.4", "10.0.0.9", "10.9.0.1"]) {
        asks(ip);
        const words = `0a → ff [] arp 1 0a 10.0.0.1, 00:00:00:00:00:00 ${ip}`;
        expect(await seen()).toEqual(flooded(words));
      }
      bench.rig.send("p1", arp({ from: "0a", tags: "20", ip: "10.0.0.1", asks: "10.0.0.4" })); // VN 200
      expect(await seen()).toHaveLength(2);
    });

    test("P12: announcements, replies, and what is asked of one MAC pass", async () => {
      asks("10.0.0.1"); // RFC 5227 §3
      expect(await seen()).toHaveLength(2);
      asks("10.0.0.2", { ip: "10.0.0.2" }); // of another's IP: nothing is said in its name
      expect(await seen()).toHaveLength(2);
      asks("10.0.0.2", { op: 2 });
      expect(await seen()).toHaveLength(2);
      asks("10.0.0.2", { to: "0b" }); // does it live?
      expect(await seen()).toEqual([
        "p2: 0a → 0b [20] arp 1 0a 10.0.0.1, 00:00:00:00:00:00 10.0.0.2",
      ]);
      asks("10.0.0.2", { mac: "0c" }); // says that it is another
      expect(await seen()).toHaveLength(2);
    });

    test("P12: what another NVE asks of all, it did not know: it goes to all here", async () => {
      const frame = arp({ from: "0d", tags: "", ip: "10.0.0.4", asks: "10.0.0.2" });
      const { rig } = bench;
      rig.tunnel({ vni: 100, source: rig.a, destination: rig.vtep, frame });
      expect(await seen()).toEqual([
        "p1: 0d → ff [10] arp 1 0d 10.0.0.4, 00:00:00:00:00:00 10.0.0.2",
        "p2: 0d → ff [20] arp 1 0d 10.0.0.4, 00:00:00:00:00:00 10.0.0.2",
      ]);
    });

    test("M10: an IP that two MACs have is answered for neither; when one of them is left, for that one", async () => {
      const { dataplane, rig } = bench;
      const other = withIps(100, "0d", remote(rig.a), "10.0.0.2");
      await dataplane.ensure([other]);
      asks("10.0.0.2");
      expect(await seen()).toHaveLength(2);
      await dataplane.remove([mac(100, "0b", local("p2", 20))]);
      asks("10.0.0.2");
      expect(await seen()).toEqual(["p1: 0d → 0a [10] arp 2 0d 10.0.0.2, 0a 10.0.0.1"]);
      await dataplane.ensure([
        withIps(100, "0d", remote(rig.a)),
        withIps(100, "0b", local("p2", 20), "10.0.0.2"),
      ]);
      asks("10.0.0.2");
      expect(await seen()).toEqual(["p1: 0b → 0a [10] arp 2 0b 10.0.0.2, 0a 10.0.0.1"]);
      await dataplane.ensure([
        withIps(100, "71", remote(rig.a), "10.0.0.7"),
        withIps(100, "72", remote(rig.a), "10.0.0.7"),
      ]);
      asks("10.0.0.7");
      expect(await seen()).toHaveLength(2);
    });

    test("P12: an IP that goes to another MAC, and a MAC that moves, are answered as they are then", async () => {
      const { dataplane, rig } = bench;
      await dataplane.ensure([
        withIps(100, "0b", remote(rig.a), "10.0.0.2"),
        withIps(100, "0c", remote(rig.a), "fd00::3"),
        withIps(100, "0e", local("p1", 12), "10.0.0.3"),
      ]);
      asks("10.0.0.2");
      asks("10.0.0.3");
      expect(await seen()).toEqual([
        "p1: 0b → 0a [10] arp 2 0b 10.0.0.2, 0a 10.0.0.1",
        "p1: 0e → 0a [10] arp 2 0e 10.0.0.3, 0a 10.0.0.1",
      ]);
    });

    test("P12, H11: a Neighbour Solicitation is answered as its target would (RFC 4861 §7.2.4)", async () => {
      const { rig } = bench;
      rig.send("p1", solicitation({ from: "0a" }, "fd00::1", "fd00::2"));
      expect(await seen()).toEqual([
        "p1: 0b → 0a [10] advertisement fd00::2 → fd00::1 fd00::2 is 0b SO",
      ]);
      rig.send("p2", solicitation({ from: "0b", tags: "20" }, "fd00::2", "fd00::3"));
      expect(await seen()).toEqual([
        "p2: 0c → 0b [20] advertisement fd00::3 → fd00::2 fd00::3 is 0c SO",
      ]);
    });

    test("P12: a solicitation with more options than one is answered as any, with its one option", async () => {
      const nonce = Uint8Array.of(14, 1, 1, 2, 3, 4, 5, 6); // RFC 7527
      bench.rig.send("p1", solicitation({ from: "0a" }, "fd00::1", "fd00::3", nonce));
      expect(await seen()).toEqual([
        "p1: 0c → 0a [10] advertisement fd00::3 → fd00::1 fd00::3 is 0c SO",
      ]);
    });

    test("P12: a solicitation that a router has passed on is not answered (RFC 4861 §7.1.1)", async () => {
      const routed = solicitation({ from: "0a" }, "fd00::1", "fd00::2");
      routed[25] = 254; // its hop limit, behind a tag
      bench.rig.send("p1", routed);
      expect(await seen()).toHaveLength(2);
    });

    test("P12: asked of one MAC, of unknown and link-local addresses, and what is said unasked pass", async () => {
      const { rig } = bench;
      rig.send("p1", solicitation({ from: "0a", to: "0b" }, "fd00::1", "fd00::2"));
      expect(await seen()).toEqual([
        "p2: 0a → 0b [20] solicitation fd00::1 → ff02::1:ff00:1 fd00::2",
      ]);
      for (const target of ["fd00::9", "fe80::2"]) {
        rig.send("p1", solicitation({ from: "0a" }, "fd00::1", target));
        expect(await seen()).toHaveLength(2);
      }
      rig.send("p1", advertisement({ from: "0a" }, "fd00::1", "fd00::1"));
      expect(await seen()).toHaveLength(2);
    });

    test("a VN that is not to answer does not, and what it did before is read back", async () => {
      const { dataplane } = bench;
      const before = await dataplane.applied();
      expect(sorted(before)).toContain(
        sorted([
          withIps(100, "0b", local("p2", 20), "10.0.0.2", "10.9.0.0/24", "fd00::2", "fe80::2"),
        ])[0],
      );
      expect(before.find(({ is, vni }) => is === "vn" && vni === 100)).toMatchObject({
        answer: true,
      });
      const { answer: _, ...silent } = answering(100, [local("p1", 10), local("p2", 20)]) as {
        answer?: true;
      } & Intent;
      await dataplane.ensure([silent as Intent]);
      asks("10.0.0.2");
      expect(await seen()).toEqual([
        "p2: 0a → ff [20] arp 1 0a 10.0.0.1, 00:00:00:00:00:00 10.0.0.2",
      ]);
    });

    test("M4: who asks by RARP for its own IP is told it, and all others hear that it is here", async () => {
      const rarp = { op: 3, ip: "0.0.0.0", asks: "0.0.0.0", of: "0a" };
      bench.rig.send("p1", arp({ from: "0a", ...rarp }));
      const words = "0a → ff [] arp 3 0a 0.0.0.0, 0a 0.0.0.0";
      expect(await seen()).toEqual([
        "p1: 02:4e:56:45:00:00 → 0a [10] arp 4 02:4e:56:45:00:00 0.0.0.0, 0a 10.0.0.1",
        ...flooded(words),
      ]);
      bench.rig.send("p1", arp({ from: "0a", ...rarp, of: "0b" })); // of another
      bench.rig.send("p1", arp({ from: "0c", ...rarp, of: "0c" })); // not at home here
      expect(await seen()).toHaveLength(4);
    });

    test("M4: a MAC that says by RARP that it has moved here is shown to the agent, and flooded once", async () => {
      const shown: Sample[] = [];
      await bench.dataplane.ensure([access("p1", 10, 100, { glean: true })]);
      bench.dataplane.onSamples((samples) => shown.push(...samples));
      for (let n = 0; n < 2; n++) {
        bench.rig.send("p1", arp({ from: "0c", op: 3, ip: "0.0.0.0", asks: "0.0.0.0", of: "0c" }));
      }
      await vi.waitFor(() => expect(shown).toHaveLength(1));
      expect(Array.from(shown[0]?.octets.subarray(6, 12) ?? []).at(-1)).toBe(0x0c);
      expect(station("0c")).toBe("02:00:00:00:00:0c");
      expect(await seen()).toHaveLength(4);
    });
  });
}
