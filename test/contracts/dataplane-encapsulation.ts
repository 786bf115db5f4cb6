import { decode, EtherType, frameOctets, IpAddress, isIpv6, readFrame } from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import type { Bench } from "./dataplane-bench.ts";
import { readTunnel, type Seen, udpPacket } from "./tunnels.ts";
import { station } from "./wires.ts";

const inner = {
  4: { source: IpAddress("10.0.0.1"), destination: IpAddress("10.0.0.2") },
  6: { source: IpAddress("2001:db8:1::1"), destination: IpAddress("2001:db8:1::2") },
};

/** A tenant's UDP packet in a frame without a tag. */
function tenantFrame(from: string, to: string, family: 4 | 6, ds: number, n = 100): Uint8Array {
  const payload = Uint8Array.from({ length: n }, (_, i) => (i * 7) & 0xff);
  const { type, octets } = udpPacket({ ...inner[family], ds, payload });
  const ends = { source: station(from), destination: station(to) };
  return frameOctets({ ...ends, etherType: type, payload: octets });
}

function tagged(frame: Uint8Array, vid: number): Uint8Array {
  const tag = Uint8Array.of(0x81, 0, vid >> 8, vid & 0xff);
  return Uint8Array.of(...frame.subarray(0, 12), ...tag, ...frame.subarray(12));
}

async function tunnels(bench: Bench): Promise<Seen[]> {
  return (await bench.rig.received("ul")).flatMap((octets) => {
    const { etherType, payload } = decode(octets, readFrame);
    if (etherType !== EtherType.ipv4 && etherType !== EtherType.ipv6) return [];
    return readTunnel(payload) ?? [];
  });
}

/** A24, V9: the outer headers of tenants' IP packets, and what of them gets into the tenant's. */
export function encapsulation(bench: Bench): void {
  describe("encapsulation", () => {
    /** Where the kernel leaves it to the NIC, a veth has none that would fill it in. */
    const overIpv6 = () =>
      bench.without.has("UDP checksums without a NIC")
        ? expect.stringMatching("right|wrong")
        : "right";
    const isUdp = () => bench.rig.encapsulation === "vxlan";

    for (const family of [4, 6] as const) {
      test(`V9: every field around an IPv${family} packet is as the standard has it`, async () => {
        for (const n of [0, 1, 100, 1401]) {
          const frame = tenantFrame("0a", "0c", family, 0xb8, n);
          bench.rig.send("p1", tagged(frame, 10));
          const [seen, ...more] = await tunnels(bench);
          expect(more).toEqual([]);
          expect(seen).toEqual({
            encapsulation: bench.rig.encapsulation,
            source: bench.rig.vtep,
            destination: bench.rig.a,
            vni: 100,
            ds: 0xb8, // as the tenant's packet
            ttl: 64,
            dontFragment: true,
            flow: expect.any(Number),
            checksum: isUdp() && isIpv6(bench.rig.vtep) ? overIpv6() : "none",
            frame,
          });
          if (isUdp()) expect(seen?.flow).toBeGreaterThanOrEqual(49152);
        }
        expect(await bench.dropped()).toEqual({});
      });

      test(`RFC 6040 §4.1: what an IPv${family} packet says of congestion is said outside, too`, async () => {
        const all = [0, 1, 2, 3].map((ecn) => 0x28 | ecn);
        for (const ds of all) bench.rig.send("p1", tagged(tenantFrame("0a", "0c", family, ds), 10));
        const outside = bench.without.has("CE outside") ? [0x28, 0x29, 0x2a, 0x2a] : all;
        expect((await tunnels(bench)).map(({ ds }) => ds)).toEqual(outside);
      });

      test(`RFC 6040 §4.2: an IPv${family} packet gets the marks of the underlay, and no other DSCP`, async () => {
        const { rig } = bench;
        const seen: string[] = [];
        for (const inside of [0, 1, 2, 3]) {
          for (const outside of [0, 1, 2, 3]) {
            const frame = tenantFrame("0d", "0b", family, 0x28 | inside);
            const ends = { source: rig.b, destination: rig.vtep };
            rig.tunnel({ ...ends, vni: 100, frame, ds: 0xb8 | outside });
            const [out, ...more] = await rig.received("p2");
            expect(more).toEqual([]);
            const is = out && dsOf(out);
            if (is !== undefined) {
              expect(out).toEqual(tagged(tenantFrame("0d", "0b", family, is), 20));
            }
            seen.push(`${inside} in ${outside}: ${is === undefined ? "dropped" : is - 0x28}`);
          }
        }
        expect(seen).toEqual([
          ...["0 in 0: 0", "0 in 1: 0", "0 in 2: 0", "0 in 3: dropped"],
          ...["1 in 0: 1", "1 in 1: 1", "1 in 2: 1", "1 in 3: 3"],
          ...["2 in 0: 2", "2 in 1: 1", "2 in 2: 2", "2 in 3: 3"],
          ...["3 in 0: 3", "3 in 1: 3", "3 in 2: 3", "3 in 3: 3"],
        ]);
        expect(await bench.dropped()).toEqual(bench.told({ congested: 1 }));
      });
    }

    test("V9: ARP that nobody has padded comes out as it was", async () => {
      const { rig } = bench;
      const arp = frameOctets({
        ...{ source: station("0d"), destination: station("0b"), etherType: EtherType.arp },
        payload: new Uint8Array(28),
      });
      rig.tunnel({ source: rig.b, destination: rig.vtep, vni: 100, frame: arp });
      expect(await rig.received("p2")).toEqual([tagged(arp, 20)]);
      expect(await bench.dropped()).toEqual({});
    });

    test("V9: each flow has a port of its own, and keeps it", async () => {
      const ports = async (last: number) => {
        const address = IpAddress(`10.0.0.${last}`);
        const packet = { source: address, destination: inner[4].destination, ds: 0 };
        const { type, octets } = udpPacket({ ...packet, payload: Uint8Array.of(1) });
        const ends = { source: station("0a"), destination: station("0c") };
        const frame = frameOctets({ ...ends, etherType: type, payload: octets });
        for (let n = 0; n < 3; n++) bench.rig.send("p1", tagged(frame, 10));
        const flows = new Set((await tunnels(bench)).map(({ flow }) => flow));
        expect(flows.size).toBe(1);
        return [...flows];
      };
      const all = new Set<number>();
      for (let n = 1; n <= 16; n++) for (const port of await ports(n)) all.add(port);
      // MPLS has nothing to tell flows apart: switches look at the packet inside (RFC 6790 §1.1).
      if (bench.rig.encapsulation === "mpls-over-gre") expect([...all]).toEqual([0]);
      else expect(all.size).toBeGreaterThan(12);
    });

    test("of the longest IP packet passes, one octet more does not", async () => {
      const longest = bench.rig.mtu - 28;
      for (const n of [longest, longest + 1]) {
        bench.rig.send("p1", tagged(tenantFrame("0a", "0c", 4, 0, n), 10));
      }
      expect((await tunnels(bench)).map(({ frame }) => frame.length)).toEqual([bench.rig.mtu + 14]);
    });
  });
}

/** Of the packet in a tagged frame. */
function dsOf(frame: Uint8Array): number {
  const view = new DataView(frame.buffer, frame.byteOffset);
  const start = view.getUint16(18);
  return view.getUint16(16) === EtherType.ipv4 ? start & 0xff : (start >>> 4) & 0xff;
}
