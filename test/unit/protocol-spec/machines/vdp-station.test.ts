import {
  type Filters,
  Instant,
  Mac,
  type Station,
  type StationAction,
  type StationEvent,
  stationStart,
  stepStation,
  type VsiRequest,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { timeline } from "../../../support/timeline.ts";
import { association, group, plain, request, response, tag, times } from "./vsi.ts";

type Type = VsiRequest["type"];
const step = (station: Station, event: StationEvent, now: Instant) =>
  stepStation(station, event, now, times);
const vdp = () => timeline<Station, StationEvent, StationAction>(stationStart, step);

const want = (request: VsiRequest): StationEvent => ({ on: "want", request });
const send = ({ type, association }: VsiRequest): StationAction => ({
  do: "send",
  type,
  association,
});
const sendGone = ({ association }: VsiRequest): StationAction => ({
  do: "send",
  type: "de-associate",
  association,
});
const granted = (request: VsiRequest): StationAction => ({ do: "granted", request });
const tick: StationEvent = { on: "tick" };
const order: StationEvent = { on: "order" };
const drop: StationEvent = { on: "drop" };
const undelivered: StationEvent = { on: "undelivered" };
const linkUp: StationEvent = { on: "link-up" };
const answer = (
  type: Type | "de-associate",
  filters: Filters,
  code = 0,
  flag?: "keep" | "hard",
): StationEvent => ({ on: "response", type, association: response(filters, code, flag) });
const refused = (code: number, hard = false): StationAction => ({
  do: "ended",
  why: "refused",
  code,
  hard,
});
const ended = (why: "no-answer" | "undelivered" | "mismatch" | "ordered" | "left") =>
  ({ do: "ended", why }) as const;

const asked = request("associate", group(0));
const up200 = request("associate", group(200));

/** Up with VID 200 at 10 ms; the next keepalive is due at 10010 ms. */
function associated() {
  const at = vdp();
  at(0, want(asked), send(asked));
  at(10, answer("associate", group(200)), granted(up200));
  return at;
}

function keepingAlive() {
  const at = associated();
  at(10_010, tick, send(up200));
  return at;
}

describe("INIT", () => {
  test.each<Type>(["pre-associate", "pre-associate-rr", "associate"])(
    "a wanted %s is sent, and the response waited for",
    (type) => {
      const wanted = request(type, group(0));
      const next = vdp()(5, want(wanted), send(wanted));
      expect(next).toEqual({ is: "proc", request: wanted, deadline: 3005 });
    },
  );

  test("a drop sends nothing: there is nothing to take back", () => {
    expect(vdp()(0, drop, ended("left"))).toEqual({ is: "end" });
  });
});

describe("an answer to what was said before", () => {
  test("a refusal that names a tag is none to a request that names none: the answer is waited for", () => {
    const at = vdp();
    at(0, want(asked), send(asked));
    at(5, answer("associate", group(200), 5)); // our last request, said twice, was for tag 200
    at(10, answer("associate", group(100)), granted(request("associate", group(100))));
  });

  test("what is granted when nothing is awaited any more is given back", () => {
    const at = vdp();
    at(0, want(asked), send(asked));
    at(5, answer("associate", group(0), 2), refused(2));
    const late = { ...response(group(200), 0), status: asked.association.status };
    at(9, answer("associate", group(200)), {
      do: "send",
      type: "de-associate",
      association: late,
    });
    at(12, answer("de-associate", group(200)));
  });

  test("what is refused when nothing is awaited any more changes nothing", () => {
    const at = vdp();
    at(0, answer("associate", group(0), 5));
    at(0, want(asked), send(asked));
  });
});

describe("PROC", () => {
  test("ECP gave the PDU up", () => {
    const at = vdp();
    at(0, want(asked), send(asked));
    at(656, undelivered, ended("undelivered"));
  });

  test("capture 40 B: no response in time", () => {
    const at = vdp();
    at(0, want(asked), send(asked));
    at(2999, tick);
    expect(at(3000, tick, ended("no-answer"))).toEqual({ is: "end" });
  });

  test.each<[string, Filters, Filters]>([
    ["another group", group(0), group(200, 5002)],
    ["another VID than asked for", group(200), group(201)],
    ["no VID where one was asked for", group(200), group(0)],
    ["another kind of filter", group(0), { by: "vid", entries: [tag(200)] }],
    ["fewer entries", pair(0, 0), { by: "group-vid", entries: [] }],
    ["more entries", group(0), pair(200, 201)],
  ])("capture 43: a response with %s is a mismatch", (_, wanted, given) => {
    const at = vdp();
    const request_ = request("associate", wanted);
    at(0, want(request_), send(request_));
    at(10, answer("associate", given), ended("mismatch"));
  });

  test("an error without KEEP ends it, and no De-Associate is sent", () => {
    for (const hard of [false, true]) {
      const at = vdp();
      at(0, want(asked), send(asked));
      at(10, answer("associate", group(0), 2, hard ? "hard" : undefined), refused(2, hard));
    }
  });

  test("an error with KEEP ends what has no older state: there is nothing to keep", () => {
    for (const type of ["associate", "pre-associate"] as const) {
      const at = vdp();
      const wanted = request(type, group(0));
      at(0, want(wanted), send(wanted));
      at(10, answer(type, group(0), 3, "keep"), refused(3));
    }
  });

  test.each<Type>(["pre-associate", "pre-associate-rr", "associate"])(
    "captures 20-23: a granted %s takes the VIDs in and is kept alive with them",
    (type) => {
      const at = vdp();
      const [wanted, given] = [request(type, group(0)), request(type, group(200))];
      at(0, want(wanted), send(wanted));
      const next = at(10, answer(type, group(200)), granted(given));
      expect(next).toEqual({ is: "up", granted: given, deadline: 10_010 });
    },
  );

  test("capture 42: PS and PCP may come back, and are sent from then on", () => {
    const at = vdp();
    const filters: Filters = { by: "group-vid", entries: [{ groupId: 5001, ...tag(200, 5) }] };
    at(0, want(asked), send(asked));
    at(10, answer("associate", filters), granted(request("associate", filters)));
    at(10_010, tick, send(request("associate", filters)));
  });

  test("a null VID that stays null is success without a VID", () => {
    const at = vdp();
    at(0, want(asked), send(asked));
    at(10, answer("associate", group(0)), granted(asked));
  });

  test("the hints of the request stay in it", () => {
    const at = vdp();
    const status = { ...plain, migrating: true };
    const wanted = request("pre-associate-rr", group(0), status);
    const given = request("pre-associate-rr", group(200), status);
    at(0, want(wanted), send(wanted));
    at(10, answer("pre-associate-rr", group(200)), granted(given));
    at(10_010, tick, send(given));
  });

  test("capture 43: success under another type than asked for is success", () => {
    const at = vdp();
    at(0, want(asked), send(asked));
    at(10, answer("pre-associate", group(200)), granted(up200));
  });

  test("a De-Associate response refuses, whatever its code", () => {
    const at = vdp();
    at(0, want(asked), send(asked));
    at(10, answer("de-associate", group(0), 2), refused(2));
  });

  test("the bridge's order ends it", () => {
    const at = vdp();
    at(0, want(asked), send(asked));
    at(10, order, ended("ordered"));
  });

  test("what has bit 7 = 0 is no response", () => {
    const at = vdp();
    at(0, want(asked), send(asked));
    at(10, { on: "response", type: "associate", association: association(group(200)) });
  });

  test("a drop is told to the bridge at once; a late answer changes nothing", () => {
    const at = vdp();
    at(0, want(asked), send(asked));
    at(5, drop, sendGone(asked));
    at(10, answer("associate", group(200)));
    at(11, answer("de-associate", group(0)), ended("left"));
  });

  test("a drop during a change takes back what is granted", () => {
    const at = associated();
    const other = request("associate", group(0, 5002));
    at(100, want(other), send(other));
    at(101, drop, sendGone(up200));
  });

  test("another want waits for the answer, the newest of them is sent", () => {
    const at = vdp();
    const pre = request("pre-associate", group(0));
    at(0, want(pre), send(pre));
    at(1, want(request("pre-associate-rr", group(0))));
    at(2, want(asked));
    at(
      10,
      answer("pre-associate", group(200)),
      granted(request("pre-associate", group(200))),
      send(up200),
    );
    at(20, answer("associate", group(200)), granted(up200));
  });
});

describe("PREASSOC / ASSOC", () => {
  test("capture 31: the keepalive is the last TLV, sent when the keepalive timer runs out", () => {
    const at = associated();
    at(10_009, tick);
    const next = at(10_010, tick, send(up200));
    expect(next).toMatchObject({ is: "keepalive", deadline: 13_010 });
  });

  test("captures 10-13: up and down the types, each a change", () => {
    const at = vdp();
    let ms = 0;
    const types: Type[] = ["pre-associate", "pre-associate-rr", "associate", "pre-associate"];
    for (const type of types) {
      const wanted = request(type, group(200));
      at(ms, want(wanted), send(wanted));
      at(ms + 3, answer(type, group(200)), granted(wanted));
      ms += 100;
    }
    at(ms, drop, sendGone(request("pre-associate", group(200))));
    at(ms + 3, answer("de-associate", group(200)), ended("left"));
  });

  test("captures 20-23: a change carries the VIDs that the bridge chose, not null", () => {
    const at = vdp();
    const pre = request("pre-associate", group(0));
    at(0, want(pre), send(pre));
    at(3, answer("pre-associate", group(200)), granted(request("pre-associate", group(200))));
    at(100, want(asked), send(up200));
    at(103, answer("associate", group(200)), granted(up200));
    at(200, drop, sendGone(up200));
  });

  test("H6: a MAC more keeps the VIDs of those that are there, and asks for its own", () => {
    const [a, b] = [Mac("02:00:00:00:00:0a"), Mac("02:00:00:00:00:0b")];
    const macs = (...entries: (readonly [Mac, number])[]): Filters => ({
      by: "group-mac-vid",
      entries: entries.map(([mac, vid]) => ({ groupId: 5001, mac, ...tag(vid) })),
    });
    const at = vdp();
    const one = request("associate", macs([a, 0]));
    at(0, want(one), send(one));
    at(3, answer("associate", macs([a, 200])), granted(request("associate", macs([a, 200]))));
    const sent = request("associate", macs([b, 0], [a, 200]));
    at(100, want(request("associate", macs([b, 0], [a, 0]))), send(sent));
    const both = macs([b, 200], [a, 200]);
    at(103, answer("associate", both), granted(request("associate", both)));
  });

  test("a change refused with KEEP leaves the older state up", () => {
    for (const type of ["associate", "pre-associate"] as const) {
      const at = associated();
      const other = request(type, group(0, 5002));
      at(100, want(other), send(other));
      const next = at(110, answer(type, group(0, 5002), 2, "keep"), {
        do: "kept",
        granted: up200,
        code: 2,
      });
      expect(next).toEqual({ is: "up", granted: up200, deadline: 10_110 });
    }
  });

  test("a change refused without KEEP is the end", () => {
    const at = associated();
    const other = request("associate", group(0, 5002));
    at(100, want(other), send(other));
    at(110, answer("associate", group(0, 5002), 2), refused(2));
  });

  test("a change that ECP gave up is waited for: what is granted is not lost with one PDU", () => {
    const at = associated();
    const other = request("associate", group(0, 5002));
    at(100, want(other), send(other));
    at(756, undelivered);
    at(3100, tick, ended("no-answer"));
  });

  test("capture 42: the bridge's order ends it", () => {
    expect(associated()(100, order, ended("ordered"))).toEqual({ is: "end" });
  });

  test("capture 43: a response that nobody asked for is nothing", () => {
    const at = associated();
    at(100, answer("associate", group(200), 4));
    at(100, answer("de-associate", group(200)));
    at(100, undelivered);
  });
});

describe("KA", () => {
  test("success starts the keepalive timer again", () => {
    const at = keepingAlive();
    const next = at(10_013, answer("associate", group(200)));
    expect(next).toEqual({ is: "up", granted: up200, deadline: 20_013 });
  });

  test("no response in time", () => {
    const at = keepingAlive();
    at(10_666, undelivered); // the response wait decides
    at(13_009, tick);
    at(13_010, tick, ended("no-answer"));
  });

  test("capture 41: an error without KEEP", () => {
    keepingAlive()(10_013, answer("associate", group(200), 3, "hard"), refused(3, true));
  });

  test("a De-Associate response", () => {
    keepingAlive()(10_013, answer("de-associate", group(200)), refused(0));
  });

  test("capture 41: an error with KEEP contradicts itself: the VSI is de-associated", () => {
    const at = keepingAlive();
    at(10_013, answer("associate", group(200), 3, "keep"), sendGone(up200));
    at(10_016, answer("de-associate", group(200)), refused(3));
  });

  test("other entries are a mismatch", () => {
    keepingAlive()(10_013, answer("associate", group(201)), ended("mismatch"));
  });

  test("the bridge's order", () => {
    keepingAlive()(10_013, order, ended("ordered"));
  });

  test("a drop", () => {
    const at = keepingAlive();
    at(10_011, drop, sendGone(up200));
    at(10_012, answer("associate", group(200)));
    at(10_013, answer("de-associate", group(200)), ended("left"));
  });

  test("a want waits until the keepalive is answered", () => {
    const at = keepingAlive();
    const other = request("associate", group(0, 5002));
    at(10_011, want(other));
    at(10_012, answer("associate", group(200)), send(other));
  });

  test("a VID or PCP that the bridge gives only now is told", () => {
    const at = vdp();
    at(0, want(asked), send(asked));
    at(10, answer("associate", group(0)), granted(asked));
    at(10_010, tick, send(asked));
    at(10_013, answer("associate", group(200)), granted(up200));
  });
});

describe("DEASSOC", () => {
  test("ends with the response, or without", () => {
    const answered = associated();
    answered(100, drop, sendGone(up200));
    answered(103, answer("de-associate", group(200)), ended("left"));
    const silent = associated();
    silent(100, drop, sendGone(up200));
    silent(756, undelivered);
    silent(3099, tick);
    silent(3100, tick, ended("left"));
  });

  test("the bridge's order crossing ours ends it too", () => {
    const at = associated();
    at(100, drop, sendGone(up200));
    at(101, order, ended("left"));
  });

  test("a want and a drop are ignored", () => {
    const at = associated();
    at(100, drop, sendGone(up200));
    at(101, want(asked));
    at(102, drop);
  });
});

describe("link up", () => {
  test("capture 44: whatever the bridge may have forgotten is sent again", () => {
    const proc = vdp();
    proc(0, want(asked), send(asked));
    expect(proc(100, linkUp, send(asked))).toMatchObject({ is: "proc", deadline: 3100 });

    const up = associated();
    expect(up(100, linkUp, send(up200))).toMatchObject({ is: "proc", granted: up200 });
    up(103, answer("associate", group(200)), granted(up200));

    const keepalive = keepingAlive();
    keepalive(10_011, linkUp, send(up200));
    keepalive(10_013, answer("associate", group(200)), granted(up200));

    const leaving = associated();
    leaving(100, drop, sendGone(up200));
    leaving(2000, linkUp, sendGone(up200));
    leaving(4999, tick);
    leaving(5000, tick, ended("left"));
  });

  test("a VSI that is up survives a second flap: only the response wait ends it", () => {
    const at = associated();
    at(100, linkUp, send(up200));
    at(101, undelivered);
    at(2000, linkUp, send(up200));
    at(2003, answer("associate", group(200)), granted(up200));
  });

  test("what waits behind a keepalive is sent after it", () => {
    const at = keepingAlive();
    const other = request("associate", group(0, 5002));
    at(10_011, want(other));
    at(10_012, linkUp, send(up200));
    at(10_013, answer("associate", group(200)), granted(up200), send(other));
  });
});

test("after the end nothing happens until something is wanted again", () => {
  const at = vdp();
  at(0, drop, ended("left"));
  for (const event of [drop, order, undelivered, linkUp, tick]) at(1, event);
  at(1, answer("associate", group(200), 4));
  at(2, want(asked), send(asked));
});

const states: Record<Station["is"], Station> = {
  init: stationStart,
  proc: { is: "proc", request: up200, deadline: Instant(5000) },
  up: { is: "up", granted: up200, deadline: Instant(5000) },
  keepalive: { is: "keepalive", granted: up200, deadline: Instant(5000) },
  leaving: { is: "leaving", request: up200, end: ended("left"), deadline: Instant(5000) },
  end: { is: "end" },
};
const events: Record<string, StationEvent> = {
  want: want(up200),
  drop,
  success: answer("associate", group(200)),
  error: answer("associate", group(200), 4),
  keep: answer("associate", group(200), 4, "keep"),
  gone: answer("de-associate", group(200)),
  order,
  undelivered,
  "link-up": linkUp,
  tick,
};
/** Columns: init, proc, up, keepalive, leaving, end. */
const table: Record<string, readonly Station["is"][]> = {
  want: ["proc", "proc", "proc", "keepalive", "leaving", "proc"],
  drop: ["end", "leaving", "leaving", "leaving", "leaving", "end"],
  success: ["init", "up", "up", "up", "leaving", "end"],
  error: ["init", "end", "up", "end", "leaving", "end"],
  keep: ["init", "end", "up", "leaving", "leaving", "end"],
  gone: ["init", "end", "up", "end", "end", "end"],
  order: ["init", "end", "end", "end", "end", "end"],
  undelivered: ["init", "end", "up", "keepalive", "leaving", "end"],
  "link-up": ["init", "proc", "proc", "proc", "leaving", "end"],
  tick: ["init", "end", "keepalive", "end", "end", "end"],
};

test.each(Object.entries(table))("every state on %s", (name, row) => {
  const event = events[name] ?? tick;
  const after = Object.values(states).map((station) => step(station, event, Instant(6000))[0].is);
  expect(after).toEqual(row);
});

test("whatever happens: an end is told once, and whoever waits has sent and ends by itself", () => {
  const any = fc.constantFrom(
    ...Object.values(events),
    want(asked),
    want(request("pre-associate", pair(0, 0))),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 4000 }), any)), (history) => {
      let station: Station = stationStart;
      let now = 0;
      const feed = (event: StationEvent) => {
        const before = station.is;
        const [next, ...actions] = step(station, event, Instant(now));
        station = next;
        const ends = actions.filter((action) => action.do === "ended").length;
        const dead = before === "end" || before === "init";
        expect(ends).toBe(next.is === "end" && before !== "end" ? 1 : 0);
        if (dead && event.on !== "want" && event.on !== "drop")
          expect(actions).toEqual(event === events["success"] ? [sendGone(up200)] : []);
        if ("deadline" in next && next.is !== before) expect(next.deadline).toBeGreaterThan(now);
      };
      for (const [later, event] of history) {
        now += later;
        feed(event);
      }
      // A bridge that stays silent: the end comes within one keepalive and one response wait.
      for (let ticks = 0; "deadline" in station; ticks++) {
        expect(ticks).toBeLessThan(3);
        now = Math.max(now, station.deadline);
        feed(tick);
      }
    }),
  );
});

function pair(first: number, second: number): Filters {
  return {
    by: "group-vid",
    entries: [
      { groupId: 5001, ...tag(first) },
      { groupId: 5002, ...tag(second) },
    ],
  };
}

test("what the answer says in other words is what is granted and kept alive", () => {
  const at = vdp();
  const named = request("associate", group(0, 0xff000001));
  at(0, want(named), send(named));
  const inForce = request("associate", group(200, 5001));
  const event = { ...answer("associate", group(200, 0xff000001)), inForce: group(200, 5001) };
  at(10, event as StationEvent, granted(inForce));
  at(10_010, tick, send(inForce));
});
