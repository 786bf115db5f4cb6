import { type Uuid, VnId, Vni } from "@nve/protocol-spec";
import { limits } from "./limits.ts";
import { Multimap } from "./multimap.ts";
import type { Vn } from "./records.ts";

/** A VN that is wanted; a VN ID or VNI that is left out is chosen, free and unique. */
export type NewVn = Omit<Vn, "vnId" | "vni"> & { vnId?: VnId; vni?: Vni };

export type Refusal = { refused: string };

/** Where the choice of VN IDs and VNIs goes on. */
type Next = { vnId: number; vni: number };

/** Which aliases, names, VN IDs and VNIs are taken. */
export class VnBook {
  readonly #byId = new Map<VnId, Vn>();
  readonly #byName = new Map<Uuid, VnId>();
  readonly #byAlias = new Map<string, VnId>();
  readonly #byVni = new Map<Vni, VnId>();
  readonly #called = new Multimap<string, VnId>();
  // VNIs apart from the first VN IDs, so that nobody takes the one for the other (H4).
  #next: Next = { vnId: 1, vni: 10_001 };

  /** Adds a VN, or deletes it. */
  set(vn: Vn, is: boolean): void {
    this.#called.set(vn.alias, vn.vnId, is);
    if (is) {
      this.#byId.set(vn.vnId, vn);
      this.#byName.set(vn.name, vn.vnId);
      this.#byAlias.set(aliasKey(vn.tenant, vn.alias), vn.vnId);
      this.#byVni.set(vn.vni, vn.vnId);
      return;
    }
    this.#byId.delete(vn.vnId);
    this.#byName.delete(vn.name);
    this.#byAlias.delete(aliasKey(vn.tenant, vn.alias));
    this.#byVni.delete(vn.vni);
  }

  byName(name: Uuid): VnId | undefined {
    return this.#byName.get(name);
  }

  byAlias(tenant: string, alias: string): VnId | undefined {
    return this.#byAlias.get(aliasKey(tenant, alias));
  }

  /** VNs with this alias, whosesoever. */
  called(alias: string): readonly Vn[] {
    return [...this.#called.of(alias)].flatMap((vnId) => this.#byId.get(vnId) ?? []);
  }

  /** What choices go on from: put back, the next choices are the same again. */
  get next(): Next {
    return this.#next;
  }

  set next(next: Next) {
    this.#next = next;
  }

  /** The VN that a wish comes to, or why it cannot be. Takes nothing yet. */
  settle(wish: NewVn): Vn | Refusal {
    const fault = this.#conflict(wish);
    if (fault !== undefined) return { refused: fault };
    const vnId = wish.vnId ?? this.#freeVnId();
    const vni = wish.vni ?? this.#freeVni();
    if (vnId === undefined || vni === undefined)
      return { refused: "all VN IDs are in use: delete VNs that nobody needs" };
    return { ...wish, vnId, vni };
  }

  /** Why this VN cannot be called so. */
  aliasConflict(tenant: string, alias: string, vnId?: VnId): string | undefined {
    const same = this.byAlias(tenant, alias);
    if (same === undefined || same === vnId) return undefined;
    return `tenant "${tenant}" has a VN "${alias}" already (VN ID ${same}): choose another alias`;
  }

  #conflict({ alias, tenant, name, vnId, vni }: NewVn): string | undefined {
    if (this.#byId.size >= limits.vns) return `this NVA holds ${limits.vns} VNs already`;
    const sameAlias = this.aliasConflict(tenant, alias);
    if (sameAlias !== undefined) return sameAlias;
    const sameName = this.byName(name);
    if (sameName !== undefined) return `the name ${name} is that of VN ID ${sameName} already`;
    const sameId = vnId === undefined ? undefined : this.#byId.get(vnId);
    if (sameId !== undefined) return `VN ID ${vnId} is "${sameId.alias}" already`;
    const sameVni = vni === undefined ? undefined : this.#byVni.get(vni);
    if (sameVni !== undefined) return `VNI ${vni} is in use by VN ID ${sameVni} already`;
    return undefined;
  }

  /** Onwards from the last one chosen: a number that was just given up rests as long as it can. */
  #freeVnId(): VnId | undefined {
    const free = nextFree(this.#next.vnId, 1, (n) => this.#byId.has(VnId(n)));
    if (free === undefined) return undefined;
    this.#next = { ...this.#next, vnId: free + 1 };
    return VnId(free);
  }

  #freeVni(): Vni | undefined {
    const free = nextFree(this.#next.vni, 10_001, (n) => this.#byVni.has(Vni(n)));
    if (free === undefined) return undefined;
    this.#next = { ...this.#next, vni: free + 1 };
    return Vni(free);
  }
}

const max = 0xffffff;

/** Terminates soon: no more than `limits.vns` numbers are taken. */
function nextFree(from: number, min: number, taken: (n: number) => boolean): number | undefined {
  for (let tried = 0; tried <= limits.vns; tried++) {
    const n = min + ((from - min + tried) % (max - min + 1));
    if (!taken(n)) return n;
  }
  return undefined;
}

const aliasKey = (tenant: string, alias: string): string => `${tenant}\n${alias}`;
