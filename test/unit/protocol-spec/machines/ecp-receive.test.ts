import {
  type EcpRx,
  type EcpRxEvent,
  ecpRxStart,
  Instant,
  Mac,
  stepEcpRx,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { timeline } from "../../../support/timeline.ts";

const source = Mac("52:54:00:aa:00:01");
const payload = (seq: number) => Uint8Array.of(seq);
const request = (seq: number): EcpRxEvent => ({ on: "request", seq, ulpdu: payload(seq), source });
const ack = (seq: number) => ({ do: "ack", seq }) as const;
const deliver = (seq: number) => ({ do: "deliver", ulpdu: payload(seq), source }) as const;
const repeatMs = 4 * 164; // R = 3, RTE = 14
const step = (rx: EcpRx, event: EcpRxEvent, now: Instant) => stepEcpRx(rx, event, now, repeatMs);
const ecp = () => timeline(ecpRxStart, step);

test("the first request is delivered whatever its number, and acked before", () => {
  for (const seq of [0, 1, 65535]) ecp()(0, request(seq), ack(seq), deliver(seq));
});

test("a repeat of the last request is acked and goes no further", () => {
  const at = ecp();
  at(0, request(1), ack(1), deliver(1));
  at(1, request(1), ack(1));
  at(2, request(2), ack(2), deliver(2));
  at(3, request(2), ack(2));
});

test("a copy that was under way when the ack went is not acked again; one that comes later is", () => {
  const at = timeline(ecpRxStart, (rx: EcpRx, event: EcpRxEvent, now: Instant) =>
    stepEcpRx(rx, event, now, repeatMs, 82),
  );
  at(0, request(1), ack(1), deliver(1));
  at(1, request(1));
  at(81, request(1));
  at(83, request(1), ack(1));
  at(84, request(1));
  at(85, request(2), ack(2), deliver(2));
});

test("capture 42: only the last number counts, an older one is delivered as new", () => {
  const at = ecp();
  at(0, request(5), ack(5), deliver(5));
  at(1, request(3), ack(3), deliver(3));
  at(2, request(5), ack(5), deliver(5));
});

test("capture 44: link down forgets the last number, for the peer starts again", () => {
  const at = ecp();
  at(0, request(1), ack(1), deliver(1));
  at(1, { on: "link-down" });
  at(2, { on: "link-down" });
  at(3, request(1), ack(1), deliver(1));
});

test("a peer that was restarted counts from 1 again: after the time of its retries a number is no repeat", () => {
  const at = ecp();
  at(0, request(1), ack(1), deliver(1));
  at(655, request(1), ack(1)); // its last copy may be this late
  at(1310, request(1), ack(1)); // from one copy to the next
  at(1310 + 656, request(1), ack(1), deliver(1));
});

test("every request is acked once; what is delivered is what differs from the request before", () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat({ max: 3 }))), (history) => {
      let rx: EcpRx = ecpRxStart;
      let last: number | null = null;
      for (const seq of history) {
        const event: EcpRxEvent = seq === null ? { on: "link-down" } : request(seq);
        const [next, ...actions] = step(rx, event, Instant(0));
        const wanted = seq === null ? [] : seq === last ? [ack(seq)] : [ack(seq), deliver(seq)];
        expect(actions).toEqual(wanted);
        [rx, last] = [next, seq];
      }
    }),
  );
});
