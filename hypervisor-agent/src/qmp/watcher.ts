import { type FSWatcher, readdirSync, readFileSync, statSync, watch } from "node:fs";
import { join } from "node:path";
import type { Clock } from "@nve/linux";
import { parseConfig } from "@nve/program/config";
import { Refused } from "@nve/program/errors";
import type { Log } from "@nve/program/log";
import { Instant } from "@nve/protocol-spec";
import type { Stage } from "../stations/tree.ts";
import type { VnicDescription } from "../vms/description.ts";
import { vmFileSchema } from "../vms/file.ts";
import type { QemuConfig } from "./config.ts";
import { WatchedVm } from "./watched-vm.ts";

export type QmpWatcherOptions = QemuConfig & {
  clock: Clock;
  log: Log;
  want(vm: string, vnic: VnicDescription, stage: Stage | undefined): void;
};

/** Where the kernel tells of no change (another file system, a folder that is not there yet). */
const RESCAN_MS = 2000;
/** Octets of a file, and files of a folder: what a server has of VMs, and more. */
const MAX_FILE = 64 << 10;
const MAX_VMS = 1024;

/** VMs as the files of a folder say, each watched by its QEMU's monitor. Files may come, go and change. */
export class QmpWatcher {
  readonly #options: QmpWatcherOptions;
  readonly #vms = new Map<string, { text: string; watched: WatchedVm | undefined }>();
  readonly #folders = new Map<string, FSWatcher>();
  #callOff: () => void = () => {};
  #scanning = false;
  #closed = false;

  constructor(options: QmpWatcherOptions) {
    this.#options = options;
    this.#scan();
  }

  close(): void {
    this.#closed = true;
    this.#callOff();
    for (const folder of this.#folders.values()) folder.close();
    for (const { watched } of this.#vms.values()) watched?.close();
  }

  #scan(): void {
    if (this.#closed) return;
    const { clock, vms, sockets } = this.#options;
    this.#callOff();
    this.#callOff = clock.at(Instant(clock.now() + RESCAN_MS), () => this.#scan());
    this.#listen(vms, () => this.#soon());
    this.#listen(sockets, (file) => void this.#vms.get(nameOf(file, ".qmp"))?.watched?.look());
    const names = new Set(filesIn(vms));
    for (const [vm, { watched }] of this.#vms) {
      if (names.has(vm)) continue;
      watched?.close();
      for (const vnic of watched?.vnics ?? []) this.#options.want(vm, vnic, undefined);
      this.#vms.delete(vm);
      this.#options.log.info({ vm }, "the VM's file is gone: it is watched no more");
    }
    for (const vm of names) this.#read(vm);
  }

  /** Once what happens together has happened. */
  #soon(): void {
    if (this.#scanning) return;
    this.#scanning = true;
    setImmediate(() => {
      this.#scanning = false;
      this.#scan();
    });
  }

  #listen(folder: string, changed: (file: string) => void): void {
    if (this.#folders.has(folder)) return;
    try {
      const watcher = watch(folder, (_, file) => changed(String(file ?? "")));
      const forget = (): void => {
        watcher.close();
        this.#folders.delete(folder);
      };
      watcher.on("error", forget);
      this.#folders.set(folder, watcher);
    } catch {
      // It is not there, or cannot be watched: it is looked at now and then.
    }
  }

  #read(vm: string): void {
    const { vms, sockets, clock, log, want } = this.#options;
    const path = join(vms, `${vm}.yaml`);
    let text: string;
    try {
      if (statSync(path).size > MAX_FILE) throw new Refused(`${path} is longer than ${MAX_FILE}`);
      text = readFileSync(path, "utf8");
    } catch (error) {
      text = `unreadable: ${error instanceof Error ? error.message : error}`;
    }
    const known = this.#vms.get(vm);
    if (known?.text === text) return;
    try {
      const file = parseConfig(text, vmFileSchema, path);
      const tell = (vnics: readonly VnicDescription[], stage: Stage | undefined): void => {
        for (const vnic of vnics) want(vm, vnic, stage);
      };
      known?.watched?.close();
      const before = known?.watched?.vnics ?? [];
      const socket = file.qmp ?? join(sockets, `${vm}.qmp`);
      const watched = new WatchedVm({ vm, path: socket, file, before, clock, log, tell });
      this.#vms.set(vm, { text, watched });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#vms.set(vm, { text, watched: known?.watched }); // a slip cuts off no VM
      log.error({ vm, reason: error.message }, "the VM's file is not understood");
    }
  }
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((file) => /^[^.].*\.yaml$/.test(file))
      .map((file) => nameOf(file, ".yaml"))
      .slice(0, MAX_VMS);
  } catch {
    return []; // not there yet
  }
}

const nameOf = (file: string, end: string): string =>
  file.endsWith(end) ? file.slice(0, -end.length) : file;
