import { openEdgePort } from "@nve/linux";
import {
  decode,
  defaultEvbPolicy,
  EtherType,
  ecpduOctets,
  frameOctets,
  GroupAddress,
  lldpduOctets,
  Mac,
  readEcpdu,
  readFrame,
  type Vdpdu,
  vdpduOctets,
} from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { cable } from "../../support/cable.ts";
import { fakeClock } from "../../support/fake-clock.ts";

// A peer that sends without end, or acknowledges nothing, costs a bounded amount of time and memory.

const big: Vdpdu = {
  manager: new Uint8Array(16),
  tlvs: Array.from({ length: 14 }, () => ({
    is: "unknown",
    type: 9,
    octets: new Uint8Array(100),
  })),
};

function setUp() {
  const clock = fakeClock();
  const wire = cable(clock, { delayMs: [0, 0] });
  let delivered = 0;
  let acks = 0;
  wire.b.onFrame((octets) => {
    const { etherType, payload } = decode(octets, readFrame);
    if (etherType === EtherType.ecp && decode(payload, readEcpdu).op === "ack") acks += 1;
  });
  const port = openEdgePort({
    link: wire.a,
    clock,
    role: "bridge",
    policy: defaultEvbPolicy,
    firstSequence: 0,
    lldp: {
      chassisId: { subtype: 7, octets: Uint8Array.of(1) },
      portId: { subtype: 7, octets: Uint8Array.of(1) },
      tlvs: [],
    },
    onVdpdu: () => {
      delivered += 1;
    },
    onEvb: () => {},
    onNeighbour: () => {},
    onState: () => {},
  });
  const request = (sequence: number, vdpdu: Vdpdu): void => {
    const ulpdu = vdpduOctets(vdpdu);
    const payload = ecpduOctets({ op: "request", subtype: 1, sequence, ulpdu });
    wire.b.send(
      frameOctets({
        destination: GroupAddress.nearestCustomerBridge,
        source: Mac("52:54:00:bb:00:02"),
        etherType: EtherType.ecp,
        payload,
      }),
    );
    clock.advance(0);
  };
  const lldp = (chassis: number): void => {
    const id = { subtype: 7, octets: Uint8Array.of(chassis) };
    wire.b.send(
      frameOctets({
        destination: GroupAddress.nearestCustomerBridge,
        source: Mac("52:54:00:bb:00:02"),
        etherType: EtherType.lldp,
        payload: lldpduOctets({ chassisId: id, portId: id, ttl: 120, tlvs: [] }),
      }),
    );
    clock.advance(0);
  };
  return { clock, port, request, lldp, delivered: () => delivered, acks: () => acks };
}

test("V10: a flood of ECPDUs is taken at 64 KiB a second; the others are not acknowledged, and counted", () => {
  const { clock, port, request, delivered, acks } = setUp();
  let sequence = 0;
  const flood = (count: number) => {
    for (let i = 0; i < count; i++) request(++sequence, big);
  };
  flood(1000);
  const atOnce = delivered();
  expect(atOnce).toBeGreaterThan(20);
  expect(atOnce).toBeLessThan(25);
  for (let i = 0; i < 10; i++) {
    clock.advance(100);
    flood(100);
  }
  expect(delivered()).toBeGreaterThan(3 * atOnce - 3);
  expect(delivered()).toBeLessThan(3 * atOnce + 3);
  expect(acks()).toBe(delivered());
  expect(port.counters.ecp).toMatchObject({ requestsIn: 2000, putOff: 2000 - delivered() });
});

test("a request that was put off is taken when the station sends it again", () => {
  const { clock, request, delivered, acks } = setUp();
  for (let sequence = 1; sequence <= 100; sequence++) request(sequence, big);
  const before = delivered();
  clock.advance(164); // a station's ack timeout
  request(100, big);
  expect(delivered()).toBe(before + 1);
  expect(acks()).toBe(before + 1);
});

test("V10: for a peer that acknowledges nothing no more than 256 KiB wait, what is beyond is given up at once", () => {
  const { port } = setUp();
  let lost = 0;
  for (let i = 0; i < 1000; i++) {
    port.send(big, () => {
      lost += 1;
    });
  }
  expect(1000 - lost).toBe(Math.floor((256 * 1024) / vdpduOctets(big).length));
  expect(port.counters.ecp.givenUp).toBe(lost);
});

test("V10: a flood of LLDPDUs is read at 128 a second; the others are counted, and a station's is heard afterwards", () => {
  const { clock, port, lldp } = setUp();
  for (let i = 0; i < 2000; i++) lldp(i % 7);
  expect(port.counters.lldp).toMatchObject({ in: 256, putOff: 1744 });
  clock.advance(1000);
  for (let i = 0; i < 2000; i++) lldp(i % 7);
  expect(port.counters.lldp).toMatchObject({ in: 256 + 128, putOff: 4000 - 256 - 128 });
  clock.advance(1000);
  lldp(7);
  expect(port.neighbours).toHaveLength(8);
});

test("what was settled makes room again", () => {
  const { clock, port } = setUp();
  let lost = 0;
  const fill = () => {
    for (let i = 0; i < 1000; i++) {
      port.send(big, () => {
        lost += 1;
      });
    }
    return lost;
  };
  const first = fill();
  clock.advance(3_600_000);
  expect(lost).toBe(1000); // all given up
  expect(fill()).toBe(1000 + first);
});
