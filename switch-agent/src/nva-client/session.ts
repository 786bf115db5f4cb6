import type { Clock } from "@nve/linux";
import type { Log } from "@nve/program/log";
import { Instant } from "@nve/protocol-spec";
import type { Report } from "@nve/switch-agent/nve";
import {
  alive,
  helloOf,
  type NvaMessage,
  type NveMessage,
  PROTOCOL_VERSION,
  type ReportAck,
  reportOf,
  type Self,
} from "./convert.ts";
import { Outbox } from "./outbox.ts";

/** One side of a gRPC stream, as much as is needed of it. */
export type Stream<Out, In> = {
  write(message: Out): unknown;
  on(event: "data", heard: (message: In) => void): unknown;
  on(event: "error", failed: (error: Error & { details?: string }) => void): unknown;
  on(event: "end", ended: () => void): unknown;
  cancel(): void;
};

type SessionOptions = {
  stream: Stream<NveMessage, NvaMessage>;
  self: Self;
  /** 16 octets, new at each start of the agent. */
  incarnation: Uint8Array;
  clock: Clock;
  log: Log;
  /** All that there is to report now (H18). */
  all(): Report;
  onWelcome(): void;
  onLost(reason: string): void;
};

const ALIVE_MS = 1000;
const SILENCE_MS = 3000;
const CHECK_MS = 500;
/** MACs in one report; IPs and prefixes from which on it takes no more MACs, of some 25 octets each. */
const REPORT_SIZE = 200;
const REPORT_IPS = 16_384;
/** Reports that wait for their acknowledgement. */
const WINDOW = 4;

/**
 * The Connect stream: Hello, Welcome, the whole report, then what changes; Alive in both directions. Three
 * seconds of silence and the NVA is lost, whatever TCP thinks.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #callOffs = new Set<() => void>();
  #outbox: Outbox | undefined;
  #serial = 0n;
  #unacknowledged = 0;
  #heard: Instant;
  #over = false;
  #idle: (() => void)[] = [];

  constructor(options: SessionOptions) {
    const { stream, clock } = options;
    this.#options = options;
    this.#heard = clock.now();
    stream.on("data", (message) => this.#hear(message));
    stream.on("error", (error) => this.#lost(reasonOf(error)));
    stream.on("end", () => this.#lost("the NVA ended the session"));
    stream.write(helloOf(options.self, options.incarnation));
    this.#every(ALIVE_MS, () => stream.write(alive));
    this.#every(CHECK_MS, () => this.#check());
  }

  /** Something came from the NVA, on whichever stream. */
  heard(): void {
    this.#heard = this.#options.clock.now();
  }

  report(report: Report): void {
    this.#outbox?.add(report); // before Welcome: it is in `all` then
    this.#flush();
  }

  /** When the NVA has stored all that was reported until now, or is lost. */
  reported(): Promise<void> {
    if (this.#over || this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    for (const callOff of this.#callOffs) callOff();
    this.#options.stream.cancel();
    this.#wake();
  }

  #hear({ message }: NvaMessage): void {
    if (this.#over) return;
    this.heard();
    if (message?.$case === "welcome") this.#welcome(message.value.version);
    else if (message?.$case === "ack") this.#ack(message.value);
  }

  #welcome(version: number): void {
    if (version !== PROTOCOL_VERSION) {
      this.#lost(`the NVA speaks version ${version} of the protocol, this NVE ${PROTOCOL_VERSION}`);
      return;
    }
    this.#options.onWelcome();
    this.#outbox = new Outbox(this.#options.all());
    this.#flush();
  }

  #ack({ refused }: ReportAck): void {
    this.#unacknowledged -= 1;
    for (const { key, reason } of refused) {
      const mac = Buffer.from(key?.mac ?? []).toString("hex");
      this.#options.log.warn({ vn: key?.vnId, mac, reason }, "the NVA refused an address");
    }
    this.#flush();
    if (this.#isIdle()) this.#wake();
  }

  #flush(): void {
    while (!this.#over && this.#unacknowledged < WINDOW) {
      const parcel = this.#outbox?.take(REPORT_SIZE, REPORT_IPS);
      if (parcel === undefined) return;
      this.#serial += 1n;
      this.#unacknowledged += 1;
      this.#options.stream.write(reportOf(this.#serial, parcel));
    }
  }

  #isIdle(): boolean {
    return this.#outbox?.empty === true && this.#unacknowledged === 0;
  }

  #wake(): void {
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }

  #check(): void {
    const silence = this.#options.clock.now() - this.#heard;
    if (silence >= SILENCE_MS) this.#lost(`nothing heard for ${Math.round(silence)} ms`);
  }

  #lost(reason: string): void {
    if (this.#over) return;
    this.close();
    this.#options.onLost(reason);
  }

  #every(ms: number, run: () => void): void {
    const { clock } = this.#options;
    let callOff = (): void => {};
    const again = (): void => {
      this.#callOffs.delete(callOff);
      callOff = clock.at(Instant(clock.now() + ms), () => {
        again();
        run();
      });
      this.#callOffs.add(callOff);
    };
    again();
  }
}

/** What gRPC says, without its notes about itself. */
export function reasonOf({ details, message }: Error & { details?: string }): string {
  const text = details || message;
  return text
    .replace(/\.? Resolution note:.*$/, "")
    .replace(/^No connection established\. Last error: /, "")
    .replace(/^Error: /, "");
}
