import { Refused } from "@nve/program";
import type { Uuid } from "@nve/protocol-spec";

export const tables = [
  "vn",
  "nve",
  "member",
  "claim",
  "history",
  "tenant",
  "profile",
  "policy",
  "vnic",
  "event",
  "duplicate",
  "migration",
] as const;
export type Table = (typeof tables)[number];

/** A row put (`value` there) or deleted. Keys: 1 … 512 printable ASCII characters, so that all stores sort alike. */
export type RowChange = { table: Table; key: string; value?: string };
export type Row = { key: string; value: string /** Of its last change. */; revision: number };
/** The row must be at `revision`; 0: must not be there. */
export type Guard = { table: Table; key: string; revision: number };
export type Committed =
  | { is: "committed"; revision: number }
  | { is: "conflict"; guard: Guard }
  /** Another process writes now: what was decided here was decided from old rows. Nothing was changed. */
  | { is: "superseded"; reason: string };
/** What one commit changed, in order. */
export type Batch = { revision: number; changes: readonly RowChange[] };

/**
 * Where an authority keeps its rows. Every implementation passes the same suite, test/contracts/store.ts.
 *
 * A store has an id of its own, new whenever it is made, and a revision that counts its commits: the two together
 * are a cursor (A23). It remembers the changes of its last commits only; what is older is compacted.
 */
export interface Store {
  /** What it is, for `nva status`. */
  readonly kind: string;
  readonly id: Uuid;
  /** Of the last commit that is known here; 0: none yet. */
  readonly revision: number;
  get(table: Table, key: string): Promise<Row | undefined>;
  /** Rows whose key begins with `prefix`, in the order of their keys. */
  list(table: Table, prefix?: string): AsyncIterable<Row>;
  /**
   * All or nothing, and at one new revision. Has resolved: it survives a crash. Of several changes of one row the
   * last counts. Several calls are applied in the order of the calls.
   * @throws Refused for a key that no store takes, Error when the disk fails: then stop, and start from the disk.
   */
  commit(changes: readonly RowChange[], guards?: readonly Guard[]): Promise<Committed>;
  /**
   * Delivers every batch after `revision` in order, none twice: those there before it resolves, later ones as they
   * are committed. Resolves with how to stop, or "compacted" when some of them are remembered no more, or
   * `revision` is ahead of the store.
   */
  watch(revision: number, deliver: (batch: Batch) => void): Promise<(() => void) | "compacted">;
  /** Waits for what is under way. */
  close(): Promise<void>;
}

/** What there is, to be read. */
export type Rows = Pick<Store, "list" | "revision">;

/** How many commits a store remembers, when not told otherwise. */
export const remembered = 10_000;

/** @throws Refused */
export function checkKeys(changes: readonly { key: string }[]): void {
  for (const { key } of changes)
    if (!/^[\x20-\x7e]{1,512}$/.test(key))
      throw new Refused(`"${key}" cannot be a key: 1 to 512 printable ASCII characters can`);
}
