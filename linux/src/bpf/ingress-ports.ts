import { type AttachOptions, attachIngress, interfaceIndex } from "./attach.ts";
import type { BpfProgram } from "./object.ts";
import { lastingPromiscuous, type PromiscuousBook, promiscuous } from "./promiscuous.ts";

/**
 * `promiscuous`: a port that frames to any address come in at, as a switch's; with a book it is so without this
 * process, too.
 */
export type IngressOptions = AttachOptions & { promiscuous: boolean | PromiscuousBook };

type Port = { ifindex: number; take(): void; release(): void };

/** Interfaces by name, each with one program on its ingress while it is there. */
export class IngressPorts {
  readonly #program: BpfProgram;
  readonly #options: IngressOptions;
  readonly #ports = new Map<string, Port>();
  readonly #names = new Map<number, string>();

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

  /** `false`: it was not there. */
  down(name: string): boolean {
    const port = this.#ports.get(name);
    if (port === undefined) return false;
    port.take();
    this.#ports.delete(name);
    this.#names.delete(port.ifindex);
    return true;
  }

  /** Lets go of all: those that outlive the process stay as they are. */
  release(): void {
    for (const port of this.#ports.values()) port.release();
    this.#ports.clear();
    this.#names.clear();
  }

  /** Takes itself off all others. */
  keep(names: ReadonlySet<string>): void {
    for (const name of [...this.#ports.keys()]) if (!names.has(name)) this.down(name);
  }

  #attach(ifindex: number): { take(): void; release(): void } {
    const attachment = attachIngress(this.#program, ifindex, this.#options);
    const { promiscuous: how } = this.#options;
    if (how === false) return { take: attachment.detach, release: attachment.release };
    try {
      const listening = how === true ? promiscuous(ifindex) : lastingPromiscuous(ifindex, how);
      return {
        take: () => {
          attachment.detach();
          listening.close();
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
