import { Ledger, type Mac, type NveId, type VnId } from "@nve/protocol-spec";
import type { Authority } from "./authority.ts";
import type { Location, Mapping, Touch, Touched } from "./records.ts";

/** What a VN comes to: how many mappings and members, and the XOR of their digests (protocol-spec/README.md). */
export type VnDigest = {
  mappings: number;
  digest: bigint;
  members: number;
  membersDigest: bigint;
};

type Digesting = {
  macs: Ledger<Mac>;
  members: Ledger<NveId>;
  /** Changed since their digests were made. */
  dirty: Pick<Touch, "macs" | "members">;
  /** Of the first time, what is still to come. */
  rest?: Iterator<Mac>;
};

/** What digests are of. */
type Octets = {
  mapping(mapping: Mapping): Uint8Array;
  member(vnId: VnId, at: Location): Uint8Array;
};

/** Changes kept of a VN that nobody asks about any more; with more it begins anew when somebody does. */
const dirtyLimit = 65_536;

/**
 * Digests of those VNs that somebody has asked for: what changed is hashed when somebody asks again, however often it
 * changed meanwhile.
 */
export class Digests {
  readonly #vns = new Map<VnId, Digesting>();
  readonly #octets: Octets;

  constructor(octets: Octets) {
    this.#octets = octets;
  }

  /** After each commit. */
  touched(touched: Touched): void {
    for (const [vnId, { macs, members, life }] of touched) {
      const one = this.#vns.get(vnId);
      if (one === undefined) continue;
      for (const mac of macs) one.dirty.macs.add(mac);
      for (const nve of members) one.dirty.members.add(nve);
      const isMany = one.dirty.macs.size + one.dirty.members.size > dirtyLimit;
      if (life || isMany) this.#vns.delete(vnId);
    }
  }

  /**
   * Makes up to `most` digests that are due.
   * @returns the VN's, when none is due any more; "later"; or undefined: there is no such VN
   */
  advance(authority: Authority, vnId: VnId, most: number): VnDigest | "later" | undefined {
    const vn = authority.vn(vnId);
    if (vn === undefined) {
      this.#vns.delete(vnId);
      return undefined;
    }
    const one = this.#vns.get(vnId) ?? this.#begin(vnId, vn.macs(), vn.members);
    for (const nveId of one.dirty.members) {
      const row = vn.members.has(nveId) ? authority.nve(nveId)?.row : undefined;
      one.members.put(nveId, row && this.#octets.member(vnId, row.location));
      one.dirty.members.delete(nveId);
    }
    one.members.settle();
    for (let left = most; left > 0; left--) {
      const mac = next(one);
      if (mac === undefined) return toDigest(one);
      const mapping = vn.mapping(mac);
      one.macs.put(mac, mapping && this.#octets.mapping(mapping));
      one.macs.settle();
    }
    return "later";
  }

  #begin(vnId: VnId, rest: Iterator<Mac>, members: ReadonlySet<NveId>): Digesting {
    const dirty = { macs: new Set<Mac>(), members: new Set(members) };
    const one = { macs: new Ledger<Mac>(), members: new Ledger<NveId>(), dirty, rest };
    this.#vns.set(vnId, one);
    return one;
  }
}

/** The next MAC that is due: those of the first time, then what changed. */
function next(one: Digesting): Mac | undefined {
  const first = one.rest?.next();
  if (first !== undefined && !first.done) return first.value;
  delete one.rest;
  for (const mac of one.dirty.macs) {
    one.dirty.macs.delete(mac);
    return mac;
  }
  return undefined;
}

const toDigest = ({ macs, members }: Digesting): VnDigest => ({
  mappings: macs.size,
  digest: macs.digest,
  members: members.size,
  membersDigest: members.digest,
});
