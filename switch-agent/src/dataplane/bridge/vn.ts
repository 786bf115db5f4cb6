import { type Bridging, NetlinkError } from "@nve/linux";
import { type IpAddress, type Mac, Mac as MacOf, type Vni } from "@nve/protocol-spec";
import type { AccessIntent, MacIntent, VnIntent } from "../../nve/intents.ts";
import { Filters } from "./filters.ts";
import { gone } from "./kernel.ts";
import { vnName } from "./names.ts";
import { peerRule, type Rule, vnRules } from "./rules.ts";

/** What is wanted of a VN, and where in the kernel it is. */
export type Vn = {
  vni: Vni;
  intent?: VnIntent;
  accesses: Map<string, AccessIntent>;
  macs: Map<Mac, { intent: MacIntent; placed?: Placed }>;
  device?: VnDevice;
};

/** Where an entry of the bridge's table is: at a port of it, and if that is the tunnel, behind whom. */
export type Placed = { index: number; vtep?: IpAddress };

/** As the kernel has it in a VXLAN device's table: where what nobody is known to have goes. */
export const everybody = MacOf("00:00:00:00:00:00");

type Options = { kernel: Bridging; bridge: number; vni: Vni; vid: number };
type Tunnel = { local: IpAddress; port: number; mtu: number };

/** A VN in the kernel: a VLAN of the bridge, and a VXLAN device, which is a port of it. */
export class VnDevice {
  readonly vid: number;
  readonly index: number;
  readonly filters: Filters;
  readonly #kernel: Bridging;
  readonly #peers = new Map<IpAddress, { rule: Rule; uses: number }>();
  #flood = new Set<IpAddress>();

  private constructor({ kernel, vid }: Options, index: number) {
    this.#kernel = kernel;
    this.vid = vid;
    this.index = index;
    this.filters = new Filters(kernel, index);
  }

  static async make(options: Options, tunnel: Tunnel): Promise<VnDevice> {
    const { kernel, bridge, vni, vid } = options;
    const index = await kernel.addVxlan({ name: vnName(vni), vni, ...tunnel });
    try {
      const device = new VnDevice(options, index);
      await kernel.addClsact(index);
      await device.filters.put(vnRules);
      await kernel.setMaster(index, bridge);
      await device.setFlood({ flood: [], floodUnknown: false });
      await kernel.addVid(index, vid);
      await kernel.setLink(index, { up: true });
      return device;
    } catch (error) {
      await gone(kernel.deleteLink(index));
      throw error;
    }
  }

  /** Who is on both lists gets every frame meanwhile. */
  async setFlood({ flood, floodUnknown }: Pick<VnIntent, "flood" | "floodUnknown">): Promise<void> {
    const { index } = this;
    const kernel = this.#kernel;
    const now = new Set(flood.flatMap((place) => (place.is === "remote" ? [place.vtep] : [])));
    const before = this.#flood;
    this.#flood = now;
    const entry = (vtep: IpAddress) => ({ index, mac: everybody, vtep });
    const fresh = [...now].filter((vtep) => !before.has(vtep));
    const old = [...before].filter((vtep) => !now.has(vtep));
    await Promise.all([
      ...fresh.flatMap((vtep) => [this.believe(vtep), there(kernel.appendFdb(entry(vtep)))]),
      kernel.setFlags(index, { flood: floodUnknown, floodGroups: true, locked: false }),
      ...old.flatMap((vtep) => [gone(kernel.deleteFdb(entry(vtep))), this.doubt(vtep)]),
    ]);
  }

  /** One use more of an NVE: what it sends comes in. */
  async believe(vtep: IpAddress): Promise<void> {
    const peer = this.#peers.get(vtep);
    if (peer !== undefined) {
      peer.uses++;
      return;
    }
    const rule = peerRule(vtep, this.#freeHandle());
    this.#peers.set(vtep, { rule, uses: 1 });
    await this.filters.put([rule]);
  }

  async doubt(vtep: IpAddress): Promise<void> {
    const peer = this.#peers.get(vtep);
    if (peer === undefined || --peer.uses > 0) return;
    this.#peers.delete(vtep);
    await this.filters.take([peer.rule]);
  }

  remove(): Promise<void> {
    return gone(this.#kernel.deleteLink(this.index));
  }

  #freeHandle(): number {
    const used = new Set([...this.#peers.values()].map(({ rule }) => rule.handle));
    for (let handle = 1; handle < 4096; handle++) if (!used.has(handle)) return handle;
    throw new NetlinkError("ENOSPC", "4095 NVEs in one VN are all");
  }
}

/** Puts a MAC of a VN where it shall be, in place of where it was; undefined: nowhere. */
export async function place(
  kernel: Bridging,
  device: VnDevice,
  mac: Mac,
  was: Placed | undefined,
  now: Placed | undefined,
): Promise<void> {
  const { index: tunnel, vid } = device;
  const requests: Promise<void>[] = [];
  if (now?.vtep !== undefined) {
    if (now.vtep !== was?.vtep) requests.push(device.believe(now.vtep));
    requests.push(kernel.putFdb({ index: tunnel, mac, vtep: now.vtep }));
  }
  if (now !== undefined) requests.push(kernel.putFdb({ index: now.index, mac, vid }));
  else if (was !== undefined) requests.push(gone(kernel.deleteFdb({ index: was.index, mac, vid })));
  if (was?.vtep !== undefined && was.vtep !== now?.vtep) {
    const entry = { index: tunnel, mac, vtep: was.vtep };
    if (now?.vtep === undefined) requests.push(gone(kernel.deleteFdb(entry)));
    requests.push(device.doubt(was.vtep));
  }
  await Promise.all(requests);
}

async function there(request: Promise<void>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== "EEXIST") throw error;
  }
}
