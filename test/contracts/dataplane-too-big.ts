import {
  concat,
  decode,
  EtherType,
  frameOctets,
  ipFrom,
  ipOctets,
  readFrame,
  uint,
  Vni,
} from "@nve/protocol-spec";
import type { Intent } from "@nve/switch-agent/nve";
import { describe, expect, test } from "vitest";
import { sumOf, word } from "./checksum.ts";
import { type Bench, local, remote } from "./dataplane-bench.ts";
import { station } from "./wires.ts";

const DF = 0x4000;
const UDP = 17;
const TCP = 6;

/** Of a packet: everything that a test varies. `length`: octets of the whole packet. */
type Packet = { length: number; to?: string; vid?: number; frag?: number; protocol?: number };

/** From 0a, 10.0.0.1, to 0c, 10.0.0.3: an IPv4 packet. */
function long4({ length, frag = DF, protocol = UDP, ...ends }: Packet): Uint8Array {
  const start = concat(uint(4, 0x45000000 + length), uint(2, 0x1234), uint(2, frag));
  const addresses = concat(ipOctets("10.0.0.1"), ipOctets("10.0.0.3"));
  const header = concat(start, Uint8Array.of(64, protocol), uint(2, 0xbeef), addresses);
  return frameOf(EtherType.ipv4, concat(header, bodyOf(length - 20)), ends);
}

function long6({ length, protocol = UDP, ...ends }: Packet, source = "fd00::1"): Uint8Array {
  const start = concat(uint(4, 0x60000000), uint(2, length - 40), Uint8Array.of(protocol, 64));
  const addresses = concat(ipOctets(source), ipOctets("fd00::3"));
  return frameOf(EtherType.ipv6, concat(start, addresses, bodyOf(length - 40)), ends);
}

const bodyOf = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + 8) & 0xff);

function frameOf(etherType: number, payload: Uint8Array, ends: Pick<Packet, "to" | "vid">) {
  const { to = "0c", vid = 10 } = ends;
  const tag = { pcp: 0, dei: false, vid };
  return frameOctets({
    destination: station(to),
    source: station("0a"),
    tag,
    etherType,
    payload,
  });
}

/** What a place is told: of one frame that it gets. */
function toldIn(frame: Uint8Array) {
  const { source, destination, tag, etherType, payload } = decode(frame, readFrame);
  const ends = { from: source.slice(-2), to: destination.slice(-2), vid: tag?.vid };
  const at = (from: number, to: number) => payload.subarray(from, to);
  if (etherType === EtherType.ipv4) {
    const ips = `${ipFrom(at(12, 16))} → ${ipFrom(at(16, 20))}`;
    const length = word(payload, 2);
    const icmp = at(20, length);
    const sums = [sumOf(at(0, 20)), sumOf(icmp)];
    const what = { type: icmp[0], code: icmp[1], mtu: word(icmp, 6) };
    return { ...ends, ips, length, protocol: payload[9], ...what, sums, quote: icmp.subarray(8) };
  }
  const ips = `${ipFrom(at(8, 24))} → ${ipFrom(at(24, 40))}`;
  const length = word(payload, 4);
  const icmp = at(40, 40 + length);
  const sums = [sumOf(concat(at(8, 40), uint(4, length), uint(4, 58), icmp))];
  const what = { type: icmp[0], code: icmp[1], mtu: word(icmp, 4) * 65536 + word(icmp, 6) };
  return { ...ends, ips, length, protocol: payload[6], ...what, sums, quote: icmp.subarray(8) };
}

