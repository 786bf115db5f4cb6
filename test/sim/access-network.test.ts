import { type EdgePort, type EdgePortOptions, openEdgePort } from "@nve/linux";
import {
  decode,
  defaultEvbPolicy,
  EtherType,
  ecpduOctets,
  type Frame,
  findEvbTlv,
  frameOctets,
  GroupAddress,
  Mac,
  readFrame,
  readLldpdu,
  type Vdpdu,
  vdpduOctets,
} from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { type Hub, hub } from "../support/hub.ts";

// A bridge port and stations on one segment (H3, RFC 8394 Req-1 and Req-2).

const numbered = (n: number): Vdpdu => ({
  manager: new Uint8Array(16),
  tlvs: [{ is: "unknown", type: 9, octets: Uint8Array.of(n >> 8, n & 0xff) }],
});
const numberOf = ({ tlvs: [tlv] }: Vdpdu): number => {
  const [high = 0, low = 0] = tlv?.is === "unknown" ? tlv.octets : [];
  return high * 256 + low;
};
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
const torMac = Mac("52:54:00:00:00:fe");
const macOf = (n: number): Mac => Mac(`52:54:00:00:00:${n.toString(16).padStart(2, "0")}`);

type End = {
  port: EdgePort;
  /** `<number> from <address>` */
  heard: string[];
  lost: number[];
  told: string[];
  send(n: number, to?: Mac): void;
};

function end(net: Hub, clock: FakeClock, mac: Mac, more: Partial<EdgePortOptions>): End {
  const [heard, told, lost]: [string[], string[], number[]] = [[], [], []];
  const name = new TextEncoder().encode(`${more.role} ${mac}`);
  const port = openEdgePort({
    link: net.link(mac),
    clock,
    role: "station",
    policy: defaultEvbPolicy,
    firstSequence: 65_530,
    lldp: {
      chassisId: { subtype: 7, octets: name },
      portId: { subtype: 7, octets: name },
      tlvs: [],
    },
    onVdpdu: (vdpdu, source) => heard.push(`${numberOf(vdpdu)} from ${source}`),
    onEvb: ({ peer }, with_) => told.push(`evb ${peer} ${with_}`),
    onPeerAnew: (peer) => told.push(`anew ${peer}`),
    onTooMany: (station) => told.push(`too many ${station}`),
    onNeighbour: () => {},
    onState: () => {},
    ...more,
  });
  const send = (n: number, to?: Mac) => port.send(numbered(n), () => lost.push(n), to);
  return { port, heard, lost, told, send };
}

const station = (net: Hub, clock: FakeClock, n: number) =>
  end(net, clock, macOf(n), { role: "station", firstSequence: 65_530 });
const bridge = (net: Hub, clock: FakeClock, stations: number) =>
  end(net, clock, torMac, { role: "bridge", firstSequence: 17, stations });

function network(count: number, { stations = 64, seed = 1 } = {}) {
  const clock = fakeClock();
  const net = hub(clock, { seed });
  const frames: Frame[] = [];
  net.tap((_, octets) => frames.push(decode(octets, readFrame)));
  const tor = bridge(net, clock, stations);
  const all = upTo(count).map((n) => station(net, clock, n));
  return { clock, net, frames, tor, all };
}

const agreed = { peer: true, groupId: true, r: 3, rte: 14, rwd: 20, rka: 20 };
const customerBridge = GroupAddress.nearestCustomerBridge;

test("H3, Req-2: a bridge and 64 stations on its segment agree on EVB, each with each alone, in 4 s", () => {
  const { clock, tor, all } = network(64);
  clock.advance(4000);
  for (const { port } of all) {
    expect(port.evb).toEqual(agreed);
    expect(port.peers.map(({ mac }) => mac)).toEqual([torMac]);
  }
  expect(tor.port.peers.map(({ mac, evb }) => [mac, evb])).toEqual(
    upTo(64).map((n) => [macOf(n), agreed]),
  );
  expect(tor.port.counters.lldp).toMatchObject({ putOff: 0, tooMany: 0, strangers: 0 });
  for (const { port } of all) expect(port.counters.lldp.out).toBeLessThan(20); // other stations start no fast LLDP
}, 30_000);

