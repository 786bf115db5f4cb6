import { type EdgePort, type EdgePortOptions, openEdgePort } from "@nve/linux";
import {
  decode,
  defaultEvbPolicy,
  EtherType,
  type EvbTlv,
  evbOptionalTlv,
  evbTlvOctets,
  type Frame,
  findEvbTlv,
  frameOctets,
  GroupAddress,
  type Lldpdu,
  lldpduOctets,
  Mac,
  OutOfRange,
  readEcpdu,
  readEvbTlv,
  readFrame,
  readLldpdu,
  readVdpdu,
  type Vdpdu,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cable } from "../../support/cable.ts";
import { damaged } from "../../support/damaged.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { hex, octets } from "../../support/octets.ts";
import { capture, captureNames } from "../../support/pcap.ts";

const ours = Mac("52:54:00:aa:00:01");
const theirs = Mac("52:54:00:bb:00:02");
const text = (value: string) => new TextEncoder().encode(value);
const vdpdu: Vdpdu = { manager: new Uint8Array(16), tlvs: [] };
const bigger = (length: number): Vdpdu => ({
  ...vdpdu,
  tlvs: Array.from({ length }, () => ({ is: "unknown", type: 9, octets: new Uint8Array(100) })),
});

/** An EdgePort on the end `a` of a cable, and a peer on `b` that does what the test says. */
function setUp(options: Partial<EdgePortOptions> = {}, state: "up" | "down" = "up") {
  const clock = fakeClock();
  const wire = cable(clock, { state, delayMs: [0, 0] });
  const told: string[] = [];
  const sent: { ms: number; octets: Uint8Array; frame: Frame }[] = [];
  /** Those to the nearest bridge: ordinary LLDP. */
  const plain: typeof sent = [];
  wire.tap((from, octets) => {
    if (from === "b") return;
    const frame = decode(octets, readFrame);
    const to = frame.destination === GroupAddress.nearestBridge ? plain : sent;
    to.push({ ms: clock.now(), octets, frame });
  });
  const port: EdgePort = openEdgePort({
    link: wire.a,
    clock,
    role: "station",
    policy: defaultEvbPolicy,
    firstSequence: 0,
    lldp: {
      chassisId: { subtype: 7, octets: text("server-1") },
      portId: { subtype: 5, octets: text("eth1") },
      tlvs: [{ is: "system-name", text: "server-1" }],
    },
    onVdpdu: ({ tlvs }, source) => told.push(`vdpdu ${tlvs.length} from ${source}`),
    onEvb: ({ peer, groupId, rte }) => told.push(`evb ${peer} ${groupId} ${rte}`),
    onNeighbour: (what, { lldpdu }) => told.push(`${what} ${hex(lldpdu.chassisId.octets)}`),
    onState: (state) => told.push(state),
    ...options,
  });
  const peer = (octets: Uint8Array): void => {
    wire.b.send(octets);
    clock.advance(0);
  };
  const take = (etherType: number) => {
    const taken = sent.filter(({ frame }) => frame.etherType === etherType);
    sent.length = 0;
    return taken;
  };
  return { clock, wire, told, sent, plain, port, peer, take };
}

const frame = (etherType: number, payload: Uint8Array, destination: Mac = customerBridge) =>
  frameOctets({ destination, source: theirs, etherType, payload });
const customerBridge = GroupAddress.nearestCustomerBridge;
const ecp = (hexadecimal: string, destination?: Mac) =>
  frame(EtherType.ecp, octets(hexadecimal), destination);
const lldp = (lldpdu: Lldpdu, destination?: Mac) =>
  frame(EtherType.lldp, lldpduOctets(lldpdu), destination);
const evbTlv = (changing: string): EvbTlv => decode(octets(`0080c20d ${changing}`), readEvbTlv);
const bridge = (chassis: number, changing?: string, ttl = 120): Lldpdu => ({
  chassisId: { subtype: 7, octets: Uint8Array.of(chassis) },
  portId: { subtype: 5, octets: text("port") },
  ttl,
  tlvs: changing === undefined ? [] : [evbOptionalTlv(evbTlv(changing))],
});
/** Octets 4 to 8 of our EVB TLV. */
const shown = ({ frame }: { frame: Frame }): string => {
  const tlv = findEvbTlv(decode(frame.payload, readLldpdu).tlvs);
  return tlv === undefined ? "none" : hex(evbTlvOctets(tlv).subarray(4));
};

