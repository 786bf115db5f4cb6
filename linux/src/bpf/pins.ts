import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  statfsSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { BpfError, errnoName } from "./error.ts";
import type { Layout } from "./layout.ts";
import { libbpf } from "./libbpf.ts";
import { FdMap } from "./map.ts";

/**
 * A folder on a bpffs that one process has to itself. What is pinned in it lives without any process; with its
 * last mount a bpffs is gone.
 */
export type PinFolder = {
  readonly path: string;
  /** Was mounted now, and goes with this process: its mounts are its own. */
  readonly isFleeting: boolean;
  names(): readonly string[];
  /** Takes everything away that is pinned here; links let go of their interfaces. */
  clear(): void;
  /** Takes links away, and their programs off these interfaces. */
  detach(isGone: (ifindex: number) => boolean): void;
  /** Lets others have it; empty, it is taken away. Again is nothing. */
  close(): void;
};

const BPFFS = 0xcafe4a11;

/** Is there a bpffs? */
export function isBpffs(path: string): boolean {
  try {
    return Number(statfsSync(path).type) === BPFFS;
  } catch {
    return false;
  }
}

/**
 * The folder of this network namespace on the first of `roots` that is a bpffs; if none is, one is mounted on the
 * last. Interfaces are numbered by namespace, so nothing of one is of use in another.
 * @throws BpfError: EWOULDBLOCK when another process has it, EPERM when nothing may be mounted
 */
export function openPinFolder(roots: readonly string[], name: string): PinFolder {
  const found = roots.find(isBpffs);
  const root = found ?? mounted(roots.at(-1) ?? "");
  const path = join(root, name, `net-${namespaceCookie()}`);
  for (;;) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const fd = lock(path);
    if (fd === undefined) continue; // another's that it took away when it closed
    return folderAt(path, fd, found === undefined && hasOwnMounts());
  }
}

/**
 * Takes away what is pinned in folders of other network namespaces, if no process has them. @returns how many
 * @param isDead asked without the lock, and again with it
 */
export function sweepPinFolders(ours: PinFolder, isDead: (path: string) => boolean): number {
  const parent = dirname(ours.path);
  return readdirSync(parent).filter((name) => {
    const path = join(parent, name);
    return path !== ours.path && isDead(path) && clearIfDead(path, isDead);
  }).length;
}

function clearIfDead(path: string, isDead: (path: string) => boolean): boolean {
  const fd = lockOfNobody(path);
  if (fd === undefined) return false;
  const folder = folderAt(path, fd, false);
  const dead = isDead(path);
  if (dead) folder.clear();
  folder.close();
  return dead;
}

