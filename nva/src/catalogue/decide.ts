import type { Instant } from "@nve/protocol-spec";
import type { Authority } from "../authority/authority.ts";
import {
  type DeclaredChange,
  defaultTenant,
  type Entry,
  type Kind,
  kinds,
  pending,
} from "../authority/catalogue.ts";
import { Effects, type Step, type Vn } from "../authority/records.ts";
import { Draft } from "./draft.ts";
import { findKey, labelOf, nameOf } from "./find.ts";
import { nvesOf } from "./users.ts";
import { keyOf, type VnWish, type Wish } from "./wish.ts";

/** What was done, in order. Entries have their revisions as soon as it is in the store. */
export type Done = { changes: readonly DeclaredChange[]; unchanged: number };
/** `conflict`: it is not at the revision expected. `missing`: it is not there. `refused`: it cannot be. */
export type Declined = { declined: "conflict" | "missing" | "refused"; reason: string };

/** Something wrong with one of the things to apply: `at` is its place among them, none for what is to be deleted. */
export type Fault = { at?: number; name: string; what: string; missing?: true };
export type ApplyOptions = {
  prune: boolean;
  /** Also VNs that have members. */
  force: boolean;
  dryRun: boolean;
  expected?: number;
};

/** Creates or replaces one thing. @param expected the revision that it must have; 0: it must not be there */
export function put(
  authority: Authority,
  one: Wish,
  expected: number | undefined,
  now: Instant,
): Step<(Done & { kind: Kind; key: string }) | Declined> {
  const name = one.key ?? keyOf(one);
  const declined = unexpected(authority, one.kind, name, expected);
  if (declined !== undefined) return new Effects().step(declined);
  const draft = new Draft(authority);
  const outcome = draft.put(one);
  if ("faults" in outcome) {
    draft.rollBack();
    const reason = `${labelOf(one.kind, name)}: ${outcome.faults.join("; ")}`;
    return new Effects().step({ declined: "refused", reason });
  }
  const done = {
    kind: one.kind,
    key: outcome.key,
    changes: draft.changes,
    unchanged: draft.unchanged,
  };
  return authority.enact(draft.changes, now).step(done);
}

/** A VN that must be new. */
export function createVn(authority: Authority, wish: VnWish, now: Instant): Step<Vn | Declined> {
  const draft = new Draft(authority);
  const outcome = draft.create(wish);
  if ("faults" in outcome) {
    draft.rollBack();
    return new Effects().step({ declined: "refused", reason: outcome.faults.join("; ") });
  }
  const vn = authority.catalogue.get("vn", outcome.key)?.row;
  if (vn === undefined) throw new Error("a VN that was made is not there");
  return authority.enact(draft.changes, now).step(vn);
}

/** Refused while others refer to it, unless forced: see `Draft.remove` for what then becomes of them. */
export function remove(
  authority: Authority,
  { kind, name }: { kind: Kind; name: string },
  { force, expected }: { force: boolean; expected?: number },
  now: Instant,
): Step<Done | Declined> {
  const { catalogue } = authority;
  const no = (declined: Declined["declined"], reason: string) =>
    new Effects().step<Declined>({ declined, reason });
  const key = findKey(catalogue, kind, name);
  if (typeof key !== "string") return no("missing", key.refused);
  if (catalogue.get(kind, key) === undefined)
    return no("missing", `there is no ${labelOf(kind, name)}`);
  const declined = unexpected(authority, kind, name, expected);
  if (declined !== undefined) return new Effects().step(declined);
  if (kind === "tenant" && key === defaultTenant)
    return no("refused", `tenant "${defaultTenant}" is always there: its VNs can be deleted`);
  const draft = new Draft(authority);
  const users = force ? undefined : draft.inUse(kind, key);
  if (users !== undefined) return no("refused", users);
  draft.remove(kind, key);
  const done = { changes: draft.changes, unchanged: 0 };
  return authority.enact(draft.changes, now).step(done);
}

/**
 * All of it or nothing: creates, changes, and with `prune` deletes what is not named. What is to be deleted of bindings,
 * VNICs and VNs goes first, so that others may have its alias or VNI; the rest last, when nothing refers to it any more.
 * @param wishes `undefined` where a thing was no wish at all: `faults` says why, and nothing is done
 */
export function apply(
  authority: Authority,
  wishes: readonly (Wish | undefined)[],
  faults: readonly Fault[],
  options: ApplyOptions,
  now: Instant,
): Step<Done | Declined | { faults: readonly Fault[] }> {
  const late = tooLate(authority, options.expected);
  if (late !== undefined) return new Effects().step(late);
  const draft = new Draft(authority);
  const found = [...faults, ...new Application(authority, draft, wishes, options).faults()];
  // What is wrong with one thing makes others miss it: of those nobody wants to read.
  const told = faults.length === 0 ? found : found.filter(({ missing }) => missing === undefined);
  if (told.length > 0) {
    draft.rollBack();
    return new Effects().step({ faults: told });
  }
  const done = { changes: [...draft.changes], unchanged: draft.unchanged };
  if (!options.dryRun) return authority.enact(draft.changes, now).step(done);
  draft.rollBack();
  return new Effects().step(done);
}