describe("LLDP and EVB", () => {
  test("at link up a LLDPDU goes to the nearest customer bridge, untagged and not too short", () => {
    const [first, ...more] = setUp().sent;
    expect(more).toEqual([]);
    expect(first?.octets.length).toBeGreaterThanOrEqual(60);
    expect(first?.frame).toMatchObject({ destination: customerBridge, source: ours });
    expect(first?.frame.tag).toBeUndefined();
    const lldpdu = decode(first?.frame.payload ?? new Uint8Array(), readLldpdu);
    expect(lldpdu).toMatchObject({
      chassisId: { subtype: 7, octets: text("server-1") },
      portId: { subtype: 5, octets: text("eth1") },
      ttl: 120,
    });
    expect(lldpdu.tlvs).toEqual([
      { is: "system-name", text: "server-1" },
      evbOptionalTlv(evbTlv("000b6e9414")),
    ]);
  });

  test("where others listen, at the nearest bridge address, we are shown without what organizations defined", () => {
    const extension = {
      is: "organizational",
      oui: 0x00000c,
      subtype: 1,
      octets: Uint8Array.of(1),
    } as const;
    const name = { is: "system-name", text: "server-1" } as const;
    const { plain, clock, peer, port } = setUp({
      lldp: {
        chassisId: { subtype: 7, octets: text("server-1") },
        portId: { subtype: 5, octets: text("eth1") },
        tlvs: [name, extension],
      },
    });
    peer(lldp(bridge(1, "04006e5414"))); // what an EVB peer says changes nothing there
    clock.advance(60_000);
    expect(plain.map(({ ms }) => ms)).toEqual([0, 1000, 2000, 3000, 33_000]);
    peer(lldp(bridge(2), GroupAddress.nearestBridge)); // somebody new listens there
    clock.advance(3000);
    expect(plain.slice(5).map(({ ms }) => ms)).toEqual([60_000, 61_000, 62_000, 63_000]);
    const lldpdus = plain.map(({ frame }) => decode(frame.payload, readLldpdu));
    for (const { tlvs, ttl } of lldpdus) expect([ttl, tlvs]).toEqual([120, [name]]);
    plain.length = 0;
    port.close();
    expect(plain.map(({ frame }) => decode(frame.payload, readLldpdu).ttl)).toEqual([0]);
  });

  test("capture 01: against the bridge's LLDPDUs we say what the station of the capture said", () => {
    const policy = { ...defaultEvbPolicy, reflectiveRelay: true };
    const { sent, peer, clock, port } = setUp({ policy });
    const said = (mac: string) => (frame: Frame) =>
      frame.source === mac && frame.etherType === EtherType.lldp;
    const frames = capture("01-evb-lldpad-to-lldpad.pcap").map(({ octets }) => octets);
    const station = frames.filter((octets) => said(ours)(decode(octets, readFrame)));
    for (const octets of frames.filter((octets) => said(theirs)(decode(octets, readFrame)))) {
      peer(octets);
      clock.advance(1000);
    }
    const distinct = (all: string[]) => all.filter((one, i) => one !== all[i - 1]);
    const captured = station.map((octets) => shown({ frame: decode(octets, readFrame) }));
    expect(distinct(sent.map(shown))).toEqual(distinct(captured));
    expect(port.evb).toEqual({ peer: true, groupId: true, r: 3, rte: 14, rwd: 20, rka: 20 });
  });

  test("a new neighbour gets four LLDPDUs a second apart, the first shows what we learnt", () => {
    const { peer, clock, take, told } = setUp();
    clock.advance(9500);
    take(EtherType.lldp);
    peer(lldp(bridge(1, "04006e5414")));
    clock.advance(20_000);
    const answers = take(EtherType.lldp);
    expect(answers.map(({ ms }) => ms)).toEqual([9500, 10_500, 11_500, 12_500]);
    expect(new Set(answers.map(shown))).toEqual(new Set(["04086eb434"]));
    expect(told).toEqual(["evb true true 14", "new 01"]);
  });

  test("a change of the bridge's status is answered at once, its repeats are not", () => {
    const { peer, clock, take } = setUp();
    peer(lldp(bridge(1, "04086e5414")));
    clock.advance(10_000);
    take(EtherType.lldp);
    peer(lldp(bridge(1, "04086e5414")));
    expect(take(EtherType.lldp)).toEqual([]);
    peer(lldp(bridge(1, "04086f5414")));
    expect(take(EtherType.lldp).map(shown)).toEqual(["04086fb434"]);
  });

  test("a bridge that was killed before it heard us, and says the same as before, is answered at once", () => {
    const { peer, clock, take } = setUp();
    peer(lldp(bridge(1, "04006e5414")));
    clock.advance(10_000);
    take(EtherType.lldp);
    peer(lldp(bridge(1, "04006e5414")));
    expect(take(EtherType.lldp).map(shown)).toEqual(["04086eb434"]);
    for (let i = 0; i < 100; i++) peer(lldp(bridge(1, "04006e5414")));
    expect(take(EtherType.lldp)).toHaveLength(4); // 802.1AB: at most five in a row
  });

  test("capture 03: a peer whose TTL runs out is forgotten, we are back at row 1", () => {
    const { peer, clock, take, told, port } = setUp();
    peer(lldp(bridge(1, "04006f5414", 6)));
    clock.advance(5999);
    expect(port.evb).toMatchObject({ peer: true, rte: 15 });
    take(EtherType.lldp);
    clock.advance(1);
    expect(take(EtherType.lldp).map(shown)).toEqual(["000b6e9414"]);
    expect(told).toEqual(["evb true true 15", "new 01", "evb false false 14", "gone 01"]);
    expect(port.neighbours).toEqual([]);
  });

  test("a peer that leaves its EVB TLV out, or says TTL 0, is no EVB peer any more", () => {
    const { peer, port } = setUp();
    peer(lldp(bridge(1, "04006f5414")));
    peer(lldp(bridge(1)));
    expect(port.evb.peer).toBe(false);
    peer(lldp(bridge(1, "04006f5414")));
    expect(port.evb.peer).toBe(true);
    peer(lldp(bridge(1, undefined, 0)));
    expect(port.evb.peer).toBe(false);
    expect(port.neighbours).toEqual([]);
  });

  test("the last neighbour with an EVB TLV is the peer, another one leaving changes nothing", () => {
    const { peer, port } = setUp();
    peer(lldp(bridge(1, "04006f5414")));
    peer(lldp(bridge(2, "00006e5414")));
    peer(lldp(bridge(3)));
    expect(port.evb).toMatchObject({ peer: true, groupId: false, rte: 14 });
    peer(lldp(bridge(1, undefined, 0)));
    expect(port.evb.peer).toBe(true);
    peer(lldp(bridge(2, undefined, 0)));
    expect(port.evb.peer).toBe(false);
  });

  test("capture 02: LLDP to the nearest bridge shows the neighbour, its EVB TLV does not count", () => {
    const { peer, port, told } = setUp();
    peer(lldp(bridge(1, "04006f5414"), GroupAddress.nearestBridge));
    peer(lldp(bridge(2, "04006f5414"), GroupAddress.nearestNonTpmrBridge));
    peer(lldp(bridge(3), ours));
    expect(port.evb.peer).toBe(false);
    expect(port.neighbours.map(({ lldpdu }) => hex(lldpdu.chassisId.octets))).toEqual(["01"]);
    expect(told).toEqual(["new 01"]);
  });

  test("a system that speaks to both addresses is one neighbour", () => {
    const { peer, port, told, clock } = setUp();
    peer(lldp(bridge(1), GroupAddress.nearestBridge));
    peer(lldp(bridge(1, "04006f5414")));
    expect(port.neighbours).toHaveLength(1);
    expect(port.evb.peer).toBe(true);
    peer(lldp(bridge(1, undefined, 0)));
    expect(port.neighbours).toHaveLength(1);
    clock.advance(120_000);
    expect(told.filter((line) => !line.startsWith("evb"))).toEqual([
      "new 01",
      "changed 01",
      "gone 01",
    ]);
  });

  test("V10: neighbours beyond the eighth are counted", () => {
    const { peer, port } = setUp({ role: "bridge" });
    for (let chassis = 0; chassis < 10; chassis++) peer(lldp(bridge(chassis)));
    expect(port.neighbours).toHaveLength(8);
    expect(port.counters.lldp).toMatchObject({ in: 10, tooMany: 2 });
  });
});

