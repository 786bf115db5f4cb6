import grpc from "@grpc/grpc-js";
import { Forbidden, Refused, statusOf } from "@nve/program";
import { Instant, type NveId, OutOfRange, type Uuid } from "@nve/protocol-spec";
import type {
  Admissions,
  Departed,
  Departures,
  Hello,
  NvaMessage,
  NveMessage,
  Report,
} from "@nve/protocol-spec/proto/nve";
import { limits } from "../authority/limits.ts";
import type { Session as SessionKey } from "../authority/nve-state.ts";
import type { Disconnect } from "../authority/records.ts";
import { suspendeds } from "../domain/numbers.ts";
import { notItself } from "./access.ts";
import { admitEach } from "./admit.ts";
import { fromLocation, fromReport, fromUuid, toRefusal, toUuid } from "./convert.ts";
import type { Hub, NveSession } from "./hub.ts";
import { identityOf } from "./identity.ts";

type Call = grpc.ServerDuplexStream<NveMessage, NvaMessage>;

/** The version of the protocol that this NVA speaks (A16). */
const version = 1;
const aliveMs = 500;
/** Beats of our own clock without a word from the NVE, which speaks each second, after which it is lost. */
const silentBeats = 6;
/** Reports and questions that are not answered yet, at which we read no further. */
const unanswered = 16;
/** In one Disconnect. */
const vnicsPerMessage = 10_000;

/** One Connect call: the session of an NVE. */
export class Session implements NveSession {
  readonly #call: Call;
  readonly #hub: Hub;
  #nveId: NveId | undefined;
  #key: SessionKey | undefined;
  #serial = 0n;
  #open = 0;
  #silent = 0;
  #beatPending = false;
  #closed = false;
  #answered: Promise<unknown> = Promise.resolve();
  #callOff = (): void => {};

