import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
} from "yaml";
import type { Entry, Fault, Place, Tree } from "./tree.ts";

/** Of a file, aliases followed: more is a file that grows by its aliases without bound. */
const MAX_NODES = 2_000_000;

/**
 * Reads YAML or JSON. All scalars are text: `no`, `1e3` and `0123` are what they say. Empty values, `~` and `null` are
 * none. One document; no tags.
 */
export function readYaml(text: string): { tree: Tree; faults: readonly Fault[] } {
  const lines = new LineCounter();
  const place = (offset: number | undefined): Place | undefined => {
    if (offset === undefined) return undefined;
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const document = parsed(text, lines);
  if (document === undefined)
    return { tree: { is: "none" }, faults: [{ path: "", message: "is nested too deep" }] };
  const faults: Fault[] = [...document.errors, ...document.warnings].map(({ message, pos }) => ({
    at: place(pos[0]),
    path: "",
    message: (message.split("\n")[0] ?? message).replace(/ at line \d+, column \d+:$/, ""),
  }));
  if (faults.length > 0) return { tree: { is: "none" }, faults };
  const tree = new Walk(document, place, faults).tree(document.contents);
  return { tree, faults };
}

/** Undefined: so many brackets that the stack ends. */
function parsed(text: string, lineCounter: LineCounter): Document.Parsed | undefined {
  try {
    // Its own look for keys that stand twice takes the square of their number; ours does not.
    return parseDocument(text, { schema: "failsafe", lineCounter, uniqueKeys: false });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

class Walk {
  readonly #document: Document.Parsed;
  readonly #place: (offset: number | undefined) => Place | undefined;
  readonly #faults: Fault[];
  /** In which we are: an alias to one of them has no end. */
  readonly #open = new Set<unknown>();
  #nodes = 0;

  constructor(
    document: Document.Parsed,
    place: (offset: number | undefined) => Place | undefined,
    faults: Fault[],
  ) {
    this.#document = document;
    this.#place = place;
    this.#faults = faults;
  }

  tree(node: unknown): Tree {
    const at = this.#placeOf(node);
    this.#nodes += 1;
    if (this.#nodes > MAX_NODES) {
      if (this.#nodes === MAX_NODES + 1) this.#fault(at, "with its aliases it is too large");
      return { is: "none", at };
    }
    if (isAlias(node)) return this.#aliased(node.resolve(this.#document), at);
    if (isScalar(node)) return textOf(node.value, node.type === "PLAIN", at);
    if (!isSeq(node) && !isMap(node)) return { is: "none", at };
    this.#open.add(node);
    const tree: Tree = isSeq(node)
      ? { is: "list", items: node.items.map((item) => this.tree(item)), at }
      : { is: "map", entries: this.#entries(node.items), at };
    this.#open.delete(node);
    return tree;
  }

  #aliased(node: Node | undefined, at: Place | undefined): Tree {
    if (node !== undefined && !this.#open.has(node)) return { ...this.tree(node), at };
    this.#fault(at, "an alias of what it is itself a part of");
    return { is: "none", at };
  }

  #entries(pairs: readonly { key: unknown; value: unknown }[]): Entry[] {
    const seen = new Set<string>();
    return pairs.flatMap(({ key: node, value }) => {
      const keyAt = this.#placeOf(node);
      const key = isAlias(node) ? node.resolve(this.#document) : node;
      if (!isScalar(key)) return this.#fault(keyAt, "a key is a text");
      const text = String(key.value ?? "");
      if (seen.has(text)) return this.#fault(keyAt, `"${text}" stands twice`);
      seen.add(text);
      return [{ key: text, keyAt, value: this.tree(value) }];
    });
  }

  #fault(at: Place | undefined, message: string): [] {
    this.#faults.push({ at, path: "", message });
    return [];
  }

  #placeOf(node: unknown): Place | undefined {
    if (typeof node !== "object" || node === null || !("range" in node)) return undefined;
    const { range } = node;
    return Array.isArray(range) && typeof range[0] === "number" ? this.#place(range[0]) : undefined;
  }
}

function textOf(value: unknown, isPlain: boolean, at: Place | undefined): Tree {
  const text = String(value ?? "");
  return isPlain && /^(~|null|)$/.test(text) ? { is: "none", at } : { is: "text", text, at };
}
