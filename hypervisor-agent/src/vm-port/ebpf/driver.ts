import { fileURLToPath } from "node:url";
import { linkMonitor } from "@nve/linux";
import {
  type AttachKind,
  BpfError,
  type BpfObject,
  detachLeftovers,
  Grace,
  IngressPorts,
  interfaceIndex,
  openBpfObject,
} from "@nve/linux/bpf";
import { turn } from "@nve/linux/turn";
import { type Log, Refused } from "@nve/program";
import { checkBindings } from "../check.ts";
import type { Binding, VirtualSwitch, VirtualSwitchCounters } from "../vm-port.ts";
import { dropReasons, type PortCounts, type SwitchMaps, switchMaps } from "./maps.ts";
import { type Bound, Tables } from "./tables.ts";

type EbpfVirtualSwitchOptions = {
  /** Names of the interfaces towards the switch. One that is absent is waited for. */
  uplinks: readonly string[];
  /** How programs are attached; default "auto": TCX where the kernel has it. */
  attach?: AttachKind | "auto";
  log: Log;
};

/** Says which clsact filters are ours. */
const handle = 0x4e5602;

const objectPath = fileURLToPath(new URL("../../../build/vm-port.bpf.o", import.meta.url));

/**
 * The eBPF virtual switch: tc programs on the VM interfaces and the uplinks. An interface that is absent, or is
 * deleted and made again, is bound as soon as it is there. What an earlier run left behind is replaced.
 * @throws Refused when BPF is not permitted
 */
export async function openEbpfVirtualSwitch(
  options: EbpfVirtualSwitchOptions,
): Promise<VirtualSwitch> {
  const object = openObject();
  try {
    detachLeftovers(handle);
    return new EbpfVirtualSwitch(object, options);
  } catch (error) {
    object.close();
    throw error;
  }
}

function openObject(): BpfObject {
  try {
    return openBpfObject(objectPath);
  } catch (cause) {
    if (!(cause instanceof BpfError)) throw cause;
    if (cause.errno === "ENOENT") throw new Refused(cause.message, { cause });
    if (cause.errno !== "EPERM" && cause.errno !== "EACCES") throw cause;
    throw new Refused("BPF is not permitted: run as root or with CAP_BPF and CAP_NET_ADMIN", {
      cause,
    });
  }
}

class EbpfVirtualSwitch implements VirtualSwitch {
  readonly #object: BpfObject;
  readonly #maps: SwitchMaps;
  readonly #tables: Tables;
  readonly #vms: IngressPorts;
  readonly #uplinks: IngressPorts;
  readonly #uplinkNames: readonly string[];
  readonly #log: Log;
  readonly #watches = new Map<string, () => void>();
  /** Of the interfaces that are watched, as far as has been heard; undefined: absent. */
  readonly #indexes = new Map<string, number | undefined>();
  readonly #counted = new Map<string, Counted>();
  readonly #grace = new Grace();
  #bindings: readonly Binding[] = [];
  #closed = false;

