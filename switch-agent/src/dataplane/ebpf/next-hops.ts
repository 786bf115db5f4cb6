import {
  type LinkInfo,
  type Neighbour,
  openRouting,
  openRtnetlink,
  type Route,
  type Routing,
  type RoutingEvent,
  type Rtnetlink,
} from "@nve/linux";
import type { BpfMap } from "@nve/linux/bpf";
import type { Log } from "@nve/program";
import type { IpAddress } from "@nve/protocol-spec";
import { type KernelNextHop, noNextHop } from "./maps.ts";

type Surroundings = {
  table: Pick<BpfMap<number, KernelNextHop>, "maxEntries" | "get" | "set" | "entries">;
  /** Our VTEP: tunnels begin there. */
  vtep: IpAddress;
  /** Tunnels to us come in at these interfaces; called when they change. */
  underlay(links: ReadonlySet<number>): void;
  log: Log;
};

type Hop = {
  readonly number: number;
  route?: Route;
  /** Interfaces of all equal ways: what comes from there may come in at each. */
  interfaces?: readonly number[];
  /** What the kernel's table has, to write it only when it is different. */
  written?: string;
};

/** Of a storm of route changes, all are looked at together after so long, and no sooner again. */
const CALM_MS = 50;
/** A neighbour that does not answer is looked for again. */
const LOOK_AGAIN_MS = 5000;
/** Questions to the kernel that are outstanding at a time. */
const AT_ONCE = 64;

/**
 * The way to each VTEP in the kernel's `next_hops`, as rtnetlink tells of routes, neighbours and links: interface, MACs
 * and MTU. Where the kernel itself does not know (yet), there is none, and the tunnel device asks it.
 */
export class NextHops {
  readonly #around: Surroundings;
  readonly #hops = new Map<IpAddress, Hop>();
  /** The highest number that was given. */
  #last = 0;
  /** VTEPs behind each neighbour that was asked for. */
  readonly #behind = new Map<string, Set<IpAddress>>();
  readonly #neighbours = new Map<string, Neighbour>();
  #links = new Map<number, LinkInfo>();
  /** Interfaces that have our VTEP's address. */
  #holders = new Set<number>();
  #underlay = "";
  readonly #kernel: Rtnetlink;
  readonly #routing: Routing;
  /** VTEPs whose route is to be asked for; "all": links, addresses and neighbours too. */
  readonly #asking = new Set<IpAddress>();
  #all = false;
  #timer: NodeJS.Timeout | undefined;
  #busy = false;
  #again: NodeJS.Timeout | undefined;
  #closed = false;

  /** @throws SystemError, Unavailable */
  constructor(around: Surroundings) {
    this.#around = around;
    this.#takeOver();
    this.#kernel = openRtnetlink();
    try {
      this.#routing = openRouting((event) => this.#hear(event));
    } catch (error) {
      this.#kernel.close();
      throw error;
    }
  }

  /** Resolved when what is now is known. What an earlier run left in the table keeps its numbers. */
  async begin(): Promise<void> {
    for (const [number, entry] of this.#around.table.entries()) {
      if (number === 0 || entry.ifindex === 0) continue;
      this.#hops.set(entry.vtep, { number, written: JSON.stringify(entry) });
      this.#last = Math.max(this.#last, number);
    }
    this.#all = true;
    await this.#work();
  }

  /** Resolved when the way to each VTEP that was asked for is known, or is known not to be there. */
  async settled(): Promise<void> {
    if (this.#timer !== undefined && this.#asking.size > 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      await this.#work().catch((error: unknown) => this.#failed(error));
    }
  }

  /** The number of a VTEP's entry, for good; 0: there is no room, the tunnel device does it. */
  numberOf(vtep: IpAddress): number {
    const known = this.#hops.get(vtep);
    if (known !== undefined) return known.number;
    const number = this.#last + 1;
    if (number >= this.#around.table.maxEntries) return 0;
    this.#last = number;
    this.#hops.set(vtep, { number });
    this.#write(vtep);
    this.#asking.add(vtep);
    this.#soon(0);
    return number;
  }

  /** Of an earlier run: places that it wrote have these numbers. */
  #takeOver(): void {
    const { table } = this.#around;
    for (let number = 1; number < table.maxEntries; number++) {
      const entry = table.get(number);
      if (entry === undefined || entry.vtep === noNextHop.vtep) return;
      this.#hops.set(entry.vtep, { number });
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#again);
    this.#routing.close();
    this.#kernel.close();
  }

  #hear(event: RoutingEvent): void {
    switch (event.on) {
      case "neighbour":
        this.#heardOf(event.neighbour);
        break;
      case "link":
      case "gone":
        this.#linkChanged(event);
        break;
      case "route":
        for (const vtep of this.#hops.keys()) this.#asking.add(vtep);
        this.#soon(CALM_MS);
        break;
      default:
        this.#all = true;
        this.#soon(CALM_MS);
    }
  }

  #heardOf(neighbour: Neighbour): void {
    const key = neighbourKey(neighbour.index, neighbour.ip);
    if (neighbour.mac === undefined) this.#neighbours.delete(key);
    else this.#neighbours.set(key, neighbour);
    const behind = this.#behind.get(key);
    if (behind === undefined) return;
    for (const vtep of behind) this.#write(vtep);
    if (neighbour.stale) this.#lookFor(neighbour.index, neighbour.ip);
    else if (neighbour.mac === undefined) this.#lookAgain();
  }

