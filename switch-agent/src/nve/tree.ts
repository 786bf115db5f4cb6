import type { IpPrefix, Mac, VnId } from "@nve/protocol-spec";

/** What one VNIC contains: VN → MAC → IP (H6). Without a MAC it is in the VN all the same. */
export type VnicContent = ReadonlyMap<VnId, ReadonlyMap<Mac, ReadonlySet<IpPrefix>>>;

/** A VNIC, a VN of it, a MAC of that VN, or an IP of that MAC: as deep as it is filled in. */
export type TreeNode = { vnic: string; vn?: VnId; mac?: Mac; ip?: IpPrefix };

/**
 * The containment tree VNIC → VN → MAC → IP (H6). A MAC or an IP means something below its VN only, so the
 * same one in two VNs are two (H5). `vnic` is the caller's key; each method returns the VNs it touched.
 */
export class Tree {
  readonly #vnics = new Map<string, Map<VnId, Map<Mac, Set<IpPrefix>>>>();
  readonly #members = new Map<VnId, Set<string>>();

  /** @returns nothing for a VNIC that is not here. */
  content(vnic: string): VnicContent | undefined {
    return this.#vnics.get(vnic);
  }

  /** VNICs of a VN, in the order in which they joined. */
  members(vn: VnId): ReadonlySet<string> {
    return this.#members.get(vn) ?? none;
  }

  /** Puts a VNIC here with all that it contains, in place of what it contained before. */
  put(vnic: string, content: VnicContent): ReadonlySet<VnId> {
    const before = this.#vnics.get(vnic);
    const touched = new Set([...(before?.keys() ?? []), ...content.keys()]);
    const copy = [...content].map(([vn, macs]) => [vn, copyOf(macs)] as const);
    this.#vnics.set(vnic, new Map(copy));
    for (const vn of before?.keys() ?? []) if (!content.has(vn)) this.#leave(vn, vnic);
    for (const vn of content.keys()) this.#join(vn, vnic);
    return touched;
  }

  /** Removes one node and all it contains (H7). What is not here is gone already. */
  remove(node: TreeNode): ReadonlySet<VnId> {
    const vns = this.#vnics.get(node.vnic);
    if (vns === undefined) return new Set();
    if (node.vn === undefined) {
      this.#vnics.delete(node.vnic);
      for (const vn of vns.keys()) this.#leave(vn, node.vnic);
      return new Set(vns.keys());
    }
    return removeBelow(vns, node.vn, node) ? this.#touched(node.vn, node) : new Set();
  }

  #touched(vn: VnId, node: TreeNode): ReadonlySet<VnId> {
    if (node.mac === undefined) this.#leave(vn, node.vnic);
    return new Set([vn]);
  }

  #join(vn: VnId, vnic: string): void {
    const members = this.#members.get(vn);
    if (members === undefined) this.#members.set(vn, new Set([vnic]));
    else members.add(vnic);
  }

  #leave(vn: VnId, vnic: string): void {
    const members = this.#members.get(vn);
    members?.delete(vnic);
    if (members?.size === 0) this.#members.delete(vn);
  }
}

function removeBelow(
  vns: Map<VnId, Map<Mac, Set<IpPrefix>>>,
  vn: VnId,
  { mac, ip }: TreeNode,
): boolean {
  if (mac === undefined) return vns.delete(vn);
  const macs = vns.get(vn);
  if (ip === undefined) return macs?.delete(mac) ?? false;
  return macs?.get(mac)?.delete(ip) ?? false;
}

const copyOf = (macs: ReadonlyMap<Mac, ReadonlySet<IpPrefix>>): Map<Mac, Set<IpPrefix>> =>
  new Map([...macs].map(([mac, ips]) => [mac, new Set(ips)]));

const none: ReadonlySet<string> = new Set();
