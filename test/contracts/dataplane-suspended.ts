import {
  concat,
  decode,
  EtherType,
  frameOctets,
  IpAddress,
  ipFrom,
  ipOctets,
  readFrame,
  uint,
  Vni,
} from "@nve/protocol-spec";
import { type Intent, type MacIntent, nowhere, type Suspended } from "@nve/switch-agent/nve";
import { describe, expect, test } from "vitest";
import { sumOf, word } from "./checksum.ts";
import { type Bench, local, mac, remote, sorted } from "./dataplane-bench.ts";
import { station } from "./wires.ts";

const [UDP, TCP, ICMPV6] = [17, 6, 58];

type Packet = { from?: string; to?: string; octets?: number; protocol?: number; frag?: number };

const bodyOf = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + 8) & 0xff);

/** From 10.0.0.<n> of `from` to that of `to`, without a tag, as another NVE sends it. */
function packet4({ from = "0a", to = "0b", octets = 33, protocol = UDP, frag = 0 }: Packet) {
  const start = concat(uint(4, 0x45000000 + 20 + octets), uint(2, 0x1234), uint(2, frag));
  const ends = concat(ipOf(from), ipOf(to));
  const header = concat(start, Uint8Array.of(64, protocol), uint(2, 0xbeef), ends);
  return frameOf(EtherType.ipv4, concat(header, bodyOf(octets)), from, to);
}

function packet6({ from = "0a", to = "0b", octets = 33, protocol = UDP }: Packet) {
  const start = concat(uint(4, 0x60000000), uint(2, octets), Uint8Array.of(protocol, 64));
  const ends = concat(ipOctets("fd00::1"), ipOctets("fd00::2"));
  return frameOf(EtherType.ipv6, concat(start, ends, bodyOf(octets)), from, to);
}

const ipOf = (name: string) => ipOctets(IpAddress(`10.0.0.${Number.parseInt(name, 16) - 9}`));

const frameOf = (etherType: number, payload: Uint8Array, from: string, to: string) =>
  frameOctets({ destination: station(to), source: station(from), etherType, payload });

const tagged = (frame: Uint8Array, vid: number) =>
  concat(frame.subarray(0, 12), uint(2, 0x8100), uint(2, vid), frame.subarray(12));

/** What a sender is told, of one frame that it gets. */
function toldIn(frame: Uint8Array) {
  const { source, destination, tag, etherType, payload } = decode(frame, readFrame);
  const ends = { from: source.slice(-2), to: destination.slice(-2), vid: tag?.vid };
  const at = (from: number, to: number) => payload.subarray(from, to);
  if (etherType === EtherType.ipv4) {
    const icmp = at(20, word(payload, 2));
    const ips = `${ipFrom(at(12, 16))} → ${ipFrom(at(16, 20))}`;
    const what = { type: icmp[0], code: icmp[1], sums: [sumOf(at(0, 20)), sumOf(icmp)] };
    return { ...ends, ips, protocol: payload[9], ...what, quote: icmp.subarray(8) };
  }
  const icmp = at(40, 40 + word(payload, 4));
  const ips = `${ipFrom(at(8, 24))} → ${ipFrom(at(24, 40))}`;
  const pseudo = concat(at(8, 40), uint(4, icmp.length), uint(4, ICMPV6), icmp);
  const what = { type: icmp[0], code: icmp[1], sums: [sumOf(pseudo)] };
  return { ...ends, ips, protocol: payload[6], ...what, quote: icmp.subarray(8) };
}

