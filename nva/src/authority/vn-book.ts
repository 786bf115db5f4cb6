import { type Uuid, VnId, Vni } from "@nve/protocol-spec";
import { limits } from "./limits.ts";
import type { Vn } from "./records.ts";

/** What orchestration asks for; what is left out is chosen, free and unique. */
export type VnWish = {
  alias: string;
  tenant: string;
  /** A fresh UUID when the asker has no own. */
  name: Uuid;
  vnId?: VnId;
  vni?: Vni;
  mtu: number;
};

export type Refusal = { refused: string };

/** Which aliases, names, VN IDs and VNIs are taken. */
export class VnBook {
  readonly #byId = new Map<VnId, Vn>();
  readonly #byName = new Map<Uuid, VnId>();
  readonly #byAlias = new Map<string, VnId>();
  readonly #byVni = new Map<Vni, VnId>();
  #nextVnId = 1;
  #nextVni = 10_001; // apart from the first VN IDs, so that nobody takes the one for the other (H4)

  add(vn: Vn): void {
    this.#byId.set(vn.vnId, vn);
    this.#byName.set(vn.name, vn.vnId);
    this.#byAlias.set(aliasKey(vn.tenant, vn.alias), vn.vnId);
    this.#byVni.set(vn.vni, vn.vnId);
  }

  delete(vn: Vn): void {
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

  /** The VN that a wish comes to, or why it cannot be. Takes nothing yet. */
  settle(wish: VnWish): Vn | Refusal {
    const fault = this.#conflict(wish);
    if (fault !== undefined) return { refused: fault };
    const vnId = wish.vnId ?? this.#freeVnId();
    const vni = wish.vni ?? this.#freeVni();
    if (vnId === undefined || vni === undefined)
      return { refused: "all VN IDs are in use: delete VNs that nobody needs" };
    const { alias, tenant, name, mtu } = wish;
    return { vnId, name, alias, vni, tenant, service: "l2", mtu, flood: "head-end" };
  }

  #conflict({ alias, tenant, name, vnId, vni }: VnWish): string | undefined {
    if (this.#byId.size >= limits.vns) return `this NVA holds ${limits.vns} VNs already`;
    const sameAlias = this.byAlias(tenant, alias);
    if (sameAlias !== undefined)
      return `tenant "${tenant}" has a VN "${alias}" already (VN ID ${sameAlias}): choose another alias`;
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
    const free = nextFree(this.#nextVnId, 1, (n) => this.#byId.has(VnId(n)));
    if (free === undefined) return undefined;
    this.#nextVnId = free + 1;
    return VnId(free);
  }

  #freeVni(): Vni | undefined {
    const free = nextFree(this.#nextVni, 10_001, (n) => this.#byVni.has(Vni(n)));
    if (free === undefined) return undefined;
    this.#nextVni = free + 1;
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