describe("ECP", () => {
  test("capture 10: requests are acked as in the capture, padded, and delivered once", () => {
    const { clock, peer, take, told, port } = setUp({ role: "bridge" });
    take(EtherType.lldp);
    const frames = capture("10-vdp-fmt1-vid.pcap").map(({ octets }) => octets);
    const isEcp = (from: Mac, op: "request" | "ack") => (octets: Uint8Array) => {
      const { source, etherType, payload } = decode(octets, readFrame);
      if (source !== from || etherType !== EtherType.ecp) return false;
      return decode(payload, readEcpdu).op === op;
    };
    for (const octets of frames.filter(isEcp(ours, "request"))) {
      peer(octets);
      clock.advance(200); // more than an ack timeout: the ack was lost
      peer(octets);
    }
    const acks = take(EtherType.ecp).map(({ octets }) => octets);
    const captured = frames.filter(isEcp(theirs, "ack")).flatMap((ack) => [ack, ack]);
    expect(acks.map((ack) => hex(ack.subarray(12, 18)))).toEqual(
      captured.map((ack) => hex(ack.subarray(12, 18))),
    );
    for (const ack of acks) {
      expect(ack).toHaveLength(60);
      expect(ack.subarray(18).every((octet) => octet === 0)).toBe(true);
    }
    expect(told).toEqual(Array.from({ length: 4 }, () => `vdpdu 1 from ${ours}`));
    expect(port.counters.ecp).toMatchObject({ requestsIn: 8, acksOut: 8 });
  });

  test("capture 40: the station's ECPDUs, octet for octet and copy for copy", () => {
    const { clock, port, take, peer } = setUp();
    const all = capture("40-ecp-retransmit-and-vdp-timeout.pcap").filter(
      ({ octets }) => decode(octets, readFrame).etherType === EtherType.ecp,
    );
    const start = all[0]?.timeNs ?? 0n;
    const events = all.map(({ timeNs, octets }) => {
      const frame = decode(octets, readFrame);
      return {
        ms: Number(timeNs - start) / 1e6,
        octets,
        frame,
        ecpdu: decode(frame.payload, readEcpdu),
      };
    });
    const captured: { ms: number; octets: string }[] = [];
    let last = 0;
    for (const { ms, octets, frame, ecpdu } of events) {
      clock.advance(Math.max(0, ms - clock.now()));
      if (frame.source === theirs) peer(octets);
      else if (ecpdu.op === "request") {
        captured.push({ ms, octets: hex(octets) });
        if (ecpdu.sequence !== last) port.send(decode(ecpdu.ulpdu, readVdpdu), () => {});
        last = ecpdu.sequence;
      }
    }
    clock.advance(1000);
    const requests = take(EtherType.ecp).filter(
      ({ frame }) => decode(frame.payload, readEcpdu).op === "request",
    );
    expect(requests.map(({ octets }) => hex(octets))).toEqual(captured.map(({ octets }) => octets));
    requests.forEach(({ ms }, i) => {
      expect(Math.abs(ms - (captured[i]?.ms ?? 0))).toBeLessThan(2);
    });
    // A and D are given up, B and C acknowledged.
    expect(port.counters.ecp).toMatchObject({ requestsOut: 4, givenUp: 2, retransmitted: 8 });
  });

  test("before EVB is agreed the own numbers count, afterwards the larger ones", () => {
    const { clock, port, take, peer } = setUp({ policy: { ...defaultEvbPolicy, r: 1, rte: 12 } });
    port.send(vdpdu, () => {});
    clock.advance(900);
    expect(take(EtherType.ecp).map(({ ms }) => Math.round(ms))).toEqual([0, 41]);
    peer(lldp(bridge(1, "04004f5414"))); // R=2 RTE=15
    port.send(vdpdu, () => {});
    clock.advance(2000);
    expect(take(EtherType.ecp).map(({ ms }) => Math.round(ms))).toEqual([900, 1228, 1555]);
  });

  test("who sends is told when it is not delivered, and only then", () => {
    const { clock, port, peer, told } = setUp();
    port.send(vdpdu, () => told.push("first lost"));
    port.send(vdpdu, () => told.push("second lost"));
    peer(ecp("1401 0001"));
    clock.advance(660);
    expect(told).toEqual([]);
    clock.advance(10);
    expect(told).toEqual(["second lost"]);
    expect(port.counters.ecp).toEqual({
      requestsIn: 0,
      putOff: 0,
      acksIn: 1,
      requestsOut: 2,
      acksOut: 0,
      retransmitted: 3,
      givenUp: 1,
      strangers: 0,
    });
  });

  test("capture 46: two ECPDUs start 5 ms apart however fast the acks come", () => {
    const { clock, port, take, peer } = setUp();
    for (let i = 0; i < 4; i++) port.send(vdpdu, () => {});
    for (let seq = 1; seq <= 4; seq++) {
      peer(ecp(`1401 000${seq}`));
      clock.advance(5);
    }
    expect(take(EtherType.ecp).map(({ ms }) => ms)).toEqual([0, 5, 10, 15]);
  });

  test("an ECPDU of another user of ECP, or of another version, is counted and not acked", () => {
    const { port, take, peer, told } = setUp();
    take(EtherType.lldp);
    peer(ecp("1002 0001 0a10"));
    peer(ecp("2001 0001 0a10"));
    peer(ecp("1801 0001 0a10"));
    peer(ecp("1001"));
    expect(take(EtherType.ecp)).toEqual([]);
    expect(told).toEqual([]);
    expect(port.counters.malformed).toEqual({ "ecp.unsupported": 3, "ecp.short": 1 });
  });

  test("a ULPDU that cannot be read is acked and counted", () => {
    const { port, take, peer, told } = setUp();
    take(EtherType.lldp);
    peer(ecp("1001 0001 061f"));
    peer(ecp("1001 0002 0a10 00"));
    expect(take(EtherType.ecp)).toHaveLength(2);
    expect(told).toEqual([]);
    expect(port.counters.malformed).toEqual({ "vdp.short": 2 });
  });

  test("ECP to our own address counts, to others it does not", () => {
    const { take, peer, told } = setUp();
    const empty = `1001 0001 0a10 ${"00".repeat(16)}`;
    take(EtherType.lldp);
    peer(ecp(empty, GroupAddress.nearestBridge));
    peer(ecp(empty, theirs));
    expect(told).toEqual([]);
    peer(ecp(empty, ours));
    expect(told).toEqual([`vdpdu 0 from ${theirs}`]);
    expect(take(EtherType.ecp)).toHaveLength(1);
  });

  test("a ULPDU that no frame holds is the caller's mistake", () => {
    const { port } = setUp();
    port.send(bigger(14), () => {});
    expect(() => port.send(bigger(15), () => {})).toThrow(OutOfRange);
  });
});

