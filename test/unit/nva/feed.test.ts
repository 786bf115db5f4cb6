import type { Inventory } from "@nve/nva/authority/inventory";
import { Feed } from "@nve/nva/server/feed";
import type { RowChange } from "@nve/nva/store/store";
import { Mac, VnId } from "@nve/protocol-spec";
import { expect, test } from "vitest";

const hex = (vnId: number): string => vnId.toString(16).padStart(6, "0");
const made = (vnId: number): RowChange => ({ table: "vn", key: hex(vnId), value: "{}" });
const gone = (vnId: number): RowChange => ({ table: "vn", key: hex(vnId) });
const claimed = (vnId: number, mac: string): RowChange => ({
  ...{ table: "claim", key: `${hex(vnId)}/${mac}/nve:tor1`, value: "{}" },
});
const mac = (n: number): Mac => Mac(`02:00:00:00:00:0${n}`);

/** A feed that follows commits, and the VNs that there are by then. */
function following(floor = 0) {
  const feed = new Feed(floor);
  const vns = new Set<number>();
  const all = {
    vn: (vnId: VnId) => (vns.has(vnId) ? {} : undefined),
    nve: () => undefined,
    catalogue: { vnsOfProfile: () => new Set() },
  } as unknown as Inventory;
  const commit = (revision: number, ...changes: RowChange[]): void => {
    for (const { table, key, value } of changes)
      if (table === "vn" && value === undefined) vns.delete(Number.parseInt(key, 16));
      else if (table === "vn") vns.add(Number.parseInt(key, 16));
    feed.replay({ revision, changes }, all);
  };
  return { feed, commit };
}

test("who follows tells what changed in a VN since a cursor", () => {
  const { feed, commit } = following();
  commit(1, made(1));
  commit(2, claimed(1, mac(1)));
  commit(3, claimed(1, mac(2)));
  expect(feed.since(VnId(1), 2)).toEqual({
    vn: false,
    macs: new Set([mac(2)]),
    members: new Set(),
  });
});

test("what was known of a VN is of no use for another of the same ID that came after its end", () => {
  const { feed, commit } = following();
  commit(1, made(1));
  commit(2, claimed(1, mac(1)));
  commit(3, gone(1));
  commit(4, { table: "claim", key: `${hex(1)}/${mac(1)}/nve:tor1` }); // deleted by and by
  expect(feed.since(VnId(1), 2)).toBeDefined(); // that it is gone is seen by its absence
  commit(5, made(1));
  commit(6, claimed(1, mac(2)));
  expect(feed.since(VnId(1), 2)).toBeUndefined();
  expect(feed.since(VnId(1), 3)).toMatchObject({ vn: true, macs: new Set([mac(2)]) });
  commit(7, gone(1), made(1)); // at once
  expect(feed.since(VnId(1), 6)).toBeUndefined();
});

test("of very many VNs that ended no more is remembered than that it was long ago", () => {
  const { feed, commit } = following();
  commit(1, made(1), made(20_000));
  commit(2, gone(1));
  for (let n = 2; n <= 10_001; n++) commit(n + 1, gone(n));
  commit(20_000, made(1));
  expect(feed.since(VnId(1), 1)).toBeUndefined();
  expect(feed.since(VnId(20_000), 1)).toBeDefined(); // it has its own
  expect(feed.since(VnId(19_999), 1)).toBeUndefined();
  expect(feed.since(VnId(19_999), 2)).toBeDefined();
});
