import {
  emptySpread,
  homesOf,
  type Move,
  type Spread,
  type SpreadEvent,
  stepSpread,
  TROUBLE_MS,
} from "@nve/hypervisor-agent/uplinks/spread";
import { Instant } from "@nve/protocol-spec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const NAMES = ["eth0", "eth1"];
const FAILBACK = 30_000;

/** A VN whose home is this one of NAMES. */
function vnOf(home: string): string {
  for (let vn = 1; ; vn += 1) if (homesOf(String(vn), NAMES)[0] === home) return String(vn);
}
const a = vnOf("eth0");

/** A spread along a time line; all uplinks are ready at 0, unless said otherwise. */
function spreadAt({
  ready = NAMES,
  failbackMs = FAILBACK,
}: {
  ready?: string[];
  failbackMs?: number;
} = {}) {
  let spread: Spread = emptySpread(NAMES);
  const at = (ms: number, event: SpreadEvent): Move[] => {
    const [next, ...moves] = stepSpread(spread, event, Instant(ms), { failbackMs });
    spread = next;
    return moves;
  };
  for (const uplink of ready) at(0, { on: "uplink", uplink, ready: true });
  return {
    at,
    is: (ms: number, uplink: string, ready: boolean) => at(ms, { on: "uplink", uplink, ready }),
    join: (ms: number, vn = a) => at(ms, { on: "join", vn }),
    tick: (ms: number) => at(ms, { on: "tick" }),
    place: (vn = a) => spread.vns.get(vn)?.on,
    get deadline() {
      return spread.deadline;
    },
  };
}

const moved = (from: string, to: string, why: Move["why"], vn = a) => [
  { do: "move", vn, from, to, why },
];

describe("homes", () => {
  test("VNs are spread evenly over the uplinks, also with neighbouring VN IDs", () => {
    for (const n of [2, 3, 8]) {
      const names = Array.from({ length: n }, (_, i) => `eth${i}`);
      const count = new Map(names.map((name) => [name, 0]));
      for (let vn = 5000; vn < 9000; vn += 1) {
        const [home = ""] = homesOf(String(vn), names);
        count.set(home, (count.get(home) ?? 0) + 1);
      }
      for (const share of count.values()) expect(Math.abs(share - 4000 / n)).toBeLessThan(200);
    }
  });

  test("one uplink less moves its own VNs and no other", () => {
    const names = ["eth0", "eth1", "eth2"];
    for (let vn = 1; vn < 500; vn += 1) {
      const [first, second] = homesOf(String(vn), names);
      const left = homesOf(
        String(vn),
        names.filter((name) => name !== "eth1"),
      )[0];
      expect(left).toBe(first === "eth1" ? second : first);
    }
  });

  test("the order of the config is of no matter", () => {
    expect(homesOf(a, ["eth1", "eth0"])).toEqual(homesOf(a, ["eth0", "eth1"]));
  });
});

