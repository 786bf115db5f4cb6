import { Authority } from "@nve/nva/authority/authority";
import { kinds } from "@nve/nva/authority/catalogue";
import { Inventory } from "@nve/nva/authority/inventory";
import type { Session } from "@nve/nva/authority/nve-state";
import {
  type Later,
  type Mapping,
  mergeTouch,
  type Step,
  type Touched,
  touchOf,
} from "@nve/nva/authority/records";
import { perSlice } from "@nve/nva/authority/slices";
import { type ApplyOptions, apply, put, remove } from "@nve/nva/catalogue/decide";
import type { Wish } from "@nve/nva/catalogue/wish";
import { loadTables, rowChange, storedOf } from "@nve/nva/store/rows";
import { type Row, type RowChange, type Rows, type Table, tables } from "@nve/nva/store/store";
import { Instant, IpAddress, Mac, NveId, VnId } from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { claim, holdMs, location, mac, noTables, report, uuid, vnWish } from "./world.ts";

// Any history of an authority whose commits another follows, and any reader of the rows that are stored by then.
const nves = ["tor1", "tor2", "tor3"] as const;
const nve = fc.constantFrom(...nves);
const n = fc.integer({ min: 1, max: 3 });
const vnId = fc.integer({ min: 1, max: 3 }).map(VnId);
const alias = fc.constantFrom("blue", "red", "green");
const duplicates = { moves: 2, windowMs: 60_000, action: "freeze", freezeMs: 60_000 } as const;
const vnOptions = fc.constantFrom({}, { duplicates }, { profile: "p1" }, { tenant: "t1" });

const places = ["tor2", "tor1"];
const standbys = fc.constantFrom(
  {},
  { standby: { places, revert: false } },
  { standby: { places, revert: true } },
);
const named = fc.oneof(
  fc.record({ vnId, alias, more: vnOptions }).map(({ vnId: id, alias: called, more }): Wish => {
    const { name, ...wish } = vnWish(called, uuid(500 + id), { vnId: id, ...more });
    return { kind: "vn", key: String(id), wish: { ...wish, ...(name && { name }) } };
  }),
  fc.record({ vnId, n, nve }).map(
    ({ vnId: id, n: m, nve: at }): Wish => ({
      kind: "binding",
      wish: { vn: String(id), mac: mac(m), ips: [IpAddress("10.9.9.9")], nveId: NveId(at) },
    }),
  ),
  fc.constantFrom<Wish>(
    { kind: "tenant", wish: { name: "t1" } },
    { kind: "tenant", wish: { name: "default", maxVns: 9 } },
    { kind: "profile", wish: { name: "p1", acl: [] } },
    { kind: "profile", wish: { name: "p1", acl: [], limits: { ipsPerMac: 9 } } },
  ),
  fc.record({ n, vnId, standby: standbys }).map(
    ({ n: m, vnId: id, standby }): Wish => ({
      kind: "vnic",
      wish: { vnic: uuid(m), hypervisors: [], vns: [{ vn: String(id), macs: [] }], ...standby },
    }),
  ),
);
const goes = fc.constantFrom(
  { kind: "vn", name: "1" } as const,
  { kind: "vn", name: "2" } as const,
  { kind: "tenant", name: "t1" } as const,
  { kind: "profile", name: "p1" } as const,
  { kind: "vnic", name: uuid(1) } as const,
  { kind: "binding", name: `1/${mac(1)}` } as const,
);
const one = fc.record({
  n,
  vnId,
  sequence: fc.constantFrom(0, 0, 0, 2, 9),
  sticky: fc.constantFrom(false, false, true),
  anycast: fc.constantFrom(false, false, true),
  owner: fc.constantFrom({}, {}, { vnic: uuid(1) }, { vnic: uuid(2) }),
  ips: fc.constantFrom([], [IpAddress("10.0.0.1")], [IpAddress("10.0.0.1"), IpAddress("fd00::1")]),
});
const on = <const T extends string>(what: T) => fc.constant(what);
const happening = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({ on: on("claim"), nve, claims: fc.array(one, { maxLength: 3 }) }),
  },
  { weight: 4, arbitrary: fc.record({ on: on("withdraw"), nve, n, vnId }) },
  { weight: 3, arbitrary: fc.record({ on: on("connect"), nve, at: n }) },
  { weight: 1, arbitrary: fc.record({ on: on("lose"), nve }) },
  { weight: 1, arbitrary: fc.record({ on: on("complete"), nve }) },
  { weight: 2, arbitrary: fc.record({ on: on("join"), nve, vnId }) },
  { weight: 1, arbitrary: fc.record({ on: on("leave"), nve, vnId }) },
  {
    weight: 1,
    arbitrary: fc.record({ on: on("wait"), ms: fc.constantFrom(1_000, holdMs / 2, holdMs) }),
  },
  { weight: 2, arbitrary: fc.record({ on: on("many"), nve, vnId }) },
  { weight: 3, arbitrary: fc.record({ on: on("slice") }) },
  { weight: 3, arbitrary: fc.record({ on: on("put"), wish: named }) },
  {
    weight: 1,
    arbitrary: fc.record({
      on: on("apply"),
      wishes: fc.array(named, { maxLength: 4 }),
      prune: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ on: on("remove"), what: goes, force: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ on: on("clear"), n, vnId }) },
  { weight: 8, arbitrary: fc.record({ on: on("commit") }) },
  { weight: 2, arbitrary: fc.record({ on: on("supersede") }) },
);
type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