test("Req-1: to the group no bridge says EVB; once agreed all LLDP with EVB, and all ECP, goes to single addresses", () => {
  const { clock, frames, tor, all } = network(3);
  clock.advance(10_000);
  const withEvb = ({ etherType, payload }: Frame) =>
    etherType === EtherType.lldp && findEvbTlv(decode(payload, readLldpdu).tlvs) !== undefined;
  const toGroup = frames.filter((frame) => frame.destination === customerBridge && withEvb(frame));
  expect(toGroup.filter(({ source }) => source === torMac)).toEqual([]);
  frames.length = 0;
  for (const [i, { send }] of all.entries()) {
    send(i);
    tor.send(100 + i, macOf(i + 1));
  }
  clock.advance(120_000);
  const ours = frames.filter((one) => withEvb(one) || one.etherType === EtherType.ecp);
  expect(ours.length).toBeGreaterThan(20);
  expect(ours.filter(({ destination }) => destination === customerBridge)).toEqual([]);
  expect(tor.heard).toEqual(upTo(3).map((n) => `${n - 1} from ${macOf(n)}`));
  for (const [i, { heard }] of all.entries()) expect(heard).toEqual([`${100 + i} from ${torMac}`]);
});

test("Req-2: 100 ULPDUs each way with each of 8 stations at once, equal sequence numbers, some loss: once and in order", () => {
  const { clock, net, tor, all } = network(8, { seed: 3 });
  clock.advance(10_000);
  net.loss = 0.05;
  for (const n of upTo(100)) {
    for (const [i, { send }] of all.entries()) {
      send(n);
      tor.send(1000 * (i + 1) + n, macOf(i + 1));
    }
  }
  clock.advance(120_000);
  for (const [i, { heard, lost }] of all.entries()) {
    const from = tor.heard.filter((one) => one.endsWith(macOf(i + 1)));
    expect(from).toEqual(upTo(100).map((n) => `${n} from ${macOf(i + 1)}`));
    expect(heard).toEqual(upTo(100).map((n) => `${1000 * (i + 1) + n} from ${torMac}`));
    expect(lost).toEqual([]);
  }
  expect(tor.lost).toEqual([]);
});

test("a station that falls silent ends its own EVB and no other's, and hears no more from the bridge", () => {
  const { clock, net, frames, tor } = network(2);
  clock.advance(10_000);
  tor.told.length = 0;
  net.set(macOf(1), "down");
  clock.advance(121_000);
  expect(tor.told).toEqual([`evb false ${macOf(1)}`]);
  expect(tor.port.evbOf(macOf(1)).peer).toBe(false);
  expect(tor.port.evbOf(macOf(2))).toEqual(agreed);
  expect(tor.port.neighboursAt(macOf(1))).toEqual([]);
  expect(tor.port.neighboursAt(macOf(2))).toHaveLength(1);
  frames.length = 0;
  clock.advance(120_000);
  expect(frames.filter(({ destination }) => destination === macOf(1))).toEqual([]);
  net.set(macOf(1), "up");
  clock.advance(1000);
  expect(tor.port.evbOf(macOf(1))).toEqual(agreed);
});

test("a bridge that was killed and started: each station notices within 10 ms, and says it again", () => {
  const { clock, net, tor, all } = network(3);
  clock.advance(40_000); // they have heard its LLDP to the group
  for (const { told } of all) told.length = 0;
  net.set(torMac, "down"); // the frames that it sends now get lost: it dies without a word
  tor.port.close();
  clock.advance(5000);
  const again = bridge(net, clock, 64);
  clock.advance(10);
  for (const { port, told } of all) {
    expect(told).toEqual([`anew ${torMac}`]);
    expect(port.evb).toEqual(agreed);
  }
  expect(again.port.peers).toHaveLength(3);
});

