// How many entries a BPF map of another process has.
import { readdirSync, readFileSync } from "node:fs";
import koffi from "koffi";

const library = koffi.load("libbpf.so.1");
const open = library.func("int bpf_map_get_fd_by_id(uint32_t id)");
const lookupBatch = library.func(
  "int bpf_map_lookup_batch(int fd, void *from, void *to, void *keys, void *values, void *n, const void *options)",
);
const CHUNK = 8192;

/** The hash map with keys of so many octets and so many entries at most that process `pid` has open. @returns how to count it */
export function kernelMap(pid, keyOctets, maxEntries) {
  for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
    const text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
    const field = (name) => Number(new RegExp(`^${name}:\\s*(\\S+)$`, "m").exec(text)?.[1]);
    if (field("key_size") !== keyOctets || field("max_entries") !== maxEntries) continue;
    const mine = open(field("map_id"));
    if (mine < 0) throw new Error(`map ${field("map_id")}: errno ${-mine}`);
    return () => count(mine, keyOctets, field("value_size"));
  }
  throw new Error(`process ${pid} has no such map`);
}

function count(fd, keyOctets, valueOctets) {
  const [keys, values] = [
    Buffer.alloc(CHUNK * keyOctets),
    Buffer.alloc(CHUNK * ((valueOctets + 7) & ~7)),
  ];
  const n = Buffer.alloc(4);
  let at = null;
  let sum = 0;
  for (;;) {
    const next = Buffer.alloc(Math.max(keyOctets, 8));
    n.writeUInt32LE(CHUNK);
    const code = lookupBatch(fd, at, next, keys, values, n, null);
    sum += code === 0 || code === -2 ? n.readUInt32LE() : 0;
    if (code !== 0) return sum; // ENOENT: that was all
    at = next;
  }
}
