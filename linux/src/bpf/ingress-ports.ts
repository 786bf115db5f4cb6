import { type AttachOptions, attachIngress, interfaceIndex } from "./attach.ts";
import type { BpfProgram } from "./object.ts";
import { lastingPromiscuous, type PromiscuousBook, promiscuous } from "./promiscuous.ts";

/**
 * `promiscuous`: a port that frames to any address come in at, as a switch's; with a book it is so without this
 * process, too.
 */
export type IngressOptions = AttachOptions & { promiscuous: boolean | PromiscuousBook };

type Taken = { take(): void; takeLater(): Promise<void>; release(): void };
type Port = Taken & { ifindex: number };

/** Interfaces by name, each with one program on its ingress while it is there. */
export class IngressPorts {
  readonly #program: BpfProgram;
  readonly #options: IngressOptions;
  readonly #ports = new Map<string, Port>();
  readonly #names = new Map<number, string>();
  /** To be taken off, by name; a program cannot be attached again before it is. */
  readonly #leaving = new Map<string, Port>();
  #going: { name: string; done: Promise<void> } | undefined;

  constructor(program: BpfProgram, options: IngressOptions) {
    this.#program = program;
    this.#options = options;
  }

  /** Of the interface that the program is attached to. */
  indexOf(name: string): number | undefined {
    return this.#ports.get(name)?.ifindex;
  }

  nameOf(ifindex: number): string | undefined {
    return this.#names.get(ifindex);
  }

  /**
   * Attaches to the interface of that name as it is now. @returns its number; undefined: it is absent
   * @throws BpfError when the kernel refuses; the port counts as absent then
   */
  up(name: string): number | undefined {
    const ifindex = interfaceIndex(name);
    if (ifindex !== undefined && ifindex === this.indexOf(name)) return ifindex;
    this.down(name);
    const leaving = this.#leaving.get(name);
    this.#leaving.delete(name);
    if (leaving !== undefined && leaving.ifindex === ifindex) return this.#stay(name, leaving);
    leaving?.take();
    if (ifindex === undefined) return undefined;
    try {
      this.#ports.set(name, { ifindex, ...this.#attach(ifindex) });
    } catch (error) {
      if (interfaceIndex(name) !== ifindex) return undefined; // gone meanwhile
      throw error;
    }
    this.#names.set(ifindex, name);
    return ifindex;
  }

  /** `later`: without waiting for the kernel, see `gone`; frames may come through it until then. `false`: it was not there. */
  down(name: string, when: "now" | "later" = "now"): boolean {
    const port = this.#ports.get(name);
    if (port === undefined) return false;
    this.#ports.delete(name);
    this.#names.delete(port.ifindex);
    if (when === "now") port.take();
    else this.#leaving.set(name, port);
    if (when === "later") this.#next();
    return true;
  }

  #stay(name: string, port: Port): number {
    this.#ports.set(name, port);
    this.#names.set(port.ifindex, name);
    return port.ifindex;
  }

  #next(): void {
    const [first] = this.#leaving;
    if (this.#going !== undefined || first === undefined) return;
    const [name, port] = first;
    this.#leaving.delete(name);
    const done = port.takeLater().then(() => {
      this.#going = undefined;
      this.#next();
    });
    this.#going = { name, done };
  }

  /** When the kernel is not just about to let go of it: until then it cannot be attached again. */
  async free(name: string): Promise<void> {
    if (this.#going?.name === name) await this.#going.done;
  }

  /** Lets go of all: those that outlive the process stay as they are. */
  release(): void {
    for (const port of this.#ports.values()) port.release();
    this.#ports.clear();
    this.#names.clear();
  }

  /** Takes itself off all others. */
  keep(names: ReadonlySet<string>, when: "now" | "later" = "now"): void {
    for (const name of [...this.#ports.keys()]) if (!names.has(name)) this.down(name, when);
  }

  /** When the kernel has let go of what was to be taken off later. */
  async gone(): Promise<void> {
    for (const port of this.#leaving.values()) port.take();
    this.#leaving.clear();
    await this.#going?.done;
  }

  #attach(ifindex: number): Taken {
    const attachment = attachIngress(this.#program, ifindex, this.#options);
    const { promiscuous: how } = this.#options;
    const { detach, detachLater, release } = attachment;
    if (how === false) return { take: detach, takeLater: detachLater, release };
    try {
      const listening = how === true ? promiscuous(ifindex) : lastingPromiscuous(ifindex, how);
      return {
        take: () => {
          attachment.detach();
          listening.close();
        },
        takeLater: async () => {
          listening.close();
          await detachLater();
        },
        release: () => {
          attachment.release();
          if (how === true) listening.close();
        },
      };
    } catch (error) {
      attachment.detach();
      throw error;
    }
  }
}