test("a bridge that ends says so to each: its stations speak to all again, and find the next one", () => {
  const { clock, net, tor, all } = network(3);
  clock.advance(10_000);
  tor.port.close();
  clock.advance(10);
  for (const { port } of all) expect(port.evb.peer).toBe(false);
  const next = end(net, clock, macOf(0xfd), { role: "bridge", stations: 4 });
  clock.advance(1000);
  for (const { port } of all) expect(port.peers.map(({ mac }) => mac)).toEqual([macOf(0xfd)]);
  expect(next.port.peers).toHaveLength(3);
});

test("a station that outlived the bridge's LLDP is heard in ECP, and told of the bridge at once", () => {
  const { clock, net, tor, all } = network(2);
  clock.advance(10_000);
  net.set(torMac, "down");
  clock.advance(5000);
  net.loss = 1; // nobody hears that it is there again
  net.set(torMac, "up");
  clock.advance(1000);
  net.loss = 0;
  all[0]?.send(7);
  clock.advance(10);
  expect(tor.heard).toEqual([`7 from ${macOf(1)}`]);
  expect(all[0]?.lost).toEqual([]);
  expect(tor.port.evbOf(macOf(1))).toEqual(agreed);
});

test("all links flap at once, and all speak at once: no station acknowledges what is the bridge's", () => {
  const { clock, net, tor, all } = network(4);
  clock.advance(10_000);
  const macs = [torMac, ...upTo(4).map(macOf)];
  for (const mac of macs) net.set(mac, "down");
  clock.advance(1000);
  for (const mac of macs.slice(1)) net.set(mac, "up");
  for (const [i, { send }] of all.entries()) send(i);
  clock.advance(100);
  expect(tor.heard).toEqual([]);
  net.set(torMac, "up");
  clock.advance(1000);
  expect(tor.heard.sort()).toEqual(upTo(4).map((n) => `${n - 1} from ${macOf(n)}`));
  for (const { heard, lost, port } of all) {
    expect(heard).toEqual([]);
    expect(lost).toEqual([]);
    expect(port.evb).toEqual(agreed);
  }
});

test("V10: a station beyond those there is room for is dropped, counted and told of; it has its turn when one is silent", () => {
  const { clock, net, tor, all } = network(3, { stations: 2 });
  clock.advance(10_000);
  expect(tor.port.peers.map(({ mac }) => mac)).toEqual([macOf(1), macOf(2)]);
  expect(tor.told).toContain(`too many ${macOf(3)}`);
  expect(tor.port.counters.lldp.strangers).toBeGreaterThan(0);
  all[2]?.send(3);
  clock.advance(1000);
  expect(tor.port.counters.ecp.strangers).toBe(4);
  expect(tor.heard).toEqual([]);
  net.set(macOf(1), "down");
  clock.advance(160_000);
  expect(tor.port.peers.map(({ mac }) => mac).sort()).toEqual([macOf(2), macOf(3)]);
  expect(tor.port.evbOf(macOf(3))).toEqual(agreed);
});

test("V10: addresses without number that send ECP alone neither push out a station nor keep a new one away", () => {
  const { clock, net, tor, all } = network(2, { stations: 4 });
  clock.advance(10_000);
  const liar = net.link(Mac("52:54:00:00:0f:00"));
  const ulpdu = vdpduOctets(numbered(9));
  for (const n of upTo(1000)) {
    const source = Mac(
      `52:54:00:01:${(n >> 8).toString(16).padStart(2, "0")}:${(n & 255).toString(16).padStart(2, "0")}`,
    );
    const payload = ecpduOctets({ op: "request", subtype: 1, sequence: n, ulpdu });
    liar.send(
      frameOctets({ destination: customerBridge, source, etherType: EtherType.ecp, payload }),
    );
  }
  clock.advance(100);
  expect(tor.port.peers).toHaveLength(4);
  expect(tor.port.counters.ecp.strangers).toBe(998);
  const third = station(net, clock, 3);
  clock.advance(1000);
  for (const { port } of [...all, third]) expect(port.evb).toEqual(agreed);
});

