import type { NveId, Uuid, VnId } from "@nve/protocol-spec";
import type { Binding, ExpectedVnic, Policy, Profile, Tenant } from "./declared.ts";
import { Multimap } from "./multimap.ts";
import { type Vn, vnKey } from "./records.ts";
import { VnBook } from "./vn-book.ts";

/** What an administrator declares, kind by kind. */
export type Declared = {
  tenant: Tenant;
  profile: Profile;
  policy: Policy;
  vn: Vn;
  vnic: ExpectedVnic;
  binding: Binding;
};
export type Kind = keyof Declared;
/** In the order in which they can be made: each refers to earlier ones only. */
export const kinds = ["tenant", "profile", "policy", "vn", "vnic", "binding"] as const;

export type Entry<T> = {
  readonly row: T;
  /** Of its last change; `pending`: not in the store yet. */
  revision: number;
};
export const pending = -1;

/** Created (no `before`), changed, or deleted (no `after`). `key` is that of its row; of a binding, without the source. */
export type DeclaredChange = {
  [K in Kind]: { kind: K; key: string; before?: Entry<Declared[K]>; after?: Entry<Declared[K]> };
}[Kind];

/** VNs by their IDs. */
export type Vns = { vn(vnId: VnId): Vn | undefined };

/** As they were before these changes, or are after them, also where the catalogue is not there yet, or no more. */
export function vnsWith(
  catalogue: Vns,
  changes: readonly DeclaredChange[],
  which: "before" | "after",
): Vns {
  const changed = new Map<VnId, Vn>();
  for (const change of changes) {
    const vn = change.kind === "vn" ? change[which]?.row : undefined;
    if (vn !== undefined) changed.set(vn.vnId, vn);
  }
  return { vn: (vnId) => changed.get(vnId) ?? catalogue.vn(vnId) };
}

/** Whose VNs are, where no tenant is said: always there. */
export const defaultTenant = "default";

type Rows = { [K in Kind]: Map<string, Entry<Declared[K]>> };

/**
 * All that is declared, with who refers to whom. It checks nothing: that is done by who changes it (../catalogue). Changes are
 * made by `set` alone, each of which another `set` undoes.
 */
