import { type LinkInfo, openRtnetlink } from "@nve/linux";
import type { Log } from "@nve/program";
import { type IpAddress, isIpv6, type Mac } from "@nve/protocol-spec";
import { NextHops } from "../ebpf/next-hops.ts";
import type { FramePort, OpenFramePort } from "./frame-port.ts";
import type { Tables } from "./tables.ts";

type Surroundings = {
  tables: Tables;
  openPort: OpenFramePort;
  /** A tenant's frames come in there. */
  isAccess(index: number): boolean;
  /** @param mac of the interface */
  receive(frame: Uint8Array, mac: Mac): void;
  log: Log;
};

/** As many VTEPs as the kernel's table has. */
const HOPS = 16384;

/** The interfaces that tunnels come in and go out at, and the ways to other NVEs, as rtnetlink tells them. */
export class Underlay {
  readonly #around: Surroundings;
  readonly #kernel: ReturnType<typeof openRtnetlink>;
  readonly #hops: NextHops;
  readonly #ports = new Map<number, { port: FramePort; mac: Mac }>();
  #links: ReadonlySet<number> = new Set();
  #reading: Promise<void> = Promise.resolve();
  #closed = false;

  /** @throws SystemError, Unavailable */
  constructor(around: Surroundings) {
    this.#around = around;
    this.#kernel = openRtnetlink(() => this.#read());
    try {
      this.#hops = new NextHops({
        table: this.#table(),
        vtep: around.tables.vtep,
        underlay: (links) => {
          this.#links = links;
          this.#read();
        },
        log: around.log,
      });
    } catch (error) {
      this.#kernel.close();
      throw error;
    }
  }

  async begin(): Promise<void> {
    await this.#hops.begin();
    await this.settled();
  }

  /** From now on the way to it is known, as far as the kernel knows it. */
  want(vtep: IpAddress): void {
    this.#hops.numberOf(vtep);
  }

  async settled(): Promise<void> {
    await this.#hops.settled();
    this.#read();
    await this.#reading;
  }

  send(link: number, frame: Uint8Array): boolean {
    return this.#ports.get(link)?.port.send(frame) === true;
  }

  close(): void {
    this.#closed = true;
    this.#hops.close();
    this.#kernel.close();
    for (const { port } of this.#ports.values()) port.close();
    this.#ports.clear();
  }

  /** What `NextHops` writes, where `decide` reads it. */
  #table(): ConstructorParameters<typeof NextHops>[0]["table"] {
    const { hops } = this.#around.tables;
    return {
      maxEntries: HOPS,
      get: () => undefined,
      entries: () => new Map().entries(),
      set: (_, { vtep, ifindex, mtu, destination, source }) => {
        if (ifindex === 0) hops.delete(vtep);
        else hops.set(vtep, { link: ifindex, mtu, destination, source });
      },
    };
  }

  /** One after another. */
  #read(): void {
    if (this.#closed) return;
    this.#reading = this.#reading.then(async () => {
      try {
        await this.#readNow();
      } catch (error) {
        if (!this.#closed) this.#around.log.warn({ err: error }, "underlay could not be read");
      }
    });
  }

  async #readNow(): Promise<void> {
    const { tables } = this.#around;
    const [links, addresses] = await Promise.all([this.#kernel.links(), this.#kernel.addresses()]);
    if (this.#closed) return;
    const holders = addresses.filter(({ address }) => address === tables.vtep);
    const underlay = links.filter(({ index }) => this.#links.has(index));
    const at = links.filter(({ index }) => holders.some((one) => one.index === index));
    const mtus = (at.some(isLoopback) ? underlay : at).map(({ mtu }) => mtu);
    if (mtus.length > 0) tables.mtu = roomIn(Math.min(...mtus), tables.vtep);
    this.#openAt(underlay);
  }

  #openAt(underlay: readonly LinkInfo[]): void {
    const { openPort, receive, isAccess } = this.#around;
    const wanted = new Map(underlay.map((link) => [link.index, link]));
    for (const [index, { port, mac }] of this.#ports) {
      if (wanted.get(index)?.mac === mac && !isAccess(index)) continue;
      port.close();
      this.#ports.delete(index);
    }
    for (const [index, link] of wanted) {
      const { mac } = link;
      if (mac === undefined || this.#ports.has(index) || isAccess(index)) continue;
      this.#ports.set(index, { mac, port: openPort(link, (frame) => receive(frame, mac)) });
    }
  }
}

const IFF_LOOPBACK = 8;
const isLoopback = ({ flags }: LinkInfo): boolean => (flags & IFF_LOOPBACK) !== 0;

/** Octets of a tenant's packet; IP, UDP, VXLAN and Ethernet headers go before it. */
function roomIn(mtu: number, vtep: IpAddress): number {
  const overhead = (isIpv6(vtep) ? 40 : 20) + 8 + 8 + 14;
  return Math.min(Math.max(mtu - overhead, 68), 65535 - overhead);
}
