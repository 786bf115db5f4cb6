import type { Standby } from "@nve/nva/authority/declared";
import type { Session } from "@nve/nva/authority/nve-state";
import { faultsIn } from "@nve/nva/catalogue/check";
import { put } from "@nve/nva/catalogue/decide";
import { HypervisorId, Instant } from "@nve/protocol-spec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { blue, claim, holdMs, mac, uuid, world } from "./world.ts";

const vnic = uuid(7);
const two: Standby = { places: ["srv1", "tor2"], revert: false };

/** VNIC 7 of blue in hot standby, its best place srv1 behind tor1, the other anywhere behind tor2. */
function standing(standby: Standby | "not yet" = two) {
  const at = world();
  const declare = (wanted: Standby | undefined) => {
    const wish = { vnic, hypervisors: [], vns: [{ vn: String(blue), macs: [] }] };
    const all = { ...wish, ...(wanted && { standby: wanted }) };
    const step = at.keep(put(at.all, { kind: "vnic", wish: all }, undefined, Instant(0)));
    if ("declined" in step.result) throw new Error(step.result.reason);
    return step;
  };
  if (standby !== "not yet") declare(standby);
  const session = (n: number) => at.connect(`tor${n}`, `10.0.0.${n}`);
  const active = (n: number, more = {}) =>
    claim(1, { vnic, hypervisor: HypervisorId(`srv${n}`), ...more });
  const run = (n: number, more = {}) => {
    const own = session(n);
    at.tell(own, { joined: [blue], claims: [active(n, more)] });
    return own;
  };
  const gone = { withdrawn: [{ vnId: blue, mac: mac(1) }] };
  return { ...at, at, declare, session, active, run, gone };
}

