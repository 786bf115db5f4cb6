/** Where in a text something stands, both from 1. */
export type Place = { line: number; column: number };

/** What is read: text, lists and maps, with the places where they stand. Flags of a command have none. */
export type Tree = { at?: Place | undefined } & (
  | { is: "none" }
  | { is: "text"; text: string }
  | { is: "list"; items: readonly Tree[] }
  | { is: "map"; entries: readonly Entry[] }
);
export type Entry = { key: string; keyAt?: Place | undefined; value: Tree };

/** Something wrong in what was read. `path` is that of the field, as `vns.acme/blue.mtu`. */
export type Fault = { at?: Place | undefined; path: string; message: string };

/** The same as a value of plain JavaScript, as `plain.ts` makes it. */
export function treeOf(value: unknown): Tree {
  if (value === undefined || value === null) return { is: "none" };
  if (Array.isArray(value)) return { is: "list", items: value.map(treeOf) };
  if (typeof value === "object") {
    const entries = Object.entries(value).map(([key, one]) => ({ key, value: treeOf(one) }));
    return { is: "map", entries };
  }
  return { is: "text", text: String(value) };
}
