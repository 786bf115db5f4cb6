import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Scalar,
  type YAMLError,
  type YAMLMap,
  type YAMLSeq,
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
  // Its own look for keys that stand twice takes the square of their number; ours does not.
  const document = parseDocument(text, {
    schema: "failsafe",
    lineCounter: lines,
    uniqueKeys: false,
  });
  const faults: Fault[] = [...document.errors, ...document.warnings].map((error) => ({
    at: place(error.pos[0]),
    path: "",
    message: plainWords(error),
  }));
  if (faults.length > 0) return { tree: { is: "none" }, faults };
  const tree = new Walk(place, faults).tree(document.contents);
  return { tree, faults };
}

/** What the parser says, without the place and the excerpt. */
function plainWords({ code, message }: YAMLError): string {
  if (code === "MULTIPLE_DOCS") return "a second document begins here: a file is one document";
  const [first = message] = message.split("\n");
  if (first.startsWith("Maximum call stack")) return "is nested too deep";
  return first.replace(/ at line \d+, column \d+:$/, "");
}

/** A tree, and of how many nodes it is, aliases followed. */
type Measured = { tree: Tree; nodes: number };

class Walk {
  readonly #place: (offset: number | undefined) => Place | undefined;
  readonly #faults: Fault[];
  /** What anchors name so far; undefined: a node that has not ended yet, an alias to which would have no end. */
  readonly #anchors = new Map<string, Measured | undefined>();
  #nodes = 0;
  #isTooLarge = false;

  constructor(place: (offset: number | undefined) => Place | undefined, faults: Fault[]) {
    this.#place = place;
    this.#faults = faults;
  }

  tree(node: unknown): Tree {
    const at = this.#placeOf(node);
    const before = this.#nodes;
    this.#nodes += 1;
    if (isAlias(node)) return this.#aliased(node.source, at);
    if (!isScalar(node) && !isSeq(node) && !isMap(node)) return { is: "none", at };
    const { anchor } = node;
    if (anchor !== undefined) this.#anchors.set(anchor, undefined);
    const tree = this.#treeOf(node, at);
    if (anchor !== undefined) this.#anchors.set(anchor, { tree, nodes: this.#nodes - before });
    return tree;
  }

  #treeOf(node: Scalar | YAMLSeq | YAMLMap, at: Place | undefined): Tree {
    if (isScalar(node)) return textOf(node.value, node.type === "PLAIN", at);
    if (isSeq(node)) return { is: "list", items: node.items.map((item) => this.tree(item)), at };
    return { is: "map", entries: this.#entries(node.items), at };
  }

  #aliased(anchor: string, at: Place | undefined): Tree {
    const named = this.#anchors.get(anchor);
    if (named === undefined) {
      this.#fault(at, `the alias *${anchor} is a part of what it names`);
      return { is: "none", at };
    }
    this.#nodes += named.nodes;
    if (this.#nodes <= MAX_NODES) return { ...named.tree, at };
    if (!this.#isTooLarge) this.#fault(at, "with its aliases it is too large");
    this.#isTooLarge = true;
    return { is: "none", at };
  }

  #entries(pairs: readonly { key: unknown; value: unknown }[]): Entry[] {
    const seen = new Set<string>();
    return pairs.flatMap(({ key: node, value }) => {
      const keyAt = this.#placeOf(node);
      if (!isScalar(node)) return this.#fault(keyAt, "a key is a text");
      const text = String(node.value ?? "");
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
