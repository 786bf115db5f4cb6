import { randomUUID } from "node:crypto";
import { turn } from "@nve/linux/turn";
import { Conflict, NotFound, Refused } from "@nve/program";
import { OutOfRange, Uuid } from "@nve/protocol-spec";
import type * as wire from "@nve/protocol-spec/proto/northbound";
import type { Authority } from "../authority/authority.ts";
import {
  type Catalogue,
  type DeclaredChange,
  type Entry,
  type Kind,
  kinds,
  type Vns,
  vnsWith,
} from "../authority/catalogue.ts";
import { limits } from "../authority/limits.ts";
import type { Vn } from "../authority/records.ts";
import { apply, type Declined, type Fault, put, remove } from "../catalogue/decide.ts";
import { findKey, labelOf } from "../catalogue/find.ts";
import type { Wish } from "../catalogue/wish.ts";
import { fromText } from "./convert.ts";
import { fromKind, fromResource, labelOfResource, toResource } from "./convert-resources.ts";
import { actedBy, type Caller } from "./events.ts";
import type { Hub } from "./hub.ts";

/** About the octets of one page: a gRPC message has 4 MB at most if its reader sets no other limit. */
const pageOctets = 1_000_000;
/** Faults that are told, and octets of them: they come in a header of HTTP/2. */
const toldFaults = 100;
const toldOctets = 6_000;

export async function putResource(
  { keeper, log }: Hub,
  { resource, expected }: wire.PutResourceRequest,
  caller: Caller,
): Promise<wire.Resource> {
  if (resource === undefined) throw new OutOfRange("resource: missing");
  const wish = fromResource(resource, freshName());
  if (isFaults(wish)) throw new OutOfRange(wish.join("; "));
  const { result, revision } = await keeper.change(
    actedBy(caller, (all, now) => put(all, wish, numberOf(expected), now)),
  );
  if ("declined" in result) throw declinedError(result);
  tell(log, result.changes, caller.name);
  const { kind, key } = result;
  const change = result.changes.at(-1);
  return keeper.ask((all) => {
    // What was put is what is told, though somebody may have changed it since.
    const made =
      change?.kind === kind && change.key === key ? change : entryOf(all.catalogue, kind, key);
    return resourceOf(all, made, revision);
  });
}

export function getResource(authority: Authority, key: wire.ResourceKey): wire.Resource {
  const kind = fromKind(key.kind);
  const { catalogue } = authority;
  const found = findKey(catalogue, kind, keyText(key.key));
  const entry = typeof found === "string" ? entryOf(catalogue, kind, found) : undefined;
  if (entry?.after === undefined)
    throw new NotFound(
      `there is no ${labelOf(kind, key.key)}: \`nva ${kind} list\` shows what there is`,
    );
  return resourceOf(authority, entry, 0);
}

export async function deleteResource(
  { keeper, log }: Hub,
  { key, force, expected }: wire.DeleteResourceRequest,
  caller: Caller,
): Promise<wire.DeleteResourceResponse> {
  const which = { kind: fromKind(key?.kind ?? 0), name: keyText(key?.key ?? "") };
  const at = numberOf(expected);
  const how = { force, ...(at !== undefined && { expected: at }) };
  const { result, revision } = await keeper.change(
    actedBy(caller, (all, now) => remove(all, which, how, now)),
  );
  if ("declined" in result) throw declinedError(result);
  tell(log, result.changes, caller.name);
  return { revision: BigInt(revision) };
}

/** Kind by kind, in the order of their keys: a page goes on behind the last one of the page before, also if that is gone. */
export function listResources(
  authority: Authority,
  request: wire.ListResourcesRequest,
): wire.ListResourcesResponse {
  const { catalogue } = authority;
  const wanted = request.kind === 0 ? kinds : [fromKind(request.kind)];
  const tenant = fromText(request.tenant, "tenant");
  const [from, after] = tokenOf(request.pageToken);
  const left = { rows: pageSize(request.pageSize), octets: pageOctets };
  const resources: wire.Resource[] = [];
  let last = "";
  for (const kind of wanted) {
    if (kinds.indexOf(kind) < from) continue;
    const keys = catalogue.keys(kind);
    for (let i = kinds.indexOf(kind) === from ? behind(keys, after) : 0; i < keys.length; i++) {
      const key = keys[i] ?? "";
      const entry = entryOf(catalogue, kind, key);
      if (!isOf(catalogue, entry, tenant)) continue;
      if (left.rows <= 0 || left.octets <= 0) return { resources, nextPageToken: last };
      resources.push(resourceOf(authority, entry, 0));
      left.rows -= 1;
      left.octets -= sizeOf(entry);
      last = `${kinds.indexOf(kind)}/${key}`;
    }
  }
  return { resources, nextPageToken: "" };
}

