import { createRequire } from "node:module";
import { Unavailable } from "./errors.ts";

/** One capture of npm `pcap` on one interface, looked at only when `read` is called. */
export class PcapSession {
  readonly #inner: Inner;
  readonly #buffer = Buffer.alloc(SNAP_LENGTH);
  readonly #header = Buffer.alloc(16);
  #deliver: (frame: Uint8Array) => void = () => {};
  #reading = false;
  #cut = 0;
  #told = 0;

  /** @throws Error in the words of libpcap */
  constructor(device: string, filter: string) {
    this.#inner = new (loadPcap().PcapSession)();
    this.#inner.open_live(
      device,
      filter,
      BUFFER_SIZE,
      SNAP_LENGTH,
      "", // no file
      () => this.#take(),
      false, // no monitor mode
      0, // no waiting for more frames
      () => {}, // "no IPv4 address" is no fault of an access port
      true, // promiscuous
    );
  }

  /** Hands over what has come in. Does nothing when called from within `deliver`. */
  read(deliver: (frame: Uint8Array) => void): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#deliver = deliver;
    try {
      this.#inner.dispatch(this.#buffer, this.#header);
    } finally {
      this.#reading = false;
    }
  }

  /** @returns `false` when it was not sent */
  send(frame: Uint8Array): boolean {
    try {
      this.#inner.inject(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength));
      return true;
    } catch {
      return false; // "Pcap inject failed." is all that it ever says
    }
  }

  /** Frames lost since the last call: no room, or longer than 2048 octets. */
  lost(): number {
    const all = this.#inner.stats().ps_drop + this.#cut;
    const more = all - this.#told;
    this.#told = all;
    return more;
  }

  #take(): void {
    const captured = this.#header.readUInt32LE(8);
    if (captured < this.#header.readUInt32LE(12)) this.#cut += 1;
    else this.#deliver(Uint8Array.from(this.#buffer.subarray(0, captured))); // the buffer is used again
  }
}

/** @throws Unavailable */
export function loadPcap(): Binding {
  binding ??= load();
  return binding;
}

let binding: Binding | undefined;

/**
 * The binding within `pcap` 3.1.0 and not its JavaScript: that starts a watcher on the event loop which keeps the
 * process running for ever and is deaf once the interface was down.
 */
function load(): Binding {
  try {
    return createRequire(import.meta.url)("pcap/build/Release/pcap_binding") as Binding;
  } catch (cause) {
    throw new Unavailable(
      "npm pcap is not installed, or was not built: apt-get install -y libpcap-dev g++ make python3 && npm ci",
      { cause },
    );
  }
}

type Binding = { PcapSession: new () => Inner };
type Inner = {
  open_live(
    device: string,
    filter: string,
    bufferSize: number,
    snapLength: number,
    file: string,
    ready: () => void,
    monitor: boolean,
    bufferTimeout: number,
    warn: (text: string) => void,
    promiscuous: boolean,
  ): string;
  dispatch(buffer: Buffer, header: Buffer): number;
  inject(frame: Buffer): void;
  stats(): { ps_recv: number; ps_drop: number; ps_ifdrop: number };
};

/** Each frame takes a slot of its own of this length: 2.25 MiB hold 1,109. */
const SNAP_LENGTH = 2048;
const BUFFER_SIZE = 9 << 18;
