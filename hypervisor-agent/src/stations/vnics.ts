import type { Mac, Uuid, Vid, VnId } from "@nve/protocol-spec";
import { Deadlines } from "./deadlines.ts";
import { addName, macsIn, moveMacs, moveName, type Names, removeName } from "./names.ts";
import type { Tree } from "./tree.ts";
import { dueAt, type Peer, type Vnic } from "./vnic.ts";
import type { TaggedLeaf } from "./vsi.ts";

/**
 * The VNICs of one uplink, by name, and what finds them by what they have: so that an event costs as much as it
 * touches, however many there are. One is changed by a new value in its place (`set`), never in itself.
 */
export class Vnics {
  readonly #all = new Map<Uuid, Vnic>();
  readonly #interfaces: Names<string> = new Map();
  readonly #macs: Names<Mac> = new Map();
  readonly #tags = new Map<Vid, Names<VnId>>();
  readonly #deadlines = new Deadlines<Uuid>();

  get size(): number {
    return this.#all.size;
  }

  get(name: Uuid): Vnic | undefined {
    return this.#all.get(name);
  }

  has(name: Uuid): boolean {
    return this.#all.has(name);
  }

  /** In the order in which they came. They may be changed and taken out meanwhile. */
  values(): IterableIterator<Vnic> {
    return this.#all.values();
  }

  /** The first that came of those on this interface. */
  on(interfaceName: string): Vnic | undefined {
    const [first] = this.#of(this.#interfaces.get(interfaceName));
    return first;
  }

  /** Those that shall have a MAC of this tree, in whatever VN. */
  sharing(tree: Tree): ReadonlySet<Vnic> {
    const found = new Set<Vnic>();
    for (const mac of macsIn(tree)) {
      const names = this.#macs.get(mac);
      if (names !== undefined) for (const vnic of this.#of(names)) found.add(vnic);
    }
    return found;
  }

  /** Those that were lent one of these tags for another VN. */
  *contradicting(tagged: readonly TaggedLeaf[]): Iterable<Vnic> {
    for (const { vid, vn } of tagged) {
      for (const [other, names] of this.#tags.get(vid) ?? []) {
        if (other !== vn) yield* this.#of([...names]);
      }
    }
  }

  set(vnic: Vnic): void {
    const was = this.#all.get(vnic.name);
    this.#all.set(vnic.name, vnic);
    this.#index(vnic.name, was, vnic);
  }

  delete(name: Uuid): void {
    this.#index(name, this.#all.get(name), undefined);
    this.#all.delete(name);
    this.#deadlines.set(name, Number.POSITIVE_INFINITY);
  }

  /** When the next of them has something to do without an event: -Infinity is at once, Infinity never. */
  get firstDue(): number {
    return this.#deadlines.first;
  }

  /** Those who have something to do by now, the longest overdue first. Each must be told when it is due again. */
  takeDue(now: number): readonly Uuid[] {
    return this.#deadlines.take(now);
  }

  /** When one of them is due, as it is now. */
  schedule(name: Uuid, peer: Peer): void {
    const vnic = this.#all.get(name);
    if (vnic !== undefined) this.#deadlines.set(name, dueAt(vnic, peer));
  }

  *#of(names: Iterable<Uuid> = []): IterableIterator<Vnic> {
    for (const name of names) {
      const vnic = this.#all.get(name);
      if (vnic !== undefined) yield vnic;
    }
  }

  #index(name: Uuid, was: Vnic | undefined, now: Vnic | undefined): void {
    moveName(this.#interfaces, name, was?.interface, now?.interface);
    moveMacs(this.#macs, name, was?.wanted, now?.wanted);
    if (was?.granted !== now?.granted) {
      for (const tag of was?.granted?.tagged ?? []) this.#untag(tag, name);
      for (const tag of now?.granted?.tagged ?? []) this.#tag(tag, name);
    }
  }

  #tag({ vid, vn }: TaggedLeaf, name: Uuid): void {
    const vns: Names<VnId> = this.#tags.get(vid) ?? new Map();
    addName(vns, vn, name);
    this.#tags.set(vid, vns);
  }

  #untag({ vid, vn }: TaggedLeaf, name: Uuid): void {
    const vns = this.#tags.get(vid);
    if (vns === undefined) return;
    removeName(vns, vn, name);
    if (vns.size === 0) this.#tags.delete(vid);
  }
}