export async function applyResources(
  { keeper, log }: Hub,
  request: wire.ApplyRequest,
  caller: Caller,
): Promise<wire.ApplyResponse> {
  const { resources, prune, force, dryRun } = request;
  if (resources.length > limits.resourcesPerApply)
    throw new OutOfRange(
      `resources: ${resources.length}, ${limits.resourcesPerApply} at most: apply them in parts, without prune`,
    );
  const faults: Fault[] = [];
  const wishes = await inTurns(resources, (resource, at) => {
    const wish = fromResource(resource, freshName());
    if (!isFaults(wish)) return wish;
    const name = labelOfResource(resource);
    for (const what of wish) faults.push({ at, name, what });
    return undefined;
  });
  const expected = numberOf(request.expected);
  const options = { prune, force, dryRun, ...(expected !== undefined && { expected }) };
  const { result, revision } = await keeper.change(
    actedBy(caller, (all, now) => apply(all, wishes, faults, options, now)),
  );
  if ("declined" in result) throw declinedError(result);
  if ("faults" in result)
    throw faults.length > 0
      ? new OutOfRange(linesOf(result.faults))
      : new Refused(linesOf(result.faults));
  if (!dryRun) tell(log, result.changes, caller.name);
  const { unchanged } = result;
  const vns = await keeper.ask(({ catalogue }) => ({
    before: vnsWith(catalogue, result.changes, "before"),
    after: vnsWith(catalogue, result.changes, "after"),
  }));
  const at = dryRun ? 0 : revision;
  const told = await inTurns(result.changes, (change) =>
    keeper.ask((all) => changeOf(all, vns, change, at)),
  );
  return { changes: await Promise.all(told), unchanged, revision: BigInt(revision) };
}

/** As `map`, and others have their turns between. */
async function inTurns<T, U>(all: readonly T[], map: (one: T, at: number) => U): Promise<U[]> {
  const mapped: U[] = [];
  for (const [at, one] of all.entries()) {
    if (at > 0 && at % perTurn === 0) await turn();
    mapped.push(map(one, at));
  }
  return mapped;
}

const perTurn = 500;

export function declinedError({ declined, reason }: Declined): Error {
  switch (declined) {
    case "conflict":
      return new Conflict(reason);
    case "missing":
      return new NotFound(reason);
    case "refused":
      return new Refused(reason);
  }
}

export const freshName = (): Uuid => Uuid(randomUUID());

function tell(log: Hub["log"], changes: readonly DeclaredChange[], actor: string): void {
  for (const { kind, key, before, after } of changes.slice(0, 10))
    log.info(
      { [kind]: key, actor },
      `${kind} ${before === undefined ? "created" : after === undefined ? "deleted" : "changed"}`,
    );
  if (changes.length > 10) log.info({ more: changes.length - 10, actor }, "more was declared");
}

const isFaults = (wish: Wish | readonly string[]): wish is readonly string[] => Array.isArray(wish);

function linesOf(faults: readonly Fault[]): string {
  const lines: string[] = [];
  let octets = 0;
  for (const { at, name, what } of faults) {
    const line = at === undefined ? `${name}: ${what}` : `resources[${at}] (${name}): ${what}`;
    octets += Buffer.byteLength(line);
    if (lines.length >= toldFaults || (octets > toldOctets && lines.length > 0)) break;
    lines.push(line.slice(0, toldOctets));
  }
  const more = faults.length - lines.length;
  return [...lines, ...(more > 0 ? [`and ${more} more`] : [])].join("\n");
}