describe("Req-3: a VN over one uplink", () => {
  test("goes to its home, and is told nothing", () => {
    const it = spreadAt();
    expect(it.join(1)).toEqual([]);
    expect(it.place()).toBe("eth0");
  });

  test("leaves an uplink that is lost, at once", () => {
    const it = spreadAt();
    it.join(1);
    expect(it.is(5, "eth0", false)).toEqual(moved("eth0", "eth1", "lost"));
  });

  test("goes home when home has been ready for the time of the failback, and no sooner", () => {
    const it = spreadAt();
    it.join(1);
    it.is(5, "eth0", false);
    expect(it.is(100, "eth0", true)).toEqual([]);
    expect(it.deadline).toBe(100 + FAILBACK);
    expect(it.tick(99 + FAILBACK)).toEqual([]);
    expect(it.tick(100 + FAILBACK)).toEqual(moved("eth1", "eth0", "failback"));
    expect(it.deadline).toBeUndefined();
  });

  test("does not go home to a link that flaps", () => {
    const it = spreadAt();
    it.join(1);
    for (let ms = 0; ms < 10 * FAILBACK; ms += FAILBACK / 2) {
      it.is(ms, "eth0", false);
      expect(it.is(ms + 1, "eth0", true)).toEqual([]);
      it.tick(ms + 2);
      expect(it.place()).toBe("eth1");
    }
  });

  test("with failback never it stays where it is", () => {
    const it = spreadAt({ failbackMs: Number.POSITIVE_INFINITY });
    it.join(1);
    it.is(5, "eth0", false);
    it.is(6, "eth0", true);
    expect(it.deadline).toBeUndefined();
    expect(it.tick(1e9)).toEqual([]);
    expect(it.is(1e9, "eth1", false)).toEqual(moved("eth1", "eth0", "lost"));
  });

  test("stays on a lost uplink when no other is better", () => {
    const it = spreadAt({ ready: ["eth0"] });
    it.join(1);
    expect(it.is(5, "eth0", false)).toEqual([]);
    expect(it.place()).toBe("eth0");
    expect(it.is(6, "eth1", true)).toEqual(moved("eth0", "eth1", "lost"));
  });

  test("an uplink that does not acknowledge is left by all, and trusted again after a while", () => {
    const it = spreadAt();
    it.join(1);
    expect(it.at(5, { on: "trouble", uplink: "eth0" })).toEqual(moved("eth0", "eth1", "lost"));
    expect(it.tick(5 + TROUBLE_MS + FAILBACK)).toEqual(moved("eth1", "eth0", "failback"));
  });

  test("a VN that is refused on one uplink goes to the other, alone", () => {
    const it = spreadAt();
    const b = vnOf("eth0") === a ? String(Number(a) + 1000) : a;
    it.join(1);
    it.join(1, b);
    const before = it.place(b);
    expect(it.at(5, { on: "trouble", uplink: "eth0", vn: a })).toEqual(
      moved("eth0", "eth1", "lost"),
    );
    expect(it.place(b)).toBe(before);
    it.at(6, { on: "trouble", uplink: "eth1", vn: a });
    expect(it.place()).toBe("eth1"); // both refused: it stays until the first may be tried again
    expect(it.tick(5 + TROUBLE_MS)).toEqual(moved("eth1", "eth0", "lost"));
  });

  test("a VN that nobody is in is forgotten, its troubles too", () => {
    const it = spreadAt();
    it.join(1);
    it.at(2, { on: "trouble", uplink: "eth0", vn: a });
    it.at(3, { on: "leave", vn: a });
    expect(it.place()).toBeUndefined();
    it.join(4);
    expect(it.place()).toBe("eth0");
  });
});

test("any history: a VN is on a ready uplink whenever there is one, and comes to rest", () => {
  const names = ["eth0", "eth1", "eth2"];
  const vns = ["1", "2", "3", "4"];
  const event: fc.Arbitrary<SpreadEvent> = fc.oneof(
    fc.record({
      on: fc.constant("uplink" as const),
      uplink: fc.constantFrom(...names),
      ready: fc.boolean(),
    }),
    fc.record({
      on: fc.constant("trouble" as const),
      uplink: fc.constantFrom(...names),
      vn: fc.constantFrom(...vns),
    }),
    fc.record({ on: fc.constant("trouble" as const), uplink: fc.constantFrom(...names) }),
    fc.record({
      on: fc.constantFrom("join" as const, "leave" as const),
      vn: fc.constantFrom(...vns),
    }),
    fc.constant({ on: "tick" as const }),
  );
  const settings = { failbackMs: FAILBACK };
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(40_000), event)), (history) => {
      let spread = emptySpread(names);
      let now = 0;
      for (const [gap, one] of history) {
        now += gap;
        [spread] = stepSpread(spread, one, Instant(now), settings);
        const ready = names.filter((name) => spread.uplinks.get(name)?.ready);
        for (const { on } of spread.vns.values()) {
          expect(names).toContain(on);
          if (ready.length > 0) expect(ready).toContain(on);
        }
        expect(spread.deadline ?? Number.POSITIVE_INFINITY).toBeGreaterThan(now);
      }
      // Left alone, timers end, and each VN is at the first of its homes that is ready.
      for (let n = 0; spread.deadline !== undefined; n += 1) {
        expect(n).toBeLessThan(50);
        [spread] = stepSpread(spread, { on: "tick" }, spread.deadline, settings);
      }
      const ready = names.filter((name) => spread.uplinks.get(name)?.ready);
      for (const [vn, { on }] of spread.vns) {
        if (ready.length > 0)
          expect(on).toBe(homesOf(vn, names).find((name) => ready.includes(name)));
      }
    }),
  );
});
