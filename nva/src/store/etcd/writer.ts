import type { RowChange } from "../store.ts";
import { type EtcdClient, NoAnswer } from "./client.ts";
import { type Keys, type Meta, metaOctets, partOctets, readMeta, rowOctets } from "./keys.ts";
import { afterPrefix, type Compare, created, modified, type Op } from "./messages.ts";

/** etcd takes 128 operations in a transaction (`--max-txn-ops`), and 1.5 MiB (`--max-request-bytes`). */
const most = { rows: 120, octets: 1_000_000, part: 500_000 };
const inFlight = 4;

/** Where `meta` stands, or that somebody else has moved it. */
export type Decided = { at: bigint } | "superseded";

/** Puts commits into etcd, as long as `fence` holds and nobody else does. */
export class Writer {
  readonly #client: EtcdClient;
  readonly #keys: Keys;
  readonly #fence: readonly Compare[];
  #stopped = false;

  /** @param reign revision at which our key of the writer was made; without: no other process writes at this prefix */
  constructor(client: EtcdClient, keys: Keys, reign?: bigint) {
    this.#client = client;
    this.#keys = keys;
    this.#fence = reign === undefined ? [] : [created(keys.writer, reign)];
  }

  /** Begins no further try: what is under way ends as superseded, though its last try may yet be done. */
  stop(): void {
    this.#stopped = true;
  }

  /** One commit, whole. @param changes one for each row; `conditions` of its guards */
  async commit(
    from: { meta: Meta; at: bigint },
    next: Meta,
    changes: readonly RowChange[],
    conditions: readonly Compare[],
  ): Promise<Decided> {
    const still = [modified(this.#keys.meta, from.at), ...conditions];
    const log: Op[] = [{ put: { key: this.#keys.log(next.revision), value: Buffer.alloc(0) } }];
    if (next.oldest > from.meta.oldest) {
      const key = this.#keys.log(from.meta.oldest);
      log.push({ delete: { key, rangeEnd: this.#keys.log(next.oldest) } });
    }
    if (next.staged === undefined)
      return this.#decide(still, next, [...log, ...this.#rows(changes, next.revision)]);
    const parts = partsOf(changes).map((part, i): Op[] => [
      { put: { key: this.#keys.staged(next.revision, i), value: partOctets(part) } },
    ]);
    if (!(await this.#all(still, parts))) return "superseded";
    return this.#decide(still, next, log);
  }

  /** Puts the rows of a staged commit in their places. */
  async settle(meta: Meta, at: bigint, changes: readonly RowChange[]): Promise<Decided> {
    const still = [modified(this.#keys.meta, at)];
    const rows = this.#rows(changes, meta.revision);
    const chunks: Op[][] = [];
    for (let i = 0; i < rows.length; ) {
      const chunk: Op[] = [];
      for (let octets = 0; i < rows.length && chunk.length < most.rows; i++) {
        octets += rows[i]?.put?.value?.length ?? 0;
        if (chunk.length > 0 && octets > most.octets) break;
        chunk.push(rows[i] ?? {});
      }
      chunks.push(chunk);
    }
    if (!(await this.#all(still, chunks))) return "superseded";
    const { staged: _, ...settled } = meta;
    const key = this.#keys.allStaged;
    return this.#decide(still, settled, [{ delete: { key, rangeEnd: afterPrefix(key) } }]);
  }

  /** Moves `meta`, with what belongs to it, once: what was lost is the answer, never the certainty. */
  async #decide(still: readonly Compare[], next: Meta, ops: readonly Op[]): Promise<Decided> {
    const key = this.#keys.meta;
    const put: Op = { put: { key, value: metaOctets(next) } };
    while (!this.#stopped) {
      try {
        const answer = await this.#client.txn(
          [...this.#fence, ...still],
          [...ops, put],
          [{ range: { key } }],
        );
        if (answer.succeeded) return { at: answer.header?.revision ?? 0n };
        const now = answer.responses[0]?.range?.kvs[0];
        const meta = now && readMeta(now.value, this.#keys.prefix);
        const isOurs = meta?.by === next.by && meta.staged === next.staged;
        return now !== undefined && isOurs ? { at: now.modRevision } : "superseded";
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
      }
      await this.#client.pause();
    }
    return "superseded";
  }

  /** Several transactions, in any order, each as often as it needs. @returns false: superseded */
  async #all(still: readonly Compare[], transactions: readonly Op[][]): Promise<boolean> {
    const rest = transactions[Symbol.iterator]();
    let holds = true;
    const work = async (): Promise<void> => {
      for (const ops of rest) {
        if (holds) holds = await this.#one(still, ops);
        if (!holds) return;
      }
    };
    await Promise.all(Array.from({ length: inFlight }, work));
    return holds;
  }

  async #one(still: readonly Compare[], ops: readonly Op[]): Promise<boolean> {
    while (!this.#stopped) {
      try {
        return (await this.#client.txn([...this.#fence, ...still], ops)).succeeded;
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
      }
      await this.#client.pause();
    }
    return false;
  }

  #rows(changes: readonly RowChange[], revision: number): Op[] {
    return changes.map(({ table, key, value }) =>
      value === undefined
        ? { delete: { key: this.#keys.row(table, key) } }
        : { put: { key: this.#keys.row(table, key), value: rowOctets(revision, value) } },
    );
  }
}

const octetsOf = ({ key, value }: RowChange): number => key.length + 2 * (value?.length ?? 0) + 100;

/** Parts in which a commit has to be staged; `undefined`: one transaction holds it. */
export function stagedParts(changes: readonly RowChange[]): number | undefined {
  const octets = changes.reduce((sum, change) => sum + octetsOf(change), 0);
  if (changes.length <= most.rows && octets <= most.octets) return undefined;
  return partsOf(changes).length;
}

function partsOf(changes: readonly RowChange[]): RowChange[][] {
  const parts: RowChange[][] = [];
  let octets = most.part;
  for (const change of changes) {
    octets += octetsOf(change);
    if (octets > most.part || parts.length === 0) {
      parts.push([]);
      octets = octetsOf(change);
    }
    parts.at(-1)?.push(change);
  }
  return parts;
}
