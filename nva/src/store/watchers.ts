import type { Batch } from "./store.ts";

type Deliver = (batch: Batch) => void;

/** Those who watch a store from within this process. */
export class Watchers {
  readonly #all = new Set<Deliver>();

  add(deliver: Deliver): () => void {
    this.#all.add(deliver);
    return () => this.#all.delete(deliver);
  }

  tell(batch: Batch): void {
    for (const deliver of this.#all) deliver(batch);
  }
}
