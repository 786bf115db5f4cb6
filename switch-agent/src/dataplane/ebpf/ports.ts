import {
  type Attachment,
  type AttachOptions,
  attachIngress,
  type BpfProgram,
  interfaceIndex,
  promiscuous,
} from "@nve/linux/bpf";

type Port = { ifindex: number; attachment: Attachment; listening: { close(): void } };

/** The access ports that are there, each with the program on its ingress. */
export class Ports {
  readonly #program: BpfProgram;
  readonly #options: AttachOptions;
  readonly #ports = new Map<string, Port>();
  readonly #names = new Map<number, string>();

  constructor(program: BpfProgram, options: AttachOptions) {
    this.#program = program;
    this.#options = options;
  }

  indexOf(name: string): number | undefined {
    return this.#ports.get(name)?.ifindex;
  }

  nameOf(ifindex: number): string | undefined {
    return this.#names.get(ifindex);
  }

  /**
   * Attaches to the interface of that name as it is now; `false`: it was attached already, or there is none.
   * @throws BpfError when the kernel refuses; the port is absent then
   */
  up(name: string): boolean {
    const ifindex = interfaceIndex(name);
    if (ifindex === this.indexOf(name)) return false;
    this.down(name);
    if (ifindex === undefined) return false;
    const attachment = attachIngress(this.#program, ifindex, this.#options);
    try {
      this.#ports.set(name, { ifindex, attachment, listening: promiscuous(ifindex) });
    } catch (error) {
      attachment.detach();
      throw error;
    }
    this.#names.set(ifindex, name);
    return true;
  }

  /** `false`: it was not there. */
  down(name: string): boolean {
    const port = this.#ports.get(name);
    if (port === undefined) return false;
    port.attachment.detach();
    port.listening.close();
    this.#ports.delete(name);
    this.#names.delete(port.ifindex);
    return true;
  }

  close(): void {
    for (const name of [...this.#ports.keys()]) this.down(name);
  }
}
