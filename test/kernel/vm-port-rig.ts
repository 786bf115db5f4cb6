import { openEbpfVirtualSwitch } from "@nve/hypervisor-agent/vm-port/ebpf/driver";
import { createLog } from "@nve/program";
import { decode, EtherType, frameOctets, readFrame } from "@nve/protocol-spec";
import type { VirtualSwitchRig } from "../contracts/vm-port.ts";
import { frameText, station } from "../contracts/wires.ts";
import { buildBpf, Namespace } from "./bpf-namespace.ts";
import { Wires } from "./bpf-wires.ts";

/** The server is the process's own namespace; the VMs and the switch at the uplink are in another. */
export class EbpfSwitchRig implements VirtualSwitchRig {
  readonly server: Namespace;
  readonly #attach: "tcx" | "clsact";
  readonly #wires: Wires;

  /** All rigs of a process share one server: the link monitor of the process is in its namespace. */
  constructor(server: Namespace, attach: "tcx" | "clsact") {
    buildBpf();
    this.server = server;
    this.#attach = attach;
    this.#wires = new Wires(server, new Namespace(`vms-${attach}`));
    for (const name of ["vm1", "vm2", "vm3", "u0"]) this.addInterface(name);
  }

  open() {
    const log = createLog("test", "error");
    return openEbpfVirtualSwitch({ uplinks: ["u0"], attach: this.#attach, log });
  }

  send(wire: string, frame: Uint8Array): void {
    this.#wires.send(wire, frame);
  }

  seen(): Promise<string[]> {
    return this.#wires.seen((wire, frame) => {
      const text = frameText(frame);
      return text && `${wire}: ${text}`;
    });
  }

  /** By ARP for its address. */
  async hostAnswers(): Promise<boolean> {
    const arp = Uint8Array.of(0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0xc, 192, 0, 2, 9);
    const target = Uint8Array.of(0, 0, 0, 0, 0, 0, 192, 0, 2, 1);
    this.send(
      "u0",
      frameOctets({
        destination: station("ff"),
        source: station("0c"),
        etherType: EtherType.arp,
        payload: Uint8Array.of(...arp, ...target),
      }),
    );
    const frames = await this.#wires.received("u0");
    return frames.some((frame) => decode(frame, readFrame).etherType === EtherType.arp);
  }

  deleteInterface(name: string): void {
    this.#wires.delete(name);
  }

  addInterface(name: string): void {
    this.#wires.add(name);
    if (name === "u0") this.server.ip("addr add 192.0.2.1/24 dev u0");
  }

  close(): void {
    for (const name of ["vm1", "vm2", "vm3", "u0"]) this.deleteInterface(name);
    this.#wires.far.delete();
  }
}
