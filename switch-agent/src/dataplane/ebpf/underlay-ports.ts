import {
  type Attachment,
  type AttachOptions,
  attachIngress,
  type BpfProgram,
  detachPinned,
} from "@nve/linux/bpf";
import type { Log } from "@nve/program";

type Surroundings = {
  program: BpfProgram;
  how: AttachOptions;
  /** A tenant's frames come in there: never what takes tunnels. */
  isAccess(ifindex: number): boolean;
  log: Log;
};

/** The interfaces where tunnels come in, each with the program that takes them off by hand. */
export class UnderlayPorts {
  readonly #around: Surroundings;
  readonly #attached = new Map<number, Attachment>();
  #wanted: ReadonlySet<number> = new Set();

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** At these and no others. One that is gone has taken its attachment along. */
  attach(ifindexes: ReadonlySet<number>): void {
    const { program, how, isAccess, log } = this.#around;
    this.#wanted = ifindexes;
    for (const [ifindex, attachment] of this.#attached) {
      if (ifindexes.has(ifindex) && !isAccess(ifindex)) continue;
      attachment.detach();
      this.#attached.delete(ifindex);
    }
    for (const ifindex of ifindexes) {
      if (this.#attached.has(ifindex) || isAccess(ifindex)) continue;
      try {
        this.#attached.set(ifindex, attachIngress(program, ifindex, how));
      } catch (error) {
        log.warn({ err: error, ifindex }, "no fast path from this interface of the underlay");
      }
    }
  }

  /** This interface has become an access port, or is none any more. */
  accessChanged(ifindex: number): void {
    this.attach(this.#wanted);
    const { program, how, isAccess } = this.#around;
    // It may have been of the underlay when an earlier run ended.
    if (isAccess(ifindex) && how.pins) detachPinned(program, ifindex, how.pins);
  }

  isAt(ifindex: number): boolean {
    return this.#attached.has(ifindex);
  }

  /** Lets go of all: what is pinned stays. */
  release(): void {
    for (const attachment of this.#attached.values()) attachment.release();
    this.#attached.clear();
  }

  close(): void {
    this.attach(new Set());
  }
}
