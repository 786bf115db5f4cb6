import { existsSync } from "node:fs";
import { join } from "node:path";
import { BpfError, errnoName } from "./error.ts";
import { type Libbpf, lastLog, type Pointer } from "./libbpf.ts";
import { type MapShape, pin, shapeOf } from "./pins.ts";

/** Types of `enum bpf_map_type` that are told apart here. */
const type = {
  progArray: 3,
  perCpuHash: 5,
  perCpuArray: 6,
  lruPerCpuHash: 10,
  queue: 22,
  stack: 23,
  devHash: 25,
};
const perCpu: readonly number[] = [type.perCpuHash, type.perCpuArray, type.lruPerCpuHash];
const keyless: readonly number[] = [type.queue, type.stack];

/** The kernel's own addition to the flags of a map of devices (BPF_F_RDONLY_PROG). */
const READ_ONLY = 0x80;

type Kept = { map: Pointer; path: string; old?: { fd: number; shape: MapShape } };

/**
 * Maps of an object that outlive the process. What is pinned already is used as it is; a map that has another
 * size now, or values that have grown at their end, is made anew with what was in the pinned one.
 */
export class PinnedMaps {
  readonly #lib: Libbpf;
  readonly #kept: readonly Kept[];

  /** Before the object is loaded. @throws BpfError, code EINVAL: what is pinned has another layout */
  constructor(lib: Libbpf, object: Pointer, folder: string) {
    this.#lib = lib;
    const maps: Kept[] = [];
    for (let map = lib.nextMap(object, null); map !== null; map = lib.nextMap(object, map)) {
      if (lib.isInternal(map) || lib.mapType(map) === type.progArray) continue;
      maps.push({ map, path: join(folder, lib.mapName(map)) });
    }
    this.#kept = maps.map((kept) => this.#reuse(kept));
  }

  /** After it was loaded. */
  loaded(): void {
    try {
      for (const { map, path, old } of this.#kept) {
        const fd = this.#lib.mapFd(map);
        if (old !== undefined) this.#copy(path, old, fd);
        if (old !== undefined || !existsSync(path)) pin(fd, path);
      }
    } finally {
      this.close();
    }
  }

  close(): void {
    for (const { old } of this.#kept) if (old !== undefined) this.#lib.closeFd(old.fd);
    for (const kept of this.#kept) delete kept.old;
  }

  #reuse({ map, path }: Kept): Kept {
    const lib = this.#lib;
    const fd = lib.getPinned(path);
    if (fd < 0) return { map, path };
    const is = shapeOf(fd);
    const shall: MapShape = {
      type: lib.mapType(map),
      keySize: lib.mapKeySize(map),
      valueSize: lib.mapValueSize(map),
      maxEntries: lib.mapMaxEntries(map),
      flags: lib.mapFlags(map),
    };
    const alike = is.type === shall.type && is.keySize === shall.keySize;
    if (!alike || is.valueSize > shall.valueSize) {
      lib.closeFd(fd);
      const log = [`key and value had ${is.keySize} and ${is.valueSize} octets`];
      throw new BpfError(`take over BPF map ${lib.mapName(map)}`, "EINVAL", log);
    }
    const same = is.valueSize === shall.valueSize && is.maxEntries === shall.maxEntries;
    const flags = is.type === type.devHash ? is.flags & ~READ_ONLY : is.flags;
    if (!same || flags !== shall.flags) return { map, path, old: { fd, shape: is } };
    const code = lib.reuseFd(map, fd);
    lib.closeFd(fd);
    if (code < 0) throw new BpfError(`reuse ${path}`, errnoName(code), lastLog());
    return { map, path };
  }

  #copy(path: string, { fd: from, shape }: NonNullable<Kept["old"]>, to: number): void {
    if (keyless.includes(shape.type)) return;
    const lib = this.#lib;
    const cpus = perCpu.includes(shape.type) ? lib.cpus() : 1;
    const [was, is] = [shape, shapeOf(to)].map(({ valueSize }) =>
      cpus > 1 ? Math.ceil(valueSize / 8) * 8 : valueSize,
    ) as [number, number];
    const key = new Uint8Array(shape.keySize);
    const [old, fresh] = [new Uint8Array(was * cpus), new Uint8Array(is * cpus)];
    const next = new Uint8Array(shape.keySize);
    let at: Uint8Array | null = null;
    while (lib.nextKey(from, at, next) === 0) {
      key.set(next);
      at = key;
      if (lib.lookup(from, key, old) < 0) continue; // deleted meanwhile
      for (let cpu = 0; cpu < cpus; cpu++) {
        fresh.set(old.subarray(cpu * was, (cpu + 1) * was), cpu * is);
      }
      const code = lib.update(to, key, fresh, 0);
      if (code < 0) throw new BpfError(`copy ${path}`, errnoName(code));
    }
  }
}
