import { eventsIn } from "@nve/nva/authority/event-block";
import {
  EventLog,
  eventKey,
  type Noted,
  RefusalLimit,
  recentEvents,
} from "@nve/nva/authority/events";
import type { Change } from "@nve/nva/authority/records";
import { memoryStore } from "@nve/nva/store/memory";
import { loadTables, rowChange } from "@nve/nva/store/rows";
import { Instant } from "@nve/protocol-spec";
import { expect, test } from "vitest";

const noted = (n: number, more: Partial<Noted> = {}): Noted => ({
  actor: "local",
  action: "vn.create",
  object: `acme/${n}`,
  ...more,
});
const many = (count: number): Noted[] => Array.from({ length: count }, (_, i) => noted(i));

const written = (changes: readonly Change[]) =>
  changes.flatMap(({ table, row }) => (table === "event" && row ? eventsIn(row) : []));
const deleted = (changes: readonly Change[]) =>
  changes.flatMap(({ key, row }) => (row === undefined ? [key] : []));

test("events are numbered from 1, in the order of their keys, with the wall clock's time", () => {
  const log = new EventLog();
  log.epochMs = 1_700_000_000_000;
  const one = log.append([noted(1)], Instant(5));
  const atUnixMs = 1_700_000_000_005;
  expect(one).toEqual([
    { table: "event", key: "0000000000000001", row: { id: 1, atUnixMs, ...noted(1) } },
  ]);
  const more = log.append([noted(2), noted(3)], Instant(5));
  expect(more.map(({ key }) => key)).toEqual([eventKey(2)]); // one row for both
  expect(written(more)).toEqual([2, 3].map((id) => ({ id, atUnixMs, ...noted(id) })));
  expect([log.oldest, log.last]).toEqual([1, 3]);
  expect(eventKey(9) < eventKey(10)).toBe(true);
});

test("what is more than is kept goes, with the commit that brings more: a block when none of it is to be kept", () => {
  const log = new EventLog(undefined, 10);
  for (let i = 0; i < 10; i++) expect(deleted(log.append([noted(i)], Instant(0)))).toEqual([]);
  expect(deleted(log.append(many(3), Instant(0)))).toEqual([1, 2, 3].map(eventKey));
  expect([log.oldest, log.last]).toEqual([4, 13]);
  expect(deleted(log.append(many(9), Instant(0)))).toEqual([4, 5, 6, 7, 8, 9, 10].map(eventKey));
  expect(deleted(log.append(many(1), Instant(0)))).toEqual([eventKey(11)]); // that of 11, 12, 13
  expect([log.oldest, log.last]).toEqual([14, 23]);
});

test("numbers go on after a restart, also when the oldest are gone", () => {
  const before = new EventLog(undefined, 10);
  for (let i = 0; i < 15; i++) before.append([noted(i)], Instant(0));
  const blocks = Array.from({ length: 10 }, (_, i) => i + 6);
  const after = new EventLog({ blocks, recent: before.since(5) ?? [] }, 10);
  expect([after.oldest, after.last]).toEqual([6, 15]);
  expect(after.append([noted(1)], Instant(0)).map(({ key }) => key)).toEqual([16, 6].map(eventKey));
});

test.each([
  [1, 3_000],
  [700, 3_000],
  [2_500, 2_500],
])(
  "what a store holds of events in commits of %i is where a start goes on",
  async (size, count) => {
    const [log, store] = [new EventLog(), memoryStore()];
    for (let i = 0; i < count; i += size)
      await store.commit(log.append(many(Math.min(size, count - i)), Instant(0)).map(rowChange));
    const { events } = await loadTables(store);
    const after = new EventLog(events);
    expect([after.oldest, after.last]).toEqual([1, count]);
    const recent = (all: EventLog, from: number) => all.since(from)?.map(({ row }) => row);
    expect(recent(after, count - 1_000)).toEqual(recent(log, count - 1_000));
    expect(after.since(count - 1)).toMatchObject([
      { row: { id: count }, revision: store.revision },
    ]);
    expect(after.append([noted(1)], Instant(0))).toMatchObject([{ key: eventKey(count + 1) }]);
  },
);