test("what is sent to a station that nobody knows is given up at once", () => {
  const { tor } = network(1);
  tor.send(1, macOf(9));
  tor.send(2);
  expect(tor.lost).toEqual([1, 2]);
  expect(tor.port.counters.ecp.givenUp).toBe(2);
});

test("counters are of each station, and their sum is the port's", () => {
  const { clock, tor, all } = network(2);
  clock.advance(10_000);
  for (const n of upTo(3)) all[0]?.send(n);
  all[1]?.send(1);
  clock.advance(1000);
  expect(tor.port.peers.map(({ ecp }) => ecp.requestsIn)).toEqual([3, 1]);
  expect(tor.port.counters.ecp).toMatchObject({ requestsIn: 4, acksOut: 4 });
});

test("a bridge that has become one for one station alone is followed there", () => {
  const { clock, net, tor, all } = network(1);
  clock.advance(10_000);
  net.set(torMac, "down");
  tor.port.close();
  const single = bridge(net, clock, 1);
  clock.advance(1000);
  expect(all[0]?.port.evb).toEqual(agreed);
  expect(single.port.evb).toEqual(agreed);
  all[0]?.send(1);
  single.send(2);
  clock.advance(1000);
  expect(single.heard).toEqual([`1 from ${macOf(1)}`]);
  expect(all[0]?.heard).toEqual([`2 from ${torMac}`]);
});

test("nobody else on the segment can be the bridge of a station that has one", () => {
  const { clock, net, tor, all } = network(1);
  clock.advance(10_000);
  const other = end(net, clock, macOf(0xee), { role: "bridge", stations: 4 });
  const single = end(net, clock, macOf(0xef), { role: "bridge" });
  clock.advance(60_000);
  expect(all[0]?.port.peers.map(({ mac }) => mac)).toEqual([torMac]);
  other.send(1, macOf(1));
  single.send(2);
  clock.advance(5000);
  expect(all[0]?.heard).toEqual([]);
  expect(all[0]?.port.counters.ecp.strangers).toBeGreaterThan(0);
  tor.send(3, macOf(1));
  clock.advance(100);
  expect(all[0]?.heard).toEqual([`3 from ${torMac}`]);
});

test("one that says it is another station, from an address of its own, is one more station", () => {
  const { clock, net, tor } = network(1);
  clock.advance(10_000);
  const name = new TextEncoder().encode(`station ${macOf(1)}`);
  const id = { subtype: 7, octets: name };
  const copy = end(net, clock, macOf(2), {
    role: "station",
    lldp: { chassisId: id, portId: id, tlvs: [] },
  });
  clock.advance(1000);
  const both = tor.port.neighbours.map(({ source }) => source);
  expect(both).toEqual([macOf(1), macOf(2)]);
  copy.port.close();
  clock.advance(10);
  expect(tor.port.evbOf(macOf(1))).toEqual(agreed);
  expect(tor.port.neighbours.map(({ source }) => source)).toEqual([macOf(1)]);
});

test.each(upTo(10))(
  "on a segment that loses every fourth frame all agree in the end (seed %i)",
  (seed) => {
    const clock = fakeClock();
    const net = hub(clock, { seed });
    net.loss = 0.25;
    const tor = bridge(net, clock, 8);
    const all = upTo(5).map((n) => station(net, clock, n));
    clock.advance(200_000);
    for (const { port } of all) expect(port.evb).toEqual(agreed);
    expect(tor.port.peers.filter(({ evb }) => evb.peer)).toHaveLength(5);
  },
);
