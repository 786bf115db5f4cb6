/** Several values of each key. */
export class Multimap<K, V> {
  readonly #sets = new Map<K, Set<V>>();

  of(key: K): ReadonlySet<V> {
    return this.#sets.get(key) ?? none;
  }

  /** Adds a value, or deletes it. */
  set(key: K, value: V, is: boolean): void {
    const values = this.#sets.get(key);
    if (is) {
      if (values === undefined) this.#sets.set(key, new Set([value]));
      else values.add(value);
      return;
    }
    values?.delete(value);
    if (values?.size === 0) this.#sets.delete(key);
  }
}

const none: ReadonlySet<never> = new Set();
