import { type Filters, isPlaceholder } from "@nve/protocol-spec";
import type { Fixed, Refusal } from "@nve/switch-agent/nve";

/** A refusal, as people are told of it. */
type RefusalRecord = Refusal & {
  atUnixMs: number;
  port: string;
  vnic: string;
  /** The VNs that were asked for, as far as they could be read. */
  vns: readonly number[];
};

const KEPT = 100;

/** The last refusals, newest first. What is asked for again and again, and refused alike, is there once. */
export class Refusals {
  #records: RefusalRecord[] = [];

  get newestFirst(): readonly RefusalRecord[] {
    return this.#records;
  }

  add(record: RefusalRecord): void {
    const others = this.#records.filter((older) => !alike(older, record));
    this.#records = [record, ...others].slice(0, KEPT);
  }
}

const alike = (a: RefusalRecord, b: RefusalRecord): boolean =>
  a.port === b.port && a.vnic === b.vnic && a.code === b.code && a.reason === b.reason;

/** The VNs that a request names by number. */
export const groupsOf = (filters: Filters | Fixed): number[] =>
  filters.by === "fixed"
    ? [...new Set(filters.entries.map(({ vn }) => vn))]
    : [
        ...new Set(filters.entries.flatMap((entry) => ("groupId" in entry ? [entry.groupId] : []))),
      ].filter((groupId) => !isPlaceholder(groupId));