describe("M9: hot standby: of two active places of one address", () => {
  test("all hear of both, the active one first; the first that is there is active", () => {
    const { run, where, at } = standing();
    run(2);
    run(1);
    expect(where(1)).toBe("tor2+tor1");
    expect(at.all.mapping(blue, mac(1))).toMatchObject({ anycast: true, vnic });
  });

  test("with revert the better place is active whenever it is there", () => {
    const { run, where, tell, gone } = standing({ ...two, revert: true });
    run(2);
    const tor1 = run(1);
    expect(where(1)).toBe("tor1+tor2");
    tell(tor1, gone);
    expect(where(1)).toBe("tor2");
    run(1);
    expect(where(1)).toBe("tor1+tor2");
  });

  test("the loss of the active one moves all to the other, where it stays", () => {
    const { run, where, tell, gone, sequence } = standing();
    const tor1 = run(1);
    run(2);
    const before = sequence(1) ?? 0;
    const step = tell(tor1, gone);
    expect(where(1)).toBe("tor2");
    expect(step.touched.get(blue)?.macs).toEqual(new Set([mac(1)]));
    run(1);
    expect(where(1)).toBe("tor2+tor1");
    expect(sequence(1)).toBeGreaterThanOrEqual(before);
  });

  test("the loss of the other one moves nothing", () => {
    const { run, where, tell, gone } = standing();
    run(1);
    const tor2 = run(2);
    tell(tor2, gone);
    expect(where(1)).toBe("tor1");
  });

  test("the session of the active one's NVE ends: at once, and not when its time is over", () => {
    const { run, where, lose, at } = standing();
    const tor1 = run(1);
    run(2);
    const step = lose(tor1);
    expect(where(1)).toBe("tor2+tor1");
    expect(step.changes.some(({ table }) => table === "claim")).toBe(true);
    at.at(holdMs);
    expect(where(1)).toBe("tor2");
  });

  test("it is back: with revert it is active again when it says that the VNIC is there, and without it is not", () => {
    for (const revert of [true, false]) {
      const { run, where, lose, session } = standing({ ...two, revert });
      const tor1 = run(1);
      run(2);
      lose(tor1);
      session(1);
      expect(where(1)).toBe("tor2+tor1");
      run(1);
      expect(where(1)).toBe(revert ? "tor1+tor2" : "tor2+tor1");
    }
  });

  test("a suspension of the active one moves all to the other; nothing is held for a place that it leaves", () => {
    const { run, where, tell, active, gone, at } = standing({ ...two, revert: true });
    const tor1 = run(1);
    run(2);
    tell(tor1, { claims: [active(1, { suspended: true })] });
    expect(where(1)).toBe("tor2+tor1");
    tell(tor1, gone);
    expect(where(1)).toBe("tor2");
    expect(at.all.migrations.list()).toEqual([]);
  });

  for (const revert of [true, false])
    test(`a restart of the NVA moves nothing (revert: ${revert})`, () => {
      const { run, where, lose, restart, at } = standing({ ...two, revert });
      const tor1 = run(1);
      run(2);
      lose(tor1);
      restart();
      expect(at.where(1)).toBe("tor2+tor1");
      run(2);
      expect(where(1)).toBe("tor2+tor1");
      run(1);
      restart();
      expect(at.where(1)).toBe(revert ? "tor1+tor2" : "tor2+tor1");
    });

  test("it is no migration and no duplicate, however often it changes", () => {
    const { run, tell, gone, at } = standing({ ...two, revert: true });
    run(2);
    for (let n = 0; n < 50; n++) tell(run(1), gone);
    expect(at.all.migrations.list()).toEqual([]);
    expect(at.all.duplicates.list()).toEqual([]);
  });

  test("a place that is not among its own comes last; another VNIC's claim is none of its places", () => {
    const { run, where, tell, session } = standing({ ...two, revert: true });
    run(3);
    run(2);
    expect(where(1)).toBe("tor2+tor3");
    tell(session(4), { claims: [claim(1, { vnic: uuid(8), sequence: 99 })] });
    expect(where(1)).toBe("tor4");
  });

  test("registered so later, or otherwise, or no more: what there is of it counts so at once, and what is active stays", () => {
    const { run, where, declare, at } = standing("not yet");
    run(1);
    run(2);
    expect(where(1)).toBe("tor2"); // moved
    declare(two);
    expect(where(1)).toBe("tor2+tor1");
    declare({ ...two, revert: true });
    expect(where(1)).toBe("tor1+tor2");
    declare(two);
    expect(where(1)).toBe("tor1+tor2");
    declare({ places: ["tor2", "tor1"], revert: true });
    expect(where(1)).toBe("tor2+tor1");
    declare(undefined);
    expect(where(1)).toBe("tor2");
    expect(at.all.mapping(blue, mac(1))?.anycast).toBe(false);
    const left = [...at.all.claims(blue)].map(({ claim: { standby } }) => standby);
    expect(left).toEqual([undefined, undefined]);
  });

  test("registered otherwise while the NVE of a place is lost: it is lost as before", () => {
    const { run, where, declare, lose } = standing();
    const tor1 = run(1);
    run(2);
    lose(tor1);
    declare({ ...two, revert: true });
    expect(where(1)).toBe("tor2+tor1");
  });

  test("fewer than two places, or more than eight, or one twice, is told as a fault", () => {
    const faulty = [["tor1"], ["a", "a"], ["a", "b c"], [..."abcdefghi"]];
    for (const places of faulty)
      expect(
        faultsIn({
          kind: "vnic",
          wish: { vnic, hypervisors: [], vns: [], standby: { places, revert: false } },
        }),
      ).toEqual([expect.stringContaining("standby.places")]);
  });

  test("any history: the active one is one that can be used, if there is any; only its own loss moves it, and a restart never", () => {
    const nth = fc.integer({ min: 1, max: 3 });
    const on = <const T extends string>(what: T) => fc.constant(what);
    const happening = fc.oneof(
      { weight: 6, arbitrary: fc.record({ on: on("run"), n: nth, suspended: fc.boolean() }) },
      { weight: 2, arbitrary: fc.record({ on: on("gone"), n: nth }) },
      { weight: 2, arbitrary: fc.record({ on: on("lose"), n: nth }) },
      { weight: 1, arbitrary: fc.record({ on: on("declare"), revert: fc.boolean() }) },
      { weight: 1, arbitrary: fc.record({ on: on("restart") }) },
    );
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 30 }), (history) => {
        const { at, run, declare, gone } = standing();
        const sessions = new Map<number, Session>();
        let revert = false;
        const claims = () =>
          [...at.all.claims(blue)].map(({ claim: one, best }) => ({
            nve: one.nveId,
            active: one.standby?.active ?? false,
            usable: !one.suspended && !one.standby?.lost,
            best,
          }));
        let before = claims();
        for (const event of history) {
          const session = "n" in event ? sessions.get(event.n) : undefined;
          if (event.on === "run")
            sessions.set(event.n, run(event.n, { suspended: event.suspended }));
          else if (event.on === "gone" && session) at.tell(session, gone);
          else if (event.on === "lose" && session) at.lose(session);
          else if (event.on === "declare") declare({ ...two, revert: event.revert });
          else if (event.on === "restart") {
            at.restart();
            sessions.clear();
          }
          if (event.on === "declare") ({ revert } = event);
          const now = claims();
          const active = now.filter((one) => one.active);
          expect(active.length).toBe(now.length > 0 ? 1 : 0);
          expect(active.every(({ best }) => best)).toBe(true);
          if (now.some(({ usable }) => usable)) expect(active[0]?.usable).toBe(true);
          const was = before.find((one) => one.active)?.nve;
          const still = now.find(({ nve }) => nve === was);
          if (event.on === "restart" || (!revert && still?.usable))
            expect(active[0]?.nve).toBe(was);
          if (active[0]) expect(at.where(1)?.split("+")[0]).toBe(active[0].nve);
          before = now;
        }
      }),
    );
  });
});
