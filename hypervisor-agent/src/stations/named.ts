import type { Mac, Uuid } from "@nve/protocol-spec";
import { macsIn, moveMacs, moveName, type Names } from "./names.ts";
import type { Tree } from "./tree.ts";

/** What a VNIC is found by. */
type Findable = { readonly name: Uuid; readonly interface: string; readonly wanted: Tree };

/**
 * VNICs by name, and what finds them by what they have: so that an event costs as much as it touches, however many there are.
 * One is changed by a new value in its place (`set`), never in itself.
 */
export class Named<V extends Findable> {
  readonly #all = new Map<Uuid, V>();
  readonly #interfaces: Names<string> = new Map();
  readonly #macs: Names<Mac> = new Map();

  get size(): number {
    return this.#all.size;
  }

  get(name: Uuid): V | undefined {
    return this.#all.get(name);
  }

  has(name: Uuid): boolean {
    return this.#all.has(name);
  }

  /** In the order in which they came. They may be changed and taken out meanwhile. */
  values(): IterableIterator<V> {
    return this.#all.values();
  }

  /** The first that came of those on this interface. */
  on(interfaceName: string): V | undefined {
    const [first] = this.those(this.#interfaces.get(interfaceName));
    return first;
  }

  /** Those that shall have a MAC of this tree, in whatever VN. */
  sharing(tree: Tree): ReadonlySet<V> {
    const found = new Set<V>();
    for (const mac of macsIn(tree))
      for (const one of this.those(this.#macs.get(mac))) found.add(one);
    return found;
  }

  set(one: V): void {
    const was = this.#all.get(one.name);
    this.#all.set(one.name, one);
    this.index(one.name, was, one);
  }

  delete(name: Uuid): void {
    const was = this.#all.get(name);
    this.#all.delete(name);
    this.index(name, was, undefined);
  }

  protected *those(names: Iterable<Uuid> = []): IterableIterator<V> {
    for (const name of names) {
      const one = this.#all.get(name);
      if (one !== undefined) yield one;
    }
  }

  /** What finds it is to find `now` in place of `was`. */
  protected index(name: Uuid, was: V | undefined, now: V | undefined): void {
    moveName(this.#interfaces, name, was?.interface, now?.interface);
    moveMacs(this.#macs, name, was?.wanted, now?.wanted);
  }
}
