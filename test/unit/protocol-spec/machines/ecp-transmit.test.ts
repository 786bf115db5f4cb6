import {
  type EcpTx,
  type EcpTxAction,
  type EcpTxEvent,
  ecpTxStart,
  Instant,
  stepEcpTx,
  type Ulpdu,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { timeline } from "../../../support/timeline.ts";

const timing = { ackTimeoutMs: 100, maxRetries: 2, minGapMs: 5, maxQueue: 3 };
const ulpdu = (id: number): Ulpdu => ({ id, payload: Uint8Array.of(id) });
const send = (id: number): EcpTxEvent => ({ on: "send", ulpdu: ulpdu(id) });
const ack = (seq: number): EcpTxEvent => ({ on: "ack", seq });
const tick: EcpTxEvent = { on: "tick" };
const sent: EcpTxEvent = { on: "sent" };
const transmit = (seq: number, id: number): EcpTxAction => ({
  do: "transmit",
  seq,
  payload: Uint8Array.of(id),
});
const confirm = (id: number): EcpTxAction => ({ do: "confirm", id });
const giveUp = (id: number): EcpTxAction => ({ do: "give-up", id });

const step = (tx: EcpTx, event: EcpTxEvent, now: Instant) => stepEcpTx(tx, event, now, timing);
function ecp(seq = 0) {
  const at = timeline<EcpTx, EcpTxEvent, EcpTxAction>(ecpTxStart(seq), step);
  at(0, { on: "link-up" });
  return at;
}

test("transmits R + 1 copies an ack timeout apart, then gives up", () => {
  const at = ecp();
  at(0, send(7), transmit(1, 7));
  at(99, tick);
  at(100, tick, transmit(1, 7));
  at(200, tick, transmit(1, 7));
  at(300, tick, giveUp(7));
  expect(at(400, tick)).toEqual({ is: "idle", seq: 1 });
});

test("capture 40 A: R=3 and RTE=14 make four copies 164 ms apart and no fifth", () => {
  const lldpad = { ackTimeoutMs: 163.84, maxRetries: 3, minGapMs: 5, maxQueue: 3 };
  const at = timeline<EcpTx, EcpTxEvent, EcpTxAction>({ is: "idle", seq: 0 }, (tx, event, now) =>
    stepEcpTx(tx, event, now, lldpad),
  );
  at(0, send(1), transmit(1, 1));
  at(163.84, tick, transmit(1, 1));
  at(327.68, tick, transmit(1, 1));
  at(491.52, tick, transmit(1, 1));
  at(655.36, tick, giveUp(1));
});

test("capture 40 C: the ack of the third copy confirms", () => {
  const at = ecp();
  at(0, send(7), transmit(1, 7));
  at(100, tick, transmit(1, 7));
  at(200, tick, transmit(1, 7));
  at(201, ack(1), confirm(7));
  at(301, tick);
});

test("one ECPDU is in flight: the next waits for the ack of the first", () => {
  const at = ecp();
  at(0, send(1), transmit(1, 1));
  at(10, send(2));
  at(20, ack(1), confirm(1), transmit(2, 2));
  at(30, ack(1)); // a late one
  at(40, ack(2), confirm(2));
});

test("two ECPDUs start at least the gap apart, counted from the last copy", () => {
  const at = ecp();
  at(0, send(1), transmit(1, 1));
  at(0.1, ack(1), confirm(1));
  at(0.2, send(2));
  at(4.9, tick);
  at(5, tick, transmit(2, 2));
  at(105, tick, transmit(2, 2));
  at(106, send(3));
  at(107, ack(2), confirm(2));
  at(109.9, tick);
  at(110, tick, transmit(3, 3));
});

test("the gap and the ack timeout are counted from when a copy was on the wire", () => {
  const at = ecp();
  at(0, send(1), transmit(1, 1));
  at(3, sent);
  at(4, ack(1), confirm(1));
  at(4, send(2));
  at(7.9, tick);
  at(8, tick, transmit(2, 2));
  at(9, sent);
  at(108.9, tick);
  at(109, tick, transmit(2, 2));
});

test("an ack of another number is none", () => {
  const at = ecp(10);
  at(0, ack(10));
  at(0, send(1), transmit(11, 1));
  at(1, ack(10));
  at(1, ack(12));
  at(2, ack(11), confirm(1));
  at(2, ack(11));
});

test("what does not fit the queue is given up at once, the rest carries on", () => {
  const at = ecp();
  at(0, send(1), transmit(1, 1));
  at(1, send(2));
  at(1, send(3));
  at(1, send(4), giveUp(4));
  at(10, ack(1), confirm(1), transmit(2, 2));
  at(11, send(5));
});

test("link down gives up all, and what is sent while it is down", () => {
  const at = ecp();
  at(0, send(1), transmit(1, 1));
  at(1, send(2));
  at(2, { on: "link-down" }, giveUp(1), giveUp(2));
  at(3, send(3), giveUp(3));
  at(4, ack(1));
  at(200, tick);
  at(300, { on: "link-up" });
  at(300, send(4), transmit(2, 4)); // the numbers go on: the peer may not have seen the flap
});

test("link down while resting gives up what waits", () => {
  const at = ecp();
  at(0, send(1), transmit(1, 1));
  at(1, ack(1), confirm(1));
  at(1, send(2));
  at(2, { on: "link-down" }, giveUp(2));
});

test("the number after 65535 is 1: 0 is never sent", () => {
  const at = ecp(65534);
  at(0, send(1), transmit(65535, 1));
  at(10, ack(65535), confirm(1));
  at(20, send(2), transmit(1, 2));
  expect(ecp(65535)(0, send(1), transmit(1, 1))).toMatchObject({ is: "waiting", seq: 1 });
});

const states: Record<EcpTx["is"], EcpTx> = {
  down: { is: "down", seq: 4 },
  idle: { is: "idle", seq: 4 },
  waiting: {
    is: "waiting",
    seq: 4,
    queue: [ulpdu(1)],
    sent: 1,
    sentAt: Instant(0),
    deadline: Instant(100),
  },
  resting: { is: "resting", seq: 4, queue: [], deadline: Instant(5) },
};

test.each<[EcpTx["is"], EcpTxEvent, EcpTx["is"], ...EcpTxAction["do"][]]>([
  ["down", send(9), "down", "give-up"],
  ["down", sent, "down"],
  ["down", ack(4), "down"],
  ["down", { on: "link-up" }, "idle"],
  ["down", { on: "link-down" }, "down"],
  ["down", tick, "down"],
  ["idle", send(9), "waiting", "transmit"],
  ["idle", sent, "idle"],
  ["idle", ack(4), "idle"],
  ["idle", { on: "link-up" }, "idle"],
  ["idle", { on: "link-down" }, "down"],
  ["idle", tick, "idle"],
  ["waiting", send(9), "waiting"],
  ["waiting", sent, "waiting"],
  ["waiting", ack(4), "idle", "confirm"],
  ["waiting", { on: "link-up" }, "waiting"],
  ["waiting", { on: "link-down" }, "down", "give-up"],
  ["waiting", tick, "waiting", "transmit"],
  ["resting", send(9), "resting"],
  ["resting", sent, "resting"],
  ["resting", ack(4), "resting"],
  ["resting", { on: "link-up" }, "resting"],
  ["resting", { on: "link-down" }, "down"],
  ["resting", tick, "idle"],
])("%s, on %o, becomes %s", (is, event, next, ...done) => {
  const [after, ...actions] = step(states[is], event, Instant(1000));
  expect(after.is).toBe(next);
  expect(actions.map((action) => action.do)).toEqual(done);
});

test("every ULPDU ends in exactly one confirm or give-up, and starts keep the gap, whatever happens", () => {
  const event = fc.oneof(
    { weight: 4, arbitrary: fc.constant("send" as const) },
    {
      weight: 4,
      arbitrary: fc.record({ on: fc.constant("ack" as const), seq: fc.nat({ max: 12 }) }),
    },
    { weight: 4, arbitrary: fc.constant(tick) },
    fc.constantFrom<EcpTxEvent>({ on: "link-up" }, { on: "link-down" }),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: 120 }), event)),
      fc.nat({ max: 9 }),
      (history, late) => {
        let tx = states.idle;
        let now = 0;
        let ids = 0;
        let lastStart = Number.NEGATIVE_INFINITY;
        const open = new Set<number>();
        const feed = (event: EcpTxEvent) => {
          if (event.on === "send") open.add(event.ulpdu.id);
          const [next, ...actions] = step(tx, event, Instant(now));
          tx = next;
          for (const action of actions) {
            if (action.do !== "transmit") {
              expect(open.delete(action.id)).toBe(true);
            } else {
              expect(now - lastStart).toBeGreaterThanOrEqual(timing.minGapMs);
              now += late;
              lastStart = now;
              [tx] = step(tx, sent, Instant(now));
            }
          }
          expect(open.size).toBe("queue" in tx ? tx.queue.length : 0);
          expect(open.size).toBeLessThanOrEqual(timing.maxQueue);
        };
        for (const [later, event] of history) {
          now += later;
          feed(event === "send" ? send(++ids) : event);
        }
        while (tx.is === "waiting" || tx.is === "resting") {
          now = tx.deadline;
          feed(tick);
        }
        expect(open.size).toBe(0);
      },
    ),
  );
});
