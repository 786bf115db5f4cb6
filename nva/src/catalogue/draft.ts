import type { Authority } from "../authority/authority.ts";
import {
  type Catalogue,
  type Declared,
  type DeclaredChange,
  defaultTenant,
  type Kind,
  pending,
} from "../authority/catalogue.ts";
import type { Binding, ExpectedVnic } from "../authority/declared.ts";
import { limits } from "../authority/limits.ts";
import { bindingKey, type Vn, vnKey } from "../authority/records.ts";
import type { NewVn } from "../authority/vn-book.ts";
import { nameFaults } from "./check.ts";
import { findKey, findVn } from "./find.ts";
import { same } from "./same.ts";
import { usersOf } from "./users.ts";
import { type BindingWish, keyOf, type VnicWish, type VnWish, type Wish } from "./wish.ts";

/** What a wish comes to: the key of its row, or why it cannot be. `missing`: because of something that is not there. */
export type Outcome = { key: string } | { faults: readonly string[]; missing?: true };

/**
 * Changes that are tried on the catalogue itself, one after another, each checked against what those before it came to.
 * Afterwards either all of them are made to count, or all are taken back.
 */
export class Draft {
  readonly changes: DeclaredChange[] = [];
  unchanged = 0;
  readonly #authority: Authority;
  readonly #catalogue: Catalogue;
  readonly #next: Catalogue["book"]["next"];

  constructor(authority: Authority) {
    this.#authority = authority;
    this.#catalogue = authority.catalogue;
    this.#next = authority.catalogue.book.next;
  }

  rollBack(): void {
    for (const { kind, key, before } of this.changes.reverse())
      this.#catalogue.set(kind, key, before);
    this.changes.length = 0;
    this.#catalogue.book.next = this.#next;
  }

  /** Creates or replaces. */
  put(one: Wish): Outcome {
    switch (one.kind) {
      case "tenant":
        return this.#putTenant(one.wish, one.key);
      case "profile":
        return this.#putNamed("profile", one.wish, one.key);
      case "policy":
        return this.#putNamed("policy", one.wish, one.key);
      case "vn":
        return this.#putVn(one.wish, one.key);
      case "vnic":
        return this.#putVnic(one.wish, one.key);
      case "binding":
        return this.#putBinding(one.wish, one.key);
    }
  }

  /** A VN that must be new. */
  create(wish: VnWish): Outcome {
    return this.#createVn(wish, wish.tenant ?? defaultTenant);
  }

  /** Takes away what is there, and with it what refers to it: bindings and entries of VNICs of a VN, VNs of a tenant. */
  remove(kind: Kind, key: string): void {
    const catalogue = this.#catalogue;
    if (kind === "tenant")
      for (const vnId of [...catalogue.vnsOfTenant(key)]) this.remove("vn", vnKey(vnId));
    if (kind === "profile")
      for (const vnId of [...catalogue.vnsOfProfile(key)]) this.#unprofile(vnKey(vnId));
    if (kind === "vn") this.#clearVn(key);
    this.#set(kind, key, undefined);
  }

  /** Why it cannot be taken away without force. */
  inUse(kind: Kind, key: string): string | undefined {
    return usersOf(this.#authority, kind, key);
  }

  #putTenant(wish: Declared["tenant"], key?: string): Outcome {
    const count = this.#catalogue.vnsOfTenant(wish.name).size;
    if (wish.maxVns !== undefined && count > wish.maxVns)
      return { faults: [`it has ${count} VNs: max_vns cannot be ${wish.maxVns} before some go`] };
    return this.#putNamed("tenant", wish, key);
  }

