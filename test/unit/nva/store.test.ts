import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lmdbStore } from "@nve/nva/store/lmdb";
import { memoryStore } from "@nve/nva/store/memory";
import { loadTables } from "@nve/nva/store/rows";
import type { Store } from "@nve/nva/store/store";
import { Refused } from "@nve/program";
import { afterEach, describe, expect, test } from "vitest";
import { all, put, storeContract } from "../../contracts/store.ts";

storeContract("memory", { make: async (keep) => memoryStore(keep), clear: async () => {} });

const folders: string[] = [];
const stores: Store[] = [];

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "nva-store-"));
  folders.push(path);
  return path;
}

async function opened(path: string, keep?: number): Promise<Store> {
  const store = await lmdbStore(path, keep);
  stores.push(store);
  return store;
}

async function clear(): Promise<void> {
  for (const store of stores.splice(0)) await store.close();
  for (const path of folders.splice(0)) rmSync(path, { recursive: true });
}

storeContract("lmdb", { make: (keep) => opened(folder(), keep), clear });

describe("an lmdb store on the disk", () => {
  afterEach(clear);

  test("opened again keeps its id, its revision, its rows and what it remembers", async () => {
    const path = folder();
    const first = await opened(path);
    await first.commit([put("a", "1"), put("b", "2")]);
    await first.commit([put("b", "3")]);
    await first.close();
    const second = await opened(path);
    expect(second.id).toBe(first.id);
    expect(second.revision).toBe(2);
    expect(await all(second)).toEqual([
      { key: "a", value: "1", revision: 1 },
      { key: "b", value: "3", revision: 2 },
    ]);
    const seen: number[] = [];
    await second.watch(0, ({ revision }) => seen.push(revision));
    await second.commit([put("c", "4")]);
    expect(seen).toEqual([1, 2, 3]);
  });

  test("is refused to a second NVA while one has it, and given after", async () => {
    const path = folder();
    const first = await opened(path);
    await expect(lmdbStore(path)).rejects.toThrow(/in use by another nva/);
    await first.close();
    await opened(path);
  });

  test("a lock left behind by a crash does not keep anybody out", async () => {
    const path = folder();
    await (await opened(path)).close();
    writeFileSync(join(path, "in-use"), ""); // as a socket whose process is gone: nobody answers
    await opened(path);
  });

  test.each(["/proc/nowhere/store", "/dev/null"])("%s is refused with what to do", async (path) => {
    await expect(lmdbStore(path)).rejects.toThrow(Refused);
    await expect(lmdbStore(path)).rejects.toThrow(/cannot use .* as a store/);
  });

  test("a file that is something else, or cut off, is refused", async () => {
    const path = folder();
    const store = await opened(path);
    for (let i = 0; i < 20; i++) await store.commit([put(`k${i}`, "v".repeat(2000))]);
    await store.close();
    const file = join(path, "data.mdb");
    const good = readFileSync(file);
    writeFileSync(file, good.subarray(0, good.length / 2));
    await expect(lmdbStore(path)).rejects.toThrow(/cut off/);
    writeFileSync(file, "not a store at all".repeat(1000));
    await expect(lmdbStore(path)).rejects.toThrow(/no store of this program/);
    writeFileSync(file, good);
    expect((await opened(path)).revision).toBe(20);
  });
});

test.each(["", "{", "null", '{"vnId":0}', '{"vnId":1,"nveId":"a","more":1}'])(
  "a row that reads %j is refused by its key and table",
  async (value) => {
    const store = memoryStore();
    await store.commit([{ table: "member", key: "000001/a", value }]);
    await expect(loadTables(store)).rejects.toThrow(/row "000001\/a" of table member/);
  },
);
