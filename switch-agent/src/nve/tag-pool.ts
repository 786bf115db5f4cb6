import { Vid, type VnId, type Vni } from "@nve/protocol-spec";
import type { PortTag } from "./vsi.ts";

/** The tags of a port, both ends included. VID 1 is left out: stations refuse it (spec/vdp.md 1.5). */
export type TagRange = readonly [first: Vid, last: Vid];
export const allTags: TagRange = [Vid(2), Vid(4094)];

/**
 * Lends the VLAN tags of one scope, a link or an access network (H3), to VNs. A VN keeps its tag while
 * anybody holds it (H2), so the 12 bits limit what is active on one link, not the number of VNs (V8).
 */
export class TagPool {
  /** In lending order. */
  readonly #free = new Set<Vid>();
  readonly #lent = new Map<VnId, Lent>();
  readonly #vns = new Map<PortTag, VnId>();
  readonly #held = new Map<string, Set<VnId>>();
  /** Tags that an earlier run lent and that are forwarded for still, and what they mean there. */
  readonly #kept = new Map<PortTag, Vni>();
  /** Those of them that are of the range. */
  readonly #keptFree = new Set<Vid>();

  /** @param start where lending begins: after a restart, best not where the last run began. */
  constructor([first, last]: TagRange, start: Vid = first) {
    for (let n: number = start; n <= last; n++) this.#free.add(Vid(n));
    for (let n: number = first; n < start; n++) this.#free.add(Vid(n));
  }

  /** An earlier run had lent it: only the VN with that VNI gets it, and it gets no other, until `forget`. */
  keep(vid: PortTag, vni: Vni): void {
    if (this.#vns.has(vid)) return;
    this.#kept.set(vid, vni);
    if (vid !== 0 && this.#free.delete(vid)) this.#keptFree.add(vid);
  }

  /** What was kept and nobody has asked for is lent as any other. */
  forget(): void {
    for (const vid of this.#keptFree) this.#free.add(vid);
    this.#kept.clear();
    this.#keptFree.clear();
  }

  get free(): number {
    return this.#free.size + this.#keptFree.size;
  }

  /** @returns which tag each VN holds now. */
  get lent(): ReadonlyMap<VnId, { vid: PortTag; holders: ReadonlySet<string> }> {
    return this.#lent;
  }

  tagOf(vn: VnId): PortTag | undefined {
    return this.#lent.get(vn)?.vid;
  }

  /** @returns the VNs whose tags this holder has. */
  heldBy(holder: string): ReadonlySet<VnId> {
    return this.#held.get(holder) ?? none;
  }

  vnOf(vid: PortTag): VnId | undefined {
    return this.#vns.get(vid);
  }

  /**
   * Would `lend` give a tag? @param fixed `wanted` is the administrator's and need not be in the range
   * @param vni of the VN; undefined: not known yet
   */
  has(vn: VnId, wanted?: PortTag, fixed = false, vni?: Vni): boolean {
    const held = this.#lent.get(vn);
    if (held !== undefined) return wanted === undefined || wanted === held.vid;
    const kept = this.#keptFor(vni);
    if (wanted === undefined) return this.#free.size > 0 || kept !== undefined;
    if (this.#kept.has(wanted) && vni !== undefined && this.#kept.get(wanted) !== vni) return fixed;
    if (fixed) return !this.#vns.has(wanted);
    return wanted !== 0 && (this.#free.has(wanted) || this.#keptFree.has(wanted));
  }

  /**
   * The tag of `vn`, also for `holder` from now on; asking twice changes nothing. A station that outlived us
   * names the tag that it still uses: `wanted`.
   * @returns `undefined` when all tags are lent, or `wanted` is not to be had for this VN.
   */
  lend(vn: VnId, holder: string, wanted?: PortTag, fixed = false, vni?: Vni): PortTag | undefined {
    if (!this.has(vn, wanted, fixed, vni)) return undefined;
    const held = this.#lent.get(vn);
    if (held !== undefined) {
      held.holders.add(holder);
      this.#hold(vn, holder);
      return held.vid;
    }
    const [next] = this.#free;
    const vid = wanted ?? this.#keptFor(vni) ?? next;
    if (vid === undefined) return undefined;
    this.#hold(vn, holder);
    this.#kept.delete(vid);
    const pooled = vid !== 0 && (this.#free.delete(vid) || this.#keptFree.delete(vid));
    this.#lent.set(vn, { vid, holders: new Set([holder]), pooled });
    this.#vns.set(vid, vn);
    return vid;
  }

  /** What is not held can be given back: nothing happens. */
  giveBack(vn: VnId, holder: string): void {
    const held = this.#lent.get(vn);
    if (held === undefined || !held.holders.delete(holder)) return;
    this.#letGo(vn, holder);
    if (held.holders.size > 0) return;
    this.#lent.delete(vn);
    this.#vns.delete(held.vid);
    if (held.vid === 0 || !held.pooled) return;
    this.#free.add(held.vid); // to the back: a tag rests as long as it can before it means another VN
  }

  /** The tag of the range that an earlier run had lent to the VN with this VNI. */
  #keptFor(vni: Vni | undefined): Vid | undefined {
    if (vni === undefined || this.#kept.size === 0) return undefined;
    for (const vid of this.#keptFree) if (this.#kept.get(vid) === vni) return vid;
    return undefined;
  }

  #hold(vn: VnId, holder: string): void {
    const held = this.#held.get(holder);
    if (held === undefined) this.#held.set(holder, new Set([vn]));
    else held.add(vn);
  }

  #letGo(vn: VnId, holder: string): void {
    const held = this.#held.get(holder);
    held?.delete(vn);
    if (held?.size === 0) this.#held.delete(holder);
  }
}

const none: ReadonlySet<VnId> = new Set();

/** `pooled`: of the range, to be lent again afterwards. */
type Lent = { vid: PortTag; holders: Set<string>; pooled: boolean };