/** A10: packets that the underlay, or the VN, has no room for. */
export function tooBig(bench: Bench): void {
  describe("too big", () => {
    const told = async (port = "p1") => (await bench.rig.received(port)).map(toldIn);
    const vn100 = (mtu?: number, floodUnknown = false): Intent => ({
      is: "vn",
      vni: Vni(100),
      flood: [local("p1", 10), local("p2", 20), remote(bench.rig.a)],
      floodUnknown,
      ...(mtu !== undefined && { mtu }),
    });
    const ask = (frame: Uint8Array) => bench.rig.send("p1", frame);
    const packetOf = (frame: Uint8Array) => frame.subarray(18);

    for (const protocol of [UDP, TCP, 253]) {
      test(`A10, RFC 1191: of an IPv4 packet with DF (protocol ${protocol}) the sender is told the MTU, by whom it is for`, async () => {
        for (const length of [bench.rig.mtu + 1, bench.rig.mtu + 200]) {
          const frame = long4({ length, protocol });
          ask(frame);
          expect(await told()).toEqual([
            {
              ...{ from: "0c", to: "0a", vid: 10, ips: "10.0.0.3 → 10.0.0.1", protocol: 1 },
              ...{ type: 3, code: 4, mtu: bench.rig.mtu, length: 556, sums: [0xffff, 0xffff] },
              quote: packetOf(frame).subarray(0, 528),
            },
          ]);
        }
        expect(await bench.dropped()).toEqual({ "too-big-told": 2 });
      });

      test(`A10, RFC 8201: of an IPv6 packet (next header ${protocol}) it is told, too`, async () => {
        const frame = long6({ length: bench.rig.mtu + 1, protocol });
        ask(frame);
        expect(await told()).toEqual([
          {
            ...{ from: "0c", to: "0a", vid: 10, ips: "fd00::3 → fd00::1", protocol: 58 },
            ...{ type: 2, code: 0, mtu: bench.rig.mtu, length: 1240, sums: [0xffff] },
            quote: packetOf(frame).subarray(0, 1232),
          },
        ]);
        expect(await bench.dropped()).toEqual({ "too-big-told": 1 });
      });
    }

    test("A10: the MTU of the VN holds, where it is smaller, and follows changes; between places here it does not", async () => {
      const { dataplane } = bench;
      await dataplane.ensure([vn100(1400)]);
      const vns = (await dataplane.applied()).filter(({ is, vni }) => is === "vn" && vni === 100);
      expect(vns).toMatchObject([{ mtu: 1400 }]);
      ask(long4({ length: 1400 }));
      ask(long4({ length: 1450, to: "0b" }));
      expect(await told()).toEqual([]);
      ask(long4({ length: 1401 }));
      ask(long6({ length: 1401 }));
      expect((await told()).map(({ mtu }) => mtu)).toEqual([1400, 1400]);
      await dataplane.ensure([vn100(1401)]);
      ask(long4({ length: 1401 }));
      expect(await told()).toEqual([]);
      ask(long4({ length: 1402 }));
      expect((await told()).map(({ mtu }) => mtu)).toEqual([1401]);
      await dataplane.ensure([vn100()]);
      ask(long4({ length: 1402 }));
      expect(await told()).toEqual([]);
      await dataplane.ensure([vn100(9000)]);
      ask(long4({ length: bench.rig.mtu + 1 }));
      expect((await told()).map(({ mtu }) => mtu)).toEqual([bench.rig.mtu]);
    });

    test("RFC 1122 §3.2.2: nobody is told of packets without DF, later fragments, errors, and what goes to a group", async () => {
      const length = bench.rig.mtu + 1;
      await bench.dataplane.ensure([vn100()]);
      const error4 = long4({ length, protocol: 1 });
      error4[38] = 11;
      const error6 = long6({ length, protocol: 58 });
      error6[58] = 1;
      const frames = [
        ...[long4({ length, frag: 0 }), long4({ length, frag: DF | 100 }), error4, error6],
        ...[long4({ length, to: "ff" }), long6({ length, to: "33:33:00:00:00:05" })],
        long6({ length }, "::"),
      ];
      for (const frame of frames) ask(frame);
      expect(await told()).toEqual([]);
      const { oversize } = await bench.dropped();
      expect(oversize).toBe(5 + 2);
    });

    test("an echo that is too big is told of (ping)", async () => {
      const frame = long4({ length: bench.rig.mtu + 1, protocol: 1 });
      frame[38] = 8;
      ask(frame);
      const [one] = await told();
      expect(one).toMatchObject({ type: 3, code: 4, quote: packetOf(frame).subarray(0, 528) });
    });

    test("RFC 8201 §4: nobody is told of an IPv6 MTU below 1280", async () => {
      await bench.dataplane.ensure([vn100(1200)]);
      ask(long6({ length: 1201 }));
      expect(await told()).toEqual([]);
      ask(long4({ length: 1201 }));
      expect((await told()).map(({ mtu }) => mtu)).toEqual([1200]);
      expect(await bench.dropped()).toEqual({ oversize: 1, "too-big-told": 1 });
    });

    test("where it is not known where the destination is, places here get the packet and the sender is told", async () => {
      await bench.dataplane.ensure([vn100(undefined, true)]);
      ask(long4({ length: bench.rig.mtu + 1, to: "99" }));
      expect((await told()).map(({ from, mtu }) => [from, mtu])).toEqual([["99", bench.rig.mtu]]);
      const [copy] = (await bench.rig.received("p2")).map((frame) => frame.length);
      expect(copy).toBe(bench.rig.mtu + 1 + 18);
    });

    test("RFC 4443 §2.4 f: a place is told so often and no more; the rest is counted", async () => {
      for (let n = 0; n < 200; n++) ask(long4({ length: bench.rig.mtu + 1 }));
      const answers = (await told()).length;
      expect(answers).toBeGreaterThanOrEqual(20);
      expect(answers).toBeLessThan(150);
      const { oversize = 0, ...others } = await bench.dropped();
      expect(others).toEqual({ "too-big-told": answers });
      expect(oversize + answers).toBe(200);
    });
  });
}
