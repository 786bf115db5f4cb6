// How many entries a BPF map of another process has.
import { closeSync, readdirSync, readFileSync } from "node:fs";
import koffi from "koffi";

const library = koffi.load("libbpf.so.1");
const open = library.func("int bpf_map_get_fd_by_id(uint32_t id)");
const getInfo = library.func(
  "int bpf_obj_get_info_by_fd(int fd, _Out_ void *info, _Inout_ uint32_t *octets)",
);
const lookupBatch = library.func(
  "int bpf_map_lookup_batch(int fd, void *from, void *to, void *keys, void *values, void *n, const void *options)",
);
const CHUNK = 8192;

/** In `struct bpf_map_info`. */
const NAME = { from: 24, to: 40 };

/** The hash map of this name, with keys of so many octets, that process `pid` has open. @returns how to count it */
export function kernelMap(pid, name, keyOctets) {
  for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
    const text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
    const field = (what) => Number(new RegExp(`^${what}:\\s*(\\S+)$`, "m").exec(text)?.[1]);
    if (field("key_size") !== keyOctets) continue;
    const mine = open(field("map_id"));
    if (mine < 0) throw new Error(`map ${field("map_id")}: errno ${-mine}`);
    if (nameOf(mine) === name) return () => count(mine, keyOctets, field("value_size"));
    closeSync(mine);
  }
  throw new Error(`process ${pid} has no map ${name}`);
}

function nameOf(fd) {
  const info = Buffer.alloc(128);
  const code = getInfo(fd, info, [info.length]);
  if (code !== 0) throw new Error(`errno ${-code}`);
  return info.toString("latin1", NAME.from, NAME.to).replace(/\0.*$/s, "");
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
