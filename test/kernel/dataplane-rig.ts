import { Worker } from "node:worker_threads";
import { createLog } from "@nve/program";
import {
  concat,
  decode,
  EtherType,
  IpAddress,
  isIpv6,
  macOctets,
  readFrame,
  uint,
} from "@nve/protocol-spec";
import { bridgeTells } from "@nve/switch-agent/dataplane/bridge/counters";
import { openBridgeDataplane } from "@nve/switch-agent/dataplane/bridge/driver";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import { openEbpfDataplane } from "@nve/switch-agent/dataplane/ebpf/driver";
import { openUserspaceDataplane } from "@nve/switch-agent/dataplane/userspace/driver";
import {
  type OpenFramePort,
  openFramePort,
} from "@nve/switch-agent/dataplane/userspace/frame-port";
import type { Encapsulation, Intent, Place } from "@nve/switch-agent/nve";
import type { DataplaneRig } from "../contracts/dataplane-bench.ts";
import { readTunnel, type Tunnelled, tunnelOctets } from "../contracts/tunnels.ts";
import { frameText, station, testFrame } from "../contracts/wires.ts";
import { buildBpf, Namespace } from "./bpf-namespace.ts";
import { Wires } from "./bpf-wires.ts";
import { openSharedObject } from "./shared-object.ts";

const underlayMtu = 1600;
const mac = { tor: "02:ee:00:00:00:01", far: "02:ee:00:00:00:02" };

export const vteps = {
  4: { vtep: "192.0.2.1", a: "192.0.2.2", b: "192.0.2.3", stranger: "192.0.2.9" },
  6: { vtep: "2001:db8::1", a: "2001:db8::2", b: "2001:db8::3", stranger: "2001:db8::9" },
};

/** The switch is the process's own namespace, all far ends of its wires are in another. */
export abstract class NamespaceRig implements DataplaneRig {
  readonly encapsulation: "vxlan" | Encapsulation;
  /** What the driver takes from other NVEs. */
  encapsulations: readonly ("vxlan" | Encapsulation)[];
  readonly vtep: IpAddress;
  readonly a: IpAddress;
  readonly b: IpAddress;
  readonly stranger: IpAddress;
  readonly mtu: number;
  readonly tor: Namespace;
  readonly #wires: Wires;

  /** @param what in the namespaces' names */
  constructor(what: string, family: 4 | 6, encapsulation: "vxlan" | Encapsulation) {
    this.encapsulation = encapsulation;
    this.encapsulations = [encapsulation];
    const { vtep, a, b, stranger } = vteps[family];
    this.vtep = IpAddress(vtep);
    this.a = IpAddress(a);
    this.b = IpAddress(b);
    this.stranger = IpAddress(stranger);
    this.mtu = underlayMtu - (family === 4 ? 50 : 70);
    const name = `${what}-${family}-${encapsulation}`;
    this.tor = new Namespace(`tor-${name}`);
    this.#wires = new Wires(this.tor, new Namespace(`far-${name}`));
    for (const port of ["p1", "p2", "p3"]) this.addPort(port);
    this.#addUnderlay();
    this.tor.enter();
  }

  protected abstract openDriver(): Promise<Dataplane>;

  async open(): Promise<Dataplane> {
    const dataplane = await this.openDriver();
    const { encapsulation } = this;
    return encapsulation === "vxlan" ? dataplane : tunnelling(dataplane, encapsulation);
  }

  send(port: string, frame: Uint8Array): void {
    this.#wires.send(port, frame);
  }

