import { IpAddress, Mac, NveId, type Uuid, Vid, VnId } from "@nve/protocol-spec";
import type { Intent, Place, PortTag } from "@nve/switch-agent/nve";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Bench, groups, port, vnicOf, vniOf } from "./nve-bench.ts";

const vns = [VnId(1), VnId(2), VnId(3), VnId(4)];
const macs = [1, 2, 3, 4, 5].map((n) => Mac(`02:00:00:00:00:0${n}`));
const vsis = [1, 2, 3, 4, 5, 6].map((n) => ({ name: `vm${n}`, port: n % 2 ? "swp1" : "swp2" }));
const nves = [2, 3].map((n) => ({ nve: NveId(`tor${n}`), vtep: IpAddress(`192.0.2.${n}`) }));

const one = <T>(values: readonly T[]) => fc.constantFrom(...values);
const mode = one(["associate", "associate", "pre-associate-rr", "pre-associate"] as const);
const entries = fc.array(fc.tuple(one(vns), one(macs)), { minLength: 1, maxLength: 4 });
const event = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ on: fc.constant("ask" as const), vsi: one(vsis), mode, entries }),
  },
  { weight: 3, arbitrary: fc.record({ on: fc.constant("release" as const), vsi: one(vsis) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      on: fc.constant("remote" as const),
      vn: one(vns),
      mac: one(macs),
      at: fc.option(one(nves)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ on: fc.constant("gone" as const), vn: one(vns) }) },
  { weight: 1, arbitrary: fc.record({ on: fc.constant("nva" as const), there: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ on: fc.constant("fault" as const), there: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ on: fc.constant("snapshot" as const), vn: one(vns) }) },
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

type Attached = { port: string; mode: string; entries: readonly [VnId, Mac][]; order: number };

/** What should be, written down anew after each event from nothing but the history of grants. */
class Expected {
  readonly attached = new Map<string, Attached>();
  readonly remotes = new Map<VnId, Map<Mac, (typeof nves)[number]>>();
  readonly complete = new Set<VnId>();
  nva = false;
  order = 0;

  watched(vn: VnId): boolean {
    return [...this.attached.values()].some((one) => one.entries.some(([of]) => of === vn));
  }

  forget(): void {
    for (const vn of vns) {
      if (this.watched(vn)) continue;
      this.remotes.delete(vn);
      this.complete.delete(vn);
    }
  }

  intents(tagOf: (port: string, vn: VnId) => PortTag | undefined): Intent[] {
    return vns.flatMap((vn) => this.#ofVn(vn, (at) => tagOf(at, vn) ?? Vid(1)));
  }

  #ofVn(vn: VnId, tagOf: (port: string) => PortTag): Intent[] {
    const vni = vniOf(vn);
    const active = [...this.attached]
      .map(([name, one]) => ({ ...one, vnic: vnicOf(name) }))
      .filter(({ mode, entries }) => mode === "associate" && entries.some(([of]) => of === vn))
      .sort((x, y) => x.order - y.order);
    if (!this.watched(vn)) return [];
    const ports = [...new Set(active.map(({ port }) => port))].sort();
    const place = (at: string): Place => ({ is: "local", port: at, vid: tagOf(at) });
    const where = new Map<Mac, { at: Place; vnic?: Uuid }>();
    const remotes = this.remotes.get(vn) ?? new Map<Mac, (typeof nves)[number]>();
    for (const [mac, { vtep }] of remotes) where.set(mac, { at: { is: "remote", vtep } });
    for (const { port, entries, vnic } of active) {
      for (const [of, mac] of entries) if (of === vn) where.set(mac, { at: place(port), vnic });
    }
    return [
      { is: "vn", vni, flood: ports.map(place), floodUnknown: !this.nva || !this.complete.has(vn) },
      ...ports.map((at): Intent => ({ is: "access", port: at, vid: tagOf(at), vni })),
      ...[...where].map(([mac, known]): Intent => ({ is: "mac", vni, mac, ...known })),
    ];
  }
}

function run(nve: Bench, expected: Expected, happened: Event): void {
  switch (happened.on) {
    case "ask": {
      const { vsi, mode, entries } = happened;
      nve.ask(vsi.name, vsi.port, groups(...entries), { mode });
      const before = expected.attached.get(vsi.name);
      const stays = before?.mode === "associate" && mode === "associate";
      expected.order += 1;
      if (nve.granted !== undefined) {
        const order = stays ? before.order : expected.order;
        expected.attached.set(vsi.name, { port: vsi.port, mode, entries, order });
      } else {
        expect(nve.refused, "answered one way or the other").toBeDefined();
      }
      break;
    }
    case "release":
      nve.release(happened.vsi.name);
      expected.attached.delete(happened.vsi.name);
      break;
    case "remote":
      remote(nve, expected, happened);
      break;
    case "gone":
      nve.feed({ on: "vn-gone", vn: happened.vn });
      for (const [name, { entries }] of expected.attached) {
        if (entries.some(([vn]) => vn === happened.vn)) expected.attached.delete(name);
      }
      break;
    case "nva":
      nve.feed({ on: "nva", connected: happened.there });
      expected.nva = happened.there;
      break;
    case "fault":
      nve.fault = happened.there ? "full" : undefined;
      break;
    case "snapshot":
      nve.feed({ on: "snapshot-end", vn: happened.vn });
      if (expected.watched(happened.vn)) expected.complete.add(happened.vn);
      break;
  }
  expected.forget();
}

function remote(nve: Bench, expected: Expected, { vn, mac, at }: Event & { on: "remote" }): void {
  const none = { mappings: [], withdrawn: [], members: [], membersLeft: [] };
  if (at === null) nve.feed({ on: "remote", change: { vn, ...none, withdrawn: [mac] } });
  else nve.feed({ on: "remote", change: { vn, ...none, mappings: [{ mac, ips: [], ...at }] } });
  if (!expected.watched(vn)) return;
  const known = expected.remotes.get(vn) ?? new Map();
  expected.remotes.set(vn, known);
  if (at === null) known.delete(mac);
  else known.set(mac, at);
}

const byText = (intents: readonly Intent[]) => intents.map((one) => JSON.stringify(one)).sort();

function check(nve: Bench, expected: Expected): void {
  const pools = nve.core.ports;
  const tagOf = (at: string, vn: VnId) => pools.get(at)?.pool.tagOf(vn);
  const wanted = expected.intents(tagOf);
  expect(byText(nve.intents), "applied").toEqual(byText(wanted));
  expect(byText(nve.core.intents()), "wanted").toEqual(byText(nve.intents));
  for (const { pool } of pools.values()) {
    const tags = [...pool.lent.values()].map(({ vid }) => vid);
    expect(new Set(tags).size, "no tag is two VNs").toBe(tags.length);
    expect(tags.length + pool.free, "no tag is lost").toBe(3);
  }
  const { claims, joined } = nve.core.report();
  expect(new Set(nve.claims.keys())).toEqual(new Set(claims.map(({ vn, mac }) => `${vn} ${mac}`)));
  expect(nve.joined).toEqual(new Set(joined));
  expect(nve.watched).toEqual(new Set(vns.filter((vn) => expected.watched(vn))));
}

test("H2, H5, H6, H7, V8: whatever happens, what is applied is what should be, and no tag is shared", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      const tags = [Vid(2), Vid(4)] as const;
      const nve = new Bench(port("swp1", { tags }), port("swp2", { tags }));
      const expected = new Expected();
      for (const happened of events) {
        run(nve, expected, happened);
        check(nve, expected);
      }
      for (const { name } of vsis) nve.release(name);
      expect([nve.intents, [...nve.claims], [...nve.joined], [...nve.watched]]).toEqual([
        [],
        [],
        [],
        [],
      ]);
      expect([nve.core.vsis.size, nve.core.infos.size, nve.core.watched().length]).toEqual([
        0, 0, 0,
      ]);
    }),
    { numRuns: 300 },
  );
});
