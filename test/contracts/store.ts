import type { Batch, Row, RowChange, Store } from "@nve/nva/store/store";
import { Refused } from "@nve/program";
import { afterEach, describe, expect, test } from "vitest";

/** A store to try, made anew for each test; `keep`: how many commits it has to remember. */
type StoreMaker = { make(keep?: number): Promise<Store>; clear(): Promise<void> };

/** What every store must do (requirement A14 builds on it). */
export function storeContract(name: string, { make, clear }: StoreMaker): void {
  describe(`the ${name} store`, () => {
    afterEach(clear);

    test("is empty at first, at revision 0, with a UUID of its own", async () => {
      const store = await make();
      expect(store.revision).toBe(0);
      expect(store.id).toMatch(/^[0-9a-f-]{36}$/);
      expect(await all(store)).toEqual([]);
      expect(await store.get("claim", "a")).toBeUndefined();
    });

    test("gives back what was put, with the revision of its last change", async () => {
      const store = await make();
      expect(await store.commit([put("a", "1"), put("b", "2")])).toEqual(committed(1));
      expect(await store.commit([put("b", "3 with spaces, ü and \n")])).toEqual(committed(2));
      expect(await store.get("claim", "a")).toEqual({ key: "a", value: "1", revision: 1 });
      expect(await store.get("claim", "b")).toMatchObject({ value: "3 with spaces, ü and \n" });
      expect(store.revision).toBe(2);
    });

    test("keeps tables apart", async () => {
      const store = await make();
      await store.commit([put("a", "claim"), { table: "vn", key: "a", value: "vn" }]);
      await store.commit([{ table: "vn", key: "a" }]);
      expect(await store.get("vn", "a")).toBeUndefined();
      expect(await store.get("claim", "a")).toMatchObject({ value: "claim" });
    });

    test("deletes, and a deletion of what is not there is no fault", async () => {
      const store = await make();
      await store.commit([put("a", "1")]);
      expect(await store.commit([gone("a"), gone("never")])).toEqual(committed(2));
      expect(await all(store)).toEqual([]);
    });

    test("lists by prefix, in the order of the keys", async () => {
      const store = await make();
      const keys = ["01/b", "01/a", "010", "02/a", "0", "01/~"];
      await store.commit(keys.map((key) => put(key, key)));
      expect(await keysOf(store, "01/")).toEqual(["01/a", "01/b", "01/~"]);
      expect(await keysOf(store, "")).toEqual(["0", "01/a", "01/b", "01/~", "010", "02/a"]);
      expect(await keysOf(store, "3")).toEqual([]);
    });

    test("of several changes of one row the last counts", async () => {
      const store = await make();
      await store.commit([put("a", "1"), gone("a"), put("a", "2"), put("b", "1"), gone("b")]);
      expect(await all(store)).toEqual([{ key: "a", value: "2", revision: 1 }]);
    });

    test("a broken guard leaves everything as it was and says which", async () => {
      const store = await make();
      await store.commit([put("a", "1")]);
      const fresh = { table: "claim", key: "a", revision: 0 } as const;
      expect(await store.commit([put("b", "1")], [fresh])).toEqual({
        is: "conflict",
        guard: fresh,
      });
      expect(store.revision).toBe(1);
      expect(await keysOf(store, "")).toEqual(["a"]);
      const known = { table: "claim", key: "a", revision: 1 } as const;
      const absent = { table: "claim", key: "b", revision: 0 } as const;
      expect(await store.commit([put("a", "2")], [known, absent])).toEqual(committed(2));
    });

    test("commits made at once are applied in their order, each at its own revision", async () => {
      const store = await make();
      const many = Array.from({ length: 50 }, (_, i) => store.commit([put("a", String(i))]));
      const outcomes = await Promise.all(many);
      expect(outcomes).toEqual(many.map((_, i) => committed(i + 1)));
      expect(await store.get("claim", "a")).toMatchObject({ value: "49", revision: 50 });
    });

    test("an empty commit is one too", async () => {
      const store = await make();
      expect(await store.commit([])).toEqual(committed(1));
    });

    test.each(["", "\n", "ü", "a\0b", "x".repeat(513)])(
      "refuses the key %j, and with it the commit",
      async (key) => {
        const store = await make();
        await expect(store.commit([put("a", "1"), put(key, "1")])).rejects.toThrow(Refused);
        expect(store.revision).toBe(0);
        expect(await all(store)).toEqual([]);
      },
    );

    test("keys of 512 characters and values of a megabyte are held", async () => {
      const store = await make();
      const [key, value] = ["k".repeat(512), "v".repeat(1_000_000)];
      await store.commit([put(key, value)]);
      expect(await store.get("claim", key)).toEqual({ key, value, revision: 1 });
    });

    test("a watch delivers what came after its revision, then what comes, each once", async () => {
      const store = await make();
      for (const value of ["1", "2", "3"]) await store.commit([put("a", value)]);
      const seen: Batch[] = [];
      const stop = await store.watch(1, (batch) => seen.push(batch));
      await store.commit([gone("a")]);
      expect(seen).toEqual([
        { revision: 2, changes: [put("a", "2")] },
        { revision: 3, changes: [put("a", "3")] },
        { revision: 4, changes: [gone("a")] },
      ]);
      if (stop === "compacted") throw new Error("nothing was compacted");
      stop();
      await store.commit([put("a", "5")]);
      expect(seen).toHaveLength(3);
    });

    test("a watch hears nothing of a commit that was refused", async () => {
      const store = await make();
      const seen: Batch[] = [];
      await store.watch(0, (batch) => seen.push(batch));
      await store.commit([put("a", "1")], [{ table: "claim", key: "a", revision: 7 }]);
      expect(seen).toEqual([]);
    });

    test("a watch from too long ago, or from the future, is told that it is compacted", async () => {
      const store = await make(4);
      for (let i = 0; i < 40; i++) await store.commit([put("a", String(i))]);
      expect(await store.watch(10, () => {})).toBe("compacted");
      expect(await store.watch(41, () => {})).toBe("compacted");
      const seen: number[] = [];
      const stop = await store.watch(37, ({ revision }) => seen.push(revision));
      expect(stop).not.toBe("compacted");
      expect(seen).toEqual([38, 39, 40]);
    });

    test("closed, it takes nothing more", async () => {
      const store = await make();
      const last = store.commit([put("a", "1")]);
      await store.close();
      expect(await last).toEqual(committed(1));
      await expect(store.commit([put("b", "1")])).rejects.toThrow("closed");
      await store.close();
    });
  });
}

export const put = (key: string, value: string): RowChange => ({ table: "claim", key, value });
const gone = (key: string): RowChange => ({ table: "claim", key });
const committed = (revision: number) => ({ is: "committed", revision });

export async function all(store: Store, prefix?: string): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const row of store.list("claim", prefix)) rows.push(row);
  return rows;
}

const keysOf = async (store: Store, prefix: string): Promise<string[]> =>
  (await all(store, prefix)).map(({ key }) => key);