  /** From a thread of its own. */
  sendMany(port: string, frame: Uint8Array, n: number): Promise<void> {
    const worker = this.#wires.far.inside(
      () => new Worker(blaster, { eval: true, workerData: { port, frame, n } }),
    );
    return new Promise((resolve, reject) => {
      worker.once("error", reject);
      worker.once("message", () => resolve());
    });
  }

  tunnel(tunnelled: Tunnelled, change = (frame: Uint8Array) => frame): void {
    const type = isIpv6(tunnelled.destination) ? EtherType.ipv6 : EtherType.ipv4;
    const ends = concat(macOctets(station(mac.tor)), macOctets(station(mac.far)));
    this.#wires.send(
      "ul",
      change(
        concat(
          ends,
          uint(2, type),
          tunnelOctets({ encapsulation: this.encapsulation, ...tunnelled }),
        ),
      ),
    );
  }

  seen(words: Words = frameText): Promise<string[]> {
    return this.#wires.seen((wire, octets) => seenText(wire, octets, words));
  }

  /** All of it, as frames. */
  async frames(): Promise<{ wire: string; frame: Uint8Array }[]> {
    const all = await this.#wires.seen(
      (wire, octets) => `${wire} ${Buffer.from(octets).toString("hex")}`,
    );
    return all.map((line) => {
      const [wire = "", hex = ""] = line.split(" ");
      return { wire, frame: new Uint8Array(Buffer.from(hex, "hex")) };
    });
  }

  received(wire: string): Promise<Uint8Array[]> {
    return this.#wires.received(wire);
  }

  /** The same of some, in their order. */
  receivedAt(wires: readonly string[]): Promise<Uint8Array[][]> {
    return Promise.all(wires.map((wire) => this.#wires.received(wire)));
  }

  deletePort(port: string): void {
    this.#wires.delete(port);
  }

  addPort(port: string): void {
    this.#wires.add(port);
  }

  close(): void {
    this.#wires.close();
  }

  #addUnderlay(): void {
    const { tor } = this;
    this.#wires.add("ul", { mtu: underlayMtu, mac: { near: mac.tor, far: mac.far } });
    tor.sysctl("net.ipv6.conf.ul.disable_ipv6", 0);
    tor.sysctl("net.ipv6.conf.ul.accept_dad", 0);
    const [v4, v6] = [vteps[4], vteps[6]];
    tor.ip(
      `addr add ${v4.vtep}/24 dev ul`,
      `addr add ${v6.vtep}/64 dev ul nodad`,
      ...[v4, v6].flatMap(({ a, b }) =>
        [a, b].map((ip) => `neigh add ${ip} lladdr ${mac.far} dev ul nud permanent`),
      ),
    );
  }
}

/** The driver `ebpf`. */
export class EbpfRig extends NamespaceRig {
  /** With the object of the time before, emptied; `openBpfObject` in its place as the agent does it. */
  load = openSharedObject;
  readonly #attach: "tcx" | "clsact";

  constructor(
    attach: "tcx" | "clsact",
    family: 4 | 6,
    encapsulation: "vxlan" | Encapsulation = "vxlan",
  ) {
    buildBpf();
    super(attach, family, encapsulation);
    this.#attach = attach;
  }

  protected openDriver(): Promise<Dataplane> {
    const log = createLog("test", "error");
    const { vtep, encapsulations, load } = this;
    return openEbpfDataplane({ vtep, attach: this.#attach, encapsulations, load, log });
  }
}

/** The driver `bridge`; on this machine's kernel, or in a guest. */
export class BridgeRig extends NamespaceRig {
  readonly tells = bridgeTells;

  constructor(family: 4 | 6) {
    super("bridge", family, "vxlan");
  }

  protected openDriver(): Promise<Dataplane> {
    return openBridgeDataplane({ vtep: this.vtep, log: createLog("test", "error") });
  }
}

/** What goes through the driver as the last, of each wire: the agent's own, so that nothing becomes of it. */
const mark = testFrame({ from: "ee", to: "01:80:c2:00:00:0e", tags: "", text: "mark" });

/** The driver `userspace`, which has seen what was sent when it has seen what was sent after it. */
export class UserspaceRig extends NamespaceRig {
  /** By interface; with those who wait for the next mark there. */
  readonly #open = new Map<number, { name: string; marked: (() => void)[] }>();

  constructor(family: 4 | 6, encapsulation: "vxlan" | Encapsulation = "vxlan") {
    super("userspace", family, encapsulation);
  }

  protected openDriver(): Promise<Dataplane> {
    const log = createLog("test", "error");
    const { encapsulations } = this;
    const openPort = this.#watched;
    return openUserspaceDataplane({ vtep: this.vtep, encapsulations, openPort, log });
  }

  override async seen(words?: Words): Promise<string[]> {
    await this.#through();
    return super.seen(words);
  }

  override async frames(): Promise<{ wire: string; frame: Uint8Array }[]> {
    await this.#through();
    return super.frames();
  }

  override async received(wire: string): Promise<Uint8Array[]> {
    await this.#through();
    return super.received(wire);
  }

  override async receivedAt(wires: readonly string[]): Promise<Uint8Array[][]> {
    await this.#through();
    return super.receivedAt(wires);
  }

  async #through(): Promise<void> {
    const waiting = [...this.#open.values()].map(
      ({ name, marked }) =>
        new Promise<void>((resolve) => {
          marked.push(resolve);
          this.send(name, mark);
        }),
    );
    await Promise.all(waiting);
  }

  readonly #watched: OpenFramePort = (link, receive) => {
    const { index, name } = link;
    const watch = { name, marked: [] as (() => void)[] };
    const port = openFramePort(link, (frame) => {
      receive(frame);
      if (Buffer.compare(frame, mark) === 0) watch.marked.shift()?.();
    });
    this.#open.set(index, watch);
    const close = (): void => {
      this.#open.delete(index);
      for (const resolve of watch.marked.splice(0)) resolve();
      port.close();
    };
    return { ...port, close };
  };
}