describe("the link", () => {
  test("nothing is sent while it is down; up, a LLDPDU goes out at once", () => {
    const { wire, sent, port, told, clock } = setUp({}, "down");
    port.send(vdpdu, () => told.push("lost"));
    expect(told).toEqual(["lost"]);
    clock.advance(60_000);
    expect(sent).toEqual([]);
    wire.set("up");
    expect(told).toEqual(["lost", "up"]);
    expect(sent).toHaveLength(1);
  });

  test("down gives up what is under way, forgets the neighbours, and says so last", () => {
    const { wire, peer, port, told } = setUp();
    peer(lldp(bridge(1, "04006f5414")));
    told.length = 0;
    port.send(vdpdu, () => told.push("first lost"));
    port.send(vdpdu, () => told.push("second lost"));
    wire.set("down");
    expect(told).toEqual(["evb false false 14", "gone 01", "first lost", "second lost", "down"]);
    expect(port.state).toBe("down");
  });

  test("after a flap the peer's first request counts, whatever its number was before", () => {
    const { wire, peer, told } = setUp();
    const empty = `1001 0001 0a10 ${"00".repeat(16)}`;
    peer(ecp(empty));
    peer(ecp(empty));
    wire.set("absent");
    wire.set("down");
    wire.set("up");
    peer(ecp(empty));
    const delivered = `vdpdu 0 from ${theirs}`;
    expect(told).toEqual([delivered, "absent", "down", "up", delivered]);
  });

  test("close says TTL 0 and nothing more: no timer, no callback", () => {
    const { port, sent, wire, clock, told, peer } = setUp();
    peer(lldp(bridge(1, "04006f5414")));
    port.send(vdpdu, () => told.push("lost"));
    told.length = 0;
    sent.length = 0;
    port.close();
    port.close();
    const [last, ...more] = sent;
    expect(more).toEqual([]);
    expect(decode(last?.frame.payload ?? new Uint8Array(), readLldpdu)).toMatchObject({
      ttl: 0,
      tlvs: [],
    });
    clock.advance(200_000);
    wire.set("down");
    wire.set("up");
    peer(lldp(bridge(2)));
    port.send(vdpdu, () => told.push("lost"));
    expect(sent).toHaveLength(1);
    expect(told).toEqual([]);
  });
});

