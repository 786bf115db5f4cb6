import { BpfError, errnoName } from "./error.ts";
import type { Layout } from "./layout.ts";
import { clearLog, type Libbpf, lastLog } from "./libbpf.ts";

/**
 * A hash or array map with typed keys and values. Every call is one system call, done when it returns, and
 * throws BpfError when the kernel refuses (E2BIG: the map is full).
 */
export interface BpfMap<K, V> {
  readonly name: string;
  readonly maxEntries: number;
  /** Inserts or overwrites; a reader in the kernel sees the old value or the new one, never none. */
  set(key: K, value: V): void;
  /** 1,024 in one system call. When it throws, some of them are set. */
  setAll(entries: Iterable<readonly [K, V]>): void;
  get(key: K): V | undefined;
  /** `false`: there was none. */
  delete(key: K): boolean;
  /** Entries changed meanwhile may be missed or seen twice. */
  entries(): IterableIterator<[K, V]>;
}

/** One value per CPU for each key. */
export interface PerCpuMap<K, V> {
  set(key: K, value: V): void;
  get(key: K): readonly V[] | undefined;
  delete(key: K): boolean;
}

/** First in, first out: a program in the kernel puts values in, we take them out. */
export interface BpfQueue<V> {
  /** The oldest, which is gone then; undefined: none is there. */
  take(): V | undefined;
}

/** Entries of a batch: large enough to make the system call cheap, small enough not to hold memory. */
const batch = 1024;

const E2BIG = -7;
const ENOENT = -2;

export class FdMap<K, V> implements BpfMap<K, V> {
  readonly name: string;
  readonly maxEntries: number;
  readonly #fd: number;
  readonly #lib: Libbpf;
  readonly #key: Slot<K>;
  readonly #value: Slot<V>;

  constructor(
    lib: Libbpf,
    fd: number,
    name: string,
    maxEntries: number,
    key: Layout<K>,
    value: Layout<V>,
  ) {
    this.#lib = lib;
    this.#fd = fd;
    this.name = name;
    this.maxEntries = maxEntries;
    this.#key = slot(key, 1);
    this.#value = slot(value, 1);
  }

  set(key: K, value: V): void {
    this.#key.write(0, key);
    this.#value.write(0, value);
    this.#check("update", this.#lib.update(this.#fd, this.#key.octets, this.#value.octets, 0));
  }

