import { readFileSync } from "node:fs";
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
  /** How often there was no room for an entry. */
  readonly refused: number;
  /** Octets that the kernel holds for it (exact since Linux 6.4, before for a full one); undefined: it does not say. */
  memory(): number | undefined;
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
  /** The first `n` of an array; of a hash as many as there are, in no order. In few system calls. */
  all(n: number): IterableIterator<[K, readonly V[]]>;
  delete(key: K): boolean;
}

/** First in, first out: a program in the kernel puts values in, we take them out. */
export interface BpfQueue<V> {
  /** The oldest, which is gone then; undefined: none is there. */
  take(): V | undefined;
}

/** Entries of a batch: large enough to make the system call cheap, small enough not to hold memory. */
const batch = 1024;

const [ENOENT, E2BIG, EINVAL, ENOSPC, ENOTSUPP] = [-2, -7, -22, -28, -524];
/** A hash's place in an iteration is four octets, an array's as long as its key. */
const CURSOR = 64;

export class FdMap<K, V> implements BpfMap<K, V> {
  readonly name: string;
  readonly maxEntries: number;
  refused = 0;
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
      const written = new Map<V, number>();
      for (let n = 0; n < count; n++) {
        const [key, value] = all[from + n] as readonly [K, V];
        keys.write(n, key);
        // Many keys have the same value: it is made once.
        const same = written.get(value);
        if (same !== undefined) values.copy(same, n);
        else values.write(n, value);
        if (same === undefined) written.set(value, n);
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
    const size = Math.min(batch, this.maxEntries);
    const keys = slot(this.#key.layout, size);
    const values = slot(this.#value.layout, size);
    const cursor = { from: new Uint8Array(CURSOR), to: new Uint8Array(CURSOR) };
    for (let from: Uint8Array | null = null; ; from = cursor.from) {
      const count = Uint32Array.of(size);
      const { to } = cursor;
      const code = this.#lib.lookupBatch(
        this.#fd,
        from,
        to,
        keys.octets,
        values.octets,
        count,
        null,
      );
      if (code === ENOSPC || code === EINVAL || code === ENOTSUPP) return yield* this.#oneByOne();
      if (code !== ENOENT) this.#check("iterate", code);
      for (let n = 0; n < (count[0] ?? 0); n++) yield [keys.read(n), values.read(n)];
      if (code === ENOENT) return;
      cursor.from.set(to);
    }
  }

  /** Where the kernel has no batches for this type of map, or more in one place than a batch holds. */
  *#oneByOne(): IterableIterator<[K, V]> {
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

  memory(): number | undefined {
    const info = readFileSync(`/proc/self/fdinfo/${this.#fd}`, "utf8");
    const octets = /^memlock:\s*(\d+)$/m.exec(info)?.[1];
    return octets === undefined ? undefined : Number(octets);
  }

  #check(what: string, code: number): void {
    if (code === E2BIG) this.refused += 1;
    if (code < 0)
      throw failure(`${what} in BPF map ${this.name}`, code, this.name, this.maxEntries);
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

  *all(n: number): IterableIterator<[K, readonly V[]]> {
    const size = Math.min(batch, n);
    if (size === 0) return;
    const keys = slot(this.#key.layout, size);
    const values = slot(this.#values.layout, size * this.#cpus);
    const cursor = { from: new Uint8Array(CURSOR), to: new Uint8Array(CURSOR) };
    let from: Uint8Array | null = null;
    for (let left = n; left > 0; from = cursor.from) {
      const count = Uint32Array.of(Math.min(size, left));
      const { to } = cursor;
      const [k, v] = [keys.octets, values.octets];
      const code = this.#lib.lookupBatch(this.#fd, from, to, k, v, count, null);
      if (code !== ENOENT) this.#check("iterate", code);
      const got = count[0] ?? 0;
      for (let i = 0; i < got; i++) {
        yield [
          keys.read(i),
          Array.from({ length: this.#cpus }, (_, cpu) => values.read(i * this.#cpus + cpu)),
        ];
      }
      if (code === ENOENT || got === 0) return;
      left -= got;
      cursor.from.set(to);
    }
  }

  delete(key: K): boolean {
    this.#key.write(0, key);
    const code = this.#lib.delete(this.#fd, this.#key.octets);
    if (code === ENOENT) return false;
    this.#check("delete", code);
    return true;
  }

  #check(what: string, code: number): void {
    if (code < 0)
      throw failure(`${what} in BPF map ${this.#name}`, code, this.#name, this.#maxEntries);
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
    if (code < 0)
      throw failure(`take from BPF queue ${this.#name}`, code, this.#name, this.#maxEntries);
    return this.#value.read(0);
  }
}

function failure(what: string, code: number, map: string, size: number): BpfError {
  const log = lastLog();
  clearLog();
  if (code !== E2BIG) return new BpfError(what, errnoName(code), log);
  const error = new BpfError(what, "E2BIG", [`the map is full: it holds ${size} entries`]);
  error.full = { map, size };
  return error;
}

/** `n` values of one layout next to each other in memory that the kernel reads and writes. */
type Slot<T> = {
  readonly layout: Layout<T>;
  readonly octets: Uint8Array;
  write(i: number, value: T): void;
  copy(from: number, to: number): void;
  read(i: number): T;
};

function slot<T>(layout: Layout<T>, n: number): Slot<T> {
  const octets = new Uint8Array(layout.size * n);
  const view = new DataView(octets.buffer);
  return {
    layout,
    octets,
    write: (i, value) => layout.write(view, i * layout.size, value),
    copy: (from, to) =>
      octets.copyWithin(to * layout.size, from * layout.size, (from + 1) * layout.size),
    read: (i) => layout.read(view, i * layout.size),
  };
}
