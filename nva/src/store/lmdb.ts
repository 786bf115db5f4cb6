import { randomUUID } from "node:crypto";
import { Refused } from "@nve/program";
import { makeFolder } from "@nve/program/folder";
import { Uuid } from "@nve/protocol-spec";
import { type Database, open, type RootDatabase } from "lmdb";
import { checkLmdbFile } from "./lmdb-file.ts";
import { type Lock, lockFolder } from "./lock.ts";
import {
  type Batch,
  type Committed,
  checkKeys,
  type Guard,
  type Row,
  type RowChange,
  remembered,
  type Store,
  type Table,
  tables,
} from "./store.ts";
import { Watchers } from "./watchers.ts";

const format = 1;

/**
 * A store in a folder of its own, which one process at a time may open. What is committed is on the disk.
 * @throws Refused when the folder is in use or cannot be used
 */
export async function lmdbStore(path: string, keep = remembered): Promise<Store> {
  try {
    makeFolder(path);
  } catch (error) {
    throw unusable(path, error);
  }
  const lock = await lockFolder(path);
  try {
    checkLmdbFile(path);
    return new LmdbStore(path, keep, lock);
  } catch (error) {
    await lock.release();
    throw error instanceof Refused ? error : unusable(path, error);
  }
}

type Meta = { format: number; id: string; revision: number; oldest: number };
/** On the disk a row is its revision, a space, its value. */
type Tables = Record<Table, Database<string, string>>;

class LmdbStore implements Store {
  readonly kind: string;
  readonly id: Uuid;
  readonly #root: RootDatabase<string, string>;
  readonly #meta: Database<Meta, string>;
  readonly #log: Database<RowChange[], number>;
  readonly #tables: Tables;
  readonly #watchers = new Watchers();
  readonly #lock: Lock;
  readonly #keep: number;
  #revision: number;
  #oldest: number;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(path: string, keep: number, lock: Lock) {
    this.kind = `lmdb ${path}`;
    this.#lock = lock;
    this.#keep = keep;
    // Without overlapping syncs, a commit that has resolved is on the disk.
    this.#root = open<string, string>({
      path,
      noSubdir: false,
      maxDbs: 16,
      overlappingSync: false,
    });
    this.#meta = this.#root.openDB<Meta, string>({ name: "meta", encoding: "json" });
    this.#log = this.#root.openDB<RowChange[], number>({ name: "log", encoding: "json" });
    this.#tables = Object.fromEntries(
      tables.map((name) => [name, this.#root.openDB({ name, encoding: "string" })]),
    ) as Tables;
    const meta = this.#meta.get("store") ?? this.#begin();
    if (meta.format !== format)
      throw new Refused(
        `${path} holds a store of format ${meta.format}, this program reads ${format}: use the program that made it, or another folder`,
      );
    this.id = Uuid(meta.id);
    this.#revision = meta.revision;
    this.#oldest = meta.oldest;
  }

  get revision(): number {
    return this.#revision;
  }

  async get(table: Table, key: string): Promise<Row | undefined> {
    const stored = this.#tables[table].get(key);
    return stored === undefined ? undefined : rowOf(key, stored);
  }

  async *list(table: Table, prefix = ""): AsyncGenerator<Row> {
    // Keys are ASCII: nothing that begins with the prefix sorts after this.
    const range = { start: prefix, end: `${prefix}\x7f`, snapshot: true };
    for (const { key, value } of this.#tables[table].getRange(range)) yield rowOf(key, value);
  }

  async commit(changes: readonly RowChange[], guards: readonly Guard[] = []): Promise<Committed> {
    checkKeys(changes);
    if (this.#closed) throw new Error("the store is closed");
    const done = this.#last.then(() => this.#write([...changes], guards));
    this.#last = done.catch(() => undefined);
    return done;
  }

  async watch(
    revision: number,
    deliver: (batch: Batch) => void,
  ): Promise<(() => void) | "compacted"> {
    if (revision > this.#revision || revision + 1 < this.#oldest) return "compacted";
    const range = { start: revision + 1, end: this.#revision + 1 };
    for (const { key, value } of this.#log.getRange(range))
      deliver({ revision: key, changes: value });
    return this.#watchers.add(deliver);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#last;
    await this.#root.close();
    await this.#lock.release();
  }

  #begin(): Meta {
    const meta = { format, id: randomUUID(), revision: 0, oldest: 1 };
    this.#meta.putSync("store", meta);
    return meta;
  }

  async #write(changes: RowChange[], guards: readonly Guard[]): Promise<Committed> {
    const revision = this.#revision + 1;
    const oldest = Math.max(this.#oldest, revision - this.#keep + 1);
    const broken = await this.#root.transaction(() => {
      const fault = guards.find(({ table, key, revision: wanted }) => {
        const stored = this.#tables[table].get(key);
        return (stored === undefined ? 0 : rowOf(key, stored).revision) !== wanted;
      });
      if (fault !== undefined) return fault;
      for (const { table, key, value } of changes) {
        if (value === undefined) this.#tables[table].remove(key);
        else this.#tables[table].put(key, `${revision} ${value}`);
      }
      this.#log.put(revision, changes);
      for (let old = this.#oldest; old < oldest; old++) this.#log.remove(old);
      this.#meta.put("store", { format, id: this.id, revision, oldest });
      return undefined;
    });
    if (broken !== undefined) return { is: "conflict", guard: broken };
    this.#revision = revision;
    this.#oldest = oldest;
    this.#watchers.tell({ revision, changes });
    return { is: "committed", revision };
  }
}

function rowOf(key: string, stored: string): Row {
  const space = stored.indexOf(" ");
  return { key, value: stored.slice(space + 1), revision: Number(stored.slice(0, space)) };
}

function unusable(path: string, error: unknown): Refused {
  const why = error instanceof Error ? error.message : String(error);
  return new Refused(
    `cannot use ${path} as a store: ${why}. Check that it is a folder of this program's own that it may write, on a disk with room`,
    { cause: error },
  );
}
