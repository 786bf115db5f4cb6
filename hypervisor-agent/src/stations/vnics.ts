import type { Uuid, Vid, VnId } from "@nve/protocol-spec";
import { Deadlines } from "./deadlines.ts";
import { Named } from "./named.ts";
import { addName, type Names, removeName } from "./names.ts";
import { dueAt, type Peer, type Vnic } from "./vnic.ts";
import type { TaggedLeaf } from "./vsi.ts";

/** The VNICs of one uplink, also by their tags and by when they have something to do. */
export class Vnics extends Named<Vnic> {
  readonly #tags = new Map<Vid, Names<VnId>>();
  readonly #deadlines = new Deadlines<Uuid>();

  /** Those that were lent one of these tags for another VN. */
  *contradicting(tagged: readonly TaggedLeaf[]): Iterable<Vnic> {
    for (const { vid, vn } of tagged) {
      for (const [other, names] of this.#tags.get(vid) ?? []) {
        if (other !== vn) yield* this.those([...names]);
      }
    }
  }

  override delete(name: Uuid): void {
    super.delete(name);
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
    const vnic = this.get(name);
    if (vnic !== undefined) this.#deadlines.set(name, dueAt(vnic, peer));
  }

  protected override index(name: Uuid, was: Vnic | undefined, now: Vnic | undefined): void {
    super.index(name, was, now);
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
