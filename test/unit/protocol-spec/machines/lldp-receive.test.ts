import {
  Instant,
  type Lldpdu,
  type LldpRx,
  type LldpRxAction,
  type LldpRxEvent,
  lldpRxStart,
  Mac,
  maxNeighbours,
  type OptionalTlv,
  stepLldpRx,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { timeline } from "../../../support/timeline.ts";

const source = Mac("52:54:00:bb:00:02");
const name = (text: string): OptionalTlv => ({ is: "system-name", text });
const lldpdu = (chassis: number, ttl = 120, ...tlvs: OptionalTlv[]): Lldpdu => ({
  chassisId: { subtype: 7, octets: Uint8Array.of(chassis) },
  portId: { subtype: 5, octets: Uint8Array.of(1) },
  ttl,
  tlvs,
});
const hear = (lldpdu: Lldpdu): LldpRxEvent => ({ on: "lldpdu", lldpdu, source });
const known = (lldpdu: Lldpdu, since: number, now = since) => ({
  lldpdu,
  source,
  since: Instant(since),
  expires: Instant(now + lldpdu.ttl * 1000),
});
const tick: LldpRxEvent = { on: "tick" };
const lldp = () => timeline<LldpRx, LldpRxEvent, LldpRxAction>(lldpRxStart, stepLldpRx);

test("a neighbour is new once; the same LLDPDU again only refreshes its TTL", () => {
  const at = lldp();
  at(0, hear(lldpdu(1)), { do: "neighbour-new", neighbour: known(lldpdu(1), 0) });
  const rx = at(30_000, hear(lldpdu(1)));
  expect(rx).toMatchObject({ neighbours: [known(lldpdu(1), 0, 30_000)], deadline: 150_000 });
});

test("a neighbour that says something else has changed", () => {
  const at = lldp();
  const [before, after] = [lldpdu(1, 120, name("a")), lldpdu(1, 120, name("b"))];
  at(0, hear(before), { do: "neighbour-new", neighbour: known(before, 0) });
  at(1000, hear(after), { do: "neighbour-changed", neighbour: known(after, 0, 1000) });
});

test("chassis and port ID together tell neighbours apart", () => {
  const at = lldp();
  const second: Lldpdu = { ...lldpdu(1), portId: { subtype: 5, octets: Uint8Array.of(2) } };
  at(0, hear(lldpdu(1)), { do: "neighbour-new", neighbour: known(lldpdu(1), 0) });
  at(0, hear(second), { do: "neighbour-new", neighbour: known(second, 0) });
});

test("capture 03: a neighbour is gone when its TTL has run out, and not before", () => {
  const at = lldp();
  at(0, hear(lldpdu(1, 6)), { do: "neighbour-new", neighbour: known(lldpdu(1, 6), 0) });
  at(1000, hear(lldpdu(2)), { do: "neighbour-new", neighbour: known(lldpdu(2), 1000) });
  at(5999, tick);
  const rx = at(6000, tick, { do: "neighbour-gone", neighbour: known(lldpdu(1, 6), 0) });
  expect(rx.deadline).toBe(121_000);
});

test("TTL 0 removes the neighbour at once; of a stranger it is nothing", () => {
  const at = lldp();
  at(0, hear(lldpdu(1, 0)));
  at(0, hear(lldpdu(1)), { do: "neighbour-new", neighbour: known(lldpdu(1), 0) });
  const rx = at(9, hear(lldpdu(1, 0)), { do: "neighbour-gone", neighbour: known(lldpdu(1), 0) });
  expect(rx).toEqual(lldpRxStart);
});

test("link down forgets all neighbours", () => {
  const at = lldp();
  at(0, { on: "link-down" });
  at(0, hear(lldpdu(1)), { do: "neighbour-new", neighbour: known(lldpdu(1), 0) });
  at(0, hear(lldpdu(2)), { do: "neighbour-new", neighbour: known(lldpdu(2), 0) });
  at(
    1,
    { on: "link-down" },
    { do: "neighbour-gone", neighbour: known(lldpdu(1), 0) },
    { do: "neighbour-gone", neighbour: known(lldpdu(2), 0) },
  );
  expect(at(500_000, tick)).toEqual(lldpRxStart);
});

test("V10: one neighbour more than there is room for is counted and not kept", () => {
  const at = lldp();
  for (let i = 0; i < maxNeighbours; i++) {
    at(0, hear(lldpdu(i)), { do: "neighbour-new", neighbour: known(lldpdu(i), 0) });
  }
  const rx = at(1, hear(lldpdu(99)));
  expect(rx.tooMany).toBe(1);
  expect(rx.neighbours).toHaveLength(maxNeighbours);
  at(2, hear(lldpdu(0, 0)), { do: "neighbour-gone", neighbour: known(lldpdu(0), 0) });
  at(3, hear(lldpdu(99)), { do: "neighbour-new", neighbour: known(lldpdu(99), 3) });
});

test("neighbours told are neighbours kept, and none outlives its TTL, whatever is heard", () => {
  const event = fc.oneof(
    fc
      .tuple(fc.nat({ max: 12 }), fc.nat({ max: 5 }), fc.constantFrom("a", "b"))
      .map(([chassis, ttl, text]) => hear(lldpdu(chassis, ttl, name(text)))),
    fc.constant(tick),
    fc.constant<LldpRxEvent>({ on: "link-down" }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 3000 }), event)), (history) => {
      let rx = lldpRxStart;
      let now = 0;
      let told = 0;
      for (const [later, event] of history) {
        now += later;
        const [next, ...actions] = stepLldpRx(rx, event, Instant(now));
        rx = next;
        for (const { do: what } of actions) {
          told += what === "neighbour-new" ? 1 : what === "neighbour-gone" ? -1 : 0;
        }
        expect(rx.neighbours).toHaveLength(told);
        expect(told).toBeLessThanOrEqual(maxNeighbours);
        if (event.on === "tick")
          for (const n of rx.neighbours) expect(n.expires).toBeGreaterThan(now);
        const first = Math.min(...rx.neighbours.map(({ expires }) => expires));
        expect(rx.deadline ?? Number.POSITIVE_INFINITY).toBe(first);
      }
    }),
  );
});