export type Words = (frame: Uint8Array) => string | undefined;

/** What a suite says without a word of encapsulations, with one for all. */
function tunnelling(dataplane: Dataplane, encapsulation: Encapsulation): Dataplane {
  const place = (at: Place, kind?: Encapsulation): Place =>
    at.is === "local" ? at : { is: "remote", vtep: at.vtep, ...(kind && { encapsulation: kind }) };
  const all = (intents: readonly Intent[], kind?: Encapsulation) =>
    intents.map((intent): Intent => {
      if (intent.is === "mac") return { ...intent, at: place(intent.at, kind) };
      if (intent.is !== "vn") return intent;
      return { ...intent, flood: intent.flood.map((at) => place(at, kind)) };
    });
  const ours: Partial<Dataplane> = {
    ensure: (intents) => dataplane.ensure(all(intents, encapsulation)),
    remove: (intents) => dataplane.remove(all(intents, encapsulation)),
    applied: async () => all(await dataplane.applied()),
  };
  return new Proxy(dataplane, {
    get: (target, name) => {
      const value = Reflect.get(ours, name) ?? Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** How `seen` tells of one frame. */
export function seenText(wire: string, octets: Uint8Array, words: Words): string | undefined {
  if (wire !== "ul") {
    const inside = words(octets);
    return inside && `${wire}: ${inside}`;
  }
  const { etherType, payload } = decode(octets, readFrame);
  if (etherType !== EtherType.ipv4 && etherType !== EtherType.ipv6) return undefined;
  const tunnel = readTunnel(payload);
  if (tunnel === undefined) return undefined; // ICMPv6 and the like
  const { encapsulation, vni, destination, frame } = tunnel;
  return `${encapsulation} ${vni} to ${destination}: ${words(frame) ?? "?"}`;
}

/** A thread inherits the namespace of the thread that starts it. Gives way now and then: two cores must do. */
const blaster = `
const { parentPort, workerData: { port, frame, n } } = require("node:worker_threads");
const koffi = require("koffi");
const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int, int, int)");
const sendto = libc.func("long sendto(int, const void *, size_t, int, const void *, unsigned int)");
const index = libc.func("unsigned int if_nametoindex(const char *)")(port);
const fd = socket(17, 3, 0);
const address = new Uint8Array(20);
new Uint16Array(address.buffer, 0, 1)[0] = 17;
new Uint32Array(address.buffer, 4, 1)[0] = index;
let sent = 0;
(function some() {
  for (let i = 0; i < 20 && sent < n; i++) {
    if (sendto(fd, frame, frame.length, 0, address, 20) < 0) throw new Error("errno " + koffi.errno());
    sent++;
  }
  if (sent < n) return setTimeout(some, 1);
  libc.func("int close(int)")(fd);
  parentPort.postMessage("sent");
})();
`;
