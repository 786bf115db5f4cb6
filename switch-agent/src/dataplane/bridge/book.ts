import { type Bridging, NetlinkError } from "@nve/linux";
import type { IpAddress, Mac, Vni } from "@nve/protocol-spec";
import {
  type AccessIntent,
  type Intent,
  intentKey,
  type MacIntent,
  type VnIntent,
} from "../../nve/intents.ts";
import { gone } from "./kernel.ts";
import type { Port } from "./port.ts";
import { type Placed, place, type Vn, VnDevice } from "./vn.ts";

type Options = { kernel: Bridging; bridge: number; vtep: IpAddress; port: number };

/** Not an error of the kernel's: there is no room. */
export class Full extends Error {
  override readonly name = "Full";
  readonly full = { table: "VLANs of the bridge", size: lastVid };
}

const lastVid = 4094;

/** What is wanted, by VN, and what of it the kernel has. Intents whose VN or port is not there wait for it. */
export class Book {
  readonly vns = new Map<Vni, Vn>();
  readonly ports = new Map<string, Port>();
  readonly #options: Options;
  readonly #vids = new Set<number>();
  /** Octets of a tenant's packet. */
  mtu = 1500;

  constructor(options: Options) {
    this.#options = options;
  }

  *intents(): IterableIterator<Intent> {
    for (const { intent, accesses, macs } of this.vns.values()) {
      if (intent) yield intent;
      yield* accesses.values();
      for (const mac of macs.values()) yield mac.intent;
    }
  }

  async put(intent: Intent): Promise<void> {
    const vn = this.#vn(intent.vni);
    if (intent.is === "vn") return this.#putVn(vn, intent);
    if (intent.is === "mac") {
      vn.macs.set(intent.mac, { ...vn.macs.get(intent.mac), intent });
      return this.#placeMac(vn, intent.mac);
    }
    await this.#moveAccess(intent);
    vn.accesses.set(intentKey(intent), intent);
    return this.#putAccess(vn, intent);
  }

  async take(intent: Intent): Promise<void> {
    const vn = this.vns.get(intent.vni);
    if (vn === undefined) return;
    if (intent.is === "vn") {
      await this.#takeVn(vn);
    } else if (intent.is === "mac") {
      const mac = vn.macs.get(intent.mac);
      vn.macs.delete(intent.mac);
      if (mac?.placed) await this.#place(vn, intent.mac, mac.placed, undefined);
    } else if (vn.accesses.delete(intentKey(intent))) {
      await this.#takeAccess(vn, intent);
    }
    if (!vn.intent && vn.accesses.size === 0 && vn.macs.size === 0) this.vns.delete(vn.vni);
  }

  async portUp(port: Port): Promise<void> {
    this.ports.set(port.name, port);
    for (const vn of this.vns.values()) {
      for (const access of vn.accesses.values()) {
        if (access.port === port.name) await this.#putAccess(vn, access);
      }
    }
  }

  async portDown(name: string): Promise<void> {
    const port = this.ports.get(name);
    this.ports.delete(name);
    await port?.close();
    for (const vn of this.vns.values()) {
      for (const mac of vn.macs.values()) {
        const { at } = mac.intent;
        if (at.is === "local" && at.port === name) delete mac.placed;
      }
    }
  }

  /** The underlay leaves room for other packets now. */
  async resize(mtu: number): Promise<void> {
    this.mtu = mtu;
    for (const { device, intent } of this.vns.values()) {
      if (device) await this.#options.kernel.setLink(device.index, { mtu: this.#mtuOf(intent) });
    }
  }

  async close(): Promise<void> {
    for (const port of [...this.ports.values()]) await port.close();
    for (const { device } of this.vns.values()) await device?.remove();
    await gone(this.#options.kernel.deleteLink(this.#options.bridge));
  }

  #vn(vni: Vni): Vn {
    const vn = this.vns.get(vni) ?? { vni, accesses: new Map(), macs: new Map() };
    this.vns.set(vni, vn);
    return vn;
  }

