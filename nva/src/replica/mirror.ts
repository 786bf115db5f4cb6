import type { TermOptions } from "../server/term.ts";
import type { EtcdStore } from "../store/etcd/store.ts";
import { preparedRow } from "../store/rows.ts";
import {
  type Batch,
  type Row,
  type RowChange,
  type Rows,
  type Table,
  tables,
} from "../store/store.ts";

/** Rows of the last commits, all together, that are remembered. */
const rememberedRows = 200_000;
const rememberedCommits = 10_000;

/**
 * All rows of a store, kept as other replicas change them: what a replica begins its term with, without asking anybody
 * first. And which rows the last commits changed, so that cursors that another replica gave are good here.
 */
export class Mirror implements Rows {
  readonly #rows = new Map<Table, Map<string, Row>>(tables.map((table) => [table, new Map()]));
  readonly #recent: Batch[] = [];
  #recentRows = 0;
  /** What came after this revision is all in `#recent`. */
  #floor = 0;
  #revision = 0;
  #stop = (): void => {};

  /** @throws NoAnswer, Refused */
  static async of(store: EtcdStore): Promise<Mirror> {
    const mirror = new Mirror();
    const early: Batch[] = [];
    let take = (batch: Batch): void => void early.push(batch);
    await mirror.#watch(store, (batch) => {
      mirror.#remember(batch);
      take(batch);
    });
    const view = await store.snapshot();
    for (const table of tables)
      for await (const row of view.list(table))
        mirror.#table(table).set(row.key, preparedRow(table, row));
    mirror.#revision = view.meta.revision;
    for (const batch of early) mirror.#apply(batch);
    take = (batch) => mirror.#apply(batch);
    return mirror;
  }

  get revision(): number {
    return this.#revision;
  }

  async *list(table: Table, prefix = ""): AsyncGenerator<Row> {
    const keys = [...this.#table(table).keys()].filter((key) => key.startsWith(prefix)).sort();
    for (const key of keys) {
      const row = this.#table(table).get(key);
      if (row !== undefined) yield row;
    }
  }

  readonly replay: TermOptions["replay"] = async (into, floor) => {
    floor(this.#floor);
    for (const batch of this.#recent) into(batch);
  };

  /** Follows no further. */
  stop(): void {
    this.#stop();
  }

  /** Gives the memory back, once an authority has been made of it. */
  drop(): void {
    this.stop();
    for (const rows of this.#rows.values()) rows.clear();
    this.#recent.length = 0;
  }

  async #watch(store: EtcdStore, deliver: (batch: Batch) => void): Promise<void> {
    for (let back = rememberedCommits; ; back = Math.floor(back / 2)) {
      const from = Math.max(0, store.revision - back);
      this.#floor = from;
      const stop = await store.watch(from, deliver);
      if (stop === "compacted") continue; // `back` comes down to 0, which never is
      this.#stop = stop;
      return;
    }
  }

  #apply({ revision, changes }: Batch): void {
    if (revision <= this.#revision) return;
    for (const { table, key, value } of changes) {
      if (value === undefined) this.#table(table).delete(key);
      else this.#table(table).set(key, preparedRow(table, { key, value, revision }));
    }
    this.#revision = revision;
  }

  #remember({ revision, changes }: Batch): void {
    this.#recent.push({ revision, changes: changes.map(withoutValue) });
    this.#recentRows += changes.length;
    if (this.#recent.length <= 1.1 * rememberedCommits && this.#recentRows <= rememberedRows)
      return;
    let gone = 0;
    for (const batch of this.#recent) {
      if (this.#recent.length - gone <= rememberedCommits && this.#recentRows <= rememberedRows / 2)
        break;
      this.#recentRows -= batch.changes.length;
      this.#floor = batch.revision;
      gone += 1;
    }
    this.#recent.splice(0, gone);
  }

  #table(table: Table): Map<string, Row> {
    const rows = this.#rows.get(table);
    if (rows === undefined) throw new Error(`no table ${table}`);
    return rows;
  }
}

/** Put or deleted is what counts; values are large. */
const withoutValue = ({ table, key, value }: RowChange): RowChange => ({
  table,
  key,
  ...(value !== undefined && { value: "" }),
});
