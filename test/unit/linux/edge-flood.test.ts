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

const bigOctets = vdpduOctets(big);
const smallOctets = vdpduOctets({ ...big, tlvs: big.tlvs.slice(0, 1) });

function setUp(costMs = 0) {
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
      clock.spend(costMs);
    },
    onEvb: () => {},
    onNeighbour: () => {},
    onState: () => {},
  });
  const request = (sequence: number, ulpdu = bigOctets): void => {
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
  return { clock, wire, port, request, lldp, delivered: () => delivered, acks: () => acks };
}

test("V10: a flood of ECPDUs has a tenth of our time in the long run; the others are not acknowledged, and counted", () => {
  const { clock, port, request, delivered, acks } = setUp(5);
  let sequence = 0;
  const flood = (ms: number) => {
    for (const end = clock.now() + ms; clock.now() < end; clock.advance(1)) {
      for (let i = 0; i < 2; i++) request(++sequence, smallOctets);
    }
  };
  flood(1000);
  const before = delivered();
  const begun = clock.now();
  flood(5000);
  const share = ((delivered() - before) * 5) / (clock.now() - begun);
  expect(share).toBeGreaterThan(0.09);
  expect(share).toBeLessThan(0.11);
  expect(acks()).toBe(delivered());
  const { requestsIn, putOff } = port.counters.ecp;
  expect(requestsIn).toBe(sequence);
  expect(requestsIn - putOff - delivered()).toBeLessThanOrEqual(1); // the one that waits
});

test("V10: a thousand requests at once are taken as fast as they come, and between them the others have their turns", () => {
  const { clock, request, delivered } = setUp(2);
  const begun = clock.now();
  const turns: number[] = [];
  for (let sequence = 1; sequence <= 40; sequence++) {
    request(sequence);
    const at = clock.now();
    while (delivered() < sequence) clock.advance(0.1);
    turns.push(clock.now() - at);
  }
  expect(clock.now() - begun).toBeLessThan(40 * 2 * 2.1);
  expect(turns.slice(1).every((ms) => ms > 1.9)).toBe(true);
});

test("a request that came while others had their turns is taken after them, unasked; a later one takes its place", () => {
  const { clock, request, delivered, acks } = setUp(20);
  request(1);
  request(2);
  request(3);
  expect(delivered()).toBe(1);
  clock.advance(20);
  expect(delivered()).toBe(2);
  expect(acks()).toBe(2);
  clock.advance(1000);
  expect(delivered()).toBe(2);
});

test("what waited for its turn is not done when the link goes down", () => {
  const { clock, wire, request, delivered } = setUp(20);
  request(1);
  request(2);
  wire.set("down");
  clock.advance(1000);
  expect(delivered()).toBe(1);
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
