import type { Clock } from "@nve/linux";
import type { Log } from "@nve/program/log";
import { tlsReason } from "@nve/program/tls-reason";
import { Instant, type Uuid } from "@nve/protocol-spec";
import type { Departures } from "@nve/protocol-spec/proto/nve";
import type { NveEvent, Report, Verdict } from "@nve/switch-agent/nve";
import { Arrivals } from "./arrivals.ts";
import {
  type AdmitRequest,
  admissionsOf,
  alive,
  type Disconnect,
  disconnectOf,
  helloOf,
  type NvaMessage,
  type NveMessage,
  PROTOCOL_VERSION,
  type ReportAck,
  reportOf,
  type Self,
  type Welcome,
} from "./convert.ts";
import { departedOf, departuresOf, suspendedOf } from "./convert-departure.ts";
import { Locations } from "./locations.ts";
import { type AllReports, Outbox } from "./outbox.ts";
import { Questions } from "./questions.ts";

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
  all(): AllReports;
  onWelcome(): void;
  onEvent(event: NveEvent): void;
  onLost(reason: string): void;
};

/** gRPC's status of a connection that did not come about, or ended. */
const UNAVAILABLE = 14;

const ALIVE_MS = 1000;
/**
 * Without a word of an NVA that speaks each half second it is lost: one that is paused for a second is not, and another has been
 * asked well within three (A15).
 */
const SILENCE_MS = 1600;
/** Of the watch, with its bookmark each second. */
const WATCH_SILENCE_MS = 2600;
const CHECK_MS = 100;
/** MACs in one report; IPs and prefixes from which on it takes no more MACs, of some 25 octets each. */
const REPORT_SIZE = 200;
const REPORT_IPS = 16_384;
/** Reports that wait for their acknowledgement. */
const WINDOW = 4;

