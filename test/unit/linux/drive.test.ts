import { drive } from "@nve/linux";
import {
  type EcpTx,
  type EcpTxAction,
  type EcpTxEvent,
  Instant,
  stepEcpTx,
} from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { fakeClock } from "../../support/fake-clock.ts";

const timing = { ackTimeoutMs: 100, maxRetries: 1, minGapMs: 5, maxQueue: 9 };

function ecp(perform: (action: EcpTxAction) => void) {
  const clock = fakeClock();
  const feed = drive<EcpTx, EcpTxEvent, EcpTxAction>(
    { is: "idle", seq: 0 },
    (tx, event, now) => stepEcpTx(tx, event, now, timing),
    clock,
    perform,
  );
  return { clock, feed };
}
const send = (id: number): EcpTxEvent => ({
  on: "send",
  ulpdu: { id, payload: Uint8Array.of(id) },
});

test("the clock wakes the machine at its deadline, until there is none", () => {
  const done: string[] = [];
  const { clock, feed } = ecp((action) => done.push(action.do));
  feed(send(1));
  clock.advance(99);
  expect(done).toEqual(["transmit"]);
  clock.advance(1);
  expect(done).toEqual(["transmit", "transmit"]);
  clock.advance(10_000);
  expect(done).toEqual(["transmit", "transmit", "give-up"]);
  expect(feed.state()).toEqual({ is: "idle", seq: 1 });
});

test("a stopped machine sleeps for ever", () => {
  const done: string[] = [];
  const { clock, feed } = ecp((action) => done.push(action.do));
  feed(send(1));
  feed.stop();
  clock.advance(10_000);
  feed(send(2));
  expect(done).toEqual(["transmit"]);
});

test("an action that feeds the same machine waits until the actions before it are done", () => {
  const done: string[] = [];
  const { feed } = ecp((action) => {
    const which = action.do === "transmit" ? action.seq : action.id;
    done.push(`${action.do} ${which}`);
    if (action.do === "give-up" && action.id === 1) feed(send(3));
    done.push("done");
  });
  feed(send(1));
  feed(send(2));
  done.length = 0;
  feed({ on: "link-down" });
  expect(done).toEqual(["give-up 1", "done", "give-up 2", "done", "give-up 3", "done"]);
});

test("what an action throws is not swallowed, and the machine still takes events", () => {
  let broken = true;
  const done: string[] = [];
  const { clock, feed } = ecp((action) => {
    if (broken) throw new Error("ours");
    done.push(action.do);
  });
  expect(() => feed(send(1))).toThrow("ours");
  broken = false;
  clock.advance(100);
  expect(done).toEqual(["transmit"]);
});

test("a deadline that is over wakes it at once, not within the step", () => {
  const clock = fakeClock();
  const seen: number[] = [];
  type State = { is: "counting"; count: number; deadline?: Instant };
  const feed = drive<State, { on: "go" }, never>(
    { is: "counting", count: 0 },
    ({ count }, _, now) => {
      seen.push(count);
      const next: State = { is: "counting", count: count + 1 };
      return [count < 3 ? { ...next, deadline: Instant(now - 1) } : next];
    },
    clock,
    () => {},
  );
  feed({ on: "go" });
  expect(seen).toEqual([0]);
  clock.advance(0);
  expect(seen).toEqual([0, 1, 2, 3]);
});
