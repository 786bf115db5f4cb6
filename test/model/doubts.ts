import { call, connect } from "@nve/program/rpc";
import { Kind, NorthboundClient, Tenant } from "@nve/protocol-spec/proto/northbound";
import { after } from "./one-nva.ts";
import type { Trace } from "./trace.ts";

/** A write whose effect is not told: until `ended` it may come yet. */
export type Doubtful = { ended?: number; maybe?: true };

/** How long a call that was read before another may stay behind it, in one process. */
const straggleMs = 1000;

/**
 * Calls that failed, and may have had effects or have them yet: an NVA that is stopped has them in its sockets, and one that
 * cannot reach its store tries to commit them as long as it decides. So no time is long enough. But each NVA takes calls in
 * the order of their coming, and whoever decides commits them so: when a later change through every one of them is stored,
 * they are too, or never will be.
 */
export class Doubts {
  readonly #trace: Trace;
  readonly #addresses: () => readonly string[];
  #waiting: Doubtful[] = [];
  #open = 0;
  #isClosed = false;
  #number = 0;

  constructor(trace: Trace, addresses: () => readonly string[]) {
    this.#trace = trace;
    this.#addresses = addresses;
  }

  /** Nothing is doubtful but what had its effect, or has none. */
  get none(): boolean {
    return this.#open === 0;
  }

  /** These calls failed just now. */
  add(writes: readonly Doubtful[]): void {
    const isIdle = this.#open === 0;
    for (const write of writes) write.maybe = true;
    this.#waiting.push(...writes);
    this.#open += writes.length;
    if (isIdle && this.#open > 0) void this.#settle();
  }

  close(): void {
    this.#isClosed = true;
  }

  async #settle(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const writes = this.#waiting;
      this.#waiting = [];
      this.#number += 1;
      const { length } = writes;
      this.#trace.say(`${length} writes are doubtful until change ${this.#number} is stored`);
      for (const address of this.#addresses()) await this.#passed(address);
      await after(straggleMs);
      const ended = this.#trace.say(`change ${this.#number} is stored through every NVA`);
      for (const write of writes) write.ended = ended;
      this.#open -= length;
    }
  }

  /** A change was stored that came by this address. */
  async #passed(address: string): Promise<void> {
    const description = `${this.#number} by ${address}`;
    const value = Tenant.create({ name: "doubts", description });
    const key = { kind: Kind.KIND_TENANT, key: "doubts" };
    const resource = { key, revision: 0n, note: "", of: { $case: "tenant" as const, value } };
    while (!this.#isClosed) {
      const client = connect(NorthboundClient, address);
      try {
        await call(client, client.putResource, { resource, expected: undefined }, 4000);
        return;
      } catch {
        await after(100);
      } finally {
        client.close();
      }
    }
  }
}