/** Of all histories: how often an authority went on from what it had. */
let restored = 0;

test("any history: who follows commit by commit, or goes on from what it had, holds what who reads the store holds", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 60, size: "max" }), async (history) => {
      const kept = new Kept();
      for (const event of [...beginning, ...history]) {
        kept.happen(event);
        if (event.on === "commit") await kept.compare();
        if (event.on === "supersede") await kept.supersede();
      }
      kept.happen({ on: "commit" });
      await kept.compare();
      await kept.compareSequences();
    }),
    { numRuns: 200 },
  );
  expect(restored).toBeGreaterThan(50);
}, 300_000);

const vns = [1, 2].map((id): Happening => {
  const wish = vnWish(id === 1 ? "blue" : "red", uuid(500 + id), { vnId: VnId(id), duplicates });
  return { on: "put", wish: { kind: "vn", wish } };
});
const beginning: Happening[] = [
  ...vns,
  ...nves.map((id, i): Happening => ({ on: "connect", nve: id, at: i + 1 })),
  { on: "commit" },
];

const plain: ApplyOptions = { prune: false, force: true, dryRun: false };

/** An authority, a store of its rows, and who follows it. */
class Kept {
  #inventory = Inventory.of(noTables, Instant(0));
  #authority = new Authority(this.#inventory, holdMs, Instant(0));
  readonly #followed = new Inventory();
  readonly #sessions = new Map<string, Session>();
  readonly #rows = new Map(tables.map((table) => [table, new Map<string, Row>()]));
  readonly #later: Later[] = [];
  #pending: RowChange[] = [];
  #touched: Touched = new Map();
  #revision = 0;
  #now = Instant(0);

