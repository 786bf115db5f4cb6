import { type Filters, Instant, IpAddress, Mac, NveId, VnId } from "@nve/protocol-spec";
import {
  allTags,
  type Intent,
  intentKey,
  NveCore,
  type NveEffect,
  type NveEvent,
} from "@nve/switch-agent/nve";
import fc from "fast-check";
import { expect, test } from "vitest";
import { arpFrom } from "../../support/sighted.ts";
import { infoOf, vnicOf, vniOf } from "./nve-bench.ts";
import { wholeOf } from "./serve-whole.ts";

const vns = [VnId(1), VnId(2)];
const macs = [1, 2, 3, 4].map((n) => Mac(`02:00:00:00:00:0${n}`));
const ips = [1, 2].map((n) => IpAddress(`10.0.0.${n}`));
const ports = ["swp1", "swp2", "swp3"];
const vsis = [1, 2, 3, 4, 5, 6].map((n) => ({ vsi: `vm${n}`, port: ports[n % 3] ?? "" }));
const nves = [2, 3, 4].map((n) => ({
  nve: NveId(`tor${n}`),
  vtep: IpAddress(`192.0.2.${Math.min(n, 3)}`), // two behind one address
}));

const one = <T>(values: readonly T[]) => fc.constantFrom(...values);
const some = <T>(values: readonly T[]) => fc.subarray([...values]);
const is = <const On extends string>(on: On) => fc.constant(on);

