import { randomUUID } from "node:crypto";
import type { Clock } from "@nve/linux";
import { Refused } from "@nve/program";
import type { Shown } from "@nve/program/tls-client";
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
} from "../store.ts";
import { Watchers } from "../watchers.ts";
import { Compacted, EtcdClient, EtcdRefused, NoAnswer } from "./client.ts";
import { firstMeta, Keys, type Meta, metaOctets, readMeta, readRow } from "./keys.ts";
import { type Compare, created, type KeyValue, methods, modified } from "./messages.ts";
import { stagedAt, View } from "./reader.ts";
import { type Changes, EtcdWatch } from "./watch.ts";
import { stagedParts, Writer } from "./writer.ts";

export type EtcdOptions = {
  /** `host:port` each. */
  endpoints: readonly string[];
  /** Of all keys of this store. */
  prefix: string;
  clock: Clock;
  /** Absent: plain TCP. */
  tls?: Shown | undefined;
  /** Commits that it remembers. */
  keep?: number;
};

/** Which replica decides, as etcd has it. */
export type WriterKey = { value: string; createRevision: bigint; lease: bigint };

type WriterListener = (writer: WriterKey | undefined, at: bigint) => void;

/**
 * A store in an etcd cluster, at a prefix of its own. Several processes may open it: all of them hear of every commit
 * through `watch`; one at a time commits, after `lead`.
 * @param patienceMs how long a member may take to answer at all
 * @throws Refused when no member answers, or something else is at the prefix
 */
export async function etcdStore(options: EtcdOptions, patienceMs = 10_000): Promise<EtcdStore> {
  const client = new EtcdClient(options.endpoints, options.clock, options.tls);
  const keys = new Keys(options.prefix);
  try {
    await client.insist(() => client.call(methods.range, { key: keys.meta }), patienceMs);
    const view = (await View.now(client, keys)) ?? (await begin(client, keys));
    return new EtcdStore(options, client, keys, view);
  } catch (error) {
    client.close();
    if (error instanceof EtcdRefused)
      throw new Refused(`etcd refuses: ${error.message}. May this NVA use ${options.prefix}?`);
    if (!(error instanceof NoAnswer)) throw error;
    throw new Refused(
      `no member of the etcd cluster answers: ${error.message}. Is it running, are the endpoints right?`,
    );
  }
}

/** Makes the store, unless another has just done so. */
async function begin(client: EtcdClient, keys: Keys): Promise<View> {
  const value = metaOctets(firstMeta(Uuid(randomUUID())));
  await client.insist(() =>
    client.txn([created(keys.meta, 0n)], [{ put: { key: keys.meta, value } }]),
  );
  const view = await View.now(client, keys);
  if (view === undefined) throw new Refused(`nothing can be put at ${keys.prefix} in etcd`);
  return view;
}

type Told = { meta: Meta; at: bigint; changes: readonly RowChange[] };

export class EtcdStore implements Store {
  readonly kind: string;
  readonly id: Uuid;
  /** It can follow no further, and has to be opened anew. */
  readonly failed: Promise<Error>;
  readonly client: EtcdClient;
  readonly keys: Keys;
  readonly #keep: number;
  readonly #watchers = new Watchers();
  readonly #by = randomUUID();
  readonly #following: EtcdWatch;
  readonly #writerListeners = new Set<WriterListener>();
  #meta: Meta;
  #metaAt: bigint;
  #writer: Writer;
  #last: Promise<unknown> = Promise.resolve();
  /** That the rows of the last commit are in their places. */
  #settled: Promise<unknown> = Promise.resolve();
  #commits = 0;
  #closed = false;
  #fail: (error: Error) => void = () => {};

