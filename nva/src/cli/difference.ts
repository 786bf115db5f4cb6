import type { ApplyResponse, Resource, ResourceChange } from "@nve/protocol-spec/proto/northbound";
import {
  type FieldChange,
  fieldChanges,
  fieldLines,
  isListOfMaps,
  valueText,
} from "../domain/diff.ts";
import { type Plain, type PlainMap, plainOf } from "../domain/plain.ts";
import { safe } from "./fields.ts";
import { readable } from "./resources.ts";
import { fromResource, kindOf } from "./wire.ts";

/** What an apply does, or would do, to one thing. --json prints exactly these. */
export type Change = { kind: string; key: string; note?: string } & (
  | { action: "create"; after: PlainMap }
  | { action: "change"; fields: readonly FieldChange[] }
  | { action: "delete"; before: PlainMap }
);

/** In the order in which they are made. */
export function changesOf({ changes }: ApplyResponse): Change[] {
  const names = vnNames(changes);
  return changes.map((change) => changeOf(change, names));
}

function changeOf(change: ResourceChange, names: VnNames): Change {
  const [before, after] = [withNames(change.before, names), withNames(change.after, names)];
  const named = { kind: kindOf(change.key) ?? "?", key: keyOf(change, names) };
  if (after === undefined) return { ...named, action: "delete", before: fieldsOf(before) };
  const note = after.note ? { note: after.note } : {};
  if (before === undefined) return { ...named, action: "create", after: fieldsOf(after), ...note };
  const fields = fieldChanges(fieldsOf(before), fieldsOf(after));
  return { ...named, action: "change", fields, ...note };
}

const fieldsOf = (resource: Resource | undefined): PlainMap =>
  resource === undefined ? {} : plainOf(readable(() => fromResource(resource)));

/** `tenant/alias` by VN ID: that is what the NVA calls VNs that are not there yet, or any more. */
type VnNames = ReadonlyMap<string, string>;

function vnNames(changes: readonly ResourceChange[]): VnNames {
  const vns = changes.flatMap(({ before, after }) =>
    [before?.of, after?.of].flatMap((of) => (of?.$case === "vn" ? [of.value] : [])),
  );
  return new Map(
    vns.map(({ vnId, tenant, alias }) => [String(vnId), `${tenant || "default"}/${alias}`]),
  );
}

function withNames<T extends Resource | undefined>(resource: T, names: VnNames): T {
  const of = resource?.of;
  const name = (vn: string): string => names.get(vn) ?? vn;
  if (of?.$case === "binding")
    return { ...resource, of: { ...of, value: { ...of.value, vn: name(of.value.vn) } } };
  if (of?.$case !== "vnic") return resource;
  const vns = of.value.vns.map((one) => ({ ...one, vn: name(one.vn) }));
  return { ...resource, of: { ...of, value: { ...of.value, vns } } };
}

function keyOf({ key }: ResourceChange, names: VnNames): string {
  const text = key?.key ?? "?";
  const slash = text.lastIndexOf("/");
  if (kindOf(key) !== "binding") return text;
  return `${names.get(text.slice(0, slash)) ?? text.slice(0, slash)}${text.slice(slash)}`;
}

/** `+ vn acme/blue` and its fields below, `~` with `field: old -> new`, `-`; then how many of each. */
export function differenceLines(changes: readonly Change[], unchanged: number): string[] {
  const counts = { create: 0, change: 0, delete: 0 };
  for (const { action } of changes) counts[action] += 1;
  const sum = `${counts.create} created, ${counts.change} changed, ${counts.delete} deleted, ${unchanged} unchanged`;
  return [...changes.flatMap(linesOf), sum].map(safe);
}

function linesOf(one: Change): string[] {
  const head = `${signs[one.action]} ${one.kind} ${one.key}`;
  if (one.action === "delete") return [head];
  const note = one.note === undefined ? [] : [`    (${one.note})`];
  if (one.action === "change") return [head, ...one.fields.flatMap(changeLines), ...note];
  const fields = fieldLines(one.after).map(([field, value]) => `    ${field}: ${valueText(value)}`);
  return [head, ...fields, ...note];
}

const signs = { create: "+", change: "~", delete: "-" } as const;

/** Of a list of maps, as ACL rules are, what went and what came; else old and new. */
function changeLines({ field, before, after }: FieldChange): string[] {
  if (!isListOfMaps(before) && !isListOfMaps(after))
    return [`    ${field}: ${valueText(before)} -> ${valueText(after)}`];
  const [old, now] = [itemsOf(before), itemsOf(after)];
  const lines = [
    ...old.filter((item) => !now.includes(item)).map((item) => `    ${field}: - ${item}`),
    ...now.filter((item) => !old.includes(item)).map((item) => `    ${field}: + ${item}`),
  ];
  return lines.length > 0 ? lines : [`    ${field}: in another order`];
}

const itemsOf = (list: Plain | undefined): string[] =>
  Array.isArray(list) ? list.map(valueText) : [];

/** Whether the same would be done. */
export const isSame = (a: readonly Change[], b: readonly Change[]): boolean =>
  JSON.stringify(a) === JSON.stringify(b);
