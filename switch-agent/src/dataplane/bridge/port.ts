import { type BridgePortFlags, type Bridging, type LinkInfo, NetlinkError } from "@nve/linux";
import type { Vni } from "@nve/protocol-spec";
import type { PortTag } from "../../nve/vsi.ts";
import { Filters } from "./filters.ts";
import { gone } from "./kernel.ts";
import { accessName } from "./names.ts";
import { accessRule, isAccessRule, portPriorities, portRules } from "./rules.ts";

/** A tag of a port in the kernel: an interface, which is a port of the bridge. */
export type Access = { vni: Vni; vid: PortTag; index: number; flags: string };

type Wanted = { vni: Vni; vid: PortTag; vlan: number; flags: BridgePortFlags };

/** An access port that is there. */
export class Port {
  readonly name: string;
  readonly index: number;
  readonly filters: Filters;
  readonly accesses = new Map<PortTag, Access>();
  readonly #kernel: Bridging;
  readonly #bridge: number;
  readonly #master: number | undefined;

  private constructor(kernel: Bridging, bridge: number, link: LinkInfo) {
    this.#kernel = kernel;
    this.#bridge = bridge;
    this.name = link.name;
    this.index = link.index;
    this.#master = link.master;
    this.filters = new Filters(kernel, link.index);
  }

  static async open(kernel: Bridging, bridge: number, link: LinkInfo): Promise<Port> {
    const port = new Port(kernel, bridge, link);
    await there(kernel.addClsact(link.index));
    // of an earlier run
    await Promise.all(portPriorities.map((each) => gone(kernel.deleteFilters(link.index, each))));
    await port.filters.put(portRules(false));
    return port;
  }

  /** Makes it so. An access of another VN is taken away first. @returns the bridge port's index */
  async put(wanted: Wanted): Promise<number> {
    const { vni, vid, flags } = wanted;
    const was = this.accesses.get(vid);
    const said = JSON.stringify(flags);
    if (was?.vni === vni) {
      if (was.flags !== said) await this.#kernel.setFlags(was.index, flags);
      was.flags = said;
      return was.index;
    }
    if (was !== undefined) await this.take(vid);
    const index = vid === 0 ? await this.#itself(wanted) : await this.#tagged(wanted);
    this.accesses.set(vid, { vni, vid, index, flags: said });
    return index;
  }

  /** @returns what was there */
  async take(vid: PortTag): Promise<Access | undefined> {
    const access = this.accesses.get(vid);
    if (access === undefined) return undefined;
    this.accesses.delete(vid);
    if (vid === 0) {
      await this.#setRules(false);
      await gone(this.#kernel.setMaster(this.index, 0));
    } else {
      await this.filters.take([accessRule(vid)]);
      await gone(this.#kernel.deleteLink(access.index));
    }
    return access;
  }

  /** The interface may be gone. */
  async close(): Promise<void> {
    for (const { vid, index } of this.accesses.values()) {
      await gone(vid === 0 ? this.#kernel.setMaster(index, 0) : this.#kernel.deleteLink(index));
    }
    this.accesses.clear();
    await this.filters.set([], () => false);
  }

  async #tagged({ vid, vlan, flags }: Wanted): Promise<number> {
    const index = await this.#kernel.addVlan(accessName(this.index, vid), this.index, vid);
    try {
      await this.#join(index, vlan, flags);
      await this.#kernel.setLink(index, { up: true });
      await this.filters.put([accessRule(vid)]);
      return index;
    } catch (error) {
      await gone(this.#kernel.deleteLink(index));
      throw error;
    }
  }

  /** Frames without a tag: the port is in the bridge itself. */
  async #itself({ vlan, flags }: Wanted): Promise<number> {
    if (this.#master !== undefined && this.#master !== this.#bridge) {
      throw new NetlinkError("EBUSY", `${this.name} is in another bridge or bond`);
    }
    await this.#join(this.index, vlan, flags);
    await this.#setRules(true);
    return this.index;
  }

  async #join(index: number, vlan: number, flags: BridgePortFlags): Promise<void> {
    await this.#kernel.setMaster(index, this.#bridge);
    await this.#kernel.setFlags(index, flags);
    await this.#kernel.addVid(index, vlan);
  }

  #setRules(untagged: boolean): Promise<void> {
    return this.filters.set(portRules(untagged), isAccessRule);
  }
}

async function there(request: Promise<void>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== "EEXIST") throw error;
  }
}
