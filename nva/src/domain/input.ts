import { OutOfRange } from "@nve/protocol-spec";
import type { Entry, Fault, Place, Tree } from "./tree.ts";

/**
 * A part of what is read, and where. What is wrong becomes a fault and reads as undefined: so all faults of a file are
 * found at once.
 */
export class Input {
  readonly tree: Tree;
  readonly #at: Place | undefined;
  readonly #path: string;
  readonly #faults: Fault[];

  constructor(tree: Tree, faults: Fault[], path = "", at: Place | undefined = tree.at) {
    this.tree = tree;
    this.#faults = faults;
    this.#path = path;
    this.#at = at;
  }

  get isNone(): boolean {
    return this.tree.is === "none";
  }

  get at(): Place | undefined {
    return this.#at;
  }

  fault(message: string, entry?: Entry): undefined {
    const at = entry === undefined ? this.#at : entry.keyAt;
    this.#faults.push({ at, path: this.#path, message });
  }

  /** A text made into a value by a maker that throws OutOfRange. */
  value<T>(make: (text: string) => T): T | undefined {
    if (this.tree.is !== "text") return this.fault(this.isNone ? "is missing" : "is not a text");
    return this.#made(this.tree.text, make, this.#at);
  }

  /** The items of a list; one text alone is a list of one. */
  list<T>(read: (item: Input) => T | undefined): T[] {
    if (this.isNone) return [];
    if (this.tree.is === "map") {
      this.fault("is not a list: [ … ]");
      return [];
    }
    const items = this.tree.is === "list" ? this.tree.items : [this.tree];
    return items.flatMap((item, i) => {
      const made = read(new Input(item, this.#faults, `${this.#path}[${i}]`));
      return made === undefined ? [] : [made];
    });
  }

  /** The entries of a map whose keys are values of the writer's own. */
  entries<K, T>(make: (key: string) => K, read: (key: K, value: Input) => T | undefined): T[] {
    const seen = new Map<K, string>();
    return this.#entries().flatMap((entry) => {
      const key = this.#made(entry.key, make, entry.keyAt);
      if (key === undefined) return [];
      const same = seen.get(key);
      if (same !== undefined) this.fault(`"${entry.key}" is the same as "${same}" above`, entry);
      seen.set(key, entry.key);
      const made = read(key, this.#below(entry));
      return made === undefined ? [] : [made];
    });
  }

  /** The fields of a map whose keys are known; what else is in it is a fault, unless `isPart`: others read those. */
  fields<T>(read: (fields: Fields) => T, isPart = false): T {
    const entries = new Map(this.#entries().map((entry) => [entry.key, entry]));
    const known: string[] = [];
    const made = read({
      optional: (key, one) => {
        known.push(key);
        const entry = entries.get(key);
        if (entry === undefined || entry.value.is === "none") return undefined;
        return one(this.#below(entry));
      },
      required: (key, one) => {
        known.push(key);
        const entry = entries.get(key);
        if (entry === undefined || entry.value.is === "none")
          return this.fault(`${key} is missing`);
        return one(this.#below(entry));
      },
    });
    for (const [key, entry] of isPart ? [] : entries) {
      if (!known.includes(key))
        this.fault(`unknown key "${key}": there are ${known.join(", ")}`, entry);
    }
    return made;
  }

  #entries(): readonly Entry[] {
    if (this.isNone) return [];
    if (this.tree.is === "map") return this.tree.entries;
    this.fault("is not a map of keys and values: { … }");
    return [];
  }

  #below({ key, keyAt, value }: Entry): Input {
    const path = this.#path === "" ? key : `${this.#path}.${key}`;
    return new Input(value, this.#faults, path, value.is === "none" ? keyAt : value.at);
  }

  #made<T>(text: string, make: (text: string) => T, at: Place | undefined): T | undefined {
    try {
      return make(text);
    } catch (error) {
      if (!(error instanceof OutOfRange)) throw error;
      this.#faults.push({ at, path: this.#path, message: error.message });
      return undefined;
    }
  }
}

export type Fields = {
  /** Undefined: not there, or none. */
  optional<T>(key: string, read: (input: Input) => T | undefined): T | undefined;
  /** Undefined: a fault. */
  required<T>(key: string, read: (input: Input) => T | undefined): T | undefined;
};

/** Without the properties that are undefined. */
export function given<T extends object>(all: T): Given<T> {
  const some = Object.entries(all).filter(([, value]) => value !== undefined);
  return Object.fromEntries(some) as Given<T>;
}
type Given<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};
