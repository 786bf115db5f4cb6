import { type EdgePort, openEdgePort } from "@nve/linux";
import {
  defaultEvbPolicy,
  EtherType,
  type EvbTlv,
  evbOptionalTlv,
  frameOctets,
  GroupAddress,
  lldpduOctets,
  Mac,
} from "@nve/protocol-spec";
import { beforeEach, expect, test } from "vitest";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { type Hub, hub } from "../support/hub.ts";

// Somebody on an access network who keeps to no rule (H3, H26): a bridge port for four, two stations, and frames by hand.

const torMac = Mac("52:54:00:00:00:fe");
const macOf = (n: number): Mac => Mac(`52:54:00:00:00:${n.toString(16).padStart(2, "0")}`);
const strange = (n: number): Mac => Mac(`52:54:00:00:0f:${n.toString(16).padStart(2, "0")}`);
const agreed = { peer: true, groupId: true, r: 3, rte: 14, rwd: 20, rka: 20 };
const text = (of: string) => new TextEncoder().encode(of);

let clock: FakeClock;
let net: Hub;
let liar: ReturnType<Hub["link"]>;

beforeEach(() => {
  clock = fakeClock();
  net = hub(clock);
  liar = net.link(macOf(0xee));
});

function end(mac: Mac, role: "bridge" | "station", isAllowed?: (mac: Mac) => boolean): EdgePort {
  const id = { subtype: 7, octets: text(`${role} ${mac}`) };
  return openEdgePort({
    link: net.link(mac),
    clock,
    role,
    policy: defaultEvbPolicy,
    firstSequence: 1,
    stations: role === "bridge" ? 4 : 1,
    lldp: { chassisId: id, portId: id, tlvs: [] },
    ...(isAllowed && { isAllowed }),
    onVdpdu: () => {},
    onEvb: () => {},
    onNeighbour: () => {},
    onState: () => {},
  });
}

/** LLDP with a station's EVB TLV, as of a station of that address. */
function sayEvb(source: Mac, name = source as string): void {
  const evb: EvbTlv = {
    bridge: { groupId: false, reflectiveRelayCapable: false, reflectiveRelay: false },
    station: { groupId: true, reflectiveRelayRequest: false, reflectiveRelay: 3 },
    r: 3,
    rte: 14,
    rwd: 20,
    rka: 20,
    rolRwd: false,
    rolRka: false,
    mode: 2,
  };
  const id = { subtype: 7, octets: text(name) };
  const payload = lldpduOctets({
    chassisId: id,
    portId: id,
    ttl: 120,
    tlvs: [evbOptionalTlv(evb)],
  });
  const destination = GroupAddress.nearestCustomerBridge;
  liar.send(frameOctets({ destination, source, etherType: EtherType.lldp, payload }));
}

const peersOf = (port: EdgePort) => port.peers.map(({ mac }) => mac).sort();

test("a frame from a group address makes no station: else what is said to it would be said to all", () => {
  const tor = end(torMac, "bridge");
  const stations = [1, 2].map((n) => end(macOf(n), "station"));
  clock.advance(5000);
  const groups = [GroupAddress.nearestCustomerBridge, Mac("ff:ff:ff:ff:ff:ff")];
  for (const group of groups) sayEvb(group);
  clock.advance(5000);
  expect(peersOf(tor)).toEqual([macOf(1), macOf(2)]);
  expect(tor.counters.malformed).toEqual({ "ethernet.bad-value": 2 });
  for (const { evb, peers } of stations) {
    expect(evb).toEqual(agreed);
    expect(peers).toMatchObject([{ mac: torMac }]);
  }
});

test("H26: whoever fills the table with made-up stations keeps none away that is allowed", () => {
  const known = new Set([macOf(1), macOf(2)]);
  const tor = end(torMac, "bridge", (mac) => known.has(mac));
  for (const n of [1, 2, 3, 4]) sayEvb(strange(n));
  clock.advance(1000);
  expect(tor.peers).toHaveLength(4);
  const stations = [1, 2].map((n) => end(macOf(n), "station"));
  clock.advance(1000);
  for (const { evb } of stations) expect(evb).toEqual(agreed);
  for (let seconds = 0; seconds < 300; seconds += 5) {
    for (const n of [1, 2, 3, 4, 5]) sayEvb(strange(n));
    clock.advance(5000);
    for (const { evb } of stations) expect(evb).toEqual(agreed);
  }
  expect(peersOf(tor)).toEqual(expect.arrayContaining([...known]));
  expect(tor.peers).toHaveLength(4);
});

test("a storm of ever new names from one address stays one station with two neighbours", () => {
  const tor = end(torMac, "bridge");
  const [station] = [1].map((n) => end(macOf(n), "station"));
  clock.advance(5000);
  for (let n = 0; n < 5000; n++) {
    sayEvb(strange(1), `name ${n}`);
    clock.advance(10);
  }
  expect(tor.peers).toHaveLength(2);
  expect(tor.neighbours.length).toBeLessThanOrEqual(2 + 1);
  expect(tor.counters.lldp.tooMany).toBeGreaterThan(4000);
  expect(station?.evb).toEqual(agreed);
});
