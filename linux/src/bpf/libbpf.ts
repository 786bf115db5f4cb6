import koffi, { type LibraryHandle } from "koffi";
import { BpfError } from "./error.ts";

/**
 * The functions of libbpf.so.1 (1.1 or newer) that we call, loaded on first use. All are synchronous. Those that
 * give a number give a negative errno on failure; those that give a pointer give null and set errno.
 */
export type Pointer = unknown;

export type Libbpf = {
  openMem(octets: Uint8Array, size: number, options: null): Pointer;
  load(object: Pointer): number;
  close(object: Pointer): void;
  findMap(object: Pointer, name: string): Pointer;
  mapFd(map: Pointer): number;
  mapKeySize(map: Pointer): number;
  mapValueSize(map: Pointer): number;
  mapMaxEntries(map: Pointer): number;
  setMaxEntries(map: Pointer, n: number): number;
  findProgram(object: Pointer, name: string): Pointer;
  programFd(program: Pointer): number;
  update(fd: number, key: Uint8Array, value: Uint8Array, flags: number): number;
  lookup(fd: number, key: Uint8Array, value: Uint8Array): number;
  delete(fd: number, key: Uint8Array): number;
  take(fd: number, key: null, value: Uint8Array): number;
  nextKey(fd: number, key: Uint8Array | null, next: Uint8Array): number;
  updateBatch(
    fd: number,
    keys: Uint8Array,
    values: Uint8Array,
    n: Uint32Array,
    options: null,
  ): number;
  lookupBatch(
    fd: number,
    from: Uint8Array | null,
    to: Uint8Array,
    keys: Uint8Array,
    values: Uint8Array,
    n: Uint32Array,
    options: null,
  ): number;
  newRing(fd: number, hear: unknown, context: null, options: null): Pointer;
  consumeRing(ring: Pointer): number;
  freeRing(ring: Pointer): void;
  /** Memory that is not ours into octets that are. */
  copy(to: Uint8Array, from: Pointer, size: number): Pointer;
  cpus(): number;
  createLink(program: number, ifindex: number, type: number, options: null): number;
  updateLink(link: number, program: number, options: null): number;
  detachLink(link: number): number;
  nextMap(object: Pointer, previous: Pointer): Pointer;
  mapName(map: Pointer): string;
  mapType(map: Pointer): number;
  mapFlags(map: Pointer): number;
  /** Made by libbpf for global variables. */
  isInternal(map: Pointer): boolean;
  reuseFd(map: Pointer, fd: number): number;
  pin(fd: number, path: string): number;
  getPinned(path: string): number;
  info(fd: number, info: Uint8Array, size: Uint32Array): number;
  createHook(hook: Uint8Array): number;
  tcAttach(hook: Uint8Array, options: Uint8Array): number;
  tcDetach(hook: Uint8Array, options: Uint8Array): number;
  tcQuery(hook: Uint8Array, options: Uint8Array): number;
  closeFd(fd: number): number;
  /** In a thread, one after another: the kernel may take milliseconds for what it stands for. */
  closeFdLater(fd: number): Promise<void>;
  interfaceIndex(name: string): number;
  socket(family: number, type: number, protocol: number): number;
  setOption(fd: number, level: number, name: number, value: Uint8Array, size: number): number;
  getOption(fd: number, level: number, name: number, value: Uint8Array, size: Uint32Array): number;
  interfaceName(ifindex: number, name: Uint8Array): Pointer;
  interfaceFlags(fd: number, request: number, ifreq: Uint8Array): number;
  mount(source: string, target: string, type: string, flags: number, options: string): number;
  lockFile(fd: number, how: number): number;
  /** Of the calling thread. */
  signalMask(how: number, set: Uint8Array, before: Uint8Array | null): number;
  /** Of the last call that set it. */
  lastErrno(): number;
};

type FromLibc =
  | "copy"
  | "closeFd"
  | "closeFdLater"
  | "interfaceIndex"
  | "interfaceName"
  | "interfaceFlags"
  | "socket"
  | "setOption"
  | "getOption"
  | "mount"
  | "lockFile"
  | "signalMask"
  | "lastErrno";