function opened(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function lockOfNobody(path: string): number | undefined {
  try {
    return lock(path);
  } catch {
    return undefined; // somebody has it
  }
}

/** @returns undefined: it was taken away meanwhile @throws BpfError: EWOULDBLOCK when another process has it */
function lock(path: string): number | undefined {
  const fd = opened(path);
  if (fd === undefined) return undefined;
  const [exclusive, nonBlocking] = [2, 4];
  if (libbpf().lockFile(fd, exclusive | nonBlocking) < 0) {
    const errno = errnoName(libbpf().lastErrno());
    closeSync(fd);
    throw new BpfError(`lock ${path}`, errno === "EAGAIN" ? "EWOULDBLOCK" : errno);
  }
  if (statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino) return fd;
  closeSync(fd);
  return undefined;
}

function folderAt(path: string, fd: number, isFleeting: boolean): PinFolder {
  let open = true;
  return {
    path,
    isFleeting,
    names: () => readdirSync(path),
    clear: () => {
      for (const pin of readdirSync(path)) remove(join(path, pin));
    },
    detach: (isGone) => {
      for (const pin of readdirSync(path)) {
        const [, ifindex] = /-(\d+)$/.exec(pin) ?? [];
        if (ifindex !== undefined && isGone(Number(ifindex))) remove(join(path, pin));
      }
    },
    close: () => {
      if (!open) return;
      open = false;
      try {
        rmdirSync(path);
      } catch {
        // something is pinned in it
      }
      closeSync(fd);
    },
  };
}

function mounted(root: string): string {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const { mount, lastErrno } = libbpf();
  if (mount("bpf", root, "bpf", 0, "mode=0700") < 0) {
    throw new BpfError(`mount a bpffs on ${root}`, errnoName(lastErrno()));
  }
  return root;
}

/** As under `ip netns exec`, or a service manager's sandbox. */
function hasOwnMounts(): boolean {
  try {
    return readlinkSync("/proc/self/ns/mnt") !== readlinkSync("/proc/1/ns/mnt");
  } catch {
    return false;
  }
}

/** Unlike any other network namespace's since the machine started (SO_NETNS_COOKIE, Linux 5.14). */
function namespaceCookie(): bigint {
  const [afUnix, datagramCloexec, solSocket, netnsCookie] = [1, 2 | 0o2000000, 1, 71];
  const { socket, getOption, closeFd, lastErrno } = libbpf();
  const fd = socket(afUnix, datagramCloexec, 0);
  if (fd < 0) throw new BpfError("open a socket", errnoName(lastErrno()));
  const cookie = new Uint8Array(8);
  const code = getOption(fd, solSocket, netnsCookie, cookie, Uint32Array.of(8));
  const errno = errnoName(lastErrno());
  closeFd(fd);
  if (code < 0) throw new BpfError("tell the network namespace", errno);
  return new DataView(cookie.buffer).getBigUint64(0, true);
}

/** What a pinned map holds; nothing when there is no such map, or it has other sizes. */
export function pinnedEntries<K, V>(path: string, key: Layout<K>, value: Layout<V>): [K, V][] {
  const lib = libbpf();
  const fd = lib.getPinned(path);
  if (fd < 0) return [];
  try {
    const { keySize, valueSize, maxEntries } = shapeOf(fd);
    if (keySize !== key.size || valueSize !== value.size) return [];
    return [...new FdMap(lib, fd, path, maxEntries, key, value).entries()];
  } finally {
    lib.closeFd(fd);
  }
}

export type MapShape = {
  type: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
};

/** struct bpf_map_info. */
export function shapeOf(fd: number): MapShape {
  const [type = 0, , keySize = 0, valueSize = 0, maxEntries = 0, flags = 0] = infoOf(fd);
  return { type, keySize, valueSize, maxEntries, flags };
}

/** The interface that a TCX link is on; 0: on none any more. struct bpf_link_info. */
export const interfaceOfLink = (fd: number): number => infoOf(fd)[4] ?? 0;

function infoOf(fd: number): Uint32Array {
  const info = new Uint8Array(80);
  const code = libbpf().info(fd, info, Uint32Array.of(info.length));
  if (code < 0) throw new BpfError("ask about what is pinned", errnoName(code));
  return new Uint32Array(info.buffer);
}

/** Opens a pinned link. @returns undefined: there is none, or it is on another interface or none */
export function openPinnedLink(path: string, ifindex: number): number | undefined {
  const lib = libbpf();
  const fd = lib.getPinned(path);
  if (fd < 0) return undefined;
  if (interfaceOfLink(fd) === ifindex) return fd;
  lib.closeFd(fd);
  return undefined;
}

export function pin(fd: number, path: string): void {
  unpin(path);
  const code = libbpf().pin(fd, path);
  if (code < 0) throw new BpfError(`pin ${path}`, errnoName(code));
}

export function unpin(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
}

/** `tor_access-12`: the link of a program on interface 12. */
export const linkPin = (folder: string, program: string, ifindex: number): string =>
  join(folder, `${program}-${ifindex}`);

function remove(path: string): void {
  const lib = libbpf();
  if (/-\d+$/.test(path)) {
    const fd = lib.getPinned(path);
    if (fd >= 0) {
      lib.detachLink(fd);
      lib.closeFd(fd);
    }
  }
  unpin(path);
}
