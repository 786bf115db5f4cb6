import { randomUUID } from "node:crypto";
import { Uuid } from "@nve/protocol-spec";
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

/** Forgets all when it is closed: for tests, and to try things out. */
export function memoryStore(keep = remembered): Store {
  return new MemoryStore(keep);
}

class MemoryStore implements Store {
  readonly kind = "memory";
  readonly id = Uuid(randomUUID());
  readonly #rows = new Map<Table, Map<string, Row>>(tables.map((table) => [table, new Map()]));
  readonly #log: Batch[] = [];
  readonly #watchers = new Watchers();
  readonly #keep: number;
  #revision = 0;
  #closed = false;

  constructor(keep: number) {
    this.#keep = keep;
  }

  get revision(): number {
    return this.#revision;
  }

  async get(table: Table, key: string): Promise<Row | undefined> {
    return this.#table(table).get(key);
  }

  async *list(table: Table, prefix = ""): AsyncGenerator<Row> {
    const rows = [...this.#table(table).values()].filter(({ key }) => key.startsWith(prefix));
    yield* rows.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async commit(changes: readonly RowChange[], guards: readonly Guard[] = []): Promise<Committed> {
    checkKeys(changes);
    if (this.#closed) throw new Error("the store is closed");
    const broken = guards.find(
      (guard) => (this.#table(guard.table).get(guard.key)?.revision ?? 0) !== guard.revision,
    );
    if (broken !== undefined) return { is: "conflict", guard: broken };
    this.#revision += 1;
    const revision = this.#revision;
    for (const { table, key, value } of changes) {
      if (value === undefined) this.#table(table).delete(key);
      else this.#table(table).set(key, { key, value, revision });
    }
    this.#remember({ revision, changes: [...changes] });
    return { is: "committed", revision };
  }

  async watch(
    revision: number,
    deliver: (batch: Batch) => void,
  ): Promise<(() => void) | "compacted"> {
    const oldest = this.#log[0]?.revision ?? this.#revision + 1;
    if (revision > this.#revision || revision + 1 < oldest) return "compacted";
    for (const batch of this.#log) if (batch.revision > revision) deliver(batch);
    return this.#watchers.add(deliver);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #table(table: Table): Map<string, Row> {
    const rows = this.#rows.get(table);
    if (rows === undefined) throw new Error(`no table ${table}`);
    return rows;
  }

  #remember(batch: Batch): void {
    this.#log.push(batch);
    // In strides: cutting one off the front each time would move the whole array.
    if (this.#log.length > this.#keep + Math.ceil(this.#keep / 8))
      this.#log.splice(0, this.#log.length - this.#keep);
    this.#watchers.tell(batch);
  }
}