  constructor(options: EtcdOptions, client: EtcdClient, keys: Keys, { meta, at, metaAt }: View) {
    this.kind = `etcd ${options.endpoints.join(",")} ${options.prefix}`;
    this.id = meta.id;
    this.client = client;
    this.keys = keys;
    this.#keep = options.keep ?? remembered;
    this.#meta = meta;
    this.#metaAt = metaAt;
    this.#writer = new Writer(client, keys);
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    this.#following = new EtcdWatch(client, keys.prefix, at + 1n, {
      changes: (changes) => this.#heard(changes),
      compacted: () => this.#fail(new Error("etcd has compacted what was not heard yet")),
    });
  }

  get revision(): number {
    return this.#meta.revision;
  }

  /** The store at this moment, as etcd's members agree on it. */
  async snapshot(): Promise<View> {
    const view = await View.now(this.client, this.keys);
    if (view === undefined) throw new Error("the store is gone from etcd");
    return view;
  }

  async get(table: Table, key: string): Promise<Row | undefined> {
    return (await this.snapshot()).get(table, key);
  }

  async *list(table: Table, prefix?: string): AsyncGenerator<Row> {
    yield* (await this.snapshot()).list(table, prefix);
  }

  /** @param listener is told when another replica, or none, decides, and the revision of etcd */
  onWriter(listener: WriterListener): void {
    this.#writerListeners.add(listener);
  }

  /**
   * Begins to commit, as the one whose key of the writer was made at `reign`: first what its predecessor left half done.
   * Resolves when everything committed before is known here.
   */
  async lead(reign: bigint): Promise<void> {
    const writer = new Writer(this.client, this.keys, reign);
    this.#writer = writer;
    const view = await this.snapshot();
    await this.#known(view.meta.revision);
    if (view.meta.staged === undefined) return;
    const changes = await stagedAt(this.client, this.keys, view.meta, view.at);
    this.#settle(writer, view.meta, view.metaAt, changes);
    await this.#settled;
  }

  /** Commits nothing further: what is under way ends as superseded. */
  resign(): void {
    this.#writer.stop();
  }

  async commit(changes: readonly RowChange[], guards: readonly Guard[] = []): Promise<Committed> {
    checkKeys(changes);
    if (this.#closed) throw new Error("the store is closed");
    const writer = this.#writer;
    const all = [...changes];
    const done = this.#last.then(() => this.#write(writer, all, guards));
    this.#last = done.catch(() => undefined);
    return done;
  }

  async watch(
    revision: number,
    deliver: (batch: Batch) => void,
  ): Promise<(() => void) | "compacted"> {
    if (revision > this.revision || revision + 1 < this.#meta.oldest) return "compacted";
    const target = this.revision;
    const late: Batch[] = [];
    let tell = (batch: Batch): void => void late.push(batch);
    const stop = this.#watchers.add((batch) => tell(batch));
    const early = revision === target ? [] : await this.#history(revision, target);
    if (early === "compacted") {
      stop();
      return "compacted";
    }
    for (const batch of [...early, ...late]) deliver(batch);
    tell = deliver;
    return stop;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#last;
    await this.#settled.catch(() => undefined);
    this.#following.stop();
    this.client.close();
  }

  async #write(
    writer: Writer,
    changes: readonly RowChange[],
    guards: readonly Guard[],
  ): Promise<Committed> {
    await this.#settled;
    const conditions: Compare[] = [];
    for (const guard of guards) {
      const { kvs } = await this.client.range({ key: this.keys.row(guard.table, guard.key) });
      const row = kvs[0] && (await this.get(guard.table, guard.key));
      if ((row?.revision ?? 0) !== guard.revision) return { is: "conflict", guard };
      conditions.push(modified(this.keys.row(guard.table, guard.key), kvs[0]?.modRevision ?? 0n));
    }
    const last = new Map(changes.map((change) => [`${change.table}/${change.key}`, change]));
    const rows = [...last.values()];
    const { staged: _, ...before } = this.#meta;
    const from = { meta: this.#meta, at: this.#metaAt };
    const revision = before.revision + 1;
    const staged = stagedParts(rows);
    this.#commits += 1;
    const next: Meta = {
      ...before,
      revision,
      oldest: Math.max(before.oldest, revision - this.#keep + 1),
      by: `${this.#by}/${this.#commits}`,
      ...(staged !== undefined && { staged }),
    };
    const decided = await writer.commit(from, next, rows, conditions);
    if (decided === "superseded")
      return { is: "superseded", reason: "another replica decides now" };
    this.#advance({ meta: next, at: decided.at, changes });
    if (staged !== undefined) this.#settle(writer, next, decided.at, rows);
    return { is: "committed", revision };
  }

  #settle(writer: Writer, meta: Meta, at: bigint, rows: readonly RowChange[]): void {
    const { staged: _, ...settled } = meta;
    this.#settled = writer.settle(meta, at, rows).then((decided) => {
      if (decided !== "superseded") this.#advance({ meta: settled, at: decided.at, changes: [] });
    });
    this.#settled.catch(() => undefined); // the next commit meets it
  }

  async #heard(changes: Changes): Promise<void> {
    try {
      for (const { type, kv } of changes.events)
        if (kv?.key.equals(this.keys.writer)) {
          const writer = type === 0 ? writerOf(kv) : undefined;
          for (const listener of this.#writerListeners) listener(writer, changes.at);
        }
      if (changes.at <= this.#metaAt) return; // our own
      const told = await this.#told(changes);
      if (told !== undefined) this.#advance(told);
    } catch (error) {
      if (!this.#closed) this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** What a revision of etcd says of a commit; `undefined`: nothing. @throws Compacted, Refused */
  async #told({ at, events }: Changes): Promise<Told | undefined> {
    const moved = events.find(({ kv }) => kv?.key.equals(this.keys.meta));
    if (moved?.kv === undefined) return undefined;
    if (moved.type === 1) throw new Error("the store is gone from etcd");
    const meta = readMeta(moved.kv.value, this.keys.prefix);
    const changes =
      meta.staged === undefined
        ? events.flatMap(({ type, kv }) => this.#changeOf(type, kv) ?? [])
        : await stagedAt(this.client, this.keys, meta, at);
    return { meta, at, changes };
  }

  #changeOf(type: number, kv: { key: Buffer; value: Buffer } | undefined): RowChange | undefined {
    const row = kv && this.keys.rowOf(kv.key);
    if (row === undefined || kv === undefined) return undefined;
    if (type === 1) return row;
    return { ...row, value: readRow(kv.value).value };
  }

  #advance({ meta, at, changes }: Told): void {
    if (at <= this.#metaAt) return;
    const { revision } = this.#meta;
    if (meta.revision > revision + 1 || meta.revision < revision || meta.id !== this.id)
      throw new Error(`commit ${meta.revision} came after commit ${revision}`);
    this.#meta = meta;
    this.#metaAt = at;
    if (meta.revision > revision) this.#watchers.tell({ revision: meta.revision, changes });
  }

  /** Resolves when a commit is known here. */
  #known(revision: number): Promise<void> {
    if (this.revision >= revision) return Promise.resolve();
    return new Promise((resolve) => {
      const stop = this.#watchers.add((batch) => {
        if (batch.revision < revision) return;
        stop();
        resolve();
      });
    });
  }

  /** The commits after `revision` up to `target`. */
  async #history(revision: number, target: number): Promise<Batch[] | "compacted"> {
    const { kvs } = await this.client.range({ key: this.keys.log(revision + 1), keysOnly: true });
    const [first] = kvs;
    if (first === undefined) return "compacted";
    const batches: Batch[] = [];
    let known = revision;
    return new Promise((resolve, reject) => {
      const end = (answer: Batch[] | "compacted"): void => {
        watch.stop();
        resolve(answer);
      };
      const take = async (changes: Changes): Promise<void> => {
        const told = await this.#told(changes);
        if (told === undefined || told.meta.revision <= known) return;
        known = told.meta.revision;
        batches.push({ revision: known, changes: told.changes });
        if (known >= target) end(batches);
      };
      const watch = new EtcdWatch(this.client, this.keys.prefix, first.modRevision, {
        changes: (changes) =>
          take(changes).catch((error: unknown) => {
            if (error instanceof Compacted) return end("compacted");
            watch.stop();
            reject(error);
          }),
        compacted: () => end("compacted"),
      });
    });
  }
}

export const writerOf = ({ value, createRevision, lease }: KeyValue): WriterKey => ({
  value: value.toString(),
  createRevision,
  lease,
});
