import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  BpfError,
  type BpfMap,
  type BpfObject,
  type BpfObjectOptions,
  detachLeftover,
  detachLeftovers,
  interfaceIndex,
  interfaceName,
  interfacesWith,
  ip,
  isBpffs,
  openPinFolder,
  type PinFolder,
  type PromiscuousBook,
  pinnedEntries,
  setPromiscuous,
  struct,
  sweepPinFolders,
  u32,
} from "@nve/linux/bpf";
import { type Log, Refused } from "@nve/program";
import type { IpAddress } from "@nve/protocol-spec";

/** Of the maps in programs/: what is pinned under another is not taken over. */
const LAYOUT = 1;

/** Where pins are looked for: a bpffs that the system has mounted, else one that is mounted for us. */
const ROOTS = ["/sys/fs/bpf", "/run/split-nve/bpf"] as const;
const FOLDER = "split-nve";

/** Says which clsact filters are ours. */
export const handle = 0x4e5601;

/** `true`: on the bpffs that is found or mounted; or the path of one. */
export type Pins = true | string;

export type LoadObject = (path: string, options: BpfObjectOptions) => BpfObject;

type EstateOptions = {
  pins: Pins | undefined;
  device: string;
  port: number;
  vtep: IpAddress;
  load: LoadObject;
  log: Log;
};

const kept = struct({ layout: u32, tunnel: u32, port: u32, zero: u32, vtep: ip });

/**
 * What this agent leaves to the next one, and has from the one before: maps and links pinned on a bpffs, the tunnel
 * device, and the promiscuous flag of the access ports.
 */
export class Estate {
  /** Undefined: nothing outlives the process. */
  readonly folder: PinFolder | undefined;
  readonly #options: EstateOptions;
  #tunnel: number | undefined;

  /** @throws Refused when another agent has it */
  constructor(options: EstateOptions) {
    this.#options = options;
    this.folder = options.pins === undefined ? undefined : folderOf(options.pins, options.log);
    const found = this.folder && this.#found();
    if (typeof found === "number") this.#tunnel = found;
    else this.#clear(found);
  }

  /** The tunnel device that goes on; undefined: nothing is taken over. */
  get tunnel(): number | undefined {
    return this.#tunnel;
  }

  /** Loads the object: into the maps that are there, if anything is taken over. @throws BpfError */
  open(path: string, maxEntries: Readonly<Record<string, number>>): BpfObject {
    const pins = this.folder && { pins: this.folder.path };
    try {
      return this.#options.load(path, { maxEntries, ...pins });
    } catch (error) {
      const isOfLayout = error instanceof BpfError && ["EINVAL", "E2BIG"].includes(error.errno);
      if (this.#tunnel === undefined || !isOfLayout) throw error;
      this.#tunnel = undefined;
      this.#clear(error.message);
      return this.#options.load(path, { maxEntries, ...pins });
    }
  }

  /** For the next one. */
  bequeath(object: BpfObject, tunnel: number): void {
    const { port, vtep } = this.#options;
    object.map("kept", u32, kept).set(0, { layout: LAYOUT, tunnel, port, zero: 0, vtep });
    if (this.folder !== undefined) devicesMap(object).set(tunnel, tunnel);
  }

  /** The access ports that are attached without us. */
  ports(object: BpfObject): string[] {
    const known = [...portsMap(object).entries()];
    return known.flatMap(([ifindex]) => interfaceName(ifindex) ?? []);
  }

  /** undefined: a port is promiscuous while this process is. */
  book(object: BpfObject): PromiscuousBook | undefined {
    return this.folder && bookOf(portsMap(object), devicesMap(object));
  }

  /** Takes programs of an earlier run off interfaces where they are not wanted any more. */
  detachOthers(isOurs: (ifindex: number) => boolean): void {
    for (const ifindex of interfacesWith(handle)) {
      if (!isOurs(ifindex)) detachLeftover(ifindex, handle);
    }
    this.folder?.detach((ifindex) => !isOurs(ifindex));
  }

  /** Nothing is left to anybody; the tunnel device is its owner's to remove. */
  renounce(): void {
    if (this.folder !== undefined) discard(this.folder);
  }

  close(): void {
    this.folder?.close();
  }

  /** @returns the tunnel device, or why nothing can be taken over; undefined: there is nothing */
  #found(): number | string | undefined {
    const { device, port, vtep } = this.#options;
    if (this.folder === undefined || this.folder.names().length === 0) return undefined;
    const [[, was] = []] = pinnedEntries(join(this.folder.path, "kept"), u32, kept);
    if (was?.layout !== LAYOUT) {
      return `its maps have layout ${was?.layout ?? "unknown"}, those of this version ${LAYOUT}`;
    }
    if (was.vtep !== vtep) return `its VTEP was ${was.vtep}`;
    if (was.port !== port) return `its UDP port was ${was.port}`;
    if (interfaceIndex(device) === was.tunnel) return was.tunnel;
    return `its tunnel device ${device} is not there any more`;
  }