export class Catalogue {
  /** Which aliases, names, VN IDs and VNIs are taken. */
  readonly book = new VnBook();
  readonly #rows: Rows = {
    tenant: new Map(),
    profile: new Map(),
    policy: new Map(),
    vn: new Map(),
    vnic: new Map(),
    binding: new Map(),
  };
  readonly #sorted = new Map<Kind, readonly string[]>();
  readonly #vnsOfTenant = new Multimap<string, VnId>();
  readonly #vnsOfProfile = new Multimap<string, VnId>();
  readonly #vnicsOfVn = new Multimap<VnId, Uuid>();
  readonly #bindingsOfVn = new Multimap<VnId, string>();
  readonly #bindingsAt = new Multimap<NveId, string>();
  #policies: readonly Policy[] | undefined;
  #uncommitted: Entry<unknown>[] = [];
  #changing = false;
  #lastChange: number;

  /** @param revision of the store that it is read from */
  constructor(revision = 0) {
    this.#lastChange = revision;
    this.set("tenant", defaultTenant, { row: { name: defaultTenant }, revision: 0 });
  }

  /** Takes a stored VN. One of before there were tenants brings its own. */
  load(vn: Vn, revision: number): void {
    if (this.get("tenant", vn.tenant) === undefined)
      this.set("tenant", vn.tenant, { row: { name: vn.tenant }, revision: 0 });
    this.set("vn", vnKey(vn.vnId), { row: vn, revision });
  }

  /** All of the store is here, as it is at this revision. */
  restored(revision: number): void {
    this.#lastChange = revision;
    this.#changing = false;
    this.#uncommitted = [];
  }

  get<K extends Kind>(kind: K, key: string): Entry<Declared[K]> | undefined {
    return this.#rows[kind].get(key);
  }

  count(kind: Kind): number {
    return this.#rows[kind].size;
  }

  /** Keys of all there is of a kind, sorted. */
  keys(kind: Kind): readonly string[] {
    let keys = this.#sorted.get(kind);
    if (keys === undefined) {
      keys = [...this.#rows[kind].keys()].sort();
      this.#sorted.set(kind, keys);
    }
    return keys;
  }

  /** Puts, or takes away (`undefined`). @returns what was there */
  set<K extends Kind>(
    kind: K,
    key: string,
    entry: Entry<Declared[K]> | undefined,
  ): Entry<Declared[K]> | undefined {
    const rows: Map<string, Entry<Declared[K]>> = this.#rows[kind];
    const before = rows.get(key);
    if (before !== undefined) this.#index[kind](before.row, false, key);
    if (entry === undefined) rows.delete(key);
    else {
      rows.set(key, entry);
      this.#index[kind](entry.row, true, key);
    }
    if ((before === undefined) !== (entry === undefined)) this.#sorted.delete(kind);
    return before;
  }

  /** These are going to be in the store. */
  enacted(changes: readonly DeclaredChange[]): void {
    if (changes.length > 0) this.#changing = true;
    for (const { after } of changes) if (after?.revision === pending) this.#uncommitted.push(after);
  }

  /** What was enacted is in the store at this revision. */
  committed(revision: number): void {
    if (!this.#changing) return;
    this.#changing = false;
    this.#lastChange = revision;
    for (const entry of this.#uncommitted.splice(0)) entry.revision = revision;
  }

  /** Its row was stored once more, with what is not declared of it: who reads the store sees that revision. */
  rewritten(kind: Kind, key: string, revision: number): void {
    const entry = this.#rows[kind].get(key);
    if (entry !== undefined) entry.revision = revision;
  }

  /** The store's revision of the last change of anything declared; `pending`: it is being stored. */
  get lastChange(): number {
    return this.#changing ? pending : this.#lastChange;
  }

  vn(vnId: VnId): Vn | undefined {
    return this.#rows.vn.get(vnKey(vnId))?.row;
  }

  /** In the order in which they are asked. */
  get policies(): readonly Policy[] {
    this.#policies ??= [...this.#rows.policy.values()]
      .map(({ row }) => row)
      .sort((a, b) => a.order - b.order || (a.name < b.name ? -1 : 1));
    return this.#policies;
  }

  vnic(vnic: Uuid): ExpectedVnic | undefined {
    return this.#rows.vnic.get(vnic)?.row;
  }

  profileOf({ profile }: Vn): Profile | undefined {
    return profile === undefined ? undefined : this.#rows.profile.get(profile)?.row;
  }

  vnsOfTenant(tenant: string): ReadonlySet<VnId> {
    return this.#vnsOfTenant.of(tenant);
  }

  vnsOfProfile(profile: string): ReadonlySet<VnId> {
    return this.#vnsOfProfile.of(profile);
  }

  /** Expected VNICs that name this VN. */
  vnicsOfVn(vnId: VnId): ReadonlySet<Uuid> {
    return this.#vnicsOfVn.of(vnId);
  }

  bindingsOfVn(vnId: VnId): ReadonlySet<string> {
    return this.#bindingsOfVn.of(vnId);
  }

  *bindingsAt(nveId: NveId): Generator<Binding> {
    for (const key of this.#bindingsAt.of(nveId)) {
      const binding = this.#rows.binding.get(key)?.row;
      if (binding !== undefined) yield binding;
    }
  }

  readonly #index: { [K in Kind]: (row: Declared[K], is: boolean, key: string) => void } = {
    tenant: () => {},
    profile: () => {},
    policy: () => {
      this.#policies = undefined;
    },
    vn: (vn, is) => {
      this.book.set(vn, is);
      this.#vnsOfTenant.set(vn.tenant, vn.vnId, is);
      if (vn.profile !== undefined) this.#vnsOfProfile.set(vn.profile, vn.vnId, is);
    },
    vnic: ({ vnic, vns }, is) => {
      for (const { vnId } of vns) this.#vnicsOfVn.set(vnId, vnic, is);
    },
    binding: ({ vnId, nveId }, is, key) => {
      this.#bindingsOfVn.set(vnId, key, is);
      this.#bindingsAt.set(nveId, key, is);
    },
  };
}