class Application {
  readonly #authority: Authority;
  readonly #draft: Draft;
  readonly #wishes: readonly (Wish | undefined)[];
  readonly #options: ApplyOptions;
  readonly #faults: Fault[] = [];

  constructor(
    authority: Authority,
    draft: Draft,
    wishes: readonly (Wish | undefined)[],
    options: ApplyOptions,
  ) {
    this.#authority = authority;
    this.#draft = draft;
    this.#wishes = wishes;
    this.#options = options;
  }

  faults(): readonly Fault[] {
    const named = this.#named();
    if (this.#options.prune) this.#prune(["binding", "vnic", "vn"], named);
    for (const kind of kinds)
      for (const [at, one] of this.#wishes.entries()) if (one?.kind === kind) this.#put(one, at);
    if (this.#options.prune) this.#prune(["policy", "profile", "tenant"], named);
    return this.#faults;
  }

  /** Keys of what is meant and there, and of tenants that VNs name. */
  #named(): ReadonlySet<string> {
    const named = new Set<string>([`tenant ${defaultTenant}`]);
    const twice = new Map<string, number>();
    for (const [at, one] of this.#wishes.entries()) {
      if (one === undefined) continue;
      const name = one.key ?? keyOf(one);
      const key = findKey(this.#authority.catalogue, one.kind, name);
      const id = `${one.kind} ${typeof key === "string" ? key : name}`;
      const first = twice.get(id);
      if (first !== undefined)
        this.#faults.push({
          at,
          name: labelOf(one.kind, name),
          what: `it is there twice: resources[${first}] too`,
        });
      twice.set(id, first ?? at);
      named.add(id);
      if (one.kind === "vn") named.add(`tenant ${one.wish.tenant ?? defaultTenant}`);
    }
    return named;
  }

  #put(one: Wish, at: number): void {
    const outcome = this.#draft.put(one);
    if (!("faults" in outcome)) return;
    const name = labelOf(one.kind, one.key ?? keyOf(one));
    const { missing } = outcome;
    for (const what of outcome.faults)
      this.#faults.push({ at, name, what, ...(missing && { missing }) });
  }

  #prune(which: readonly Kind[], named: ReadonlySet<string>): void {
    const { catalogue } = this.#authority;
    for (const kind of which)
      for (const key of [...catalogue.keys(kind)]) {
        if (named.has(`${kind} ${key}`)) continue;
        const users = this.#usersOf(kind, key);
        if (users === undefined) this.#draft.remove(kind, key);
        else this.#faults.push({ name: labelOf(kind, this.#nameOf(kind, key)), what: users });
      }
  }

  #usersOf(kind: Kind, key: string): string | undefined {
    if (kind !== "vn") return this.#draft.inUse(kind, key);
    const vn = this.#authority.catalogue.get("vn", key)?.row;
    const nves = vn === undefined || this.#options.force ? [] : nvesOf(this.#authority, vn.vnId);
    if (nves.length === 0) return undefined; // what is declared of it goes too, or is a fault of its own
    return `it would be deleted, and has members at ${nves.slice(0, 20).join(", ")}: detach them first, name it, or force it`;
  }

  #nameOf(kind: Kind, key: string): string {
    const { catalogue } = this.#authority;
    const after: Entry<unknown> | undefined = catalogue.get(kind, key);
    return nameOf(catalogue, { kind, key, ...(after && { after }) } as DeclaredChange);
  }
}

function unexpected(
  { catalogue }: Authority,
  kind: Kind,
  name: string,
  expected: number | undefined,
): Declined | undefined {
  if (expected === undefined) return undefined;
  const key = findKey(catalogue, kind, name);
  const entry: Entry<unknown> | undefined =
    typeof key === "string" ? catalogue.get(kind, key) : undefined;
  if ((entry?.revision ?? 0) === expected) return undefined;
  return { declined: "conflict", reason: `${labelOf(kind, name)} ${standing(entry, expected)}` };
}

function standing(entry: Entry<unknown> | undefined, expected: number): string {
  if (entry === undefined)
    return `is not there (any more), revision ${expected} was expected: read what there is, and try again`;
  if (expected === 0 && entry.revision !== pending)
    return `is there already, at revision ${entry.revision}`;
  const is =
    entry.revision === pending ? "is being changed just now" : `is at revision ${entry.revision}`;
  return `${is}, revision ${expected} was expected: somebody has changed it; read it again, and try again`;
}

function tooLate({ catalogue }: Authority, expected: number | undefined): Declined | undefined {
  const { lastChange } = catalogue;
  if (expected === undefined || (lastChange !== pending && lastChange <= expected))
    return undefined;
  const when = lastChange === pending ? "just now" : `at revision ${lastChange}`;
  return {
    declined: "conflict",
    reason: `something was changed ${when}, after revision ${expected}: see the difference again, and apply then`,
  };
}
