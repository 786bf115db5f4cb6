import { blocksOf, eventsIn } from "@nve/nva/authority/event-block";
import type { EventRow } from "@nve/nva/authority/records";
import fc from "fast-check";
import { expect, test } from "vitest";

const attached = (id: number, more: Partial<EventRow> = {}): EventRow => ({
  id,
  atUnixMs: 1_700_000_000_000,
  actor: "nve:tor1",
  action: "vnic.attach",
  object: `00000000-0000-4000-8000-${String(id).padStart(12, "0")}`,
  detail: { vn: "acme/blue", vnId: 1, nve: "tor1", mac: `02:00:00:00:00:${id % 10}0` },
  ...more,
});
const stored = (rows: readonly EventRow[]) =>
  blocksOf(rows).map((block) => JSON.parse(JSON.stringify(block)) as typeof block);

test("the VNICs of a report are a row: the first whole, of each other what is its own", () => {
  const rows = [7, 8].map((id) => attached(id));
  expect(stored(rows)).toEqual([
    {
      ...rows[0],
      more: [{ object: rows[1]?.object, detail: { mac: "02:00:00:00:00:80" } }],
    },
  ]);
});

test("one alone is as it is", () => {
  expect(stored([attached(1)])).toEqual([attached(1)]);
  expect(eventsIn(attached(1))).toEqual([attached(1)]);
});

test("a block ends where the thousand does, so that one after a number is found by its beginning", () => {
  const rows = Array.from({ length: 2_002 }, (_, i) => attached(998 + i, { object: "x" }));
  expect(blocksOf(rows).map(({ id }) => id)).toEqual([998, 1_000, 2_000]);
});

test("a block has some 64 kB at most: long ones are in several, one that is longer by itself is alone", () => {
  const long = (id: number, length: number) =>
    attached(id, { detail: { description: { before: "x".repeat(length + id), after: "y" } } });
  const rows = Array.from({ length: 200 }, (_, i) => long(i + 1, 1_000));
  const sizes = stored(rows).map((block) => JSON.stringify(block).length);
  expect(sizes.length).toBeLessThan(6);
  for (const size of sizes) expect(size).toBeLessThan(66_000);
  expect(blocksOf([long(1, 10), long(2, 100_000), long(3, 10)]).map(({ id }) => id)).toEqual([
    1, 2, 3,
  ]);
});

const text = fc.constantFrom("a", "b", "", "nve:tor1");
const value = fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null), fc.array(text));
const detail = fc.dictionary(
  fc.constantFrom("vn", "mac", "reason", "toString"),
  fc.oneof(value, fc.record({ before: value }, { requiredKeys: [] })),
  { noNullPrototype: true },
);
const event = fc.record(
  { actor: text, action: text, object: text, refused: text, detail },
  { requiredKeys: ["actor", "action", "object"] },
);

test("any events come out as they were, in their order", () => {
  fc.assert(
    fc.property(fc.array(event), fc.integer({ min: 1, max: 3_000 }), (all, first) => {
      const rows = all.map((one, i): EventRow => ({ id: first + i, atUnixMs: 5, ...one }));
      expect(stored(rows).flatMap(eventsIn)).toEqual(rows);
    }),
  );
});
