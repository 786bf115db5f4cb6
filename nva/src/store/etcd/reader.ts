import { Refused } from "@nve/program";
import type { Row, RowChange, Table } from "../store.ts";
import type { EtcdClient } from "./client.ts";
import { type Keys, type Meta, readMeta, readPart, readRow } from "./keys.ts";
import { afterPrefix } from "./messages.ts";

/** Rows read at a time. */
const page = 2_000;

/** The store at one moment: what is read of it later is of that moment too. */
export class View {
  readonly meta: Meta;
  /** etcd's revision of the moment, and of the last change of `meta`. */
  readonly at: bigint;
  readonly metaAt: bigint;
  readonly #client: EtcdClient;
  readonly #keys: Keys;
  /** Rows of the last commit that may not be in their places yet. */
  readonly #staged = new Map<string, RowChange>();

  private constructor(client: EtcdClient, keys: Keys, meta: Meta, at: bigint, metaAt: bigint) {
    this.#client = client;
    this.#keys = keys;
    this.meta = meta;
    this.at = at;
    this.metaAt = metaAt;
  }

  /** `undefined`: there is no store at this prefix yet. @throws Refused for what is no store of ours */
  static async now(client: EtcdClient, keys: Keys): Promise<View | undefined> {
    const { header, kvs } = await client.range({ key: keys.meta });
    const [kv] = kvs;
    if (kv === undefined) return undefined;
    const meta = readMeta(kv.value, keys.prefix);
    const view = new View(client, keys, meta, header?.revision ?? 0n, kv.modRevision);
    for (const change of await stagedAt(client, keys, meta, view.at))
      view.#staged.set(`${change.table}/${change.key}`, change);
    return view;
  }

  async get(table: Table, key: string): Promise<Row | undefined> {
    const staged = this.#staged.get(`${table}/${key}`);
    if (staged !== undefined) return this.#rowOf(staged);
    const wanted = this.#keys.row(table, key);
    const { kvs } = await this.#client.range({ key: wanted, revision: this.at });
    return kvs[0] && { key, ...readRow(kvs[0].value) };
  }

  /** In the order of their keys. @throws Refused when etcd forgets the moment meanwhile */
  async *list(table: Table, prefix = ""): AsyncGenerator<Row> {
    const staged = [...this.#staged.values()]
      .filter((change) => change.table === table && change.key.startsWith(prefix))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    let next = 0;
    for await (const row of this.#stored(table, prefix)) {
      for (; ; next++) {
        const change = staged[next];
        if (change === undefined || change.key >= row.key) break;
        if (change.value !== undefined) yield this.#rowOf(change) as Row;
      }
      const change = staged[next]?.key === row.key ? staged[next++] : undefined;
      const one = change === undefined ? row : this.#rowOf(change);
      if (one !== undefined) yield one;
    }
    for (const change of staged.slice(next)) {
      const row = this.#rowOf(change);
      if (row !== undefined) yield row;
    }
  }

  async *#stored(table: Table, prefix: string): AsyncGenerator<Row> {
    let key = this.#keys.row(table, prefix);
    const rangeEnd = afterPrefix(key);
    for (;;) {
      const limit = BigInt(page);
      const { kvs, more } = await this.#client.range({ key, rangeEnd, limit, revision: this.at });
      for (const kv of kvs) {
        const row = this.#keys.rowOf(kv.key);
        if (row === undefined) throw new Refused(`${kv.key} in etcd is no row of this program`);
        yield { key: row.key, ...readRow(kv.value) };
      }
      const last = kvs.at(-1);
      if (!more || last === undefined) return;
      key = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }

  #rowOf({ key, value }: RowChange): Row | undefined {
    return value === undefined ? undefined : { key, value, revision: this.meta.revision };
  }
}

/** What a commit staged, as it was at a revision of etcd. @throws Compacted */
export async function stagedAt(
  client: EtcdClient,
  keys: Keys,
  { revision: commit, staged }: Meta,
  at: bigint,
): Promise<RowChange[]> {
  const changes: RowChange[] = [];
  for (let part = 0; part < (staged ?? 0); part++) {
    const { kvs } = await client.range({ key: keys.staged(commit, part), revision: at });
    if (kvs[0] === undefined) throw new Error("the store is damaged: a part of a commit is gone");
    changes.push(...readPart(kvs[0].value));
  }
  return changes;
}