/**
 * The Connect stream: Hello, Welcome, the whole report, then what changes; Alive in both directions. After
 * some silence, here or on the watch, the NVA is lost, whatever TCP thinks.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #callOffs = new Set<() => void>();
  #outbox: Outbox | undefined;
  #serial = 0n;
  #heard: Instant;
  #checked: Instant;
  #watchHeard: Instant | undefined;
  #over = false;
  /** VNICs that are on their way here. */
  readonly arrivals = new Arrivals();
  /** Undefined: this NVA does not take them in this stream. */
  #questions: Questions | undefined;
  /** MACs sent, and acknowledged, since the beginning. */
  #sent = 0;
  readonly #underWay: { sent: number; serial: bigint }[] = [];
  #waiting: { sent: number; serial: bigint; resolve: () => void }[] = [];

  constructor(options: SessionOptions) {
    const { stream, clock } = options;
    this.#options = options;
    this.#heard = clock.now();
    this.#checked = this.#heard;
    stream.on("data", (message) => this.#hear(message));
    stream.on("error", (error) => this.#lost(reasonOf(error)));
    stream.on("end", () => this.#lost("the NVA ended the session"));
    stream.write(helloOf(options.self, options.incarnation));
    this.#every(ALIVE_MS, () => stream.write(alive));
    this.#every(CHECK_MS, () => this.#check());
  }

  /**
   * The watch began, or something came of it: a bookmark every second at least. One that stands still while this
   * stream lives would leave us for ever with what we knew.
   */
  heardOfWatch(): void {
    this.#watchHeard = this.#options.clock.now();
  }

  report(report: Report): void {
    this.#outbox?.add(report); // before Welcome: it is in `all` then
    this.#flush();
  }

  /** What was reported is all there is: what the NVA has of an earlier session beyond it is over. */
  whole(): void {
    this.#outbox?.whole(); // before Welcome: `all` says it then
    this.#flush();
  }

  /** When the NVA has stored all that was reported until now, or is lost. */
  reported(): Promise<void> {
    const outbox = this.#outbox;
    const isIdle = outbox?.empty === true && this.#underWay.length === 0;
    if (this.#over || isIdle) return Promise.resolve();
    const sent = this.#sent + (outbox?.size ?? 0);
    const serial = outbox?.empty === true ? this.#serial : this.#serial + 1n;
    return new Promise((resolve) => this.#waiting.push({ sent, serial, resolve }));
  }

  /** What comes for these VNICs goes on to where they are now (M5). */
  departed(vnics: readonly Uuid[]): void {
    if (!this.#over) this.#options.stream.write(departedOf(vnics));
  }

  /** Undefined: it must be asked another way. */
  admit(request: AdmitRequest, timeoutMs: number): Promise<Verdict> | undefined {
    return this.#questions?.ask(request, timeoutMs);
  }

  close(reason = "the session has ended"): void {
    if (this.#over) return;
    this.#over = true;
    for (const callOff of this.#callOffs) callOff();
    this.#options.stream.cancel();
    this.#questions?.close(reason);
    for (const { resolve } of this.#waiting) resolve();
    this.#waiting = [];
    this.arrivals.close();
  }

  #hear({ message }: NvaMessage): void {
    if (this.#over) return;
    this.#heard = this.#options.clock.now();
    if (message?.$case === "welcome") this.#welcome(message.value);
    else if (message?.$case === "ack") this.#ack(message.value);
    else if (message?.$case === "verdicts") this.#questions?.heard(message.value);
    else if (message?.$case === "disconnect") this.#disconnect(message.value);
    else if (message?.$case === "departures") this.#departures(message.value);
    else if (message?.$case === "arrived") this.arrivals.arrived(message.value.vnics);
  }

  #welcome({ version, admissions, suspended }: Welcome): void {
    if (version !== PROTOCOL_VERSION) {
      this.#lost(`the NVA speaks version ${version} of the protocol, this NVE ${PROTOCOL_VERSION}`);
      return;
    }
    const { clock, stream } = this.#options;
    if (admissions)
      this.#questions = new Questions(clock, (serial, requests) =>
        stream.write(admissionsOf(serial, requests)),
      );
    this.#options.onWelcome();
    const { suspended: mode = "deliver" } = suspendedOf({ suspended });
    this.#options.onEvent({ on: "suspended", mode });
    this.#outbox = new Outbox(this.#options.all());
    this.#flush();
  }

  #disconnect(message: Disconnect): void {
    const { log, onEvent } = this.#options;
    const odd = (reason: string) => log.warn({ reason }, "the NVA said what cannot be");
    const event = disconnectOf(message, odd);
    if (event !== undefined) onEvent(event);
  }

  #departures(message: Departures): void {
    const { log, onEvent, self } = this.#options;
    const odd = (reason: string) => log.warn({ reason }, "the NVA said what cannot be");
    onEvent(departuresOf(message, new Locations(self), odd));
  }

  #ack({ refused, moving }: ReportAck): void {
    const acknowledged = this.#underWay.shift();
    this.arrivals.moving(moving);
    for (const { key, reason } of refused) {
      const mac = Buffer.from(key?.mac ?? []).toString("hex");
      this.#options.log.warn({ vn: key?.vnId, mac, reason }, "the NVA refused an address");
    }
    this.#flush();
    if (acknowledged === undefined) return;
    const { sent, serial } = acknowledged;
    const stored = this.#waiting.filter((one) => one.sent <= sent && one.serial <= serial);
    this.#waiting = this.#waiting.filter((one) => !stored.includes(one));
    for (const { resolve } of stored) resolve();
  }

  #flush(): void {
    while (!this.#over && this.#underWay.length < WINDOW) {
      const parcel = this.#outbox?.take(REPORT_SIZE, REPORT_IPS);
      if (parcel === undefined) return;
      this.#serial += 1n;
      this.#sent += parcel.claims.length + parcel.withdrawn.length;
      this.#underWay.push({ sent: this.#sent, serial: this.#serial });
      this.#options.stream.write(reportOf(this.#serial, parcel));
    }
  }

  #check(): void {
    const now = this.#options.clock.now();
    // While we were held up ourselves, what was said lies unread: that time is not the NVA's.
    const late = now - this.#checked - CHECK_MS;
    this.#checked = now;
    if (late > CHECK_MS) {
      this.#heard = Instant(this.#heard + late);
      if (this.#watchHeard !== undefined) this.#watchHeard = Instant(this.#watchHeard + late);
    }
    const silence = now - this.#heard;
    const watchSilence = now - (this.#watchHeard ?? now);
    if (silence >= SILENCE_MS) this.#lost(`nothing heard for ${Math.round(silence)} ms`);
    else if (watchSilence >= WATCH_SILENCE_MS)
      this.#lost(`nothing heard of the watch for ${Math.round(watchSilence)} ms`);
  }

  #lost(reason: string): void {
    if (this.#over) return;
    this.close(reason);
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
export function reasonOf(error: Error & { code?: number; details?: string }): string {
  const text = error.details || error.message;
  const ofTls = error.code === UNAVAILABLE ? tlsReason(text, "server") : undefined;
  if (ofTls !== undefined) return ofTls;
  return text
    .replace(/\.? Resolution note:.*$/, "")
    .replace(/^No connection established\. Last error: /, "")
    .replace(/^Error: /, "");
}
