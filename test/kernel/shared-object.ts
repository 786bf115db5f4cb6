import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { libbpf } from "@nve/linux/bpf/libbpf";
import { type BpfObject, type BpfObjectOptions, openBpfObject } from "@nve/linux/bpf/object";

/** Types of `enum bpf_map_type`, by how they are emptied. */
const arrays: readonly number[] = [2, 6]; // also per CPU
const queues: readonly number[] = [22, 23];
/** Whoever reads one begins by taking out what is there. */
const rings: readonly number[] = [27];
const hashes: readonly number[] = [1, 5, 9, 10, 11, 25]; // also LRU, per CPU, LPM tries, and of devices

type Shared = { key: string; object: BpfObject; maps: readonly OpenMap[]; isOpen: boolean };

let shared: Shared | undefined;

/**
 * Loads an object file as `openBpfObject` does, but one that was loaded here before and closed since is given again,
 * every map of it emptied: the verifier takes longer than all else that a test of a dataplane does. What is pinned, or
 * open still, or has a map that cannot be emptied, is loaded anew.
 */
export function openSharedObject(path: string, options: BpfObjectOptions): BpfObject {
  const key = JSON.stringify([path, options]);
  if (options.pins !== undefined || shared?.isOpen) return openBpfObject(path, options);
  if (shared?.key === key) {
    for (const map of shared.maps) empty(map);
    return lent(shared);
  }
  const before = new Set(mapFds());
  const object = openBpfObject(path, options);
  const maps = mapFds().flatMap((fd) => (before.has(fd) ? [] : [openMap(fd)]));
  if (!maps.every(canBeEmptied)) return object;
  shared?.object.close();
  shared = { key, object, maps, isOpen: false };
  return lent(shared);
}

function lent(one: Shared): BpfObject {
  one.isOpen = true;
  const { object } = one;
  let open = true;
  const ifOpen = <T>(act: () => T): T => {
    if (!open) throw new Error("the object is closed");
    return act();
  };
  return {
    map: (...which) => ifOpen(() => object.map(...which)),
    perCpuMap: (...which) => ifOpen(() => object.perCpuMap(...which)),
    queue: (...which) => ifOpen(() => object.queue(...which)),
    ring: (name) => ifOpen(() => object.ring(name)),
    program: (name) => ifOpen(() => object.program(name)),
    close: () => {
      if (open) one.isOpen = false;
      open = false;
    },
  };
}

type OpenMap = { fd: number; type: number; key: number; value: number; entries: number };

/** Of this process. */
function mapFds(): number[] {
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => linkOf(fd) === "anon_inode:bpf-map");
}

function linkOf(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return ""; // closed meanwhile
  }
}

function openMap(fd: number): OpenMap {
  const info = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
  const is = (name: string) => Number(new RegExp(`^${name}:\\s*(\\S+)$`, "m").exec(info)?.[1]);
  const type = is("map_type");
  const isPerCpu = type === 6;
  const size = is("value_size");
  const value = isPerCpu ? Math.ceil(size / 8) * 8 * libbpf().cpus() : size;
  return { fd, type, key: is("key_size"), value, entries: is("max_entries") };
}

/** A constant of the programs would be an array that has a value from the start. */
function canBeEmptied(map: OpenMap): boolean {
  if (arrays.includes(map.type)) return contents(map).every((octet) => octet === 0);
  return [...queues, ...hashes, ...rings].includes(map.type);
}

function empty(map: OpenMap): void {
  if (arrays.includes(map.type)) clear(map);
  else if (queues.includes(map.type)) takeAll(map);
  else if (hashes.includes(map.type)) deleteAll(map);
}

function takeAll({ fd, value }: OpenMap): void {
  const taken = new Uint8Array(value);
  while (libbpf().take(fd, null, taken) === 0);
}

function deleteAll({ fd, key }: OpenMap): void {
  const next = new Uint8Array(key);
  while (libbpf().nextKey(fd, null, next) === 0) libbpf().delete(fd, next);
}

function contents(map: OpenMap): Uint8Array {
  const values = new Uint8Array(map.value * map.entries);
  const [cursor, keys] = [new Uint8Array(64), new Uint8Array(map.key * map.entries)];
  const n = Uint32Array.of(map.entries);
  libbpf().lookupBatch(map.fd, null, cursor, keys, values, n, null);
  if (n[0] !== map.entries) throw new Error(`map of ${map.entries} entries read ${n[0]}`);
  return values;
}

function clear(map: OpenMap): void {
  const keys = new Uint8Array(Uint32Array.from({ length: map.entries }, (_, n) => n).buffer);
  const values = new Uint8Array(map.value * map.entries);
  const n = Uint32Array.of(map.entries);
  const code = libbpf().updateBatch(map.fd, keys, values, n, null);
  if (code < 0) throw new Error(`an array of ${map.entries} entries was not emptied: ${code}`);
}
