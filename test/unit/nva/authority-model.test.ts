import type { Session } from "@nve/nva/authority/nve-state";
import { bestOf, mappingOf } from "@nve/nva/authority/ranking";
import type { Claim, Mapping } from "@nve/nva/authority/records";
import { IpAddress, Mac } from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { blue, claim, holdMs, mac, red, world } from "./world.ts";

// Any history at all of three NVEs that claim three MACs in two VNs, are lost, come back, and an NVA that restarts.
const vteps: Record<string, string> = { tor1: "10.0.0.3", tor2: "10.0.0.2", tor3: "10.0.0.1" };
const nve = fc.constantFrom(...Object.keys(vteps));
const vnId = fc.constantFrom(blue, red);
const one = fc.record({
  n: fc.integer({ min: 1, max: 3 }),
  vnId,
  sequence: fc.constantFrom(0, 0, 0, 1, 2, 5, 9),
  sticky: fc.constantFrom(false, false, true),
  anycast: fc.constantFrom(false, false, true),
  ips: fc.constantFrom([], [IpAddress("10.0.0.1")], [IpAddress("10.0.0.1"), IpAddress("fd00::1")]),
});
const n = fc.integer({ min: 1, max: 3 });
const on = <const T extends string>(...what: T[]) => fc.constantFrom(...what);
const happening = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      on: on("claim"),
      nve,
      claims: fc.array(one, { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ on: on("withdraw"), nve, n, vnId }) },
  { weight: 4, arbitrary: fc.record({ on: on("connect"), nve }) },
  { weight: 2, arbitrary: fc.record({ on: on("lose", "complete"), nve }) },
  { weight: 2, arbitrary: fc.record({ on: on("leave", "join"), nve, vnId }) },
  {
    weight: 1,
    arbitrary: fc.record({ on: on("wait"), ms: fc.constantFrom(1000, holdMs / 2, holdMs) }),
  },
  { weight: 1, arbitrary: fc.record({ on: on("restart") }) },
);
type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

test("any history: no claim is lost to another's withdrawal, no sequence goes down, mappings are the best of the claims", () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60, size: "max" }), (history) => {
      const model = new Model();
      for (const event of history) model.happen(event);
    }),
    { numRuns: 120 },
  );
}, 30_000);

class Model {
  readonly #world = world();
  readonly #sessions = new Map<string, Session>();
  readonly #highest = new Map<string, number>();
  #now = 0;

  constructor() {
    for (const id of Object.keys(vteps)) this.#do({ on: "connect", nve: id });
  }

  happen(event: Happening): void {
    const before = this.#claims();
    this.#do(event);
    this.#othersKeep(event, before);
    this.#sequencesRise();
    this.#mappingsAreTheBest();
    this.#addressesAreCounted();
  }

  #do(event: Happening): void {
    const { tell, lose, connect, at, restart } = this.#world;
    const session = "nve" in event ? this.#sessions.get(event.nve) : undefined;
    switch (event.on) {
      case "connect":
        this.#sessions.set(event.nve, connect(event.nve, vteps[event.nve] ?? "10.0.0.9"));
        return;
      case "wait":
        this.#now += event.ms;
        at(this.#now);
        return;
      case "restart":
        restart();
        this.#sessions.clear();
        return;
    }
    if (session === undefined) return;
    switch (event.on) {
      case "claim":
        tell(session, { claims: event.claims.map(({ n, ...more }) => claim(n, more)) });
        return;
      case "withdraw":
        tell(session, { withdrawn: [{ vnId: event.vnId, mac: mac(event.n) }] });
        return;
      case "complete":
        tell(session, { complete: true });
        return;
      case "join":
        tell(session, { joined: [event.vnId] });
        return;
      case "leave":
        tell(session, { left: [event.vnId] });
        return;
      case "lose":
        lose(session);
        this.#sessions.delete(event.nve);
    }
  }

  /** What one NVE does takes no claim of another. Time and restarts may. */
  #othersKeep(event: Happening, before: Map<string, Claim>): void {
    if (event.on === "wait") return;
    const after = this.#claims();
    const by = "nve" in event ? event.nve : undefined;
    const lost = [...before].filter(([key, { nveId }]) => nveId !== by && !after.has(key));
    expect(lost).toEqual([]);
  }

  #sequencesRise(): void {
    const now = [...this.#mappings()];
    const sunk = now.filter(([key, { sequence }]) => sequence < (this.#highest.get(key) ?? 0));
    expect(sunk).toEqual([]);
    for (const [key, { sequence }] of now) this.#highest.set(key, sequence);
  }

  #mappingsAreTheBest(): void {
    const { all } = this.#world;
    const locationOf = ({ nveId }: Claim) => all.nve(nveId)?.row.location;
    const scratch = new Map<string, Mapping>();
    for (const vn of [blue, red])
      for (const n of [1, 2, 3]) {
        const held = [...all.claims(vn)].filter((h) => h.claim.mac === mac(n));
        const best = bestOf(held, locationOf);
        if (best !== undefined) scratch.set(`${vn} ${mac(n)}`, mappingOf(best, held, locationOf));
      }
    expect(this.#mappings()).toEqual(scratch);
  }

  /** V10: what the limit of an NVE is held against. */
  #addressesAreCounted(): void {
    const counted = new Map<string, number>();
    for (const { nveId, ips } of this.#claims().values())
      counted.set(nveId, (counted.get(nveId) ?? 0) + ips.length);
    const wrong = [...this.#world.all.nves()].filter(
      ({ row, ips }) => ips !== (counted.get(row.location.nveId) ?? 0),
    );
    expect(wrong).toEqual([]);
  }

  #claims(): Map<string, Claim> {
    const claims = [blue, red].flatMap((vn) => [...this.#world.all.claims(vn)]);
    return new Map(claims.map(({ claim: c }) => [`${c.vnId} ${c.mac} ${c.source}`, c]));
  }

  #mappings(): Map<string, Mapping> {
    const found = [blue, red].flatMap((vn) =>
      [1, 2, 3].flatMap((n) => this.#world.all.mapping(vn, Mac(mac(n))) ?? []),
    );
    return new Map(found.map((m) => [`${m.vnId} ${m.mac}`, m]));
  }
}
