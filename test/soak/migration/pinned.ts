import { join } from "node:path";
import {
  type BpfMap,
  type BpfObject,
  type BpfQueue,
  type Layout,
  type PerCpuMap,
  pinnedEntries,
} from "@nve/linux/bpf";

/** The pinned maps of a dataplane, read in bulk from without: what the kernel has, whatever its agent believes. */
export function pinnedObject(folder: string): BpfObject {
  return {
    map: <K, V>(name: string, key: Layout<K>, value: Layout<V>) =>
      readMap(name, key, pinnedEntries(join(folder, name), key, value)),
    perCpuMap: <K, V>(): PerCpuMap<K, V> => ({
      ...{ set: unread, get: () => undefined, delete: unread },
      all: () => [][Symbol.iterator](),
    }),
    queue: <V>(): BpfQueue<V> => ({ take: () => undefined }),
    ring: unread,
    program: unread,
    close: () => {},
  };
}

function readMap<K, V>(name: string, key: Layout<K>, entries: readonly [K, V][]): BpfMap<K, V> {
  const text = (k: K): string => {
    const octets = new Uint8Array(key.size);
    key.write(new DataView(octets.buffer), 0, k);
    return Buffer.from(octets).toString("hex");
  };
  const known = new Map(entries.map(([k, v]) => [text(k), v]));
  return {
    name,
    maxEntries: entries.length,
    refused: 0,
    memory: () => undefined,
    set: unread,
    setAll: unread,
    delete: unread,
    get: (k) => known.get(text(k)),
    entries: () => entries[Symbol.iterator](),
  };
}

function unread(): never {
  throw new Error("these maps are only read");
}
