import {
  type Attachment,
  type AttachOptions,
  attachIngress,
  BpfError,
  type BpfProgram,
  interfaceIndex,
  promiscuous,
} from "@nve/linux/bpf";

/** Interfaces by name, each with a program on its ingress while it is there. */
export class Attached {
  readonly #program: BpfProgram;
  readonly #options: AttachOptions & { promiscuous: boolean };
  readonly #ports = new Map<string, { ifindex: number; release(): void }>();

  constructor(program: BpfProgram, options: AttachOptions & { promiscuous: boolean }) {
    this.#program = program;
    this.#options = options;
  }

  /**
   * Attaches to the interface of that name as it is now. @returns its number; undefined: it is absent.
   * @throws BpfError when the kernel refuses
   */
  up(name: string): number | undefined {
    const ifindex = interfaceIndex(name);
    const known = this.#ports.get(name);
    if (known !== undefined && known.ifindex === ifindex) return ifindex;
    this.down(name);
    if (ifindex === undefined) return undefined;
    try {
      this.#ports.set(name, { ifindex, release: this.#attach(ifindex) });
    } catch (error) {
      if (error instanceof BpfError && error.errno === "ENODEV") return undefined; // gone again
      throw error;
    }
    return ifindex;
  }

  down(name: string): void {
    this.#ports.get(name)?.release();
    this.#ports.delete(name);
  }

  /** Lets go of all others. */
  keep(names: ReadonlySet<string>): void {
    for (const name of [...this.#ports.keys()]) if (!names.has(name)) this.down(name);
  }

  #attach(ifindex: number): () => void {
    const attachment: Attachment = attachIngress(this.#program, ifindex, this.#options);
    if (!this.#options.promiscuous) return () => attachment.detach();
    try {
      const listening = promiscuous(ifindex);
      return () => {
        attachment.detach();
        listening.close();
      };
    } catch (error) {
      attachment.detach();
      throw error;
    }
  }
}
