import {
  arpOctets,
  DecodeError,
  EtherType,
  frameOctets,
  Instant,
  IpAddress,
  Mac,
  VnId,
} from "@nve/protocol-spec";
import { type Answer, Pull, type PullOptions, type Wanted } from "@nve/switch-agent/pull/pull";
import { wantedIn } from "@nve/switch-agent/pull/wanted";
import fc from "fast-check";
import { expect, test } from "vitest";
import { broadcast } from "../../support/frames.ts";
import { arpFrom } from "../../support/sighted.ts";

const vn = VnId(7);
const a = Mac("02:00:00:00:00:0a");
const b = Mac("02:00:00:00:00:0b");
const ip = IpAddress("10.0.0.7");
const few: PullOptions = {
  perVn: 3,
  perPort: 2,
  kept: 4,
  nones: 3,
  forgetMs: 1000,
  againMs: 100,
};
const macOf = (n: number): Mac => Mac(`02:00:00:00:01:${n.toString(16).padStart(2, "0")}`);

/** A machine in VN 7, and what it does at a time in milliseconds. */
function pulling(options = few) {
  const pull = new Pull(options);
  pull.step({ on: "enter", vn }, Instant(0));
  let serial = 0;
  const wanted = (ms: number, address: Wanted, port = "p1"): boolean => {
    const [action] = pull.step({ on: "wanted", vn, port, address }, Instant(ms));
    if (action?.do === "ask") serial = action.serial;
    return action?.do === "ask";
  };
  const answer = (ms: number, address: Wanted, told: Answer, to = serial) =>
    pull.step({ on: "answer", vn, address, serial: to, ...told }, Instant(ms));
  return { pull, wanted, answer, serial: () => serial };
}

test("A18: who is looked for is asked for once, and kept when found", () => {
  const { pull, wanted, answer } = pulling();
  expect(wanted(0, { mac: a })).toBe(true);
  expect(wanted(1, { mac: a })).toBe(false);
  expect(answer(2, { mac: a }, { is: "found", mac: a })).toEqual([{ do: "keep", vn, mac: a }]);
  expect(wanted(50, { mac: a })).toBe(false); // the NVA tells of its changes
  expect(wanted(102, { mac: a })).toBe(true); // yet the dataplane does not have it
  expect(pull.counters).toMatchObject({ asked: 2, found: 1, asking: 1, known: 1 });
});

test("A18: a definite none is not asked for again while it holds, and then it is", () => {
  const { pull, wanted, answer } = pulling();
  wanted(0, { mac: a });
  answer(10, { mac: a }, { is: "none", lifetimeMs: 500 });
  expect([wanted(11, { mac: a }), wanted(509, { mac: a })]).toEqual([false, false]);
  expect(pull.counters).toMatchObject({ none: 1, "known-none": 2 });
  expect(wanted(510, { mac: a })).toBe(true);
});

test("A18: an IP is asked for as well; found, it is known by its MAC, and forgotten with it", () => {
  const { pull, wanted, answer } = pulling();
  expect(wanted(0, { ip })).toBe(true);
  answer(1, { ip }, { is: "found", mac: a });
  expect([wanted(2, { ip }), wanted(900, { ip })]).toEqual([false, false]);
  expect(pull.step({ on: "used", vn, mac: a, at: undefined }, Instant(1001))).toEqual([
    { do: "forget", vn, mac: a },
  ]);
  expect(wanted(1002, { ip })).toBe(true);
});

test("V10: of answers none the oldest makes room", () => {
  const { pull, wanted, answer } = pulling();
  for (const n of [0, 1, 2, 3]) {
    wanted(n, { mac: macOf(n) });
    answer(n, { mac: macOf(n) }, { is: "none", lifetimeMs: 500 });
  }
  expect(pull.sizes(vn).nones).toBe(3);
  expect([0, 1].map((n) => wanted(9, { mac: macOf(n) }))).toEqual([true, false]);
});

test("an NVA that does not answer is asked again as soon as somebody looks again", () => {
  const { wanted, answer } = pulling();
  wanted(0, { mac: a });
  expect(answer(1, { mac: a }, { is: "unreachable" })).toEqual([]);
  expect(wanted(2, { mac: a })).toBe(true);
});

test("V10: questions under way are bounded by VN and port, and those too much are counted", () => {
  const { pull, wanted, answer } = pulling();
  expect([0, 1, 2].map((n) => wanted(n, { mac: macOf(n) }))).toEqual([true, true, false]);
  expect([3, 4].map((n) => wanted(n, { mac: macOf(n) }, "p2"))).toEqual([true, false]);
  expect(pull.counters.busy).toBe(2);
  answer(5, { mac: macOf(3) }, { is: "none", lifetimeMs: 100 });
  expect(wanted(6, { mac: macOf(4) }, "p2")).toBe(true);
});

test("what is not spoken to for so long is forgotten; what is, is kept as long again", () => {
  const { pull, wanted, answer } = pulling();
  for (const mac of [a, b]) {
    wanted(0, { mac });
    answer(0, { mac }, { is: "found", mac });
  }
  expect([...pull.due(Instant(999))]).toEqual([]);
  expect([...pull.due(Instant(1000))].map(({ mac }) => mac)).toEqual([a, b]);
  const used = (mac: Mac, at: number | undefined, now: number) =>
    pull.step(
      { on: "used", vn, mac, at: at === undefined ? undefined : Instant(at) },
      Instant(now),
    );
  expect(used(a, 400, 1000)).toEqual([]);
  expect(used(b, undefined, 1000)).toEqual([{ do: "forget", vn, mac: b }]);
  expect([...pull.due(Instant(1399))]).toEqual([]);
  expect(used(a, 400, 1400)).toEqual([{ do: "forget", vn, mac: a }]);
});