test("rows of one event each, as they were once written, are read", async () => {
  const store = memoryStore();
  const rows = [1, 2].map((id) => ({ id, atUnixMs: 5, ...noted(id), refused: "no", detail: {} }));
  await store.commit(
    rows.map((row) => ({ table: "event", key: eventKey(row.id), value: JSON.stringify(row) })),
  );
  const { events } = await loadTables(store);
  expect(events?.recent.map(({ row }) => row)).toEqual(rows);
});

test("for ever: as many are kept as should be, in as many blocks, whatever the sizes of commits", () => {
  const log = new EventLog(undefined, 500);
  const rows = new Map<string, number>();
  for (let i = 0; i < 6_000; i++)
    for (const { table, key, row } of log.append(many(i % 7), Instant(i)))
      if (table === "event" && row !== undefined) rows.set(key, eventsIn(row).length);
      else rows.delete(key);
  const count = [...rows.values()].reduce((sum, one) => sum + one, 0);
  expect(count).toBeGreaterThanOrEqual(500);
  expect(count).toBeLessThan(506);
  expect(log.last - log.oldest + 1).toBe(count);
  expect([...rows.keys()][0]).toBe(eventKey(log.oldest));
});

test("the newest are in memory, bounded; what came before is asked of the store", () => {
  const log = new EventLog();
  for (let i = 0; i < 5; i++) {
    log.append(many(1_000), Instant(0));
    log.committed(i + 1);
  }
  expect(log.since(5_000)).toEqual([]);
  expect(log.since(4_998)?.map(({ row }) => row.id)).toEqual([4_999, 5_000]);
  expect(log.since(0)).toBeUndefined();
  expect(log.since(5_000 - recentEvents)).toHaveLength(recentEvents);
  expect(log.since(4_999)).toMatchObject([{ revision: 5 }]);
  expect((log.since(3_000) ?? []).length).toBeLessThan(2 * recentEvents + 1);
});

const refusal = (n: number, nve = "tor1"): Noted =>
  noted(n, { actor: `nve:${nve}`, action: "vnic.refuse", refused: "not registered" });

test("the same refusal is written down once a minute, with how often it came meanwhile", () => {
  const limit = new RefusalLimit();
  const pass = (ms: number) => limit.pass(refusal(1), Instant(ms));
  expect(pass(0)).toMatchObject({ object: "acme/1", detail: {} });
  for (let i = 1; i < 100; i++) expect(pass(i * 100)).toBeUndefined();
  expect(pass(60_000)).toMatchObject({ detail: { repeated: 99 } });
  expect(limit.pass({ ...refusal(1), refused: "another reason" }, Instant(60_001))).toBeDefined();
});

test("a flood of different refusals of one NVE writes down 60 a minute, and costs no other NVE its own", () => {
  const limit = new RefusalLimit();
  let written = 0;
  for (let n = 0; n < 50_000; n++)
    if (limit.pass(refusal(n), Instant(n / 1000)) !== undefined) written += 1;
  expect(written).toBe(60);
  expect(limit.pass(refusal(1, "tor2"), Instant(51))).toBeDefined();
  expect(limit.pass(refusal(60_000), Instant(60_001))).toMatchObject({
    detail: { othersLeftOut: 49_940 },
  });
});

test("refusals of NVEs that call themselves anything: 1,000 a minute of all of them, in bounded memory", () => {
  const limit = new RefusalLimit();
  let written = 0;
  for (let n = 0; n < 30_000; n++)
    if (limit.pass(refusal(n, `x${n}`), Instant(0)) !== undefined) written += 1;
  expect(written).toBe(1_000);
});
