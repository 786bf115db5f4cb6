import type { Instant, Mac, VnId } from "@nve/protocol-spec";
import { limits } from "./limits.ts";
import { type Effects, historyKey } from "./records.ts";

type Gone = { sequence: number; at: Instant };

/** The sequences of addresses of a VN that nobody claims any more, the longest gone first. */
export class Histories {
  readonly #gone = new Map<Mac, Gone>();
  readonly #vnId: VnId;

  constructor(vnId: VnId) {
    this.#vnId = vnId;
  }

  get size(): number {
    return this.#gone.size;
  }

  macs(): IterableIterator<Mac> {
    return this.#gone.keys();
  }

  sequenceOf(mac: Mac): number {
    return this.#gone.get(mac)?.sequence ?? 0;
  }

  /** Somebody claims it again; its row stays. */
  delete(mac: Mac): void {
    this.#gone.delete(mac);
  }

  load(mac: Mac, sequence: number, now: Instant): void {
    this.#gone.delete(mac); // to the end: it is the newest
    this.#gone.set(mac, { sequence, at: now });
  }

  bury(mac: Mac, sequence: number, now: Instant, effects: Effects): void {
    this.#gone.set(mac, { sequence, at: now });
    this.remember(mac, sequence, effects);
    const [oldest] = this.#gone.keys();
    if (this.#gone.size > limits.historyPerVn && oldest !== undefined) this.#drop(oldest, effects);
  }

  remember(mac: Mac, sequence: number, effects: Effects): void {
    const row = { vnId: this.#vnId, mac, sequence };
    effects.changes.push({ table: "history", key: historyKey(this.#vnId, mac), row });
  }

  /** Forgets what nobody has claimed since `before`. */
  forget(before: Instant, effects: Effects): void {
    for (const [mac, { at }] of this.#gone) {
      if (at > before) return; // in the order of their going
      this.#drop(mac, effects);
    }
  }

  #drop(mac: Mac, effects: Effects): void {
    this.#gone.delete(mac);
    effects.changes.push({ table: "history", key: historyKey(this.#vnId, mac) });
  }
}
