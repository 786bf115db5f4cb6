/**
 * One thing that an NVA keeps, as far as those who wrote it can know. A write is under way from `sent` to `ended`
 * (orders of the trace; ended: acknowledged, or its connection is gone for good) and, if acknowledged, in the store
 * at `revision`.
 */
export type Write = {
  readonly value: string | undefined;
  readonly sent: number;
  /** Writes of one author take effect in the order of their numbers. */
  readonly author: string;
  readonly number: number;
  ended?: number;
  revision?: bigint;
  /** It had no effect. */
  void?: true;
  /** Whether it had one is not told: lost with its connection, or of a thing that may not have been there. */
  maybe?: true;
};

export class Register {
  #writes: Write[] = [{ value: undefined, sent: 0, author: "", number: 0, ended: 0, revision: 0n }];

  add(write: Write): Write {
    this.#writes.push(write);
    return write;
  }

  /** What could be read at a moment between the orders `from` and `to`, had there been no `except`. */
  possible(from: number, to: number, except?: Write): Set<string | undefined> {
    const live = this.#writes.filter((one) => one !== except && one.void !== true && one.sent < to);
    const done = live.filter((one) => isDone(one) && (one.ended ?? to) <= from);
    const kept = live.filter((one) => !done.some((later) => isAfter(later, one)));
    return new Set(kept.map(({ value }) => value));
  }

  /** The one thing that there must be now; "unsure" where there are several. */
  certain(now: number): { value: string | undefined } | "unsure" {
    const all = [...this.possible(now, now + 1)];
    return all.length === 1 ? { value: all[0] } : "unsure";
  }

  /** Whether who read `value` at `order`, told that all up to `revision` is in it, was told rightly. */
  readable(value: string | undefined, order: number, revision: bigint): boolean {
    const live = this.#writes.filter((one) => one.void !== true && one.sent < order);
    const done = live.filter((one) => isDone(one) && (one.revision ?? revision + 1n) <= revision);
    return live.some((one) => one.value === value && !done.some((later) => isAfter(later, one)));
  }

  /** As `readable`, for any value but none. */
  presentAt(order: number, revision: bigint): boolean {
    const values = new Set(this.#writes.map(({ value }) => value));
    values.delete(undefined);
    return [...values].some((value) => this.readable(value, order, revision));
  }

  /** All that came before is settled: there is this. */
  settle(value: string | undefined, order: number, revision: bigint): void {
    const unended = this.#writes.filter(({ ended }) => ended === undefined);
    const base: Write = { value, sent: order, author: "", number: 0, ended: order, revision };
    this.#writes = [base, ...unended];
  }
}

const isDone = (write: Write): boolean => write.maybe !== true && write.ended !== undefined;

/** `later` certainly took effect after `earlier`. */
function isAfter(later: Write, earlier: Write): boolean {
  if (later === earlier) return false;
  if (later.author === earlier.author && later.author !== "") return later.number > earlier.number;
  if (earlier.ended !== undefined && earlier.ended < later.sent) return true;
  if (later.revision === undefined || earlier.revision === undefined) return false;
  return later.revision > earlier.revision;
}