const entryOf = (catalogue: Catalogue, kind: Kind, key: string): DeclaredChange => {
  const after: Entry<unknown> | undefined = catalogue.get(kind, key);
  return { kind, key, ...(after !== undefined && { after }) } as DeclaredChange;
};

function resourceOf(authority: Authority, change: DeclaredChange, revision: number): wire.Resource {
  const { catalogue } = authority;
  const found = toResource(catalogue, change, "after", revision, noteOf(authority, change));
  if (found === undefined)
    throw new NotFound(`${labelOf(change.kind, change.key)} is gone meanwhile`);
  return found;
}

function changeOf(
  authority: Authority,
  vns: { before: Vns; after: Vns },
  change: DeclaredChange,
  revision: number,
): wire.ResourceChange {
  const before = toResource(vns.before, change, "before", revision);
  const after = toResource(vns.after, change, "after", revision, noteOf(authority, change));
  return { key: (after ?? before)?.key, before, after };
}

/** What keeps it from having effect. */
function noteOf(authority: Authority, { kind, after }: DeclaredChange): string {
  if (kind === "vn" && after !== undefined) return notYet(after.row);
  if (kind !== "binding" || after === undefined) return "";
  const { nveId } = after.row;
  if (authority.nve(nveId) !== undefined) return "";
  return `no NVE "${nveId}" has connected yet: it counts as soon as one does`;
}

/** @TODO VNs that are routed (H13) */
const notYet = ({ flood, groups, service }: Vn): string =>
  [
    ...(flood === "multicast" && groups === undefined
      ? ["it has no group of the underlay: what is flooded goes to each NVE"]
      : []),
    ...(service === "l3" ? ["no NVE routes yet: it is served as L2"] : []),
  ].join("; ");

function isOf(catalogue: Catalogue, { kind, after }: DeclaredChange, tenant: string): boolean {
  if (tenant === "" || after === undefined) return true;
  switch (kind) {
    case "tenant":
      return after.row.name === tenant;
    case "vn":
      return after.row.tenant === tenant;
    case "vnic":
      return after.row.vns.some(({ vnId }) => catalogue.vn(vnId)?.tenant === tenant);
    case "binding":
      return catalogue.vn(after.row.vnId)?.tenant === tenant;
    default: // profiles and policies are everybody's
      return true;
  }
}

/** About, and no less than on the wire. */
function sizeOf({ kind, after }: DeclaredChange): number {
  const addresses = (all: readonly { ips: readonly unknown[] }[]): number =>
    all.reduce((sum, { ips }) => sum + 40 + 26 * ips.length, 0);
  switch (kind) {
    case "profile":
      return 2_000 + 100 * (after?.row.acl.length ?? 0);
    case "policy":
      return 2_000 + 165 * patternsOf(after?.row);
    case "vnic":
      return (
        2_000 +
        (after?.row.vns ?? []).reduce((sum, { macs }) => sum + 150 + addresses(macs), 0) +
        165 * (after?.row.hypervisors.length ?? 0)
      );
    case "binding":
      return 2_000 + addresses(after === undefined ? [] : [after.row]);
    default:
      return 2_000;
  }
}

const patternsOf = (row: object | undefined): number =>
  Object.values(row ?? {}).reduce((sum, one) => sum + (Array.isArray(one) ? one.length : 0), 0);

/** Place of the first key behind `after`, by bisection. */
function behind(keys: readonly string[], after: string): number {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((keys[middle] ?? "") <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}

function tokenOf(token: string): [number, string] {
  if (token === "") return [0, ""];
  const [, kind, key] = /^(\d)\/(.+)$/s.exec(token) ?? [];
  if (kind === undefined || key === undefined || kinds[Number(kind)] === undefined)
    throw new OutOfRange("page_token: not one of this server's");
  return [Number(kind), key];
}

export function pageSize(size: number): number {
  if (size > 1000) throw new OutOfRange(`page_size: ${size} is above 1000`);
  return size === 0 ? 100 : size;
}

function keyText(key: string): string {
  if (key === "") throw new OutOfRange("key: missing");
  if (key.length > 200) throw new OutOfRange("key: at most 200 characters");
  return key;
}

/** Beyond 2^53 all are alike: nothing has them. */
const numberOf = (revision: bigint | undefined): number | undefined =>
  revision === undefined ? undefined : Number(revision);