  happen(event: Happening): void {
    const [all, now] = [this.#authority, this.#now];
    const session = "nve" in event ? this.#sessions.get(event.nve) : undefined;
    const tell = (said: Parameters<typeof report>[0]): void => {
      if (session !== undefined) this.#keep(all.report(session, report(said), now));
    };
    switch (event.on) {
      case "claim":
        tell({
          claims: event.claims.map(({ n: m, owner, ...more }) => claim(m, { ...more, ...owner })),
        });
        return;
      case "many":
        tell({ claims: many.map((one) => ({ ...one, vnId: event.vnId })) });
        return;
      case "slice": {
        this.#commit(); // each has one of its own
        const go = this.#later.shift();
        if (go !== undefined) this.#keep(go(now));
        return;
      }
      case "withdraw":
        tell({ withdrawn: [{ vnId: event.vnId, mac: mac(event.n) }] });
        return;
      case "join":
        tell({ joined: [event.vnId] });
        return;
      case "leave":
        tell({ left: [event.vnId] });
        return;
      case "complete":
        tell({ complete: true });
        return;
      case "connect": {
        const at = location(event.nve, `10.0.0.${event.at}`);
        const { result } = this.#keep(all.connectNve(at, uuid(1), now));
        if (!("refused" in result)) this.#sessions.set(event.nve, result);
        return;
      }
      case "lose":
        if (session !== undefined) this.#keep(all.loseNve(session, now));
        return;
      case "wait":
        this.#now = Instant(now + event.ms);
        this.#keep(all.tick(this.#now));
        return;
      case "put":
        this.#keep(put(all, event.wish, undefined, now));
        return;
      case "apply":
        this.#keep(apply(all, event.wishes, [], { ...plain, prune: event.prune }, now));
        return;
      case "remove":
        this.#keep(remove(all, event.what, { force: event.force }, now));
        return;
      case "clear":
        this.#keep(all.clearDuplicate(event.vnId, mac(event.n), "local"));
        return;
      case "commit":
        this.#commit();
    }
  }

  /** As a keeper does. */
  #keep<T>(step: Step<T>): Step<T> {
    for (const change of step.changes) this.#pending.push(rowChange(change));
    const written = this.#authority.events.append(step.events ?? [], this.#now);
    for (const change of written) this.#pending.push(rowChange(change));
    this.#later.push(...(step.later ?? []));
    for (const [id, touch] of step.touched) mergeTouch(touchOf(this.#touched, id), touch);
    const { disconnect = [] } = step;
    if (disconnect.length > 0)
      this.#keep(this.#authority.expel(disconnect, this.#now).step(undefined));
    return step;
  }

  #commit(): void {
    const changes = this.#pending;
    this.#pending = [];
    if (changes.length === 0) return;
    this.#revision += 1;
    for (const { table, key, value } of changes)
      if (value === undefined) this.#rows.get(table)?.delete(key);
      else this.#rows.get(table)?.set(key, { key, value, revision: this.#revision });
    this.#authority.committed(this.#touched, this.#revision);
    this.#touched = new Map();
    this.#followed.take(
      changes.map((change) => storedOf(change, this.#revision)),
      this.#now,
    );
  }

  /** What is decided is not stored, and goes on from what is: as far as it can, with what is here. */
  async supersede(): Promise<void> {
    const behind = this.#inventory.reopen(this.#pending);
    this.#pending = [];
    this.#touched = new Map();
    this.#later.length = 0;
    this.#sessions.clear();
    const read = await this.#read();
    if (behind !== undefined) {
      const rows = [...behind, ...this.#keysOf("event")].map(({ table, key }) => {
        const { value, revision = 0 } = this.#rows.get(table)?.get(key) ?? {};
        return storedOf({ table, key, ...(value !== undefined && { value }) }, revision);
      });
      this.#inventory.restore(behind, rows, this.#now);
      this.#inventory.complete(this.#revision);
      expect(told(this.#inventory)).toEqual(told(read));
      restored += 1;
    } else this.#inventory = read;
    this.#authority = new Authority(this.#inventory, holdMs, this.#now);
    this.#keep(this.#authority.start(this.#now));
    this.#keep(this.#authority.resume(this.#now));
  }

  #keysOf(table: Table): { table: Table; key: string }[] {
    return [...(this.#rows.get(table)?.keys() ?? [])].sort().map((key) => ({ table, key }));
  }

  async #read(): Promise<Inventory> {
    const rows = this.#rows;
    const store: Rows = {
      revision: this.#revision,
      async *list(table) {
        const found = [...(rows.get(table)?.values() ?? [])];
        yield* found.sort((a, b) => (a.key < b.key ? -1 : 1));
      },
    };
    return Inventory.of(await loadTables(store), this.#now);
  }

  /** What is left of VNs that went is deleted to the last row. */
  #resume(all: Authority): void {
    const left = new Set(
      ["member", "claim", "history"].flatMap((table) =>
        [...(this.#rows.get(table as Table)?.keys() ?? [])]
          .filter((key) => all.vn(VnId(Number.parseInt(key.slice(0, 6), 16))) === undefined)
          .map((key) => `${table}/${key}`),
      ),
    );
    const steps = [all.resume(this.#now)];
    for (const { changes, later = [] } of steps) {
      for (const { table, key } of changes) left.delete(`${table}/${key}`);
      steps.push(...later.map((go) => go(this.#now)));
    }
    expect([...left]).toEqual([]);
  }

  async compare(): Promise<void> {
    this.#followed.complete(this.#revision);
    expect(told(this.#followed)).toEqual(told(await this.#read()));
  }

  /** The next sequence of each address tells how high it ever was; done last, for it changes both. */
  async compareSequences(): Promise<void> {
    const next = (found: Inventory) => {
      const all = new Authority(found, holdMs, this.#now);
      all.start(this.#now);
      this.#resume(all);
      const { result } = all.connectNve(location("tor9", "10.0.0.9"), uuid(9), this.#now);
      if ("refused" in result) throw new Error(result.refused);
      const claims = [1, 2, 3].flatMap((id) =>
        [1, 2, 3].map((m) => claim(m, { vnId: VnId(id), sticky: true })),
      );
      const { result: refused } = all.report(result, report({ claims }), this.#now);
      return { refused, told: { ...told(found, true), events: [] } }; // of what went only one of them knew
    };
    expect(next(this.#followed)).toEqual(next(await this.#read()));
  }
}

/** More than a slice of them. */
const many = Array.from({ length: perSlice + 50 }, (_, i) => claim(1, { mac: macOf(i) }));
function macOf(i: number): Mac {
  return Mac(
    `02:00:00:01:${(i >> 8).toString(16).padStart(2, "0")}:${(i & 255).toString(16).padStart(2, "0")}`,
  );
}

/** All that there is to see of it. @param isWhole whether nothing is left of VNs that went: of what is left, IPs count on */
function told(
  { catalogue, vns: all, nves: known, duplicates: found, events }: Inventory,
  isWhole = false,
) {
  return {
    declared: kinds.map((kind) =>
      catalogue.keys(kind).map((key) => [key, catalogue.get(kind, key)]),
    ),
    lastChange: catalogue.lastChange,
    called: ["blue", "red", "green"].map((text) => [
      catalogue.book.byAlias("default", text),
      catalogue.book.byAlias("t1", text),
      catalogue.book
        .called(text)
        .map((vn) => vn.vnId)
        .sort(),
    ]),
    ofProfile: [...catalogue.vnsOfProfile("p1")].sort(),
    ofTenant: [...catalogue.vnsOfTenant("t1")].sort(),
    at: nves.map((id) => [...catalogue.bindingsAt(NveId(id))].map((row) => text(row)).sort()),
    vns: [...all.values()]
      .sort((a, b) => a.vn.vnId - b.vn.vnId)
      .map((vn) => ({
        row: vn.vn,
        revision: vn.revision,
        members: [...vn.members].sort(),
        counts: [vn.claimCount, vn.mappingCount],
        claims: [...vn.claims()].map((held) => text(held)).sort(),
        mappings: [1, 2, 3].map((m) => inOrder(vn.mapping(mac(m)))),
        withIp: [...vn.macsWith(IpAddress("10.0.0.1"))].sort(),
      })),
    nves: [...known.values()]
      .sort((a, b) => (a.row.location.nveId < b.row.location.nveId ? -1 : 1))
      .map(({ row, generation, members, macs, claims, ips }) => ({
        row,
        generation,
        members: [...members].sort(),
        macs: [...macs].map(([id, some]) => [id, [...some].sort()]).sort(),
        counts: [claims, ...(isWhole ? [ips] : [])],
      })),
    duplicates: found
      .list()
      .map((row) => text(row))
      .sort(),
    events: [events.oldest, events.last, events.since(Math.max(0, events.last - 10))],
  };
}

/** Whatever the order of its keys. */
const text = (one: object): string =>
  JSON.stringify(one, (_, value) =>
    value !== null && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );

/** Of an anycast address the order says nothing. */
const inOrder = (mapping: Mapping | undefined) =>
  mapping && { ...mapping, locations: mapping.locations.map((at) => text(at)).sort() };

test("a row that is not as it was written is told by its key", () => {
  const damaged = { table: "claim", key: "000001/x/static", value: '{"vnId":1}' } as const;
  expect(() => storedOf(damaged, 1)).toThrow(/row "000001\/x\/static" of table claim/);
  expect(storedOf({ table: "claim", key: `000001/${Mac(mac(1))}/static` }, 7)).toMatchObject({
    revision: 7,
  });
});
