/** Several values of each key, of which most keys have one: that one takes no set. */
export class Few<K, V extends string> {
  readonly #byKey = new Map<K, V | Set<V>>();

  /** In the order in which they were added. */
  of(key: K): Iterable<V> {
    const found = this.#byKey.get(key);
    if (found === undefined) return [];
    return found instanceof Set ? found : [found];
  }

  count(key: K): number {
    const found = this.#byKey.get(key);
    if (found === undefined) return 0;
    return found instanceof Set ? found.size : 1;
  }

  has(key: K, value: V): boolean {
    const found = this.#byKey.get(key);
    return found instanceof Set ? found.has(value) : found === value;
  }

  add(key: K, value: V): void {
    const found = this.#byKey.get(key);
    if (found === undefined) this.#byKey.set(key, value);
    else if (found instanceof Set) found.add(value);
    else if (found !== value) this.#byKey.set(key, new Set([found, value]));
  }

  delete(key: K, value: V): void {
    const found = this.#byKey.get(key);
    if (found === value) this.#byKey.delete(key);
    if (!(found instanceof Set)) return;
    found.delete(value);
    if (found.size > 1) return;
    const [left] = found;
    if (left !== undefined) this.#byKey.set(key, left);
  }
}