  #linkChanged(event: RoutingEvent & { on: "link" | "gone" }): void {
    const index = event.on === "link" ? event.link.index : event.index;
    const was = this.#links.get(index);
    if (event.on === "link") {
      this.#links.set(index, event.link);
      const { mac, mtu, flags } = event.link;
      if (was?.mac === mac && was?.mtu === mtu && was?.flags === flags) return;
    } else {
      this.#links.delete(index);
    }
    for (const [vtep, hop] of this.#hops) if (hop.route?.index === index) this.#write(vtep);
    this.#tellUnderlay();
  }

  #soon(ms: number): void {
    if (this.#closed || this.#busy || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#work().catch((error: unknown) => this.#failed(error));
    }, ms);
    this.#timer.unref();
  }

  #failed(error: unknown): void {
    if (this.#closed) return;
    this.#around.log.warn({ err: error }, "the ways to other NVEs could not be read: again");
    this.#all = true;
    this.#soon(1000);
  }

  async #work(): Promise<void> {
    this.#busy = true;
    try {
      if (this.#all) await this.#readAll();
      while (this.#asking.size > 0 && !this.#closed) {
        const some = [...this.#asking].slice(0, AT_ONCE);
        for (const vtep of some) this.#asking.delete(vtep);
        await Promise.all(some.map((vtep) => this.#ask(vtep)));
      }
    } finally {
      this.#busy = false;
      if (this.#all || this.#asking.size > 0) this.#soon(CALM_MS);
    }
    this.#tellUnderlay();
  }

  async #readAll(): Promise<void> {
    this.#all = false;
    const { vtep } = this.#around;
    const [links, addresses, neighbours] = await Promise.all([
      this.#kernel.links(),
      this.#kernel.addresses(),
      this.#routing.neighbours(),
    ]);
    this.#links = new Map(links.map((link) => [link.index, link]));
    this.#holders = new Set(
      addresses.filter(({ address }) => address === vtep).map(({ index }) => index),
    );
    this.#neighbours.clear();
    for (const one of neighbours) {
      if (one.mac !== undefined) this.#neighbours.set(neighbourKey(one.index, one.ip), one);
    }
    for (const vtep of this.#hops.keys()) this.#asking.add(vtep);
  }

  async #ask(vtep: IpAddress): Promise<void> {
    const { vtep: own } = this.#around;
    const [route, interfaces] = await Promise.all([
      this.#routing.route(vtep, own),
      this.#routing.interfaces(vtep, own),
    ]);
    const hop = this.#hops.get(vtep);
    if (hop === undefined || this.#closed) return;
    const was = hop.route && neighbourKey(hop.route.index, hop.route.neighbour);
    const is = route && neighbourKey(route.index, route.neighbour);
    if (was !== undefined && was !== is) {
      this.#behind.get(was)?.delete(vtep);
      if (this.#behind.get(was)?.size === 0) this.#behind.delete(was);
    }
    delete hop.route;
    hop.interfaces = interfaces;
    if (route !== undefined) hop.route = route;
    this.#write(vtep);
    if (route === undefined || is === undefined || was === is) return;
    this.#behind.set(is, (this.#behind.get(is) ?? new Set()).add(vtep));
    const known = this.#neighbours.get(is);
    if (known === undefined || known.stale) this.#lookFor(route.index, route.neighbour);
  }

  #write(vtep: IpAddress): void {
    const hop = this.#hops.get(vtep);
    if (hop === undefined || this.#closed) return;
    const entry = this.#entryOf(vtep, hop.route);
    const text = JSON.stringify(entry);
    if (text === hop.written) return;
    this.#around.table.set(hop.number, entry);
    hop.written = text;
  }

  #entryOf(vtep: IpAddress, route: Route | undefined): KernelNextHop {
    const link = route && this.#links.get(route.index);
    const mac = route && this.#neighbours.get(neighbourKey(route.index, route.neighbour))?.mac;
    if (route === undefined || mac === undefined || !isEthernet(link))
      return { ...noNextHop, vtep };
    const mtu = Math.min(link.mtu, route.mtu ?? link.mtu);
    return { vtep, ifindex: link.index, mtu, destination: mac, source: link.mac };
  }

  /** What was used would be confirmed by the kernel; what is sent by hand it does not see. */
  #lookFor(index: number, ip: IpAddress): void {
    this.#routing.use(index, ip).catch(() => this.#lookAgain());
  }

  #lookAgain(): void {
    if (this.#again !== undefined || this.#closed) return;
    this.#again = setTimeout(() => {
      this.#again = undefined;
      const missing = new Map<string, Route>();
      for (const { route } of this.#hops.values()) {
        if (route === undefined) continue;
        const key = neighbourKey(route.index, route.neighbour);
        if (!this.#neighbours.has(key)) missing.set(key, route);
      }
      for (const { index, neighbour } of missing.values()) this.#lookFor(index, neighbour);
      if (missing.size > 0) this.#lookAgain();
    }, LOOK_AGAIN_MS);
    this.#again.unref();
  }

  #tellUnderlay(): void {
    const links = new Set(this.#holders);
    for (const { route, interfaces = [] } of this.#hops.values()) {
      if (route !== undefined) links.add(route.index);
      for (const index of interfaces) links.add(index);
    }
    const found = [...links].filter((index) => isEthernet(this.#links.get(index))).sort();
    const text = found.join(" ");
    if (text === this.#underlay || this.#closed) return;
    this.#underlay = text;
    this.#around.underlay(new Set(found));
  }
}

const neighbourKey = (index: number, ip: IpAddress): string => `${index} ${ip}`;

const IFF_UP = 1;
const IFF_LOOPBACK = 8;

const isEthernet = (
  link: LinkInfo | undefined,
): link is LinkInfo & Required<Pick<LinkInfo, "mac">> =>
  link?.mac !== undefined && (link.flags & IFF_UP) !== 0 && (link.flags & IFF_LOOPBACK) === 0;
