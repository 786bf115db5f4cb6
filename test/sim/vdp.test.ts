import { type Driven, drive, type EdgePort, openEdgePort } from "@nve/linux";
import {
  type Association,
  type AssociationType,
  type BridgeAction,
  type BridgeEvent,
  type BridgeVsi,
  bridgeStart,
  defaultEvbPolicy,
  type EvbRole,
  type Filters,
  Instant,
  type Station,
  type StationAction,
  type StationEvent,
  stationStart,
  stepBridge,
  stepStation,
  Uuid,
  type Vdpdu,
  Vid,
  type VsiRequest,
  vdpTimes,
  vsiIdOf,
} from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { cable, type Faults } from "../support/cable.ts";
import { fakeClock } from "../support/fake-clock.ts";

const group = (vid?: number): Filters => ({
  by: "group-vid",
  entries: [vid === undefined ? { groupId: 5001 } : { groupId: 5001, vid: Vid(vid) }],
});
const request = (type: VsiRequest["type"]): VsiRequest => ({
  type,
  association: {
    status: { is: "request", suspended: false, migrating: false, code: 0 },
    vsiType: { id: 7, version: 1 },
    vsiId: vsiIdOf(Uuid("fa9b7fff-b0a0-4893-abcd-beef4ff18f13")),
    filters: group(),
  },
});
const pdu = (type: AssociationType, association: Association): Vdpdu => ({
  manager: new Uint8Array(16),
  tlvs: [{ is: "association", type, association }],
});

/** One VSI: a station and a bridge that takes 50 ms to lend the tag 200, over EdgePorts on a cable. */
function oneVsi(faults: Partial<Faults> & { seed?: number } = {}) {
  const clock = fakeClock();
  const wire = cable(clock, faults);
  const told: string[] = [];
  const ports = {} as { station: EdgePort; bridge: EdgePort };
  let decisions = 0;

  const station: Driven<Station, StationEvent> = drive<Station, StationEvent, StationAction>(
    stationStart,
    (state, event, now) => stepStation(state, event, now, vdpTimes(ports.station.evb)),
    clock,
    (action) => {
      if (action.do === "send") {
        const undelivered = () => station({ on: "undelivered" });
        ports.station.send(pdu(action.type, action.association), undelivered);
      } else told.push(action.do === "ended" ? `station ${action.why}` : `station ${action.do}`);
    },
  );
  const bridge: Driven<BridgeVsi, BridgeEvent> = drive<BridgeVsi, BridgeEvent, BridgeAction>(
    bridgeStart,
    (state, event, now) => stepBridge(state, event, now, vdpTimes(ports.bridge.evb)),
    clock,
    (action) => {
      switch (action.do) {
        case "decide": {
          decisions += 1;
          const association = { ...action.request.association, filters: group(200) };
          clock.at(Instant(clock.now() + 50), () => bridge({ on: "grant", association }));
          return;
        }
        case "respond":
          ports.bridge.send(pdu(action.type, action.association), () => {});
          return;
        case "order-de-associate":
          ports.bridge.send(pdu("de-associate", action.association), () => {});
          return;
        case "release":
          told.push(`bridge ${action.why}`);
      }
    },
  );

  const open = (role: EvbRole, hear: (type: AssociationType, association: Association) => void) =>
    openEdgePort({
      link: role === "station" ? wire.a : wire.b,
      clock,
      role,
      policy: defaultEvbPolicy,
      firstSequence: 0,
      lldp: {
        chassisId: { subtype: 7, octets: new TextEncoder().encode(role) },
        portId: { subtype: 7, octets: Uint8Array.of(1) },
        tlvs: [],
      },
      onVdpdu: ({ tlvs }) => {
        for (const tlv of tlvs) if (tlv.is === "association") hear(tlv.type, tlv.association);
      },
      onEvb: () => {},
      onNeighbour: () => {},
      onState: (state) => {
        if (role === "station" && state === "up") station({ on: "link-up" });
      },
    });
  ports.station = open("station", (type, association) => {
    if (association.status.is === "response") station({ on: "response", type, association });
    else if (type === "de-associate") station({ on: "order" });
  });
  ports.bridge = open("bridge", (type, association) => {
    if (type === "de-associate") bridge({ on: "de-associate", association });
    else bridge({ on: "request", request: { type, association } });
  });
  clock.advance(1000);
  return { clock, wire, told, station, bridge, ports, decisions: () => decisions };
}

