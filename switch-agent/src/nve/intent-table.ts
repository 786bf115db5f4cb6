import type { Mac, Vni } from "@nve/protocol-spec";
import { type Intent, intentKey, type MacIntent } from "./intents.ts";

/** As much of an intent as its key is made of, where it is of a MAC. */
export type Keyed = Exclude<Intent, MacIntent> | Pick<MacIntent, "is" | "vni" | "mac">;

/**
 * Something for each intent, as in a map by `intentKey`; but there are hundreds of thousands of MACs, and no key is
 * made for them.
 */
export class IntentTable<T> {
  readonly #others = new Map<string, T>();
  readonly #macs = new Map<Vni, Map<Mac, T>>();

  get(intent: Keyed): T | undefined {
    if (intent.is !== "mac") return this.#others.get(intentKey(intent));
    return this.#macs.get(intent.vni)?.get(intent.mac);
  }

  set(intent: Intent, value: T): void {
    if (intent.is !== "mac") {
      this.#others.set(intentKey(intent), value);
      return;
    }
    const macs = this.#macs.get(intent.vni);
    if (macs === undefined) this.#macs.set(intent.vni, new Map([[intent.mac, value]]));
    else macs.set(intent.mac, value);
  }

  delete(intent: Intent): void {
    if (intent.is !== "mac") {
      this.#others.delete(intentKey(intent));
      return;
    }
    const macs = this.#macs.get(intent.vni);
    macs?.delete(intent.mac);
    if (macs?.size === 0) this.#macs.delete(intent.vni);
  }

  /** Those of MACs last. */
  *values(): IterableIterator<T> {
    yield* this.#others.values();
    for (const macs of this.#macs.values()) yield* macs.values();
  }
}
