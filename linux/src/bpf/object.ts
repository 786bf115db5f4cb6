import { readFileSync } from "node:fs";
import koffi from "koffi";
import { BpfError, errnoName } from "./error.ts";
import { PinnedMaps } from "./inherit.ts";
import type { Layout } from "./layout.ts";
import { clearLog, type Libbpf, lastLog, libbpf, type Pointer } from "./libbpf.ts";
import { type BpfMap, type BpfQueue, FdMap, FdPerCpuMap, FdQueue, type PerCpuMap } from "./map.ts";
import { type BpfRing, FdRing } from "./ring.ts";

/** A BPF object file, loaded: its maps and programs live until `close` (and a program as long as it is attached). */
export interface BpfObject {
  /** @throws BpfError when there is no such map or its sizes are not those of the layouts. */
  map<K, V>(name: string, key: Layout<K>, value: Layout<V>): BpfMap<K, V>;
  perCpuMap<K, V>(name: string, key: Layout<K>, value: Layout<V>): PerCpuMap<K, V>;
  queue<V>(name: string, value: Layout<V>): BpfQueue<V>;
  /** To be closed by whoever asked for it, before the object is. */
  ring(name: string): BpfRing;
  program(name: string): BpfProgram;
  /** Lets go of all maps and programs. Again is nothing. */
  close(): void;
}

export type BpfProgram = { readonly name: string; readonly fd: number };

/**
 * `maxEntries` by map name, in place of what the object file says. `pins`: the path of a folder on a bpffs; maps that
 * are there are used, and the others pinned there.
 */
export type BpfObjectOptions = { maxEntries?: Readonly<Record<string, number>>; pins?: string };

/**
 * Loads and verifies an object file made by `clang -target bpf`.
 * @throws BpfError with the verifier's last lines; nothing is left open then, and what is pinned is as it was
 */
export function openBpfObject(
  source: string | Uint8Array,
  options: BpfObjectOptions = {},
): BpfObject {
  const lib = libbpf();
  const what = typeof source === "string" ? source : "object in memory";
  const octets = typeof source === "string" ? readObject(source) : source;
  clearLog();
  const object = lib.openMem(octets, octets.length, null);
  if (object === null) throw new BpfError(`open ${what}`, errnoName(koffi.errno()), lastLog());
  let pinned: PinnedMaps | undefined;
  try {
    for (const [name, n] of Object.entries(options.maxEntries ?? {})) {
      const code = lib.setMaxEntries(findMap(lib, object, name), n);
      if (code < 0) throw new BpfError(`size of BPF map ${name}`, errnoName(code), lastLog());
    }
    if (options.pins !== undefined) pinned = new PinnedMaps(lib, object, options.pins);
    const code = undisturbed(lib, () => lib.load(object));
    if (code < 0) throw new BpfError(`load ${what}`, errnoName(code), lastLog());
    pinned?.loaded();
    return loadedObject(lib, object);
  } catch (error) {
    pinned?.close();
    lib.close(object);
    throw error;
  }
}

const SIG_BLOCK = 0;
const SIG_SETMASK = 2;

/**
 * The verifier gives up with EAGAIN when a signal comes, and asking again helps little against one each millisecond
 * (a profiler's): signals wait meanwhile.
 */
function undisturbed<T>(lib: Libbpf, act: () => T): T {
  const before = new Uint8Array(SIGNAL_SET_OCTETS);
  lib.signalMask(SIG_BLOCK, before.slice().fill(0xff), before);
  try {
    return act();
  } finally {
    lib.signalMask(SIG_SETMASK, before, null);
  }
}

/** sigset_t of glibc and musl. */
const SIGNAL_SET_OCTETS = 128;

function readObject(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new BpfError(
      `read ${path}`,
      "ENOENT",
      ["BPF programs are not built: run npm run setup"],
      { cause },
    );
  }
}

function loadedObject(lib: Libbpf, object: Pointer): BpfObject {
  let open = true;

  /** The arguments of a map's maker, its sizes checked: a wrong size would write past the end. */
  function found<K, V>(name: string, key: Layout<K>, value: Layout<V>) {
    if (!open) throw new BpfError(`map ${name}`, "EBADF", ["the object is closed"]);
    const map = findMap(lib, object, name);
    const sizes = `${lib.mapKeySize(map)} and ${lib.mapValueSize(map)}`;
    if (sizes !== `${key.size} and ${value.size}`) {
      const log = [`key and value have ${sizes} octets, expected ${key.size} and ${value.size}`];
      throw new BpfError(`map ${name}`, "EINVAL", log);
    }
    return [lib, lib.mapFd(map), name, lib.mapMaxEntries(map), key, value] as const;
  }

  return {
    map: (name, key, value) => new FdMap(...found(name, key, value)),
    perCpuMap: (name, key, value) => new FdPerCpuMap(...found(name, key, value)),
    queue: (name, value) => {
      const [lib, fd, , n] = found(name, nothing, value);
      return new FdQueue(lib, fd, name, n, value);
    },
    ring: (name) => {
      const [lib, fd] = found(name, nothing, nothing);
      return new FdRing(lib, fd, name);
    },
    program: (name) => {
      const program = open ? lib.findProgram(object, name) : null;
      if (program === null) throw new BpfError(`program ${name}`, "ENOENT");
      return { name, fd: lib.programFd(program) };
    },
    close: () => {
      if (open) lib.close(object);
      open = false;
    },
  };
}

/** A queue has no keys. */
const nothing: Layout<void> = { size: 0, align: 1, write: () => {}, read: () => {} };

function findMap(lib: Libbpf, object: Pointer, name: string): Pointer {
  const map = lib.findMap(object, name);
  if (map === null) throw new BpfError(`map ${name}`, "ENOENT");
  return map;
}
