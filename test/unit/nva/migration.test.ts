import { stepMigration } from "@nve/nva/authority/migration";
import {
  dueOf,
  isMoving,
  isOver,
  type Migration,
  type MigrationEvent,
} from "@nve/nva/authority/migration-row";
import { NveId } from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { blue, mac, uuid } from "./world.ts";

const times = { holdMs: 1_000, forwardMs: 100, forwardMostMs: 500 };
const vnic = uuid(1);
const address = { vnId: blue, mac: mac(1) };
const spot = (n: number) => ({ nveId: NveId(`tor${n}`) });

/** A machine that is fed at instants, and says what state it is in. */
function machine() {
  let row: Migration | undefined;
  const at = (ms: number, event: MigrationEvent): Migration["is"] | undefined => {
    row = stepMigration(row, vnic, event, ms, times);
    return row?.is;
  };
  return {
    at,
    prepared: (ms: number, to: number, from = 1) =>
      at(ms, { on: "prepared", at: spot(to), from: spot(from), addresses: [address] }),
    active: (ms: number, to: number, from = 1) =>
      at(ms, { on: "active", at: spot(to), from: spot(from), address }),
    left: (ms: number, n: number, last = false) =>
      at(ms, { on: "left", nveId: spot(n).nveId, last }),
    departed: (ms: number, n: number) => at(ms, { on: "departed", at: spot(n), address }),
    unprepared: (ms: number, n: number) => at(ms, { on: "unprepared", nveId: spot(n).nveId }),
    known: (ms: number) => at(ms, { on: "known" }),
    tick: (ms: number) => at(ms, { on: "tick" }),
    get row() {
      return row;
    },
    /** NVEs that forward. */
    get forwarding() {
      return isMoving(row)
        ? row.departures.flatMap(({ spot, forwards }) => (forwards ? [spot.nveId] : []))
        : [];
    },
    get what() {
      return row?.steps.map(({ atUnixMs, what }) => `${atUnixMs} ${what}`);
    },
  };
}

test("V2: prepared, switched over, completed, and every step is told with its milliseconds", () => {
  const m = machine();
  expect(m.prepared(0, 2)).toBe("prepared");
  expect(m.active(10, 2)).toBe("switched-over");
  expect(m.forwarding).toEqual(["tor1"]);
  expect(m.left(20, 1)).toBe("switched-over");
  expect(m.known(30)).toBe("switched-over");
  expect(m.row && dueOf(m.row)).toBe(110);
  expect(m.tick(109)).toBe("switched-over");
  expect(m.tick(110)).toBe("completed");
  expect(m.what).toEqual([
    "0 prepared at tor2, active at tor1",
    "10 switched over from tor1 to tor2",
    "20 left tor1",
    "30 all others know where it is",
    "110 tor1 forwards no more",
    "110 completed: it is at tor2, and nowhere else",
  ]);
});

test("M5: the source forwards until all others know, for no less than the one time and no more than the other", () => {
  const known = machine();
  known.active(0, 2);
  known.tick(100);
  expect(known.forwarding).toEqual(["tor1"]);
  known.known(300);
  expect(known.forwarding).toEqual([]);
  const never = machine();
  never.active(0, 2);
  never.tick(499);
  expect(never.forwarding).toEqual(["tor1"]);
  expect(never.tick(500)).toBe("switched-over"); // its station has it still
  expect(never.forwarding).toEqual([]);
  expect(never.left(20_000, 1)).toBe("completed");
});

test("V1: a reservation that goes before the switch-over rolls back, and nothing is left", () => {
  const m = machine();
  m.prepared(0, 2);
  expect(m.unprepared(5, 3)).toBe("prepared"); // another's
  expect(m.unprepared(10, 2)).toBe("rolled-back");
  expect(m.row && dueOf(m.row)).toBe(undefined);
});

test("V1: back at the source after the switch-over: the destination forwards there, then it is rolled back", () => {
  const m = machine();
  m.prepared(0, 2);
  m.active(10, 2);
  expect(m.active(20, 1, 2)).toBe("rolling-back");
  expect(m.forwarding).toEqual(["tor2"]);
  m.left(20, 2);
  m.known(50);
  expect(m.tick(120)).toBe("rolled-back");
  expect(m.row).toMatchObject({ from: spot(1), to: spot(1) });
});