/** M8: packets for addresses whose user is suspended. */
export function suspended(bench: Bench): void {
  describe("suspended", () => {
    const vn100 = (what?: Suspended, floodUnknown = false): Intent => ({
      ...{ is: "vn", vni: Vni(100), floodUnknown },
      flood: [local("p1", 10), local("p2", 20), remote(bench.rig.a), remote(bench.rig.b)],
      ...(what !== undefined && { suspended: what }),
    });
    const asleep: MacIntent = { ...mac(100, "0b", local("p2", 20)), suspended: true };
    const held: MacIntent = { ...mac(100, "0b", nowhere), suspended: true };
    const ask = (frame: Uint8Array) => bench.rig.send("p1", tagged(frame, 10));
    const over = (frame: Uint8Array, source = bench.rig.a) =>
      bench.rig.tunnel({ vni: Vni(100), source, destination: bench.rig.vtep, frame });
    const told = async () => (await bench.rig.received("p1")).map(toldIn);

    test("M8: where nothing else is said they are delivered, and what is nowhere gets nothing", async () => {
      await bench.dataplane.ensure([vn100(), asleep]);
      bench.at("p1", "10", "0a", "0b");
      expect(await bench.rig.seen()).toEqual(["p2: 0a → 0b [20] hello"]);
      await bench.dataplane.ensure([vn100(undefined, true), held]);
      bench.at("p1", "10", "0a", "0b");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual({ "port-absent": 1 });
    });

    for (const [name, is] of [
      ["suspended", () => asleep],
      ["gone, and nowhere yet", () => held],
    ] as const) {
      test(`M8: packets for one that is ${name} are dropped, from here and from other NVEs, and no others`, async () => {
        await bench.dataplane.ensure([vn100("drop"), is()]);
        bench.at("p1", "10", "0a", "0b");
        bench.over(bench.rig.a, 100, "0c", "0b");
        bench.over(bench.rig.a, 100, "0c", "0a");
        expect(await bench.rig.seen()).toEqual(["p1: 0c → 0a [10] hello"]);
        expect(await bench.dropped()).toEqual({ suspended: 2 });
      });

      test(`M8, RFC 792, RFC 4443 §3.1: or who sends to one that is ${name} is told that it cannot be reached`, async () => {
        await bench.dataplane.ensure([vn100("unreachable"), is()]);
        for (const [octets, protocol] of [
          [8, UDP],
          [33, UDP],
          [20, TCP],
          [900, 253],
        ] as const) {
          const [four, six] = [packet4({ octets, protocol }), packet6({ octets, protocol })];
          ask(four);
          ask(six);
          const quoted = (frame: Uint8Array, most: number) =>
            frame.subarray(14, 14 + Math.min(most, (frame.length - 14) & ~3));
          expect(await told()).toEqual([
            {
              ...{ from: "0b", to: "0a", vid: 10, ips: "10.0.0.2 → 10.0.0.1", protocol: 1 },
              ...{ type: 3, code: 1, sums: [0xffff, 0xffff], quote: quoted(four, 528) },
            },
            {
              ...{ from: "0b", to: "0a", vid: 10, ips: "fd00::2 → fd00::1", protocol: ICMPV6 },
              ...{ type: 1, code: 3, sums: [0xffff], quote: quoted(six, 1232) },
            },
          ]);
        }
        expect(await bench.dropped()).toEqual({ "suspended-told": 8 });
      });
    }

    test("M8: a sender behind another NVE is told there, where it is known to be", async () => {
      await bench.dataplane.ensure([vn100("unreachable"), asleep]);
      const words = (frame: Uint8Array) => {
        const { from, to, ips, type, code, sums } = toldIn(frame);
        return `${from} → ${to}, ${ips}: ${type}/${code} ${sums.join(" ")}`;
      };
      over(packet4({ from: "0c" }));
      const answer = "0b → 0c, 10.0.0.2 → 10.0.0.3: 3/1 65535 65535";
      expect(await bench.rig.seen(words)).toEqual([bench.tunnelTo(bench.rig.a, 100, answer)]);
      over(packet6({ from: "0d" }), bench.rig.b);
      const six = "0b → 0d, fd00::2 → fd00::1: 1/3 65535";
      expect(await bench.rig.seen(words)).toEqual([bench.tunnelTo(bench.rig.b, 100, six)]);
      expect(await bench.dropped()).toEqual({ "suspended-told": 2 });
      over(packet4({ from: "0f" }));
      expect(await bench.rig.seen(words)).toEqual([]);
      expect(await bench.dropped()).toEqual({ suspended: 1, "suspended-told": 2 });
    });

    test("RFC 1122 §3.2.2: nobody is told of errors, later fragments, and what is no IP", async () => {
      await bench.dataplane.ensure([vn100("unreachable"), asleep]);
      const error = packet4({ protocol: 1 });
      error[34] = 3;
      const error6 = packet6({ protocol: ICMPV6 });
      error6[54] = 1;
      const cut = packet4({ octets: 7 });
      for (const frame of [error, error6, cut, packet4({ frag: 100 })]) ask(frame);
      bench.at("p1", "10", "0a", "0b");
      expect(await bench.rig.seen(() => "something")).toEqual([]);
      expect(await bench.dropped()).toEqual({ suspended: 5 });
    });

    test("RFC 4443 §2.4 f: a place is told so often and no more; the rest is dropped", async () => {
      await bench.dataplane.ensure([vn100("unreachable"), asleep]);
      for (let n = 0; n < 200; n++) ask(packet4({}));
      const answers = (await told()).length;
      expect(answers).toBeGreaterThanOrEqual(20);
      expect(answers).toBeLessThan(150);
      const { suspended: rest = 0, ...others } = await bench.dropped();
      expect(others).toEqual({ "suspended-told": answers });
      expect(rest + answers).toBe(200);
    });

    test("M8: it is over as soon as its user is back, and what the VN says holds from the next packet on", async () => {
      const through = ["p2: 0a → 0b [20] hello"];
      for (const [intents, passes] of [
        [[vn100("drop"), asleep], []],
        [[vn100()], through],
        [[vn100("drop")], []],
        [[mac(100, "0b", local("p2", 20))], through],
      ] as const) {
        await bench.dataplane.ensure(intents);
        bench.at("p1", "10", "0a", "0b");
        expect(await bench.rig.seen()).toEqual(passes);
      }
      expect(await bench.dropped()).toEqual({ suspended: 2 });
    });

    test("M8: what is suspended is read back as that", async () => {
      await bench.dataplane.ensure([vn100("unreachable"), asleep]);
      const applied = await bench.dataplane.applied();
      const vn = applied.filter((intent) => intent.is === "vn" && intent.vni === 100);
      expect(vn).toMatchObject([{ suspended: "unreachable" }]);
      const macs = applied.filter((intent) => intent.is === "mac" && intent.suspended);
      expect(sorted(macs)).toEqual(sorted([asleep]));
    });
  });
}
