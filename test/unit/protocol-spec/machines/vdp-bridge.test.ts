import {
  type BridgeAction,
  type BridgeEvent,
  type BridgeVsi,
  bridgeStart,
  type Filters,
  Instant,
  Mac,
  type ReleaseWhy,
  stepBridge,
  VdpError,
  type VsiRequest,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { timeline } from "../../../support/timeline.ts";
import { association, group, plain, request, response, tag, times } from "./vsi.ts";

type Type = VsiRequest["type"];
const types: readonly Type[] = ["pre-associate", "pre-associate-rr", "associate"];
const step = (vsi: BridgeVsi, event: BridgeEvent, now: Instant) =>
  stepBridge(vsi, event, now, times);
const vdp = () => timeline<BridgeVsi, BridgeEvent, BridgeAction>(bridgeStart, step);

const ask = (request: VsiRequest): BridgeEvent => ({ on: "request", request });
const decide = (request: VsiRequest, older?: VsiRequest): BridgeAction =>
  older === undefined ? { do: "decide", request } : { do: "decide", request, older };
const grant = (filters: Filters): BridgeEvent => ({
  on: "grant",
  association: association(filters),
});
const respond = (
  type: Type | "de-associate",
  filters: Filters,
  code = 0,
  flag?: "keep" | "hard",
): BridgeAction => ({ do: "respond", type, association: response(filters, code, flag) });
const order = (filters: Filters): BridgeAction => ({
  do: "order-de-associate",
  association: association(filters),
});
const release = (why: ReleaseWhy, was: VsiRequest): BridgeAction => ({ do: "release", why, was });
const gone: BridgeEvent = { on: "de-associate", association: association(group(200)) };
const refuse: BridgeEvent = { on: "refuse", code: 2, hard: false };
const withdraw: BridgeEvent = { on: "withdraw" };
const tick: BridgeEvent = { on: "tick" };

const asked = request("associate", group(0));
const up200 = request("associate", group(200));

test("keepalives that were agreed to come after hours are due as soon as others' when that is over", () => {
  const long = { ...times, keepaliveTimeoutMs: 20_000_000, resourceWaitMs: 20_000_000 };
  const [process] = stepBridge(bridgeStart, ask(asked), Instant(0), long);
  const sooner: BridgeEvent = { on: "times" };
  expect(step(process, sooner, Instant(5))).toMatchObject([
    { is: "process", deadline: 5 + times.resourceWaitMs },
  ]);
  const [up] = stepBridge(process, grant(group(200)), Instant(10), long);
  expect(step(up, sooner, Instant(20))).toMatchObject([
    { is: "up", deadline: 20 + times.keepaliveTimeoutMs },
  ]);
  expect(stepBridge(up, sooner, Instant(20), long)).toEqual([up]);
  expect(step(bridgeStart, sooner, Instant(20))).toEqual([bridgeStart]);
});

/** Up with VID 200 since 10 ms. */
function associated(type: Type = "associate") {
  const at = vdp();
  const wanted = request(type, group(0));
  at(0, ask(wanted), decide(wanted));
  at(10, grant(group(200)), respond(type, group(200)));
  return at;
}

describe("none", () => {
  test.each(types)("a %s is to be decided within the resource wait", (type) => {
    const wanted = request(type, group(0));
    const next = vdp()(5, ask(wanted), decide(wanted));
    expect(next).toEqual({ is: "process", request: wanted, deadline: 1005 });
  });

  test("what the decision finds invalid is answered with its code and leaves nothing", () => {
    const at = vdp();
    at(0, ask(asked), decide(asked));
    const code = VdpError.invalidVidGroupOrMac;
    const next = at(
      1,
      { on: "refuse", code, hard: true },
      respond("associate", group(0), 5, "hard"),
    );
    expect(next).toEqual(bridgeStart);
  });

  test("capture 45: a De-Associate of what is not there succeeds", () => {
    vdp()(0, gone, respond("de-associate", group(200)));
  });

  test("a decision for what is not there is too late", () => {
    const at = vdp();
    for (const event of [grant(group(200)), refuse, withdraw, tick]) at(0, event);
  });
});

describe("PROCESS", () => {
  test.each(types)("H1: a granted %s is answered with the VID filled in", (type) => {
    const at = vdp();
    const wanted = request(type, group(0));
    at(0, ask(wanted), decide(wanted));
    const next = at(10, grant(group(200)), respond(type, group(200)));
    expect(next).toEqual({ is: "up", granted: request(type, group(200)), deadline: 18_010 });
  });

  test("refused without an older state: forgotten", () => {
    for (const hard of [false, true]) {
      const at = vdp();
      at(0, ask(asked), decide(asked));
      const answer = respond("associate", group(0), 2, hard ? "hard" : undefined);
      expect(at(10, { on: "refuse", code: 2, hard }, answer)).toEqual(bridgeStart);
    }
  });

  test("refused with an older state: KEEP, and the older state stays", () => {
    const at = associated();
    const other = request("associate", group(0, 5002));
    at(100, ask(other), decide(other, up200));
    const next = at(110, refuse, respond("associate", group(0, 5002), 2, "keep"));
    expect(next).toEqual({ is: "up", granted: up200, deadline: 18_110 });
  });

  test("the resource wait runs out without an older state: refused and forgotten", () => {
    const at = vdp();
    at(0, ask(asked), decide(asked));
    at(999, tick);
    const answer = respond("associate", group(0), VdpError.managerUnreachable);
    expect(at(1000, tick, answer, release("resource-wait", asked))).toEqual(bridgeStart);
    at(1001, grant(group(200)));
  });

  test("the resource wait runs out with an older state: KEEP", () => {
    const at = associated();
    const other = request("associate", group(0, 5002));
    at(100, ask(other), decide(other, up200));
    const answer = respond("associate", group(0, 5002), VdpError.managerUnreachable, "keep");
    expect(at(1100, tick, answer)).toMatchObject({ is: "up", granted: up200 });
    at(1101, grant(group(201, 5002)));
    at(1102, refuse);
  });

  test("another request of this VSI is ignored until this one is answered, so is its repeat", () => {
    const at = vdp();
    at(0, ask(asked), decide(asked));
    at(1, ask(asked));
    at(2, ask(request("pre-associate", group(0, 5002))));
    at(10, grant(group(200)), respond("associate", group(200)));
  });

  test("a De-Associate ends the deciding", () => {
    const at = vdp();
    at(0, ask(asked), decide(asked));
    at(1, gone, respond("de-associate", group(200)), release("de-associated", asked));
    at(2, grant(group(200)));
  });

  test("a De-Associate during a change releases the older state", () => {
    const at = associated();
    const other = request("associate", group(0, 5002));
    at(100, ask(other), decide(other, up200));
    at(101, gone, respond("de-associate", group(200)), release("de-associated", up200));
  });

  test("withdrawn while it is decided", () => {
    const at = vdp();
    at(0, ask(asked), decide(asked));
    at(1, withdraw, order(group(0)), release("withdrawn", asked));
  });

  test.each<[string, Filters]>([
    ["another group", group(200, 5002)],
    ["another kind", { by: "vid", entries: [tag(200)] }],
    ["no entries", { by: "group-vid", entries: [] }],
  ])("a grant with %s is of an earlier request and ignored", (_, filters) => {
    const at = vdp();
    at(0, ask(asked), decide(asked));
    expect(at(1, grant(filters)).is).toBe("process");
  });

  test("a grant does not replace a VID that was asked for", () => {
    const at = vdp();
    at(0, ask(up200), decide(up200));
    at(1, grant(group(201)));
    at(2, grant(group(200)), respond("associate", group(200)));
  });
});

describe("mode X", () => {
  test.each(types)(
    "captures 20-23: a %s again is a keepalive, its VID null or the one assigned",
    (type) => {
      const at = associated(type);
      const again = at(5000, ask(request(type, group(0))), respond(type, group(200)));
      expect(again).toMatchObject({ is: "up", deadline: 23_000 });
      const filled = at(9000, ask(request(type, group(200))), respond(type, group(200)));
      expect(filled).toMatchObject({ is: "up", deadline: 27_000 });
    },
  );

  test("a PCP that the bridge added comes back with the keepalive", () => {
    const at = vdp();
    const withPcp: Filters = { by: "group-vid", entries: [{ groupId: 5001, ...tag(200, 5) }] };
    at(0, ask(asked), decide(asked));
    at(1, grant(withPcp), respond("associate", withPcp));
    at(2, ask(request("associate", withPcp)), respond("associate", withPcp));
    at(3, ask(asked), respond("associate", withPcp));
  });

  test("another type is decided anew: up, and down from Associate to Pre-Associate", () => {
    for (const [from, to] of [
      ["pre-associate", "associate"],
      ["pre-associate-rr", "associate"],
      ["associate", "pre-associate"],
    ] as const) {
      const at = associated(from);
      const other = request(to, group(200));
      at(100, ask(other), decide(other, request(from, group(200))));
      at(101, grant(group(200)), respond(to, group(200)));
    }
  });

  test("H6: other entries are a change", () => {
    const [a, b] = [Mac("02:00:00:00:00:0a"), Mac("02:00:00:00:00:0b")];
    const macs = (...entries: (readonly [Mac, number])[]): Filters => ({
      by: "group-mac-vid",
      entries: entries.map(([mac, vid]) => ({ groupId: 5001, mac, ...tag(vid) })),
    });
    const at = vdp();
    const one = request("associate", macs([a, 0]));
    const two = request("associate", macs([a, 200], [b, 0]));
    at(0, ask(one), decide(one));
    at(1, grant(macs([a, 200])), respond("associate", macs([a, 200])));
    at(2, ask(two), decide(two, request("associate", macs([a, 200]))));
    at(3, grant(macs([a, 200], [b, 200])), respond("associate", macs([a, 200], [b, 200])));
  });

  test("capture 42: hints that stay are a keepalive, hints that change are a change", () => {
    const at = vdp();
    const arriving = { ...plain, migrating: true };
    const wanted = request("associate", group(0), arriving);
    const given = request("associate", group(200), arriving);
    at(0, ask(wanted), decide(wanted));
    at(1, grant(group(200)), respond("associate", group(200)));
    at(2, ask(given), respond("associate", group(200)));
    const suspended = request("associate", group(200), { ...plain, suspended: true });
    at(3, ask(suspended), decide(suspended, given));
  });

  test("another VSI type version is a change", () => {
    const at = associated();
    const newer: VsiRequest = {
      ...up200,
      association: { ...up200.association, vsiType: { id: 7, version: 2 } },
    };
    at(1, ask(newer), decide(newer, up200));
  });

  test("H2: a De-Associate is answered and releases", () => {
    const next = associated()(
      100,
      gone,
      respond("de-associate", group(200)),
      release("de-associated", up200),
    );
    expect(next).toEqual(bridgeStart);
  });

  test("a station that falls silent is told to drop, and released", () => {
    const at = associated();
    at(18_009, tick);
    const next = at(18_010, tick, order(group(200)), release("keepalive-timeout", up200));
    expect(next).toEqual(bridgeStart);
  });

  test("withdrawn by the operator or the NVA", () => {
    associated()(100, withdraw, order(group(200)), release("withdrawn", up200));
  });

  test("a decision that nobody waits for is nothing", () => {
    const at = associated();
    at(100, grant(group(201)));
    at(100, refuse);
  });

  test("an order carries the stored key and status 0, whatever hints there were", () => {
    const at = vdp();
    const wanted = request("associate", group(0), { ...plain, migrating: true });
    const given = request("associate", group(200), { ...plain, migrating: true });
    at(0, ask(wanted), decide(wanted));
    at(1, grant(group(200)), respond("associate", group(200)));
    at(2, withdraw, order(group(200)), release("withdrawn", given));
  });
});

const states: Record<string, BridgeVsi> = {
  none: bridgeStart,
  process: { is: "process", request: asked, deadline: Instant(5000) },
  change: { is: "process", request: asked, older: up200, deadline: Instant(5000) },
  up: { is: "up", granted: up200, deadline: Instant(5000) },
};
const events: Record<string, BridgeEvent> = {
  same: ask(asked),
  other: ask(request("pre-associate", group(0))),
  gone,
  grant: grant(group(200)),
  refuse,
  withdraw,
  tick,
};
/** Columns: none, process, process with an older state, up. */
const table: Record<string, readonly BridgeVsi["is"][]> = {
  same: ["process", "process", "process", "up"],
  other: ["process", "process", "process", "process"],
  gone: ["none", "none", "none", "none"],
  grant: ["none", "up", "up", "up"],
  refuse: ["none", "none", "up", "up"],
  withdraw: ["none", "none", "none", "none"],
  tick: ["none", "none", "up", "none"],
};

test.each(Object.entries(table))("every state on %s", (name, row) => {
  const event = events[name] ?? tick;
  const after = Object.values(states).map((vsi) => step(vsi, event, Instant(6000))[0].is);
  expect(after).toEqual(row);
});

test("whatever happens: what was granted is released once, and ends when the station is silent", () => {
  const any = fc.constantFrom(...Object.values(events));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 4000 }), any)), (history) => {
      let vsi: BridgeVsi = bridgeStart;
      let now = 0;
      let holds = false;
      const feed = (event: BridgeEvent) => {
        const before = vsi;
        const [next, ...actions] = step(vsi, event, Instant(now));
        vsi = next;
        const releases = actions.filter((action) => action.do === "release");
        const answers = actions.filter((action) => action.do === "respond");
        expect(releases.length).toBeLessThanOrEqual(1);
        if (holds && next.is === "none") expect(releases).toHaveLength(1);
        if (before.is === "none") expect(releases).toEqual([]);
        // Each request is answered once: at its end, or by a De-Associate, order or the next state.
        if (before.is === "process" && next.is === "up") expect(answers).toHaveLength(1);
        holds = next.is === "up" || (next.is === "process" && next.older !== undefined);
      };
      for (const [later, event] of history) {
        now += later;
        feed(event);
      }
      for (let ticks = 0; "deadline" in vsi; ticks++) {
        expect(ticks).toBeLessThan(2);
        now = Math.max(now, vsi.deadline);
        feed(tick);
      }
      expect(vsi).toEqual(bridgeStart);
    }),
  );
});

test("what is granted in other words than it was asked for is in force, and a keepalive says those", () => {
  const at = vdp();
  const named = request("associate", group(0, 0xff000001));
  at(0, ask(named), decide(named));
  const event: BridgeEvent = {
    on: "grant",
    association: association(group(200, 0xff000001)),
    inForce: group(200, 5001),
  };
  at(10, event, respond("associate", group(200, 0xff000001)));
  const keepalive = request("associate", group(200, 5001));
  at(20, ask(keepalive), respond("associate", group(200, 5001)));
});