  setAll(entries: Iterable<readonly [K, V]>): void {
    const all = Array.isArray(entries) ? (entries as (readonly [K, V])[]) : [...entries];
    const size = Math.min(batch, all.length);
    const keys = slot(this.#key.layout, size);
    const values = slot(this.#value.layout, size);
    for (let from = 0; from < all.length; from += batch) {
      const count = Math.min(batch, all.length - from);
      let last: V | undefined;
      for (let n = 0; n < count; n++) {
        const [key, value] = all[from + n] as readonly [K, V];
        keys.write(n, key);
        // Many keys have the same value: those next to each other are copied.
        if (value === last) values.repeat(n);
        else values.write(n, value);
        last = value;
      }
      const code = this.#lib.updateBatch(
        this.#fd,
        keys.octets,
        values.octets,
        Uint32Array.of(count),
        null,
      );
      this.#check("update", code);
    }
  }

  get(key: K): V | undefined {
    this.#key.write(0, key);
    const code = this.#lib.lookup(this.#fd, this.#key.octets, this.#value.octets);
    if (code === ENOENT) return undefined;
    this.#check("lookup", code);
    return this.#value.read(0);
  }

  delete(key: K): boolean {
    this.#key.write(0, key);
    const code = this.#lib.delete(this.#fd, this.#key.octets);
    if (code === ENOENT) return false;
    this.#check("delete", code);
    return true;
  }

  *entries(): IterableIterator<[K, V]> {
    const key = slot(this.#key.layout, 1);
    const value = slot(this.#value.layout, 1);
    const next = new Uint8Array(key.octets.length);
    let from: Uint8Array | null = null;
    for (;;) {
      const code = this.#lib.nextKey(this.#fd, from, next);
      if (code === ENOENT) return;
      this.#check("iterate", code);
      key.octets.set(next);
      from = key.octets;
      const found = this.#lib.lookup(this.#fd, key.octets, value.octets);
      if (found === ENOENT) continue; // deleted meanwhile
      this.#check("lookup", found);
      yield [key.read(0), value.read(0)];
    }
  }

  #check(what: string, code: number): void {
    if (code < 0) throw failure(`${what} in BPF map ${this.name}`, code, this.maxEntries);
  }
}

export class FdPerCpuMap<K, V> implements PerCpuMap<K, V> {
  readonly #name: string;
  readonly #maxEntries: number;
  readonly #fd: number;
  readonly #lib: Libbpf;
  readonly #key: Slot<K>;
  readonly #values: Slot<V>;
  readonly #cpus: number;

  constructor(
    lib: Libbpf,
    fd: number,
    name: string,
    maxEntries: number,
    key: Layout<K>,
    value: Layout<V>,
  ) {
    this.#lib = lib;
    this.#fd = fd;
    this.#name = name;
    this.#maxEntries = maxEntries;
    this.#cpus = lib.cpus();
    this.#key = slot(key, 1);
    // The kernel keeps each CPU's value on a boundary of 8.
    this.#values = slot({ ...value, size: Math.ceil(value.size / 8) * 8 }, this.#cpus);
  }

  set(key: K, value: V): void {
    this.#key.write(0, key);
    for (let cpu = 0; cpu < this.#cpus; cpu++) this.#values.write(cpu, value);
    this.#check("update", this.#lib.update(this.#fd, this.#key.octets, this.#values.octets, 0));
  }

  get(key: K): readonly V[] | undefined {
    this.#key.write(0, key);
    const code = this.#lib.lookup(this.#fd, this.#key.octets, this.#values.octets);
    if (code === ENOENT) return undefined;
    this.#check("lookup", code);
    return Array.from({ length: this.#cpus }, (_, cpu) => this.#values.read(cpu));
  }

  delete(key: K): boolean {
    this.#key.write(0, key);
    const code = this.#lib.delete(this.#fd, this.#key.octets);
    if (code === ENOENT) return false;
    this.#check("delete", code);
    return true;
  }

  #check(what: string, code: number): void {
    if (code < 0) throw failure(`${what} in BPF map ${this.#name}`, code, this.#maxEntries);
  }
}

export class FdQueue<V> implements BpfQueue<V> {
  readonly #name: string;
  readonly #maxEntries: number;
  readonly #fd: number;
  readonly #lib: Libbpf;
  readonly #value: Slot<V>;

  constructor(lib: Libbpf, fd: number, name: string, maxEntries: number, value: Layout<V>) {
    this.#lib = lib;
    this.#fd = fd;
    this.#name = name;
    this.#maxEntries = maxEntries;
    this.#value = slot(value, 1);
  }

  take(): V | undefined {
    const code = this.#lib.take(this.#fd, null, this.#value.octets);
    if (code === ENOENT) return undefined;
    if (code < 0) throw failure(`take from BPF queue ${this.#name}`, code, this.#maxEntries);
    return this.#value.read(0);
  }
}

function failure(what: string, code: number, maxEntries: number): BpfError {
  const log = lastLog();
  clearLog();
  return code === E2BIG
    ? new BpfError(what, "E2BIG", [`the map is full: it holds ${maxEntries} entries`])
    : new BpfError(what, errnoName(code), log);
}

/** `n` values of one layout next to each other in memory that the kernel reads and writes. */
type Slot<T> = {
  readonly layout: Layout<T>;
  readonly octets: Uint8Array;
  write(i: number, value: T): void;
  /** The one before once more. */
  repeat(i: number): void;
  read(i: number): T;
};

function slot<T>(layout: Layout<T>, n: number): Slot<T> {
  const octets = new Uint8Array(layout.size * n);
  const view = new DataView(octets.buffer);
  return {
    layout,
    octets,
    write: (i, value) => layout.write(view, i * layout.size, value),
    repeat: (i) => octets.copyWithin(i * layout.size, (i - 1) * layout.size, i * layout.size),
    read: (i) => layout.read(view, i * layout.size),
  };
}