const happened = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      on: is("ask"),
      who: one(vsis),
      mode: one(["associate", "associate", "pre-associate"] as const),
      suspended: fc.boolean(),
      vns: fc.subarray(vns, { minLength: 1 }),
      /** None: filter format 3. */
      macs: some(macs),
      ips: some(ips),
    }),
  },
  { weight: 3, arbitrary: fc.record({ on: is("release"), who: one(vsis) }) },
  { weight: 1, arbitrary: fc.record({ on: is("addresses"), who: one(vsis), ips: some(ips) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      on: is("remote"),
      vn: one(vns),
      macs: some(macs),
      withdrawn: some(macs),
      at: one(nves),
      ips: some(ips),
      members: some(nves),
      left: some(nves),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      on: is("sample"),
      vn: one(vns),
      mac: one(macs),
      ip: one(ips),
      port: one(ports),
    }),
  },
  { weight: 2, arbitrary: fc.record({ on: is("link"), port: one(ports), up: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ on: is("snapshot"), vn: one(vns), begin: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({ on: is("vni"), vn: one(vns), more: fc.constantFrom(0, 10) }),
  },
  { weight: 1, arbitrary: fc.record({ on: is("vn-gone"), vn: one(vns) }) },
  { weight: 1, arbitrary: fc.record({ on: is("nva"), connected: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ on: is("tick"), after: fc.constantFrom(1000, 400_000) }) },
);
type Happened = typeof happened extends fc.Arbitrary<infer T> ? T : never;

/** A core whose every question is answered, and what its effects come to. */
class Followed {
  readonly core = new NveCore(
    ports.map((name) => ({
      ...{ name, tags: allTags, maxVnics: 4096 },
      rules:
        name === "swp3"
          ? { checkSource: true as const, checkIps: true as const }
          : { glean: true as const },
    })),
  );
  readonly applied = new Map<string, Intent>();
  readonly claims = new Map<string, object>();
  readonly joined = new Set<VnId>();
  readonly watched = new Set<VnId>();
  nva = false;
  now = Instant(0);

  /** @param more it is settled with what comes next; @param fault those who asked take it back */
  feed(event: NveEvent, more: boolean, fault: boolean): void {
    const events = [event];
    for (let next = events.shift(); next !== undefined; next = events.shift()) {
      for (const effect of this.core.step(next, this.now, more)) {
        events.push(...this.#answer(effect, fault));
      }
    }
  }

  settle(): void {
    const events = this.core.settle().flatMap((effect) => this.#answer(effect, false));
    for (const event of events) this.feed(event, false, false);
  }

  #answer(effect: NveEffect, fault: boolean): NveEvent[] {
    switch (effect.do) {
      case "admit": {
        const verdicts = new Map(
          effect.vns.map((vn) => [vn, { is: "granted", info: infoOf(vn) } as const]),
        );
        return [{ on: "verdicts", vsi: effect.ask.vsi, serial: effect.serial, verdicts }];
      }
      case "intents":
        return this.#apply(effect, fault);
      case "watch":
        for (const vn of effect.vns) this.watched.add(vn);
        return [];
      case "unwatch":
        for (const vn of effect.vns) this.watched.delete(vn);
        return [];
      case "report":
        for (const claim of effect.claims) this.claims.set(`${claim.vn} ${claim.mac}`, claim);
        for (const { vn, mac } of effect.withdrawn) this.claims.delete(`${vn} ${mac}`);
        for (const vn of effect.joined) this.joined.add(vn);
        for (const vn of effect.left) this.joined.delete(vn);
        return [];
      default:
        return [];
    }
  }

  #apply({ change, owners }: NveEffect & { do: "intents" }, fault: boolean): NveEvent[] {
    for (const intent of change.ensure) this.applied.set(intentKey(intent), intent);
    for (const intent of change.remove) this.applied.delete(intentKey(intent));
    if (!fault) return owners.map((owner) => ({ on: "applied", ...owner }));
    return owners.map((owner) => ({ on: "unapplied", ...owner, reason: "full" }));
  }
}

function filtersOf({ vns, macs }: Happened & { on: "ask" }): Filters {
  if (macs.length === 0) {
    return { by: "group-vid", entries: vns.map((groupId) => ({ groupId })) };
  }
  const entries = vns.flatMap((groupId) => macs.map((mac) => ({ groupId, mac })));
  return { by: "group-mac-vid", entries };
}

function eventOf(nve: Followed, event: Happened): NveEvent | undefined {
  switch (event.on) {
    case "ask": {
      const { who, mode, suspended, ips } = event;
      const station = Mac("52:54:00:aa:00:01");
      const by = { ...who, vnic: vnicOf(who.vsi), hypervisor: "server1", station };
      const addresses = ips.map((ip) => ({ ip }));
      return { on: "ask", ask: { ...by, mode, suspended, filters: filtersOf(event), addresses } };
    }
    case "release":
      return { on: "release", vsi: event.who.vsi, why: "de-associated" };
    case "addresses":
      return { on: "addresses", vsi: event.who.vsi, addresses: event.ips.map((ip) => ({ ip })) };
    case "remote": {
      const { vn, macs, withdrawn, at, ips, members, left } = event;
      const mappings = macs.map((mac) => ({ mac, ips, ...at }));
      const membersLeft = left.map(({ nve }) => nve);
      return { on: "remote", change: { vn, mappings, withdrawn, members, membersLeft } };
    }
    case "sample": {
      const { vn, mac, ip, port } = event;
      const vid = nve.core.ports.get(port)?.pool.tagOf(vn);
      const vni = nve.core.infos.get(vn)?.vni ?? vniOf(vn);
      if (vid === undefined) return undefined;
      const at = { is: "local", port, vid } as const;
      return { on: "sample", sample: { vni, at, octets: arpFrom(mac, ip) } };
    }
    case "snapshot":
      return { on: event.begin ? "snapshot-begin" : "snapshot-end", vn: event.vn };
    case "vni":
      return { on: "vn", info: { ...infoOf(event.vn), vni: vniOf(VnId(event.vn + event.more)) } };
    case "tick":
      nve.now = Instant(nve.now + event.after);
      return { on: "tick", heard: [] };
    case "nva":
      nve.nva = event.connected;
      return event;
    default:
      return event;
  }
}

const byText = (values: Iterable<object>) =>
  [...values].map((one) => JSON.stringify(Object.entries(one).sort())).sort();

function check(nve: Followed): void {
  const whole = wholeOf(nve.core, nve.nva);
  expect(byText(nve.core.intents()), "intents").toEqual(byText(whole.intents));
  expect(byText(nve.applied.values()), "applied").toEqual(byText(whole.intents));
  const { claims, joined } = nve.core.report();
  expect(byText(claims), "claims").toEqual(byText(whole.claims));
  expect(new Set(nve.claims.keys())).toEqual(
    new Set(whole.claims.map(({ vn, mac }) => `${vn} ${mac}`)),
  );
  expect(new Set(joined), "joined").toEqual(new Set(whole.joined));
  expect(nve.joined, "reported as joined").toEqual(new Set(whole.joined));
  expect(nve.watched, "watched").toEqual(new Set(nve.core.watched()));
}

/** @param answer P12: of MACs elsewhere the IPs matter too. With the NVA there, which has told all of the VNs that a first VSI is in: nothing unknown is flooded. */
function begun(answer: boolean): Followed {
  const nve = new Followed();
  if (answer) nve.core.infos.rules = { answer, floodLimit: { perSecond: 1, burst: 2 } };
  const [who] = vsis;
  if (who === undefined) throw new Error("no VSI");
  const mode = "associate";
  const events: Happened[] = [
    { on: "nva", connected: true },
    { on: "ask", who, mode, suspended: false, vns, macs: macs.slice(0, 1), ips: [] },
    ...vns.map((vn): Happened => ({ on: "snapshot", vn, begin: false })),
  ];
  for (const event of events) {
    const next = eventOf(nve, event);
    if (next !== undefined) nve.feed(next, false, false);
  }
  return nve;
}

test("P4, P8, H17, H20: what is computed of a change alone is what comes of computing all", () => {
  const step = fc.record({ event: happened, more: fc.boolean(), fault: fc.boolean() });
  fc.assert(
    fc.property(fc.boolean(), fc.array(step, { maxLength: 40 }), (answer, steps) => {
      const nve = begun(answer);
      for (const { event, more, fault } of steps) {
        const next = eventOf(nve, event);
        if (next === undefined) continue;
        nve.feed(next, more, fault && !more);
        if (more) continue;
        check(nve);
      }
      nve.settle();
      check(nve);
    }),
    { numRuns: 200 },
  );
});