test("what no LLDPDU holds is refused at once, not when the link comes up", () => {
  const lldp = {
    chassisId: { subtype: 7, octets: new Uint8Array(256) },
    portId: { subtype: 7, octets: text("eth1") },
    tlvs: [],
  };
  expect(() => setUp({ lldp }, "down")).toThrow(OutOfRange);
  expect(() => setUp({ policy: { ...defaultEvbPolicy, rte: 32 } }, "down")).toThrow(OutOfRange);
});

describe("whatever comes in", () => {
  test("a tagged frame is of an S-channel and not ours; a priority tag is none", () => {
    const { peer, port } = setUp();
    const payload = lldpduOctets(bridge(1));
    const tagged = (vid: number) =>
      frameOctets({
        destination: customerBridge,
        source: theirs,
        tag: { pcp: 7, dei: false, vid },
        etherType: EtherType.lldp,
        payload,
      });
    peer(tagged(100));
    expect(port.counters.lldp.in).toBe(0);
    peer(tagged(0));
    expect(port.counters.lldp.in).toBe(1);
  });

  test("what cannot be read is counted by protocol and code", () => {
    const { peer, port } = setUp();
    peer(octets("0180c2"));
    peer(frame(EtherType.lldp, octets("02")));
    peer(frame(EtherType.lldp, octets("0403 07 6162")));
    peer(frame(EtherType.arp, octets("00")));
    expect(port.counters.malformed).toEqual({
      "ethernet.short": 1,
      "lldp.short": 1,
      "lldp.bad-value": 1,
    });
  });

  test("our own mistakes are not swallowed", () => {
    const fail = () => {
      throw new OutOfRange("ours");
    };
    const { peer } = setUp({ onVdpdu: fail, onNeighbour: fail });
    expect(() => peer(lldp(bridge(1)))).toThrow("ours");
    expect(() => peer(ecp(`1001 0001 0a10 ${"00".repeat(16)}`))).toThrow("ours");
  });

  test("damaged frames of all captures are counted or understood, never more", () => {
    const frames = captureNames().flatMap((name) => capture(name).map(({ octets }) => octets));
    const { peer, port, clock } = setUp();
    const protocols = /^(ethernet|lldp|ecp|vdp)\.(short|trailing|bad-value|unsupported)$/;
    fc.assert(
      fc.property(fc.constantFrom(...frames).chain(damaged), (octets) => {
        peer(octets);
        clock.advance(100);
      }),
      { numRuns: 1000 },
    );
    const { malformed } = port.counters;
    expect(Object.keys(malformed).length).toBeGreaterThan(3);
    for (const key of Object.keys(malformed)) expect(key).toMatch(protocols);
  });
});
