import {
  Instant,
  type LldpTx,
  type LldpTxAction,
  type LldpTxEvent,
  lldpTxStart,
  stepLldpTx,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { timeline } from "../../../support/timeline.ts";

const transmit: LldpTxAction = { do: "transmit" };
const up: LldpTxEvent = { on: "link-up" };
const down: LldpTxEvent = { on: "link-down" };
const change: LldpTxEvent = { on: "change" };
const neighbour: LldpTxEvent = { on: "new-neighbour" };
const stop: LldpTxEvent = { on: "stop" };
const tick: LldpTxEvent = { on: "tick" };
const lldp = () => timeline<LldpTx, LldpTxEvent, LldpTxAction>(lldpTxStart, stepLldpTx);

/** The link has been up for 3 s. */
function settled() {
  const at = lldp();
  at(0, up, transmit);
  for (const ms of [1000, 2000, 3000]) at(ms, tick, transmit);
  return at;
}

test("4 LLDPDUs a second apart at link up, for the first may be lost; then one every 30 s", () => {
  const at = settled();
  at(4000, tick);
  at(32_999, tick);
  at(33_000, tick, transmit);
  at(63_000, tick, transmit);
});

test("capture 02: a new neighbour gets 4 LLDPDUs a second apart, then one every 30 s", () => {
  const at = settled();
  at(10_000, neighbour, transmit);
  at(11_000, tick, transmit);
  at(12_000, tick, transmit);
  at(13_000, tick, transmit);
  at(14_000, tick);
  at(43_000, tick, transmit);
});

test("a second new neighbour during the fast ones starts no more of them", () => {
  const at = settled();
  at(10_000, neighbour, transmit);
  at(10_500, neighbour, transmit);
  at(11_500, tick, transmit);
  at(12_500, tick, transmit);
  at(13_500, tick);
});

test("a change is told at once", () => {
  const at = settled();
  at(5000, change, transmit);
  at(30_000, tick);
  at(35_000, tick, transmit);
});

test("five in a row, then one per second: changes in between are told together", () => {
  const at = lldp();
  at(0, up, transmit);
  for (const ms of [1, 2, 3, 4]) at(ms, change, transmit);
  at(5, change);
  at(6, change);
  expect(at(7, tick)).toMatchObject({ pending: true, deadline: 1000 });
  at(1000, tick, transmit);
  at(1500, change);
  at(2000, tick, transmit);
  at(2001, tick);
});

test("credit grows by one per second up to five", () => {
  const at = lldp();
  at(0, up, transmit);
  for (const ms of [20_000, 20_000, 20_000, 20_000, 20_000]) at(ms, change, transmit);
  at(20_000, change);
  at(21_000, tick, transmit);
});

test("the second for a new credit counts from when the first of five was used", () => {
  const at = lldp();
  at(0, up, transmit);
  for (const ms of [20_400, 20_400, 20_400, 20_400, 20_400]) at(ms, change, transmit);
  expect(at(20_500, change)).toMatchObject({ pending: true, deadline: 21_400 });
});

test("fast LLDPDUs that lacked credit still come", () => {
  const at = settled();
  for (const ms of [10_000, 10_001, 10_002, 10_003, 10_004]) at(ms, change, transmit);
  at(10_010, neighbour);
  at(11_000, tick, transmit);
  at(12_000, tick, transmit);
  at(13_000, tick, transmit);
  at(14_000, tick, transmit);
  at(15_000, tick);
});

test("a stop is told with TTL 0, also without credit, and ends it", () => {
  const at = lldp();
  at(0, up, transmit);
  for (const ms of [1, 2, 3, 4]) at(ms, change, transmit);
  at(5, stop, { do: "transmit-shutdown" });
  at(60_000, tick);
  at(60_000, up, transmit);
});

test("nothing is sent while the link is down", () => {
  const at = lldp();
  for (const event of [down, change, neighbour, stop, tick]) at(0, event);
  at(0, up, transmit);
  at(1, up);
  at(2, down);
  for (const event of [down, change, neighbour, stop, tick]) at(60_000, event);
});

test("never more than the credit allows, and never silent for over 30 s, whatever happens", () => {
  const event = fc.constantFrom(change, neighbour, tick, tick);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 1500 }), event)), (history) => {
      let [tx] = stepLldpTx(lldpTxStart, up, Instant(0));
      let now = 0;
      const sent = [0];
      const feed = (event: LldpTxEvent) => {
        const [next, ...actions] = stepLldpTx(tx, event, Instant(now));
        tx = next;
        for (const _ of actions) sent.push(now);
      };
      for (const [later, event] of history) {
        now += later;
        while (tx.is === "up" && tx.deadline < now) {
          const after = now;
          now = tx.deadline;
          feed(tick);
          now = after;
        }
        feed(event);
      }
      sent.forEach((ms, i) => {
        const within = sent.filter((other) => other > ms - 1000 && other <= ms).length;
        expect(within).toBeLessThanOrEqual(6); // 5, and one for the second
        expect((sent[i + 1] ?? now) - ms).toBeLessThanOrEqual(30_000);
      });
    }),
  );
});