  constructor(object: BpfObject, { uplinks, attach = "auto", log }: EbpfVirtualSwitchOptions) {
    this.#object = object;
    this.#maps = switchMaps(object);
    this.#tables = new Tables(this.#maps, (task) => this.#grace.after(task));
    const how = { kind: attach, handle };
    this.#vms = new IngressPorts(object.program("vm_port"), { ...how, promiscuous: false });
    this.#uplinks = new IngressPorts(object.program("vm_uplink"), { ...how, promiscuous: true });
    this.#uplinkNames = uplinks;
    this.#log = log;
    try {
      this.#sync();
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  async bind(bindings: readonly Binding[]): Promise<void> {
    if (this.#closed) throw new Error("the virtual switch is closed");
    checkBindings(bindings, this.#uplinkNames);
    this.#bindings = bindings;
    await this.#attach(new Set(bindings.map((binding) => binding.interface)));
    if (!this.#closed) this.#sync(); // also when others were asked for meanwhile: the newest count
  }

  /**
   * TCX takes the kernel 16 ms for an interface, and longer when others do it, too. In between others have their turn, so that
   * no peer finds us silent. Without a binding the program lets nothing pass.
   */
  async #attach(names: ReadonlySet<string>): Promise<void> {
    for (const name of names) {
      if (this.#vms.indexOf(name) !== undefined) continue;
      await this.#vms.free(name);
      if (this.#closed || this.#vms.up(name) === undefined) continue;
      await turn();
    }
  }

  async counters(): Promise<VirtualSwitchCounters> {
    if (this.#closed) throw new Error("the virtual switch is closed");
    const interfaces = [...this.#counted].map(([name, counted]) => ({
      interface: name,
      ...this.#total(counted),
    }));
    const drops = dropReasons.map((reason, i): [string, number] => [
      reason,
      (this.#maps.drops.get(i) ?? []).reduce((all, n) => all + n, 0),
    ]);
    return { interfaces, drops: Object.fromEntries(drops) };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#release();
    await this.#vms.gone();
    this.#object.close();
  }

  #release(): void {
    for (const unwatch of this.#watches.values()) unwatch();
    this.#grace.close();
    this.#vms.keep(new Set());
    this.#uplinks.keep(new Set());
  }

  /** Makes the kernel agree with the bindings and with the interfaces that are there. */
  #sync(): void {
    const uplinks = new Map(this.#uplinkNames.map((name) => [name, this.#uplinks.up(name)]));
    const names = new Set(this.#bindings.map((binding) => binding.interface));
    this.#vms.keep(names, "later"); // nothing passes any more as soon as its bindings are gone
    this.#count(names);
    const bound = this.#bindings.flatMap((binding) => {
      const ifindex = this.#indexOf(binding.interface);
      const up = uplinks.get(binding.uplink);
      return ifindex === undefined || up === undefined ? [] : boundAs(binding, ifindex, up);
    });
    this.#tables.replace(bound);
    for (const name of names) {
      const ifindex = this.#indexOf(name);
      if (ifindex !== undefined && ifindex === this.#vms.indexOf(name)) continue;
      if (this.#vms.up(name) === undefined)
        this.#log.info({ interface: name }, "VM interface is absent");
    }
    this.#watch(new Set([...names, ...this.#uplinkNames]));
  }

  /** The kernel is asked once: of what changes later we hear. With hundreds of VNICs each call of it counts. */
  #indexOf(name: string): number | undefined {
    return this.#indexes.has(name) ? this.#indexes.get(name) : interfaceIndex(name);
  }

  /** Follows interfaces that come, go, or are made anew. */
  #watch(names: ReadonlySet<string>): void {
    for (const [name, unwatch] of this.#watches) {
      if (names.has(name)) continue;
      unwatch();
      this.#watches.delete(name);
      this.#indexes.delete(name);
    }
    for (const name of names) {
      if (this.#watches.has(name)) continue;
      this.#indexes.set(name, interfaceIndex(name));
      const unwatch = linkMonitor().watch(name, () => {
        const now = interfaceIndex(name);
        if (now === this.#indexes.get(name)) return;
        this.#indexes.set(name, now);
        this.#follow(name, now);
      });
      this.#watches.set(name, unwatch);
    }
  }

  #follow(name: string, ifindex: number | undefined): void {
    try {
      this.#sync();
      this.#log.info(
        { interface: name, ifindex },
        ifindex ? "interface bound" : "interface is gone",
      );
    } catch (error) {
      this.#log.error({ interface: name, err: error }, "interface not bound");
    }
  }

  /** Counts survive an interface that is made anew; they end with the last binding of the name. */
  #count(names: ReadonlySet<string>): void {
    for (const [name, { ifindex }] of this.#counted) {
      if (names.has(name)) continue;
      if (ifindex !== undefined) this.#maps.portCounts.delete(ifindex);
      this.#counted.delete(name);
    }
    for (const name of names) {
      const ifindex = this.#indexOf(name);
      const counted = this.#counted.get(name);
      if (counted !== undefined && counted.ifindex === ifindex) continue;
      const before = counted === undefined ? none : this.#total(counted);
      if (counted?.ifindex !== undefined) this.#maps.portCounts.delete(counted.ifindex);
      if (ifindex !== undefined) this.#maps.portCounts.set(ifindex, none);
      this.#counted.set(name, { ifindex, before });
    }
  }

  #total({ ifindex, before }: Counted): PortCounts {
    const now = ifindex === undefined ? undefined : this.#maps.portCounts.get(ifindex);
    return [before, ...(now ?? [])].reduce((a, b) => ({ in: a.in + b.in, out: a.out + b.out }));
  }
}

type Counted = { ifindex: number | undefined; before: PortCounts };

const none: PortCounts = { in: 0, out: 0 };

/** The same one for the same binding, as long as its interfaces are the same. */
function boundAs(binding: Binding, ifindex: number, uplink: number): Bound {
  const before = known.get(binding);
  if (before !== undefined && before.ifindex === ifindex && before.uplink === uplink) return before;
  const { guestTag, mac, vid } = binding;
  const bound = { guestTag, mac, vid, ifindex, uplink };
  known.set(binding, bound);
  return bound;
}

const known = new WeakMap<Binding, Bound>();