test("H21: one that has departed is held for its arrival, and is given up when it arrives nowhere in time", () => {
  const m = machine();
  expect(m.departed(0, 1)).toBe("held");
  expect(m.tick(999)).toBe("held");
  expect(m.tick(1_000)).toBe("given-up");
  const back = machine();
  back.departed(0, 1);
  expect(back.active(500, 1, 1)).toBe("rolled-back");
  const arrives = machine();
  arrives.prepared(0, 2);
  expect(arrives.departed(10, 1)).toBe("held");
  expect(arrives.row).toMatchObject({ to: spot(2) });
  expect(arrives.active(20, 2)).toBe("switched-over");
  expect(arrives.known(30)).toBe("switched-over");
  expect(arrives.tick(120)).toBe("completed"); // it had left before
});

test("M2: on to a third place before the second knows: all forward to the third, and nobody in a circle", () => {
  const m = machine();
  m.active(0, 2);
  m.prepared(10, 3, 2);
  expect(m.active(20, 3, 2)).toBe("switched-over");
  expect(m.forwarding).toEqual(["tor1", "tor2"]);
  expect(m.row).toMatchObject({ from: spot(2), to: spot(3) });
  m.left(30, 1);
  expect(m.active(40, 1, 3)).toBe("switched-over"); // it had left there: a move, no roll-back
  expect(m.forwarding).toEqual(["tor2", "tor3"]);
});

test("one that is shut down where it has arrived is given up: nobody forwards to nowhere", () => {
  const m = machine();
  m.active(0, 2);
  m.left(5, 1);
  expect(m.left(10, 2, true)).toBe("given-up");
  expect(m.forwarding).toEqual([]);
});

test("the next move that was prepared during the last one begins when that is over", () => {
  const m = machine();
  m.active(0, 2);
  m.prepared(10, 3, 2);
  m.left(20, 1);
  m.known(30);
  expect(m.tick(100)).toBe("prepared");
  expect(m.row).toMatchObject({ from: spot(2), to: spot(3) });
});

const place = fc.integer({ min: 1, max: 4 });
const anyEvent: fc.Arbitrary<MigrationEvent> = fc.oneof(
  fc.record({
    on: fc.constant("prepared" as const),
    at: place.map(spot),
    from: place.map(spot),
    addresses: fc.constant([address]),
  }),
  fc.record({
    on: fc.constant("active" as const),
    at: place.map(spot),
    from: place.map(spot),
    address: fc.constant(address),
  }),
  fc.record({
    on: fc.constantFrom("suspended" as const, "resumed" as const, "departed" as const),
    at: place.map(spot),
    address: fc.constant(address),
  }),
  fc.record({
    on: fc.constant("left" as const),
    nveId: place.map((n) => spot(n).nveId),
    last: fc.boolean(),
  }),
  fc.record({ on: fc.constant("unprepared" as const), nveId: place.map((n) => spot(n).nveId) }),
  fc.constant({ on: "known" as const }),
  fc.constant({ on: "tick" as const }),
);

test("whatever happens: none forwards to itself, no row grows, and with time and all gone it ends", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(anyEvent, fc.nat(200)), { maxLength: 60 }), (history) => {
      const m = machine();
      let now = 0;
      for (const [event, ms] of history) {
        now += ms;
        m.at(now, event);
        const { row } = m;
        if (!isMoving(row)) continue;
        const spots = row.departures.map((one) => one.spot.nveId);
        expect(spots).not.toContain(row.to.nveId);
        expect(new Set(spots).size).toBe(spots.length);
        expect(row.steps.length).toBeLessThanOrEqual(32);
      }
      for (let n = 1; n <= 4; n++) m.left(now + n, n, true);
      for (let n = 1; n <= 4; n++) m.unprepared(now + 5, n);
      m.tick(now + 10_000);
      for (let n = 1; n <= 4; n++) m.left(now + 10_000, n, true);
      expect(m.row === undefined || isOver(m.row)).toBe(true);
    }),
  );
});