  async #putVn(vn: Vn, intent: VnIntent): Promise<void> {
    const isNew = vn.device === undefined;
    const before = vn.intent;
    vn.intent = intent;
    vn.device ??= await this.#make(vn.vni, intent);
    const { device } = vn;
    const { kernel } = this.#options;
    if (!isNew && before?.mtu !== intent.mtu) {
      await kernel.setLink(device.index, { mtu: this.#mtuOf(intent) });
    }
    await device.setFlood(intent);
    await Promise.all([...vn.accesses.values()].map((access) => this.#putAccess(vn, access)));
    if (isNew) await Promise.all([...vn.macs.keys()].map((mac) => this.#placeMac(vn, mac)));
  }

  async #make(vni: Vni, intent: VnIntent): Promise<VnDevice> {
    const { kernel, bridge, vtep, port } = this.#options;
    const vid = this.#freeVid();
    this.#vids.add(vid);
    try {
      const tunnel = { local: vtep, port, mtu: this.#mtuOf(intent) };
      return await VnDevice.make({ kernel, bridge, vni, vid }, tunnel);
    } catch (error) {
      this.#vids.delete(vid);
      throw error;
    }
  }

  /** A bridge lets pass what is longer by a tag than its port's MTU, also where there is none. */
  #mtuOf(intent: VnIntent | undefined): number {
    return Math.max(68, Math.min(this.mtu, intent?.mtu ?? this.mtu) - 4);
  }

  #freeVid(): number {
    for (let vid = 1; vid <= lastVid; vid++) if (!this.#vids.has(vid)) return vid;
    throw new Full(`a bridge has ${lastVid} VLANs, and all are in use`);
  }

  async #takeVn(vn: Vn): Promise<void> {
    const { device } = vn;
    delete vn.intent;
    if (device === undefined) return;
    for (const access of vn.accesses.values()) await this.#takeAccess(vn, access);
    delete vn.device;
    this.#vids.delete(device.vid);
    for (const mac of vn.macs.values()) delete mac.placed;
    await device.remove();
  }

  /** The same tag was another VN's. */
  async #moveAccess(intent: AccessIntent): Promise<void> {
    for (const vn of this.vns.values()) {
      if (vn.vni === intent.vni) continue;
      if (vn.accesses.delete(intentKey(intent))) await this.#takeAccess(vn, intent);
    }
  }

  async #putAccess(vn: Vn, access: AccessIntent): Promise<void> {
    const { port: name, vid } = access;
    const port = this.ports.get(name);
    const { device, intent } = vn;
    if (port === undefined || device === undefined || intent === undefined) return;
    const floodGroups = intent.flood.some((at) => isAt(at, name, vid));
    const flags = {
      flood: floodGroups && intent.floodUnknown,
      floodGroups,
      locked: access.checkSource === true,
    };
    const isNew = port.accesses.get(vid)?.vni !== vn.vni;
    await port.put({ vni: vn.vni, vid, vlan: device.vid, flags });
    if (!isNew) return;
    const here = [...vn.macs.values()].filter((mac) => isAt(mac.intent.at, name, vid));
    await Promise.all(here.map((mac) => this.#placeMac(vn, mac.intent.mac)));
  }

  async #takeAccess(vn: Vn, { port, vid }: AccessIntent): Promise<void> {
    if (this.ports.get(port)?.accesses.get(vid)?.vni !== vn.vni) return;
    await this.ports.get(port)?.take(vid);
    for (const mac of vn.macs.values()) if (isAt(mac.intent.at, port, vid)) delete mac.placed;
  }

  async #placeMac(vn: Vn, mac: Mac): Promise<void> {
    const wanted = vn.macs.get(mac);
    if (wanted === undefined) return;
    const now = this.#whereShall(vn, wanted.intent);
    const was = wanted.placed;
    if (now?.index === was?.index && now?.vtep === was?.vtep) return;
    if (now === undefined) delete wanted.placed;
    else wanted.placed = now;
    await this.#place(vn, mac, was, now);
  }

  async #place(vn: Vn, mac: Mac, was: Placed | undefined, now: Placed | undefined): Promise<void> {
    if (vn.device) await place(this.#options.kernel, vn.device, mac, was, now);
  }

  #whereShall({ device, vni }: Vn, { at }: MacIntent): Placed | undefined {
    if (device === undefined) return undefined;
    if (at.is === "remote") return { index: device.index, vtep: at.vtep };
    const access = this.ports.get(at.port)?.accesses.get(at.vid);
    return access?.vni === vni ? { index: access.index } : undefined;
  }
}

const isAt = (at: MacIntent["at"], port: string, vid: number): boolean =>
  at.is === "local" && at.port === port && at.vid === vid;

/** What a caller is told of it. */
export function reasonOf(error: unknown): {
  reason: string;
  full?: { table: string; size: number };
} {
  if (error instanceof Full) return { reason: error.message, full: error.full };
  if (error instanceof NetlinkError && error.code === "EXFULL") {
    const full = { table: "ports of the bridge", size: 1023 };
    return { reason: "a bridge has 1023 ports, and all are in use", full };
  }
  if (error instanceof NetlinkError) return { reason: error.message };
  throw error;
}
