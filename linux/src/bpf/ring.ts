import koffi from "koffi";
import { BpfError, errnoName } from "./error.ts";
import { clearLog, type Libbpf, lastLog, type Pointer } from "./libbpf.ts";

/** Records of any length that programs in the kernel put in, taken out in order. */
export interface BpfRing {
  /** Takes what is there, `most` records at the most; a copy of each. */
  take(most: number): Uint8Array[];
  /** Lets go of its memory. Again is nothing. */
  close(): void;
}

const proto = koffi.proto("int nve_ring_record(void *context, void *record, size_t size)");
/** Of libbpf's `ring_buffer_sample_fn`: enough. */
const [GO_ON, STOP] = [0, -1];

export class FdRing implements BpfRing {
  readonly #name: string;
  readonly #lib: Libbpf;
  readonly #callback: ReturnType<typeof koffi.register>;
  #ring: Pointer;
  #taken: Uint8Array[] = [];
  #most = 0;

  constructor(lib: Libbpf, fd: number, name: string) {
    this.#lib = lib;
    this.#name = name;
    this.#callback = koffi.register(
      (_: unknown, record: Pointer, size: number) => this.#hear(record, size),
      koffi.pointer(proto),
    );
    clearLog();
    this.#ring = lib.newRing(fd, this.#callback, null, null);
    if (this.#ring !== null) return;
    const code = -lib.lastErrno();
    koffi.unregister(this.#callback);
    throw new BpfError(`open BPF ring ${name}`, errnoName(code), lastLog());
  }

  take(most: number): Uint8Array[] {
    if (this.#ring === null || most < 1) return [];
    this.#most = most;
    this.#taken = [];
    const code = this.#lib.consumeRing(this.#ring);
    if (code < 0 && this.#taken.length < most) {
      throw new BpfError(`take from BPF ring ${this.#name}`, errnoName(code), lastLog());
    }
    return this.#taken;
  }

  close(): void {
    if (this.#ring === null) return;
    this.#lib.freeRing(this.#ring);
    koffi.unregister(this.#callback);
    this.#ring = null;
  }

  #hear(record: Pointer, size: number): number {
    const octets = new Uint8Array(size);
    this.#lib.copy(octets, record, size);
    return this.#taken.push(octets) < this.#most ? GO_ON : STOP;
  }
}
