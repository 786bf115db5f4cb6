import type { Report } from "@nve/nva/authority/authority";
import { isOver } from "@nve/nva/authority/migration-row";
import type { Session } from "@nve/nva/authority/nve-state";
import { Instant } from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { blue, claim, holdMs, mac, uuid, world } from "./world.ts";

// Any history of one VNIC at three NVEs: what stations say, in any order and at several places at once, sessions that are lost
// and come again, and the NVA that is started anew. However it came about, it ends as stations have it.

const vnic = uuid(7);
const address = { vnId: blue, mac: mac(1) };
const nves = [1, 2, 3] as const;
type Nve = (typeof nves)[number];
type Stage = "none" | "prepared" | "active" | "suspended";

const nve = fc.constantFrom(...nves);
const event = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      on: fc.constant("stage" as const),
      nve,
      stage: fc.constantFrom<Stage>("none", "prepared", "active", "suspended"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ on: fc.constant("lost" as const), nve }) },
  { weight: 2, arbitrary: fc.record({ on: fc.constant("back" as const), nve }) },
  { weight: 1, arbitrary: fc.record({ on: fc.constant("NVA anew" as const) }) },
  { weight: 3, arbitrary: fc.record({ on: fc.constant("known" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      on: fc.constant("time" as const),
      ms: fc.constantFrom(1, 500, 2_500, 31_000, 61_000, holdMs + 1),
    }),
  },
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

class Domain {
  readonly nva = world();
  readonly stages = new Map<Nve, Stage>(nves.map((n) => [n, "none"]));
  readonly #sessions = new Map<Nve, Session>();
  #now = 0;

  constructor() {
    for (const n of nves) this.back(n);
  }

  run(happened: Event): void {
    switch (happened.on) {
      case "stage":
        this.stage(happened.nve, happened.stage);
        break;
      case "lost":
        this.lost(happened.nve);
        break;
      case "back":
        this.back(happened.nve);
        break;
      case "NVA anew":
        this.#sessions.clear();
        this.nva.restart();
        break;
      case "known":
        this.known();
        break;
      case "time":
        this.time(happened.ms);
        break;
    }
  }

  /** What is new of it goes in one report, as NVEs do it. */
  stage(n: Nve, stage: Stage): void {
    const was = this.stages.get(n) ?? "none";
    this.stages.set(n, stage);
    const session = this.#sessions.get(n);
    if (session === undefined || stage === was) return;
    const said: Partial<Report> = {
      ...saidOf(stage),
      ...(isClaimed(was) && !isClaimed(stage) && { withdrawn: [address] }),
      ...(was === "prepared" && { unprepared: [vnic] }),
      ...(was === "none" && { joined: [blue] }),
      ...(stage === "none" && { left: [blue] }),
    };
    this.nva.tell(session, said);
  }

  lost(n: Nve): void {
    const session = this.#sessions.get(n);
    if (session !== undefined) this.nva.lose(session);
    this.#sessions.delete(n);
  }

  back(n: Nve): void {
    if (this.#sessions.has(n)) return;
    const session = this.nva.connect(`tor${n}`, `10.0.0.${n}`);
    this.#sessions.set(n, session);
    const stage = this.stages.get(n) ?? "none";
    const joined = stage === "none" ? [] : [blue];
    this.nva.tell(session, { ...saidOf(stage), joined, complete: true });
  }

  known(): void {
    this.nva.keep(this.nva.all.migrationsKnown([vnic], Instant(this.#now)));
  }

  time(ms: number): void {
    this.#now += ms;
    this.nva.at(this.#now);
  }

  /** All NVEs are there, all others know, and no time is left to wait for. */
  settle(): void {
    for (const n of nves) this.back(n);
    for (const ms of [61_000, holdMs + 1, 61_000]) {
      this.known();
      this.time(ms);
    }
  }
}

const isClaimed = (stage: Stage): boolean => stage === "active" || stage === "suspended";

function saidOf(stage: Stage): Partial<Report> {
  if (stage === "none") return {};
  if (stage === "prepared")
    return { prepared: [{ vnic, port: "eth1", migrating: true, addresses: [address] }] };
  return { claims: [claim(1, { vnic, port: "eth1", suspended: stage === "suspended" })] };
}

/** HISTORIES=20000 in the environment looks for longer; what is found is told with its seed. */
const { HISTORIES = "200", HISTORY_SEED: seed } = process.env;
const options = { numRuns: Number(HISTORIES), ...(seed !== undefined && { seed: Number(seed) }) };
const histories = fc.array(event, { minLength: 1, maxLength: 60 });

test("V2: whatever came before, a VNIC that is active at one NVE alone is there, once, and nothing of a migration is left", () => {
  fc.assert(
    fc.property(histories, nve, fc.boolean(), (all, last, isFirst) => {
      const domain = new Domain();
      for (const one of all) domain.run(one);
      for (const n of nves) domain.back(n);
      // Either the others go first, or they go when it is there.
      if (isFirst) domain.stage(last, "active");
      for (const n of nves) if (n !== last) domain.stage(n, "none");
      domain.stage(last, "active");
      domain.settle();
      const { nva } = domain;
      const claims = [...nva.all.claims(blue)].map(
        ({ claim: { source, suspended, departed } }) => ({
          ...{ source, suspended, departed: departed === true },
        }),
      );
      expect(claims).toEqual([{ source: `nve:tor${last}`, suspended: false, departed: false }]);
      expect(nva.where(1)).toBe(`tor${last}`);
      expect([...nva.all.migrations.running()]).toEqual([]);
      for (const { row, claims: n, ips } of nva.all.nves())
        expect([n, ips]).toEqual([row.location.nveId === `tor${last}` ? 1 : 0, 0]);
    }),
    options,
  );
}, 300_000);

test("V2, H22: whatever came before, of a VNIC that is nowhere nothing is left", () => {
  fc.assert(
    fc.property(histories, (all) => {
      const domain = new Domain();
      for (const one of all) domain.run(one);
      for (const n of nves) domain.stage(n, "none");
      domain.settle();
      const { nva } = domain;
      expect([...nva.all.claims(blue)]).toEqual([]);
      expect(nva.where(1)).toBe(undefined);
      const row = nva.all.migrations.of(vnic);
      expect(row === undefined || isOver(row)).toBe(true);
      expect(nva.all.deadline).toBe(undefined);
    }),
    options,
  );
}, 300_000);
