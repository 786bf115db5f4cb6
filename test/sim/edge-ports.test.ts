import { type EdgePort, type EdgePortOptions, openEdgePort } from "@nve/linux";
import {
  announcing,
  defaultEvbPolicy,
  type EvbAgreed,
  type EvbRole,
  type OptionalTlv,
  type Vdpdu,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Cable, cable, type Faults } from "../support/cable.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";

/** A ULPDU that says who it is: a manager, and a number in a TLV of no known type. */
const numbered = (n: number): Vdpdu => ({
  manager: new Uint8Array(16),
  tlvs: [{ is: "unknown", type: 9, octets: Uint8Array.of(n >> 8, n & 0xff) }],
});
const numberOf = ({ tlvs: [tlv] }: Vdpdu): number => {
  const [high = 0, low = 0] = tlv?.is === "unknown" ? tlv.octets : [];
  return high * 256 + low;
};

type Side = { port: EdgePort; heard: number[]; lost: number[]; send(n: number): void };
type Pair = { clock: FakeClock; wire: Cable; station: Side; bridge: Side };

function pair(
  faults: Partial<Faults> & { seed?: number } = {},
  r = 3,
  tlvs: readonly OptionalTlv[] = [],
): Pair {
  const clock = fakeClock();
  const wire = cable(clock, faults);
  const open = (role: EvbRole): Side => {
    const heard: number[] = [];
    const lost: number[] = [];
    const name = new TextEncoder().encode(role);
    const options: EdgePortOptions = {
      link: role === "station" ? wire.a : wire.b,
      clock,
      role,
      policy: { ...defaultEvbPolicy, r },
      firstSequence: role === "station" ? 65_530 : 17,
      lldp: {
        chassisId: { subtype: 7, octets: name },
        portId: { subtype: 7, octets: name },
        tlvs,
      },
      onVdpdu: (vdpdu) => heard.push(numberOf(vdpdu)),
      onEvb: () => {},
      onNeighbour: () => {},
      onState: () => {},
    };
    const port = openEdgePort(options);
    return { port, heard, lost, send: (n) => port.send(numbered(n), () => lost.push(n)) };
  };
  return { clock, wire, station: open("station"), bridge: open("bridge") };
}

const agreed: EvbAgreed = { peer: true, groupId: true, r: 3, rte: 14, rwd: 20, rka: 20 };
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
const bothAgree = ({ station, bridge }: Pair) => station.port.evb.peer && bridge.port.evb.peer;

test("EVB agrees within a second on a good cable, then LLDP falls quiet", () => {
  const { clock, station, bridge } = pair();
  clock.advance(1000);
  expect(station.port.evb).toEqual(agreed);
  expect(bridge.port.evb).toEqual(agreed);
  clock.advance(9000);
  const quiet = station.port.counters.lldp.out + bridge.port.counters.lldp.out;
  clock.advance(60_000);
  expect(station.port.counters.lldp.out + bridge.port.counters.lldp.out).toBe(quiet + 8); // to each of two addresses
  expect(station.port.neighbours).toHaveLength(1);
});

test("EVB agrees within a minute on a cable that loses every third frame", () => {
  for (const seed of upTo(20)) {
    const both = pair({ seed, loss: 0.33 });
    both.clock.advance(60_000);
    expect(bothAgree(both), `seed ${seed}`).toBe(true);
    expect(both.station.port.evb).toEqual(both.bridge.port.evb);
  }
});

test("200 ULPDUs each way arrive once and in order, 5 ms apart", () => {
  const { clock, station, bridge } = pair();
  for (const n of upTo(200)) {
    station.send(n);
    bridge.send(n);
  }
  clock.advance(1001);
  expect(bridge.heard).toEqual(upTo(200));
  expect(station.heard).toEqual(upTo(200));
  expect(station.port.counters.ecp).toMatchObject({ retransmitted: 0, givenUp: 0 });
});

test.each([0.01, 0.05, 0.1, 0.2])(
  "with %d loss ULPDUs arrive exactly once and in order",
  (loss) => {
    for (const seed of upTo(5)) {
      const { clock, station, bridge } = pair(
        { seed, loss, delayMs: [0.1, 3], duplicate: 0.05 },
        7,
      );
      for (const n of upTo(100)) {
        station.send(n);
        bridge.send(n);
      }
      clock.advance(300_000);
      expect(bridge.heard, `seed ${seed}`).toEqual(upTo(100));
      expect(station.heard, `seed ${seed}`).toEqual(upTo(100));
    }
  },
);

