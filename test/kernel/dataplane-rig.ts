import { Worker } from "node:worker_threads";
import { createLog } from "@nve/program";
import {
  concat,
  decode,
  EtherType,
  IpAddress,
  ipOctets,
  isIpv6,
  macOctets,
  readFrame,
  readUdpOverIp,
  uint,
  VXLAN_PORT,
} from "@nve/protocol-spec";
import { openEbpfDataplane } from "@nve/switch-agent/dataplane/ebpf/driver";
import type { DataplaneRig } from "../contracts/dataplane-bench.ts";
import { frameText, station, type Tunnelled } from "../contracts/wires.ts";
import { buildBpf, Namespace } from "./bpf-namespace.ts";
import { Wires } from "./bpf-wires.ts";

const underlayMtu = 1600;
const mac = { tor: "02:ee:00:00:00:01", far: "02:ee:00:00:00:02" };

export const vteps = {
  4: { vtep: "192.0.2.1", a: "192.0.2.2", b: "192.0.2.3", stranger: "192.0.2.9" },
  6: { vtep: "2001:db8::1", a: "2001:db8::2", b: "2001:db8::3", stranger: "2001:db8::9" },
};

/** The switch is the process's own namespace, all far ends of its wires are in another. */
export class EbpfRig implements DataplaneRig {
  readonly vtep: IpAddress;
  readonly a: IpAddress;
  readonly b: IpAddress;
  readonly stranger: IpAddress;
  readonly mtu: number;
  readonly tor: Namespace;
  readonly #attach: "tcx" | "clsact";
  readonly #wires: Wires;

  constructor(attach: "tcx" | "clsact", family: 4 | 6) {
    const { vtep, a, b, stranger } = vteps[family];
    this.vtep = IpAddress(vtep);
    this.a = IpAddress(a);
    this.b = IpAddress(b);
    this.stranger = IpAddress(stranger);
    this.mtu = underlayMtu - (family === 4 ? 50 : 70);
    this.#attach = attach;
    buildBpf();
    this.tor = new Namespace(`tor-${attach}-${family}`);
    this.#wires = new Wires(this.tor, new Namespace(`far-${attach}-${family}`));
    for (const port of ["p1", "p2", "p3"]) this.addPort(port);
    this.#addUnderlay();
    this.tor.enter();
  }

  open() {
    const log = createLog("test", "error");
    return openEbpfDataplane({ vtep: this.vtep, attach: this.#attach, log });
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

  tunnel({ vni, source, destination, frame }: Tunnelled): void {
    const vxlan = concat(uint(1, 8), uint(3, 0), uint(3, vni), uint(1, 0), frame);
    this.#wires.send("ul", outer(source, destination, vxlan));
  }

  seen(): Promise<string[]> {
    return this.#wires.seen(text);
  }

  /** Frames on the underlay since the last call, whole. */
  underlay(): Promise<Uint8Array[]> {
    return this.#wires.received("ul");
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

function text(wire: string, octets: Uint8Array): string | undefined {
  if (wire !== "ul") {
    const inside = frameText(octets);
    return inside && `${wire}: ${inside}`;
  }
  const { etherType, payload } = decode(octets, readFrame);
  if (etherType !== EtherType.ipv4 && etherType !== EtherType.ipv6) return undefined;
  let udp: ReturnType<typeof readUdpOverIp>;
  try {
    udp = decode(payload, readUdpOverIp);
  } catch {
    return undefined; // ICMPv6 and the like
  }
  if (udp.destinationPort !== VXLAN_PORT) return undefined;
  const vni = new DataView(udp.payload.buffer, udp.payload.byteOffset).getUint32(4) >>> 8;
  return `vxlan ${vni} to ${udp.destination}: ${frameText(udp.payload.subarray(8)) ?? "?"}`;
}

/** Ethernet, IP and UDP around a VXLAN packet, without UDP checksum. */
function outer(source: IpAddress, destination: IpAddress, payload: Uint8Array): Uint8Array {
  const udp = concat(
    uint(2, 50000),
    uint(2, VXLAN_PORT),
    uint(2, payload.length + 8),
    uint(2, 0),
    payload,
  );
  const ends = concat(ipOctets(source), ipOctets(destination));
  const v6 = isIpv6(source);
  const ip = v6
    ? concat(Uint8Array.of(0x60, 0, 0, 0), uint(2, udp.length), Uint8Array.of(17, 64), ends)
    : withChecksum(
        concat(
          Uint8Array.of(0x45, 0),
          uint(2, udp.length + 20),
          Uint8Array.of(0, 0, 0x40, 0, 64, 17, 0, 0),
          ends,
        ),
      );
  const ethernet = concat(macOctets(station(mac.tor)), macOctets(station(mac.far)));
  return concat(ethernet, uint(2, v6 ? EtherType.ipv6 : EtherType.ipv4), ip, udp);
}

/** IPv4 header checksum (RFC 791 §3.1). */
function withChecksum(header: Uint8Array): Uint8Array {
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += ((header[at] ?? 0) << 8) | (header[at + 1] ?? 0);
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return concat(header.subarray(0, 10), uint(2, ~sum & 0xffff), header.subarray(12));
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