const minutes = (n: number) => n * 60_000;

test("H1: a station gets its tag, keeps it for an hour with keepalives, and gives it back (H2)", () => {
  const { clock, told, station, bridge, decisions } = oneVsi();
  station({ on: "want", request: request("associate") });
  clock.advance(100);
  expect(station.state()).toMatchObject({
    is: "up",
    granted: { association: { filters: group(200) } },
  });
  clock.advance(minutes(60));
  expect(station.state().is).toBe("up");
  expect(bridge.state().is).toBe("up");
  expect(decisions()).toBe(1);
  station({ on: "drop" });
  clock.advance(100);
  expect(bridge.state().is).toBe("none");
  expect(told).toEqual(["station granted", "bridge de-associated", "station left"]);
});

test("with 5 % loss the VSI comes up and stays up", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { clock, told, station } = oneVsi({ seed, loss: 0.05, delayMs: [0.1, 3] });
    station({ on: "want", request: request("pre-associate") });
    clock.advance(2000);
    station({ on: "want", request: request("associate") });
    clock.advance(minutes(5));
    expect(station.state(), `seed ${seed}: ${told}`).toMatchObject({
      is: "up",
      granted: { type: "associate", association: { filters: group(200) } },
    });
  }
});

test("a link flap shorter than the keepalive timeout costs the VSI nothing", () => {
  const { clock, wire, told, station, decisions } = oneVsi();
  station({ on: "want", request: request("associate") });
  clock.advance(5000);
  wire.set("down");
  clock.advance(12_000); // a keepalive falls into it
  wire.set("up");
  clock.advance(1000);
  expect(station.state().is).toBe("up");
  expect(decisions()).toBe(1);
  expect(told).toEqual(["station granted", "station granted"]);
});

test("a link that stays down ends the VSI on both sides", () => {
  const { clock, wire, told, station, bridge } = oneVsi();
  station({ on: "want", request: request("associate") });
  clock.advance(5000);
  wire.set("down");
  clock.advance(minutes(1));
  expect([station.state().is, bridge.state().is]).toEqual(["end", "none"]);
  expect(told.sort()).toEqual(["bridge keepalive-timeout", "station granted", "station no-answer"]);
});

test("a station that falls silent loses its tag after the keepalive timeout", () => {
  const { clock, told, station, bridge } = oneVsi();
  station({ on: "want", request: request("associate") });
  clock.advance(1000);
  station.stop();
  clock.advance(16_000);
  expect(bridge.state().is).toBe("up");
  clock.advance(2000);
  expect(bridge.state().is).toBe("none");
  expect(told).toEqual(["station granted", "bridge keepalive-timeout"]);
});

test("what the bridge withdraws ends at the station", () => {
  const { clock, told, station, bridge } = oneVsi();
  station({ on: "want", request: request("associate") });
  clock.advance(1000);
  bridge({ on: "withdraw" });
  clock.advance(10);
  expect(station.state().is).toBe("end");
  expect(told).toEqual(["station granted", "bridge withdrawn", "station ordered"]);
});

test("whatever the cable does, once it is good both sides end up with the same", () => {
  for (let seed = 1; seed <= 25; seed++) {
    const faults = { seed, loss: 0.5, duplicate: 0.2, reorder: 0.2, delayMs: [0.1, 20] as const };
    const { clock, wire, told, station, bridge } = oneVsi(faults);
    for (let round = 0; round < 6; round++) {
      station({ on: "want", request: request(round % 2 === 0 ? "associate" : "pre-associate") });
      clock.advance(1500 * round + seed);
      if (round === 3) station({ on: "drop" });
      wire.set("down");
      clock.advance(100);
      wire.set("up");
    }
    wire.faults = { loss: 0, duplicate: 0, reorder: 0, delayMs: [0.1, 0.1] };
    clock.advance(minutes(2));
    const [ours, theirs] = [station.state(), bridge.state()];
    const up = ours.is === "up" || ours.is === "keepalive";
    expect(theirs.is, `seed ${seed}: ${told}`).toBe(up ? "up" : "none");
    if (up && theirs.is === "up") expect(theirs.granted.type).toBe(ours.granted.type);
  }
});