  /** As if nobody had been there. */
  #clear(why: string | undefined): void {
    if (why !== undefined) {
      this.#options.log.warn(
        { why },
        "what an earlier run forwards cannot be taken over: frames stop until stations have associated again",
      );
    }
    detachLeftovers(handle);
    if (this.folder !== undefined) discard(this.folder);
  }
}

const portsMap = (object: BpfObject): BpfMap<number, number> => object.map("kept_ports", u32, u32);

const devicesMap = (object: BpfObject): BpfMap<number, number> =>
  object.map("kept_devices", u32, u32);

const bookOf = (map: BpfMap<number, number>, devices: BpfMap<number, number>): PromiscuousBook => ({
  isOurs: (ifindex) => {
    const ours = map.get(ifindex);
    return ours === undefined ? undefined : ours === 1;
  },
  set: (ifindex, isOurs) => {
    map.set(ifindex, isOurs ? 1 : 0);
    devices.set(ifindex, ifindex);
  },
  delete: (ifindex) => {
    map.delete(ifindex);
    devices.delete(ifindex);
  },
});

/** Takes programs, maps and promiscuous flags of an earlier run away, whatever its layout. */
function discard(folder: PinFolder): void {
  for (const [ifindex, ours] of pinnedEntries(join(folder.path, "kept_ports"), u32, u32)) {
    if (ours === 1 && interfaceName(ifindex) !== undefined) setPromiscuous(ifindex, false);
  }
  folder.clear();
}

/** Whether none of the interfaces that an agent had is there any more, its namespace gone most likely. */
function isDead(path: string): boolean {
  const pin = join(path, "kept_devices");
  return existsSync(pin) && pinnedEntries(pin, u32, u32).length === 0;
}

/**
 * Takes programs, maps and promiscuous flags away that an agent left in this network namespace. @returns what there was
 * @throws Refused when one runs
 */
export function removeLeftovers(pins: string | undefined): string[] {
  const roots = (pins === undefined ? ROOTS : [pins]).filter(isBpffs);
  const folder = roots.length === 0 ? undefined : locked(() => openPinFolder(roots, FOLDER));
  const names = folder?.names() ?? [];
  const filtered = interfacesWith(handle).flatMap((at) => interfaceName(at) ?? []);
  const dead = folder === undefined ? 0 : sweepPinFolders(folder, isDead);
  if (folder !== undefined) discard(folder);
  detachLeftovers(handle);
  folder?.close();
  return [
    ...names.map((name) => `pin ${name}`),
    ...filtered.map((name) => `filter of interface ${name}`),
    ...(dead === 0 ? [] : [`pins of ${dead} network namespace(s) that are gone`]),
  ];
}

function locked<T>(open: () => T): T {
  try {
    return open();
  } catch (cause) {
    if (!(cause instanceof BpfError) || !cause.operation.startsWith("lock")) throw cause;
    throw new Refused(
      `an agent forwards in this network namespace (${cause.operation}): stop it first, with switch-agent stop`,
      { cause },
    );
  }
}

function folderOf(pins: Pins, log: Log): PinFolder | undefined {
  const roots = pins === true ? ROOTS : [pins];
  try {
    const folder = locked(() => openPinFolder(roots, FOLDER));
    const dead = sweepPinFolders(folder, isDead);
    if (dead > 0)
      log.info({ dead }, "taken away: what was pinned of network namespaces that are gone");
    if (folder.isFleeting) {
      log.warn(
        { path: folder.path },
        "this process has mounts of its own: what it pins goes with it, and frames stop when it ends; " +
          `mount a bpffs before, outside: mount -t bpf bpf ${roots[0]}`,
      );
    }
    return folder;
  } catch (cause) {
    if (cause instanceof Refused) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const what = "nothing can be pinned: frames stop when this process ends";
    log.warn({ reason }, `${what}; mount -t bpf bpf ${roots[0]} makes it possible`);
    return undefined;
  }
}
