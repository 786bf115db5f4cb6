import type { Refusal } from "@nve/switch-agent/nve";

/** A refusal, as people are told of it. */
type RefusalRecord = Refusal & {
  atUnixMs: number;
  port: string;
  vnic: string;
  /** The VNs that were asked for, as far as they could be read. */
  vns: readonly number[];
};

const KEPT = 100;

/** The last refusals, newest first. */
export class Refusals {
  #records: RefusalRecord[] = [];

  get newestFirst(): readonly RefusalRecord[] {
    return this.#records;
  }

  add(record: RefusalRecord): void {
    this.#records = [record, ...this.#records].slice(0, KEPT);
  }
}