test("on any cable a ULPDU arrives or its sender is told; without reordering never twice, never late", () => {
  const rate = (max: number) => fc.double({ min: 0, max, noNaN: true });
  const faults = fc.record({ seed: fc.nat(), loss: rate(0.9), duplicate: rate(0.3) });
  fc.assert(
    fc.property(faults, (faults) => {
      const { clock, station, bridge } = pair({ ...faults, delayMs: [0.1, 4] });
      for (const n of upTo(30)) station.send(n);
      clock.advance(120_000);
      const missing = upTo(30).filter((n) => !bridge.heard.includes(n));
      for (const n of missing) expect(station.lost).toContain(n);
      expect(bridge.heard).toEqual([...new Set(bridge.heard)].sort((a, b) => a - b));
      expect(station.port.counters.ecp.givenUp).toBe(station.lost.length);
    }),
    { numRuns: 60 },
  );
});

/** Both say something while nothing comes through for so long. */
function deaf(ms: number, tlvs?: readonly OptionalTlv[]): Pair {
  const both = pair({}, 3, tlvs);
  const { clock, wire, station, bridge } = both;
  clock.advance(5000);
  wire.faults = { ...wire.faults, loss: 1 };
  for (const n of upTo(3)) bridge.send(n);
  station.send(9);
  clock.advance(ms);
  wire.faults = { ...wire.faults, loss: 0 };
  clock.advance(5000);
  return both;
}

test("what a bridge says to a station of ours that is deaf for two seconds comes once; others have R + 1 copies", () => {
  const ours = deaf(2000, [announcing("addresses")]);
  expect(ours.station.heard).toEqual([1, 2, 3]);
  expect(ours.bridge.lost).toEqual([]);
  expect(ours.station.lost, "whoever waits for a station is told soon").toEqual([9]);
  const gone = deaf(9000, [announcing("addresses")]);
  expect(gone.bridge.lost).toEqual([1, 2, 3]);
  const others = deaf(2000);
  expect(others.bridge.lost).toEqual([1, 2, 3]);
});

test("a late copy of what a bridge of ours has said is none that is new", () => {
  const { clock, wire, station, bridge } = pair({}, 3, [announcing("addresses")]);
  clock.advance(5000);
  let copy: Uint8Array | undefined;
  wire.tap((from, frame) => {
    if (from === "b") copy ??= Uint8Array.from(frame);
  });
  bridge.send(1);
  clock.advance(2000);
  if (copy !== undefined) wire.b.send(copy);
  clock.advance(10);
  expect(station.heard).toEqual([1]);
});

test("reordered frames cost repeats at most: nothing is lost in silence", () => {
  for (const seed of upTo(10)) {
    const { clock, station, bridge } = pair({ seed, reorder: 0.2, loss: 0.1, duplicate: 0.1 });
    for (const n of upTo(100)) station.send(n);
    clock.advance(300_000);
    for (const n of upTo(100)) {
      expect(bridge.heard.includes(n) || station.lost.includes(n), `seed ${seed}, ${n}`).toBe(true);
    }
  }
});

test("a link flap: what was under way is given up, then all is as before", () => {
  const both = pair({ delayMs: [1, 1] });
  const { clock, wire, station, bridge } = both;
  clock.advance(2000);
  for (const n of upTo(10)) station.send(n);
  clock.advance(21);
  wire.set("down");
  // The fifth has arrived, its ack has not: its sender cannot know.
  expect([...bridge.heard, ...station.lost].sort((a, b) => a - b)).toEqual([
    1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10,
  ]);
  expect(bothAgree(both)).toBe(false);
  expect(station.port.neighbours).toEqual([]);
  station.send(11);
  expect(station.lost).toContain(11);
  clock.advance(5000);
  wire.set("up");
  for (const n of [12, 13]) station.send(n);
  clock.advance(1000);
  expect(bridge.heard.slice(-2)).toEqual([12, 13]);
  expect(station.port.evb).toEqual(agreed);
  expect(bridge.port.evb).toEqual(agreed);
});

test("a link that flaps all the time neither loses in silence nor delivers out of order", () => {
  for (const seed of upTo(10)) {
    const { clock, wire, station, bridge } = pair({ seed, loss: 0.1, delayMs: [0.1, 4] });
    let n = 0;
    for (let flaps = 0; flaps < 30; flaps++) {
      for (let burst = 0; burst < 5; burst++) station.send(++n);
      clock.advance(7 * (flaps % 11));
      wire.set(flaps % 2 === 0 ? "down" : "up");
    }
    wire.set("up");
    clock.advance(60_000);
    const settled = new Set([...bridge.heard, ...station.lost]);
    expect(settled.size, `seed ${seed}`).toBe(n);
    expect(bridge.heard).toEqual([...new Set(bridge.heard)].sort((a, b) => a - b));
  }
});

test("when one side closes, the other knows at once", () => {
  const both = pair();
  both.clock.advance(10_000);
  both.station.port.close();
  both.clock.advance(1);
  expect(both.bridge.port.neighbours).toEqual([]);
  expect(both.bridge.port.evb).toMatchObject({ peer: false, groupId: false });
});
