import { fileURLToPath } from "node:url";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import { dropReasons } from "@nve/switch-agent/dataplane/ebpf/maps";
import type { DataplaneRig } from "../contracts/dataplane-bench.ts";
import type { Tunnelled } from "../contracts/tunnels.ts";
import { frameText } from "../contracts/wires.ts";
import { Guest } from "../support/qemu/guest.ts";
import { seenText, type Words } from "./dataplane-rig.ts";

/** Of the rig in the guest, what does not change. */
type Facts = Pick<
  DataplaneRig,
  "encapsulation" | "vtep" | "a" | "b" | "stranger" | "mtu" | "tells"
>;

/** A rig in a guest with Debian's kernel: the far side of `dataplane-guest-program.ts`. */
export class GuestRig implements DataplaneRig {
  readonly #guest: Guest;
  readonly #facts: Facts;
  /** What went wrong where nobody waited. */
  #failed: Error | undefined;

  private constructor(guest: Guest, facts: Facts) {
    this.#guest = guest;
    this.#facts = facts;
  }

  /** @param driver a name that the program knows */
  static async make(driver: string, family: 4 | 6): Promise<GuestRig> {
    const program = new URL("dataplane-guest-program.ts", import.meta.url);
    const guest = await Guest.boot(fileURLToPath(program));
    try {
      return new GuestRig(guest, await guest.call<Facts>("make", driver, family));
    } catch (error) {
      guest.close();
      throw error;
    }
  }

  get encapsulation(): DataplaneRig["encapsulation"] {
    return this.#facts.encapsulation;
  }
  get vtep(): DataplaneRig["vtep"] {
    return this.#facts.vtep;
  }
  get a(): DataplaneRig["a"] {
    return this.#facts.a;
  }
  get b(): DataplaneRig["b"] {
    return this.#facts.b;
  }
  get stranger(): DataplaneRig["stranger"] {
    return this.#facts.stranger;
  }
  get mtu(): number {
    return this.#facts.mtu;
  }

  get tells(): readonly string[] {
    return this.#facts.tells ?? dropReasons;
  }

  async open(): Promise<Dataplane> {
    const mtu = await this.#call<number | undefined>("open");
    return { ...remoteDataplane((name, ...args) => this.#call(`dataplane.${name}`, ...args)), mtu };
  }

  send(port: string, frame: Uint8Array): void {
    this.#tell("send", port, frame);
  }

  async sendMany(port: string, frame: Uint8Array, n: number): Promise<void> {
    await this.#call("startSending", port, frame, n);
    while (!(await this.#call<boolean>("haveSent"))) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  tunnel(tunnelled: Tunnelled): void {
    this.#tell("tunnel", tunnelled);
  }

  async seen(words: Words = frameText): Promise<string[]> {
    const frames = await this.#call<{ wire: string; frame: Uint8Array }[]>("frames");
    return frames.flatMap(({ wire, frame }) => seenText(wire, frame, words) ?? []).sort();
  }

  received(wire: string): Promise<Uint8Array[]> {
    return this.#call("received", wire);
  }

  deletePort(port: string): void {
    this.#tell("deletePort", port);
  }

  addPort(port: string): void {
    this.#tell("addPort", port);
  }

  /** `ip`, `tc` and the like in the switch's namespace. */
  run(command: string, ...args: string[]): Promise<string> {
    return this.#call("run", command, ...args);
  }

  close(): void {
    this.#guest.close();
  }

  #tell(name: string, ...args: readonly unknown[]): void {
    this.#guest.call(name, ...args).catch((error: Error) => {
      this.#failed ??= error;
    });
  }

  async #call<T>(name: string, ...args: readonly unknown[]): Promise<T> {
    const value = await this.#guest.call<T>(name, ...args);
    const failed = this.#failed;
    this.#failed = undefined;
    if (failed) throw failed;
    return value;
  }
}

type Far = <T>(name: string, ...args: readonly unknown[]) => Promise<T>;

/** What a driver says by itself (samples, silence) stays there. */
const remoteDataplane = (far: Far): Dataplane => ({
  ensure: (intents) => far("ensure", intents),
  remove: (intents) => far("remove", intents),
  prune: (wanted) => far("prune", wanted),
  portUp: (port) => far("portUp", port),
  portDown: (port) => far("portDown", port),
  counters: () => far("counters"),
  applied: () => far("applied"),
  close: () => far("close"),
  onSamples: () => {},
  onWanted: () => {},
  unusedMs: () => undefined,
  silentMs: () => undefined,
});
