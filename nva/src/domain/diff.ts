import type { Plain, PlainMap } from "./plain.ts";

/** A field that is not the same; without `before` it is new, without `after` gone. */
export type FieldChange = { field: string; before?: Plain; after?: Plain };

/** What is not the same in two sets of fields, down to the single value or list; in the order of `after`. */
export function fieldChanges(before: PlainMap, after: PlainMap): FieldChange[] {
  const [was, is] = [new Map(flat(before)), new Map(flat(after))];
  const fields = new Set([...is.keys(), ...was.keys()]);
  return [...fields].flatMap((field) => {
    const [old, now] = [was.get(field), is.get(field)];
    if (JSON.stringify(old) === JSON.stringify(now)) return [];
    return [
      {
        field,
        ...(old !== undefined && { before: old }),
        ...(now !== undefined && { after: now }),
      },
    ];
  });
}

/** `{ qos: { dscp: 46 } }` as `qos.dscp`; lists and empty maps stay whole. */
export function flat(map: PlainMap, path = ""): [field: string, value: Plain][] {
  return Object.entries(map).flatMap(([key, value]): [string, Plain][] => {
    const field = path === "" ? key : `${path}.${key}`;
    return isMap(value) && Object.keys(value).length > 0 ? flat(value, field) : [[field, value]];
  });
}

/** The same for people: a list of maps has a line for each, `acl[0]`. */
export const fieldLines = (map: PlainMap): [field: string, value: Plain][] =>
  flat(map).flatMap(([field, value]): [string, Plain][] =>
    isListOfMaps(value) ? value.map((one, i) => [`${field}[${i}]`, one]) : [[field, value]],
  );

export const isListOfMaps = (value: Plain | undefined): value is readonly PlainMap[] =>
  Array.isArray(value) && value.length > 0 && value.every(isMap);

/** For one line: lists with commas, a map within a list as in a domain file. */
export function valueText(value: Plain | undefined): string {
  if (value === undefined) return "-";
  if (Array.isArray(value)) return value.length === 0 ? "[]" : value.map(valueText).join(", ");
  if (!isMap(value)) return String(value);
  const fields = Object.entries(value).map(([key, one]) => `${key}: ${valueText(one)}`);
  return `{ ${fields.join(", ")} }`.replace("{  }", "{}");
}

const isMap = (value: Plain): value is PlainMap =>
  typeof value === "object" && !Array.isArray(value);
