import { frameText, testFrame } from "../contracts/wires.ts";
import { type Namespace, Raw } from "./bpf-namespace.ts";

/** Pairs of interfaces of equal name: the near one is what a driver works on, at the far one we send and look. */
export class Wires {
  readonly near: Namespace;
  readonly far: Namespace;
  readonly #wires = new Map<string, { near: Raw; far: Raw }>();

  constructor(near: Namespace, far: Namespace) {
    this.near = near;
    this.far = far;
  }

  add(name: string, { mtu = 2000, mac = { near: "", far: "" } } = {}): void {
    const address = (text: string) => (text === "" ? "" : `address ${text}`);
    this.near.ip(
      `link add ${name} ${address(mac.near)} mtu ${mtu} type veth peer name ${name} netns ${this.far.name} ${address(mac.far)} mtu ${mtu}`,
      `link set ${name} addrgenmode none up`,
    );
    this.far.ip(`link set ${name} addrgenmode none up`);
    for (const side of [this.near, this.far]) carries(side, name);
    this.#wires.set(name, { near: new Raw(this.near, name), far: new Raw(this.far, name) });
  }

  delete(name: string): void {
    this.#close(name);
    this.near.ip(`link del ${name}`);
  }

  /** At the far end. */
  send(name: string, frame: Uint8Array): void {
    this.#wire(name).far.send(frame);
  }

  /**
   * What came out at the far end since the last call, when all that was sent before has gone through. A last frame
   * may overtake what the kernel still has to take in on another wire, but then only by that one wait: so there are two.
   */
  async received(name: string): Promise<Uint8Array[]> {
    const { near, far } = this.#wire(name);
    const frames: Uint8Array[] = [];
    for (let round = 0; round < 2; round++) {
      near.send(testFrame({ from: "ee", to: "ee", tags: "", text: "last" }));
      frames.push(...(await far.until((frame) => frameText(frame)?.endsWith("] last") === true)));
    }
    return frames;
  }

  /** All wires at once, each frame as `text` has it, sorted. */
  async seen(text: (wire: string, frame: Uint8Array) => string | undefined): Promise<string[]> {
    const all = [...this.#wires.keys()].map(async (name) =>
      (await this.received(name)).flatMap((frame) => text(name, frame) ?? []),
    );
    return (await Promise.all(all)).flat().sort();
  }

  close(): void {
    for (const name of [...this.#wires.keys()]) this.#close(name);
    this.near.delete();
    this.far.delete();
  }

  #close(name: string): void {
    const wire = this.#wires.get(name);
    this.#wires.delete(name);
    wire?.near.close();
    wire?.far.close();
  }

  #wire(name: string): { near: Raw; far: Raw } {
    const wire = this.#wires.get(name);
    if (wire === undefined) throw new Error(`no wire ${name}`);
    return wire;
  }
}

/** Returns when what is sent there goes out: until the kernel has seen to a new carrier it drops all of it, and says nothing. */
function carries(side: Namespace, name: string): void {
  for (const late = Date.now() + 5000; ; ) {
    if (/ UP /.test(side.run("ip", "-brief", "link", "show", "dev", name))) return;
    if (Date.now() > late) throw new Error(`${name} has no carrier after 5 s`);
  }
}
