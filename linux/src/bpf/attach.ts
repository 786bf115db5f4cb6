import { readFileSync } from "node:fs";
import { BpfError, errnoName } from "./error.ts";
import { clearLog, lastLog, libbpf } from "./libbpf.ts";
import type { BpfProgram } from "./object.ts";
import { linkPin, openPinnedLink, pin, unpin } from "./pins.ts";

/**
 * `tcx`: Linux 6.6 and newer, gone with the process unless it is pinned. `clsact`: every kernel; a filter stays until
 * it is replaced.
 */
export type AttachKind = "tcx" | "clsact";

export type Attachment = {
  readonly kind: AttachKind;
  readonly ifindex: number;
  detach(): void;
  /** The same, but the kernel may take a while to it: with TCX 16 ms of nobody's processor time, in which we go on. */
  detachLater(): Promise<void>;
  /** Lets go of it: what is pinned, and a filter, stays in force. */
  release(): void;
};

/**
 * `handle` says whose filter it is: a leftover of the same handle is replaced, others are left alone. `pins`: the path
 * of a folder on a bpffs where TCX links are pinned; a link that is there gets the program.
 */
export type AttachOptions = { kind: AttachKind | "auto"; handle: number; pins?: string };

const tcxIngress = 46;
const priority = 49;

/**
 * Runs a program on every frame that comes in at an interface. What an earlier run left there under the same
 * handle is replaced with no gap. An interface that is deleted takes its attachment along.
 * @throws BpfError, ENODEV when there is no such interface
 */
export function attachIngress(
  program: BpfProgram,
  ifindex: number,
  options: AttachOptions,
): Attachment {
  const path = options.pins && linkPin(options.pins, program.name, ifindex);
  if (options.kind === "clsact") {
    const attachment = attachClsact(program, ifindex, options.handle);
    if (path) dropLink(path, ifindex);
    return attachment;
  }
  const known = path ? openPinnedLink(path, ifindex) : undefined;
  if (known !== undefined) {
    const code = libbpf().updateLink(known, program.fd, null);
    if (code >= 0) return attachedTcx(known, ifindex, path);
    libbpf().closeFd(known);
    throw new BpfError(`replace ${program.name} at interface ${ifindex}`, errnoName(code));
  }
  clearLog();
  const fd = libbpf().createLink(program.fd, ifindex, tcxIngress, null);
  if (fd >= 0) {
    if (path) pin(fd, path);
    detachLeftover(ifindex, options.handle);
    return attachedTcx(fd, ifindex, path);
  }
  const errno = errnoName(fd);
  const old = errno === "EINVAL" || errno === "EOPNOTSUPP"; // a kernel without TCX
  if (options.kind === "auto" && old) return attachClsact(program, ifindex, options.handle);
  throw new BpfError(`attach ${program.name} to interface ${ifindex} by TCX`, errno, lastLog());
}

function attachedTcx(fd: number, ifindex: number, path: string | undefined): Attachment {
  let close: ((fd: number) => void) | undefined = libbpf().closeFd;
  const release = (): void => {
    close?.(fd);
    close = undefined;
  };
  const detach = once(() => {
    if (path) libbpf().detachLink(fd);
    if (path) unpin(path);
    release();
  });
  const detachLater = async (): Promise<void> => {
    if (path || close === undefined) return detach();
    close = undefined;
    await libbpf().closeFdLater(fd);
  };
  return { kind: "tcx", ifindex, detach, detachLater, release };
}

/** Takes a program of an earlier run, pinned in `pins`, off an interface, if it is there. */
export function detachPinned(program: BpfProgram, ifindex: number, pins: string): void {
  dropLink(linkPin(pins, program.name, ifindex), ifindex);
}

/** One that was pinned when TCX was used still. */
function dropLink(path: string, ifindex: number): void {
  const fd = openPinnedLink(path, ifindex);
  if (fd !== undefined) attachedTcx(fd, ifindex, path).detach();
}

function attachClsact(program: BpfProgram, ifindex: number, handle: number): Attachment {
  const lib = libbpf();
  const what = `attach ${program.name} to interface ${ifindex} by clsact`;
  clearLog();
  const made = lib.createHook(hook(ifindex));
  if (made < 0 && errnoName(made) !== "EEXIST")
    throw new BpfError(what, errnoName(made), lastLog());
  const replace = 1;
  const code = lib.tcAttach(hook(ifindex), filter(handle, { fd: program.fd, flags: replace }));
  if (code < 0) throw new BpfError(what, errnoName(code), lastLog());
  const detach = once(() => detachLeftover(ifindex, handle));
  return { kind: "clsact", ifindex, detach, detachLater: async () => detach(), release: () => {} };
}

/** Takes a clsact filter of ours off an interface, if there is one. The qdisc stays: others may use it. */
export function detachLeftover(ifindex: number, handle: number): boolean {
  const found = libbpf().tcQuery(hook(ifindex), filter(handle)) === 0;
  return found && libbpf().tcDetach(hook(ifindex), filter(handle)) === 0;
}

/** Takes every clsact filter of that handle off the interfaces of this network namespace. */
export function detachLeftovers(handle: number): void {
  for (const ifindex of interfaces()) detachLeftover(ifindex, handle);
}

/** Interfaces of this network namespace that have a clsact filter of that handle. */
export function interfacesWith(handle: number): number[] {
  return interfaces().filter((at) => libbpf().tcQuery(hook(at), filter(handle)) === 0);
}

function interfaces(): number[] {
  const lines = readFileSync("/proc/self/net/dev", "utf8").split("\n").slice(2);
  return lines.flatMap((line) => interfaceIndex(line.split(":")[0]?.trim() ?? "") ?? []);
}

/** The interface's number in this network namespace; undefined when there is none of that name. */
export function interfaceIndex(name: string): number | undefined {
  const index = libbpf().interfaceIndex(name);
  return index === 0 ? undefined : index;
}

/** Its name in this network namespace; undefined when there is none of that number. */
export function interfaceName(ifindex: number): string | undefined {
  const name = Buffer.alloc(16); // IF_NAMESIZE
  if (libbpf().interfaceName(ifindex, name) === null) return undefined;
  return name.toString("utf8", 0, name.indexOf(0));
}

/** struct bpf_tc_hook: size, ifindex, attach point, parent. */
function hook(ifindex: number): Uint8Array {
  const ingress = 1;
  return words({ size: 24 }, ifindex, ingress, 0);
}

/** struct bpf_tc_opts: size, program fd, flags, program id, handle, priority. */
function filter(
  handle: number,
  attach: { fd: number; flags: number } = { fd: 0, flags: 0 },
): Uint8Array {
  return words({ size: 32 }, attach.fd, attach.flags, 0, handle, priority);
}

function words({ size }: { size: number }, ...values: number[]): Uint8Array {
  const octets = new Uint8Array(size);
  new BigUint64Array(octets.buffer, 0, 1)[0] = BigInt(size);
  new Uint32Array(octets.buffer, 8).set(values);
  return octets;
}

function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (!done) act();
    done = true;
  };
}