  #putNamed<K extends "tenant" | "profile" | "policy">(
    kind: K,
    wish: Declared[K],
    key = wish.name,
  ): Outcome {
    if (key !== wish.name)
      return { faults: [`name: the key says "${key}": a ${kind} keeps its name`] };
    return this.#put(kind, wish.name, wish);
  }

  #putVn(wish: VnWish, key?: string): Outcome {
    const { book } = this.#catalogue;
    const own = keyOf({ kind: "vn", wish });
    if (key !== undefined && key !== own) {
      const found = findVn(this.#catalogue, key);
      if ("refused" in found)
        return { faults: [`the key is "${key}", and ${found.refused}`], missing: true };
      return this.#changeVn(wish, found);
    }
    const tenant = wish.tenant ?? defaultTenant;
    const known = book.byAlias(tenant, wish.alias);
    const vn = known === undefined ? undefined : this.#catalogue.vn(known);
    return vn === undefined ? this.#createVn(wish, tenant) : this.#changeVn(wish, vn);
  }

  #createVn(wish: VnWish, tenant: string): Outcome {
    const { tenant: _, fresh, vnId, vni, ...rest } = wish;
    const faults = [...this.#tenantFaults(tenant), ...this.#profileFaults(wish)];
    const missing = wish.profile !== undefined && faults.length > 0;
    const wanted: NewVn = {
      ...rest,
      tenant,
      name: wish.name ?? fresh,
      ...(vnId !== undefined && { vnId }),
      ...(vni !== undefined && { vni }),
    };
    const vn = this.#catalogue.book.settle(wanted);
    if ("refused" in vn) faults.push(vn.refused);
    if (faults.length > 0 || "refused" in vn)
      return { faults, ...(missing && { missing: true as const }) };
    if (this.#catalogue.get("tenant", tenant) === undefined)
      this.#set("tenant", tenant, { name: tenant });
    return this.#put("vn", vnKey(vn.vnId), vn);
  }

  #tenantFaults(tenant: string): string[] {
    const known = this.#catalogue.get("tenant", tenant)?.row;
    if (known === undefined) {
      if (this.#catalogue.count("tenant") >= limits.tenants) return [tooMany("tenant")];
      return nameFaults("tenant", tenant);
    }
    const { maxVns } = known;
    if (maxVns === undefined || this.#catalogue.vnsOfTenant(tenant).size < maxVns) return [];
    return [
      `tenant "${tenant}" has as many VNs as it may (max_vns ${maxVns}): delete one, or raise it`,
    ];
  }

  #profileFaults({ profile }: VnWish): string[] {
    if (profile === undefined || this.#catalogue.get("profile", profile) !== undefined) return [];
    return [`there is no profile "${profile}": declare it first, or leave it out`];
  }

  /** Everything but what it is known by at NVEs and hypervisors. */
  #changeVn(wish: VnWish, vn: Vn): Outcome {
    const { tenant = vn.tenant, name = vn.name, vnId = vn.vnId, vni = vn.vni } = wish;
    const { fresh: _, ...rest } = wish;
    const faults = this.#profileFaults(wish);
    const missing = faults.length > 0;
    const fixed = [
      ["tenant", vn.tenant, tenant],
      ["name", vn.name, name],
      ["vn_id", vn.vnId, vnId],
      ["vni", vn.vni, vni],
    ] as const;
    for (const [field, is, wanted] of fixed)
      if (is !== wanted)
        faults.push(
          `${field}: it is ${is} and stays so: for ${wanted} make another VN, or delete this one first`,
        );
    const conflict = this.#catalogue.book.aliasConflict(tenant, wish.alias, vn.vnId);
    if (conflict !== undefined) faults.push(conflict);
    if (faults.length > 0) return { faults, ...(missing && { missing: true as const }) };
    return this.#put("vn", vnKey(vn.vnId), { ...rest, tenant, name, vnId, vni });
  }

  #putVnic(wish: VnicWish, key: string = wish.vnic): Outcome {
    if (key.toLowerCase() !== wish.vnic)
      return { faults: [`vnic: the key says "${key}": a VNIC keeps its UUID`] };
    const faults: string[] = [];
    const vns: ExpectedVnic["vns"][number][] = [];
    for (const [i, { vn: text, macs }] of wish.vns.entries()) {
      const vn = findVn(this.#catalogue, text);
      if ("refused" in vn) faults.push(`vns[${i}]: ${vn.refused}: create it first`);
      else if (vns.some(({ vnId }) => vnId === vn.vnId))
        faults.push(`vns[${i}]: "${text}" stands there twice`);
      else vns.push({ vnId: vn.vnId, macs });
    }
    if (faults.length > 0) return { faults, missing: true };
    return this.#put("vnic", wish.vnic, { ...wish, vns });
  }

  #putBinding(wish: BindingWish, text?: string): Outcome {
    const { vn: called, ...rest } = wish;
    const vn = findVn(this.#catalogue, called);
    if ("refused" in vn) return { faults: [`vn: ${vn.refused}: create it first`], missing: true };
    const binding: Binding = { ...rest, vnId: vn.vnId };
    const key = bindingKey(vn.vnId, wish.mac);
    if (text !== undefined && findKey(this.#catalogue, "binding", text) !== key)
      return { faults: [`the key says "${text}": a binding keeps its VN and MAC`] };
    const full = this.#full(binding);
    return full === undefined ? this.#put("binding", key, binding) : { faults: [full] };
  }

  /** As much as VN and address bear: a binding is a claim. */
  #full({ vnId, mac }: Binding): string | undefined {
    const state = this.#authority.vn(vnId);
    if (state === undefined || state.heldBy(mac, "static") !== undefined) return undefined;
    if (state.claimCount >= limits.claimsPerVn)
      return `the VN has ${limits.claimsPerVn} claims already`;
    if (state.claimsOf(mac) >= limits.claimsPerMac)
      return `${limits.claimsPerMac} NVEs claim this address already`;
    return undefined;
  }

  #put<K extends Kind>(kind: K, key: string, row: Declared[K]): Outcome {
    const known = this.#catalogue.get(kind, key);
    if (known === undefined && this.#catalogue.count(kind) >= atMost[kind])
      return { faults: [tooMany(kind)] };
    if (known !== undefined && same(known.row, row)) this.unchanged += 1;
    else this.#set(kind, key, row);
    return { key };
  }

  #set<K extends Kind>(kind: K, key: string, row: Declared[K] | undefined): void {
    const after = row === undefined ? undefined : { row, revision: pending };
    const before = this.#catalogue.set(kind, key, after);
    const change = {
      kind,
      key,
      ...(before !== undefined && { before }),
      ...(after !== undefined && { after }),
    };
    this.changes.push(change as DeclaredChange);
  }

  #clearVn(key: string): void {
    const vn = this.#catalogue.get("vn", key)?.row;
    if (vn === undefined) return;
    for (const binding of [...this.#catalogue.bindingsOfVn(vn.vnId)])
      this.#set("binding", binding, undefined);
    for (const uuid of [...this.#catalogue.vnicsOfVn(vn.vnId)]) {
      const vnic = this.#catalogue.vnic(uuid);
      if (vnic === undefined) continue;
      const vns = vnic.vns.filter(({ vnId }) => vnId !== vn.vnId);
      this.#set("vnic", uuid, { ...vnic, vns });
    }
  }

  #unprofile(key: string): void {
    const vn = this.#catalogue.get("vn", key)?.row;
    if (vn === undefined) return;
    const { profile: _, ...rest } = vn;
    this.#set("vn", key, rest);
  }
}

const atMost: Readonly<Record<Kind, number>> = {
  tenant: limits.tenants,
  profile: limits.profiles,
  policy: limits.policies,
  vn: limits.vns,
  vnic: limits.vnics,
  binding: limits.bindings,
};
const plural: Readonly<Record<Kind, string>> = {
  tenant: "tenants",
  profile: "profiles",
  policy: "policies",
  vn: "VNs",
  vnic: "VNICs",
  binding: "bindings",
};
const tooMany = (kind: Kind): string =>
  `this NVA holds ${atMost[kind]} ${plural[kind]} already: delete what nobody needs`;