  constructor(call: Call, hub: Hub) {
    this.#call = call;
    this.#hub = hub;
    hub.calls.add(this);
    call.on("data", (message: NveMessage) => this.#receive(message));
    call.on("end", () => this.close(grpc.status.OK, "the NVE ended its session"));
    call.on("cancelled", () => this.close(grpc.status.CANCELLED, "the connection was lost"));
    call.on("error", () => this.close(grpc.status.CANCELLED, "the connection was lost"));
    this.#beat();
  }

  /** Ends the call; what this session claimed is served on for the hold time. */
  close(code: grpc.status, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#callOff();
    const { calls, sessions, log, keeper } = this.#hub;
    calls.delete(this);
    if (this.#nveId !== undefined) {
      if (sessions.get(this.#nveId) === this) {
        sessions.delete(this.#nveId);
        this.#hub.departing?.lost(this.#nveId);
      }
      log.info({ nve: this.#nveId, reason }, "session ended");
    }
    if (code === grpc.status.OK) this.#call.end();
    else this.#call.emit("error", { code, details: reason });
    this.#call.resume(); // what still arrives is read past
    const key = this.#key;
    if (key === undefined) return;
    const { stopping } = this.#hub;
    keeper
      .change((authority, now) => authority.loseNve(key, now, stopping))
      .then(
        () => keeper.rewind(),
        () => undefined, // the store has failed
      );
  }

  disconnect({ vnId, vnics, reason }: Disconnect): void {
    for (let i = 0; i < vnics.length; i += vnicsPerMessage) {
      const some = vnics.slice(i, i + vnicsPerMessage).map(toUuid);
      this.#send({ $case: "disconnect", value: { vnId, vnics: some, reason } });
    }
  }

  departures(some: Departures): void {
    this.#send({ $case: "departures", value: some });
  }

  arrived(vnic: Uuid): void {
    this.#send({ $case: "arrived", value: { vnics: [toUuid(vnic)] } });
  }

  #receive({ message }: NveMessage): void {
    if (this.#closed) return;
    this.#silent = 0;
    try {
      switch (message?.$case) {
        case "hello":
          this.#hello(message.value);
          break;
        case "report":
          this.#report(message.value);
          break;
        case "admissions":
          this.#admissions(message.value);
          break;
        case "departed":
          this.#departed(message.value);
          break;
        default: // alive, or newer than us (A16)
          break;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #hello(hello: Hello): void {
    if (this.#nveId !== undefined) throw new OutOfRange("Hello: a session has one only");
    if (hello.versionMin > version || hello.versionMax < version || hello.versionMin === 0)
      throw new Refused(
        `this NVA speaks version ${version} of the protocol, the NVE ${hello.versionMin} to ${hello.versionMax}`,
      );
    const location = fromLocation(hello.location);
    const other = notItself(identityOf(this.#call), location.nveId, location.vteps);
    if (other !== undefined) throw new Forbidden(other);
    const incarnation = fromUuid(hello.incarnation, "incarnation");
    const { sessions, keeper, log } = this.#hub;
    this.#nveId = location.nveId;
    sessions
      .get(location.nveId)
      ?.close(
        grpc.status.ABORTED,
        `a newer session of NVE "${location.nveId}" has taken over: is the id used twice?`,
      );
    sessions.set(location.nveId, this);
    this.#call.pause(); // until there is a session that reports can belong to
    this.#do(
      keeper.change((authority, now) => authority.connectNve(location, incarnation, now)),
      ({ result }) => {
        if ("refused" in result) throw new Refused(result.refused);
        this.#key = result;
        if (this.#closed) {
          keeper.change((authority, now) => authority.loseNve(result, now)).catch(() => undefined);
          return;
        }
        log.info({ nve: location.nveId, vteps: location.vteps, incarnation }, "session began");
        keeper.rewind();
        const storeId = toUuid(keeper.store.id);
        const suspended = suspendeds.indexOf(this.#hub.suspended) + 1;
        this.#send({
          $case: "welcome",
          value: { version, storeId, holdMs: this.#hub.holdMs, admissions: true, suspended },
        });
        this.#hub.departing?.welcome(location.nveId);
        this.#call.resume();
      },
    );
  }

  #report(report: Report): void {
    const key = this.#key;
    if (key === undefined) throw new OutOfRange("Report before Hello");
    if (report.serial !== this.#serial + 1n)
      throw new OutOfRange(`Report: serial ${report.serial} where ${this.#serial + 1n} is due`);
    this.#serial = report.serial;
    const { claims, withdrawn, joinedVns, leftVns } = report;
    const reserved = report.prepared.length + report.unprepared.length;
    const entries = claims.length + withdrawn.length + joinedVns.length + leftVns.length + reserved;
    if (entries > limits.entriesPerReport)
      throw new OutOfRange(`Report: ${entries} entries, not ${limits.entriesPerReport} at most`);
    const said = fromReport(report);
    this.#begin();
    this.#do(
      this.#hub.keeper.change((authority, now) => authority.report(key, said, now)),
      ({ result, ended }) => {
        if (result === undefined || this.#closed) return;
        this.#silent = 0; // it may have waited for us
        const { serial } = report;
        const refused = result.map(toRefusal);
        const vnics = said.claims.flatMap(({ vnic }) => vnic ?? []);
        const to = this.#nveId;
        const moving = to === undefined ? [] : (this.#hub.departing?.moving(to, vnics) ?? []);
        const value = { serial, revision: BigInt(ended), refused, moving: moving.map(toUuid) };
        this.#send({ $case: "ack", value }, () => this.#end());
      },
    );
  }

  #admissions({ serial, requests }: Admissions): void {
    if (this.#key === undefined) throw new OutOfRange("Admissions before Hello");
    if (requests.length > limits.admissions)
      throw new OutOfRange(
        `Admissions: ${requests.length} requests, not ${limits.admissions} at most`,
      );
    const who = identityOf(this.#call);
    const other = requests.flatMap(({ nveId }) => notItself(who, nveId) ?? [])[0];
    if (other !== undefined) throw new Forbidden(other);
    this.#begin();
    this.#do(admitEach(this.#hub, requests), (responses) => {
      this.#silent = 0; // it may have waited for us
      this.#send({ $case: "verdicts", value: { serial, responses } }, () => this.#end());
    });
  }

  #departed({ vnics }: Departed): void {
    if (this.#key === undefined || this.#nveId === undefined)
      throw new OutOfRange("Departed before Hello");
    const all = vnics.map((vnic) => fromUuid(vnic, "vnics"));
    this.#hub.departing?.confirmed(this.#nveId, all);
  }

  /** No more than so many of its messages are under way at a time. */
  #begin(): void {
    this.#open += 1;
    if (this.#open >= unanswered) this.#call.pause();
  }

  #end(): void {
    this.#open -= 1;
    if (this.#open < unanswered) this.#call.resume();
  }

  #beat(): void {
    this.#callOff = this.#hub.clock.at(Instant(this.#hub.clock.now() + aliveMs), () => {
      this.#silent += 1;
      if (this.#silent >= silentBeats)
        return this.close(grpc.status.UNAVAILABLE, "nothing heard from the NVE for 3 s");
      if (this.#nveId !== undefined && !this.#beatPending) {
        this.#beatPending = true;
        this.#send({ $case: "alive", value: {} }, () => {
          this.#beatPending = false;
        });
      }
      this.#beat();
    });
  }

  #send(message: NonNullable<NvaMessage["message"]>, sent: () => void = () => {}): void {
    if (!this.#closed) this.#call.write({ message }, sent);
  }

  /** What the keeper answers, in the order of the questions. */
  #do<T>(answer: Promise<T>, then: (value: T) => void): void {
    this.#answered = Promise.all([answer, this.#answered])
      .then(([value]) => then(value))
      .catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    const { code, details } = statusOf(error);
    const { log } = this.#hub;
    if (code === grpc.status.INTERNAL)
      log.error({ nve: this.#nveId, err: error }, "session failed");
    else log.warn({ nve: this.#nveId, reason: details }, "session refused");
    this.close(code, details);
  }
}