test("what is answered after the VN was left, or was asked in another stay, is nothing any more", () => {
  const { pull, wanted, answer, serial } = pulling();
  wanted(0, { mac: a });
  const old = serial();
  pull.step({ on: "leave", vn }, Instant(1));
  expect(answer(2, { mac: a }, { is: "found", mac: a }, old)).toEqual([]);
  pull.step({ on: "enter", vn }, Instant(3));
  wanted(4, { mac: a });
  expect(answer(5, { mac: a }, { is: "found", mac: a }, old)).toEqual([]);
  expect(pull.sizes(vn)).toEqual({ kept: 0, nones: 0, asking: 1 });
});

test("whatever is looked for and answered, in any order: all is bounded, and no none outlives its lifetime", () => {
  const address = fc
    .nat(12)
    .map((n): Wanted => (n < 9 ? { mac: macOf(n) } : { ip: IpAddress(`10.0.0.${n}`) }));
  const told = fc.oneof(
    fc.nat(20).map((n): Answer => ({ is: "found", mac: macOf(n) })),
    fc.integer({ min: 1, max: 300 }).map((lifetimeMs): Answer => ({ is: "none", lifetimeMs })),
    fc.constant<Answer>({ is: "unreachable" }),
  );
  const event = fc.oneof(
    fc.record({ do: fc.constant("wanted" as const), address, port: fc.constantFrom("p1", "p2") }),
    fc.record({ do: fc.constant("answer" as const), which: fc.nat(5), told }),
    fc.record({ do: fc.constant("sweep" as const) }),
    fc.record({ do: fc.constant("leave" as const) }),
  );
  const history = fc.array(fc.tuple(fc.nat(120), event), { maxLength: 80 });
  fc.assert(
    fc.property(history, (events) => {
      const pull = new Pull({ ...few, nones: 15 });
      pull.step({ on: "enter", vn }, Instant(0));
      let now = 0;
      let open: { address: Wanted; serial: number; port: string }[] = [];
      const nones = new Map<string, number>();
      for (const [ms, one] of events) {
        now += ms;
        if (one.do === "wanted") {
          const [action] = pull.step({ on: "wanted", vn, ...pick(one) }, Instant(now));
          const key = JSON.stringify(one.address);
          if (action?.do === "ask") {
            expect(now).toBeGreaterThanOrEqual(nones.get(key) ?? 0);
            open.push({ address: one.address, serial: action.serial, port: one.port });
          }
        } else if (one.do === "answer") {
          const question = open[one.which];
          if (question === undefined) continue;
          open = open.filter((other) => other !== question);
          const { address, serial } = question;
          pull.step({ on: "answer", vn, address, serial, ...one.told }, Instant(now));
          if (one.told.is === "none") nones.set(JSON.stringify(address), now + one.told.lifetimeMs);
          if (one.told.is === "found") nones.delete(JSON.stringify({ mac: one.told.mac }));
        } else if (one.do === "sweep") {
          for (const { mac } of [...pull.due(Instant(now))])
            pull.step({ on: "used", vn, mac, at: undefined }, Instant(now));
          expect([...pull.due(Instant(now))]).toEqual([]);
        } else {
          pull.step({ on: "leave", vn }, Instant(now));
          pull.step({ on: "enter", vn }, Instant(now));
          open = [];
          nones.clear();
        }
        const { kept, nones: remembered, asking } = pull.sizes(vn);
        expect(asking).toBe(open.length);
        for (const port of ["p1", "p2"])
          expect(open.filter((other) => other.port === port).length).toBeLessThanOrEqual(2);
        expect([asking <= 3, kept <= 4, remembered <= 15]).toEqual([true, true, true]);
      }
      // Later than any lifetime nothing stands in the way of a question.
      for (const { address, serial } of open)
        pull.step({ on: "answer", vn, address, serial, is: "unreachable" }, Instant(now));
      const late = Instant(now + 2000);
      for (const { mac } of [...pull.due(late)])
        pull.step({ on: "used", vn, mac, at: undefined }, late);
      expect(
        pull.step({ on: "wanted", vn, port: "p1", address: { mac: macOf(3) } }, late),
      ).toHaveLength(1);
    }),
  );
});
const pick = ({ address, port }: { address: Wanted; port: string }) => ({ address, port });

test("a frame is for its destination; ARP to all asks for its target, but not when it tells its own", () => {
  expect(wantedIn(Uint8Array.from([2, 0, 0, 0, 0, 10, 2, 0, 0, 0, 0, 11, 8, 0, 1]))).toEqual({
    mac: a,
  });
  const asks = (target: string) =>
    frameOctets({
      destination: broadcast,
      source: b,
      etherType: EtherType.arp,
      payload: arpOctets({
        op: "request",
        sender: { mac: b, ip: IpAddress("10.0.0.1") },
        target: { mac: Mac("00:00:00:00:00:00"), ip: IpAddress(target) },
      }),
    });
  expect(wantedIn(asks("10.0.0.7"))).toEqual({ ip });
  expect(wantedIn(asks("10.0.0.1"))).toBeUndefined();
  expect(wantedIn(arpFrom(b, "10.0.0.1"))).toBeUndefined();
  expect(() => wantedIn(asks("10.0.0.7").subarray(0, 30))).toThrow(DecodeError);
  expect(() => wantedIn(Uint8Array.of(1, 2))).toThrow(DecodeError);
});