const signatures: Record<Exclude<keyof Libbpf, FromLibc>, string> = {
  openMem: "void *bpf_object__open_mem(const void *octets, size_t size, const void *options)",
  load: "int bpf_object__load(void *object)",
  close: "void bpf_object__close(void *object)",
  findMap: "void *bpf_object__find_map_by_name(void *object, const char *name)",
  mapFd: "int bpf_map__fd(void *map)",
  mapKeySize: "uint32_t bpf_map__key_size(void *map)",
  mapValueSize: "uint32_t bpf_map__value_size(void *map)",
  mapMaxEntries: "uint32_t bpf_map__max_entries(void *map)",
  setMaxEntries: "int bpf_map__set_max_entries(void *map, uint32_t n)",
  findProgram: "void *bpf_object__find_program_by_name(void *object, const char *name)",
  programFd: "int bpf_program__fd(void *program)",
  update: "int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)",
  lookup: "int bpf_map_lookup_elem(int fd, const void *key, void *value)",
  delete: "int bpf_map_delete_elem(int fd, const void *key)",
  take: "int bpf_map_lookup_and_delete_elem(int fd, const void *key, void *value)",
  nextKey: "int bpf_map_get_next_key(int fd, const void *key, void *next)",
  updateBatch:
    "int bpf_map_update_batch(int fd, const void *keys, const void *values, void *n, const void *options)",
  lookupBatch:
    "int bpf_map_lookup_batch(int fd, void *from, void *to, void *keys, void *values, void *n, const void *options)",
  newRing: "void *ring_buffer__new(int fd, void *hear, void *context, const void *options)",
  consumeRing: "int ring_buffer__consume(void *ring)",
  freeRing: "void ring_buffer__free(void *ring)",
  cpus: "int libbpf_num_possible_cpus()",
  createLink: "int bpf_link_create(int program, int ifindex, int type, const void *options)",
  updateLink: "int bpf_link_update(int link, int program, const void *options)",
  detachLink: "int bpf_link_detach(int link)",
  nextMap: "void *bpf_object__next_map(const void *object, const void *previous)",
  mapName: "const char *bpf_map__name(const void *map)",
  mapType: "int bpf_map__type(const void *map)",
  mapFlags: "uint32_t bpf_map__map_flags(const void *map)",
  isInternal: "bool bpf_map__is_internal(const void *map)",
  reuseFd: "int bpf_map__reuse_fd(void *map, int fd)",
  pin: "int bpf_obj_pin(int fd, const char *path)",
  getPinned: "int bpf_obj_get(const char *path)",
  info: "int bpf_obj_get_info_by_fd(int fd, void *info, void *size)",
  createHook: "int bpf_tc_hook_create(void *hook)",
  tcAttach: "int bpf_tc_attach(const void *hook, void *options)",
  tcDetach: "int bpf_tc_detach(const void *hook, const void *options)",
  tcQuery: "int bpf_tc_query(const void *hook, void *options)",
};

let loaded: Libbpf | undefined;

/** @throws BpfError when libbpf.so.1 is not installed. */
export function libbpf(): Libbpf {
  loaded ??= load();
  return loaded;
}

function load(): Libbpf {
  const libc = koffi.load("libc.so.6");
  const close = libc.func("int close(int fd)");
  const library = open();
  captureLog(library, libc);
  const functions = Object.fromEntries(
    Object.entries(signatures).map(([name, signature]) => [name, library.func(signature)]),
  );
  return {
    ...functions,
    copy: libc.func("void *memcpy(void *to, const void *from, size_t size)"),
    closeFd: close,
    closeFdLater: inThread((fd, done) => close.async(fd, done)),
    interfaceIndex: libc.func("unsigned int if_nametoindex(const char *name)"),
    socket: libc.func("int socket(int family, int type, int protocol)"),
    setOption: libc.func(
      "int setsockopt(int fd, int level, int name, const void *value, unsigned int size)",
    ),
    getOption: libc.func("int getsockopt(int fd, int level, int name, void *value, void *size)"),
    interfaceName: libc.func("void *if_indextoname(unsigned int index, void *name)"),
    interfaceFlags: libc.func("int ioctl(int fd, unsigned long request, void *ifreq)"),
    mount: libc.func(
      "int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *options)",
    ),
    lockFile: libc.func("int flock(int fd, int how)"),
    signalMask: libc.func("int pthread_sigmask(int how, const void *set, void *before)"),
    lastErrno: () => koffi.errno(),
  } as unknown as Libbpf; // koffi types functions by their signature text only
}

function open(): LibraryHandle {
  try {
    return koffi.load("libbpf.so.1");
  } catch (cause) {
    throw new BpfError(
      "load libbpf.so.1",
      "ENOENT",
      ["libbpf 1.x is not installed: run apt-get install -y libbpf1"],
      { cause },
    );
  }
}

/** What libbpf wrote since `clearLog`, oldest first; the verifier's log is part of it. */
const log: string[] = [];
const keep = 30;

export const clearLog = (): void => {
  log.length = 0;
};
export const lastLog = (): string[] => [...log];

function captureLog(library: LibraryHandle, libc: LibraryHandle): void {
  const format = libc.func(
    "int vsnprintf(void *text, size_t size, const char *format, void *arguments)",
  );
  const setPrint = library.func("void *libbpf_set_print(void *print)");
  const print = koffi.proto("int nve_libbpf_print(int level, const char *format, void *arguments)");
  const text = Buffer.alloc(128 * 1024);
  const debug = 2;
  const callback = koffi.register((level: number, template: string, list: unknown) => {
    if (level >= debug) return 0;
    const length = Math.min(format(text, text.length, template, list), text.length - 1);
    const lines = text
      .toString("latin1", 0, length)
      .split("\n")
      .filter((line) => line.trim() !== "");
    log.push(...lines.slice(-keep));
    log.splice(0, log.length - keep);
    return 0;
  }, koffi.pointer(print));
  setPrint(callback);
}

/** One at a time, so that the other work of the thread pool gets its turn. */
function inThread(run: (fd: number, done: () => void) => void): (fd: number) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return (fd) => {
    last = last.then(() => new Promise((done) => run(fd, () => done())));
    return last;
  };
}
