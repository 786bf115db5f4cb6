import { holdsHosts, VdpError, type VnId } from "@nve/protocol-spec";
import type { PortOptions } from "./events.ts";
import type { AccessRules } from "./intents.ts";
import { entriesOf, noHost, noTag } from "./request.ts";
import { TagPool } from "./tag-pool.ts";
import type { Ask, Entry, PortTag, Refusal, VnInfo } from "./vsi.ts";

/** What is known of the VNs. */
type Infos = { get(vn: VnId): VnInfo | undefined };

/** A port of the NVE: its tags, and the VSIs on it. */
export class Port {
  readonly pool: TagPool;
  readonly vsis = new Set<string>();
  readonly maxVnics: number;
  readonly rules: AccessRules;
  #up = true;

  constructor({ tags, startTag, maxVnics, rules = {}, keptTags = [] }: PortOptions) {
    this.pool = new TagPool(tags, startTag);
    for (const { vid, vni } of keptTags) this.pool.keep(vid, vni);
    this.maxVnics = maxVnics;
    this.rules = rules;
  }

  /** Its link; nobody has said otherwise yet. */
  get up(): boolean {
    return this.#up;
  }

  /** @returns whether that is news */
  linkIs(up: boolean): boolean {
    const news = up !== this.#up;
    this.#up = up;
    return news;
  }

  /** Why there is no room for one VSI more. */
  full(name: string): Refusal | undefined {
    if (this.vsis.size < this.maxVnics) return undefined;
    const reason = `port ${name} has its ${this.maxVnics} VNICs, no more are allowed`;
    return { code: VdpError.insufficientResources, hard: false, reason };
  }

  /** The entries, when each can have its tag, and the addresses are such as hosts have. */
  check({ port, filters, addresses = [] }: Ask, infos: Infos): readonly Entry[] | Refusal {
    const odd = addresses.find(({ ip }) => !holdsHosts(ip));
    if (odd !== undefined) return noHost(odd.ip);
    const entries = entriesOf(filters, (vid) => this.pool.vnOf(vid));
    if ("code" in entries) return entries;
    const stuck = entries.find(
      ({ vn, vid, fixed }) => !this.pool.has(vn, vid, fixed, infos.get(vn)?.vni),
    );
    return stuck === undefined ? entries : noTag(port, this.pool, stuck);
  }

  /** A tag for every entry, or none at all. */
  lend({ port, vsi }: Ask, entries: readonly Entry[], infos: Infos): readonly PortTag[] | Refusal {
    const tags: PortTag[] = [];
    for (const entry of entries) {
      const vni = infos.get(entry.vn)?.vni;
      const tag = this.pool.lend(entry.vn, vsi, entry.vid, entry.fixed, vni);
      if (tag === undefined) return noTag(port, this.pool, entry);
      tags.push(tag);
    }
    return tags;
  }

  /** Gives back every tag that the VSI holds beyond those of `vns` (H2). @returns the VNs of those */
  giveBack(vsi: string, vns: ReadonlySet<VnId>): readonly VnId[] {
    const left = [...this.pool.heldBy(vsi)].filter((vn) => !vns.has(vn));
    for (const vn of left) this.pool.giveBack(vn, vsi);
    return left;
  }
}
