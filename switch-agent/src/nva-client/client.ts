import { Metadata } from "@grpc/grpc-js";
import type { Clock } from "@nve/linux";
import { connect, type Log, type Tls } from "@nve/program";
import { Instant, type Mac, type Uuid, type VnId } from "@nve/protocol-spec";
import { NveClient } from "@nve/protocol-spec/proto/nve";
import type { NveEvent, Report, Told, Verdict } from "@nve/switch-agent/nve";
import type { Wanted } from "../pull/pull.ts";
import { type Admission, admitRequest, nvaDigestsOf, type Self } from "./convert.ts";
import { DigestCheck, type DigestCounts, type NvaDigests } from "./digest.ts";
import { Failover } from "./failover.ts";
import { type Found, lookup } from "./lookup.ts";
import type { AllReports } from "./outbox.ts";
import { readVerdict } from "./questions.ts";
import { reasonOf, Session } from "./session.ts";
import { Watcher } from "./watch.ts";
import { watchStream } from "./watch-wire.ts";

export type { Admission } from "./convert.ts";

/** The NVA, as the NVE needs it. */
export interface Nva {
  readonly state: NvaState;
  /** May this VNIC join? "unreachable" after `timeoutMs`; never rejects. */
  admit(ask: Admission, timeoutMs: number): Promise<Verdict>;
  /** @param pull of their mappings only those that `select` names (A18) */
  watch(vns: readonly VnId[], pull?: boolean): void;
  /** Of a VN in pull: MACs whose mappings are told from now on, and those that are no more. */
  select(vn: VnId, add: readonly Mac[], remove: readonly Mac[]): void;
  /** Where is this address? `unreachable` after `timeoutMs`; never rejects. */
  lookup(vn: VnId, wanted: Wanted, timeoutMs: number): Promise<Found>;
  unwatch(vns: readonly VnId[]): void;
  report(report: Report): void;
  /** What comes for these VNICs goes on to where they are now (M5). */
  departed?(vnics: readonly Uuid[]): void;
  /** When those that the NVA says to have moved here are forwarded where they were; at once while it is away. */
  arrived?(vnics: readonly Uuid[]): Promise<void>;
  /** What was reported is all there is, where `all` was partial. */
  whole?(): void;
  /** `compared`, `differing`, …: how VNs were found when they were compared with the NVA's. */
  readonly digests?: Readonly<DigestCounts>;
  /** When the NVA has what was reported and has told all of these VNs; at once while it is away. */
  synced(vns: readonly VnId[]): Promise<void>;
  close(): void;
}

/** What an NVE gives its client. */
export type NvaWiring = Pick<NvaClientOptions, "all" | "onEvent" | "settled" | "told">;

export type NvaState = {
  is: "connecting" | "connected" | "lost";
  address: string;
  /** Why it is not connected. */
  reason: string;
  /** The highest revision that the dataplane has. */
  applied: bigint;
  /** That is shown to the NVA; absent: plain TCP. `fault`: what has to be seen to, or nothing. */
  certificate?: { validToUnixMs: number; fault: string };
};

export type NvaClientOptions = {
  addresses: readonly string[];
  /** Absent: plain TCP. */
  tls?: Tls | undefined;
  self: Self;
  incarnation: Uint8Array;
  clock: Clock;
  log: Log;
  random: () => number;
  all(): AllReports;
  onEvent(event: NveEvent): void;
  /** When the dataplane has all that was told until now. */
  settled(): Promise<void>;
  /** What was told of a VN comes to this; undefined while it is not told wholly. Absent: it is never compared. */
  told?(vn: VnId, most: number): Told | "later" | undefined;
  /** How often that is compared with what the NVA says, milliseconds; 0: never. Default 60,000. */
  digestMs?: number;
};

const DIGEST_MS = 60_000;
/** Made at a time, of some microseconds each. */
const DIGESTS = 1000;
/** The NVA may have a million mappings to go through first. */
const DIGESTS_MS = 30_000;

/**
 * Talks to one of the NVA's addresses, and to another when that one is lost (A15): for ever, with growing
 * pauses. What is watched and how far it is known outlives every session.
 */
export class NvaClient implements Nva {
  readonly #options: NvaClientOptions;
  readonly #failover: Failover;
  readonly #watcher: Watcher;
  readonly #digests: DigestCheck;
  #callOffDigests: (() => void) | undefined;
  #is: NvaState["is"] = "connecting";
  #reason = "not yet answered";
  #client: NveClient | undefined;
  #session: Session | undefined;
  #callOff: (() => void) | undefined;
  #closed = false;
  readonly #waiting = new Set<() => void>();

  constructor(options: NvaClientOptions) {
    this.#options = options;
    this.#failover = new Failover(options.addresses, options.random);
    this.#watcher = new Watcher({
      ...options,
      onBookmark: (revision) => this.#digests.bookmark(revision),
    });
    this.#digests = new DigestCheck({
      watched: () => this.#watcher.watched(),
      told: (vn) => options.told?.(vn, DIGESTS),
      ask: (vns) => this.#askDigests(vns),
      differs: (vn, here, there) => {
        const counts = { here: here.mappings, there: there.mappings };
        options.log.warn({ vn, ...counts }, "not what the NVA has of this VN: told anew");
        this.#watcher.anew(vn);
      },
    });
    this.#connect();
    this.#compare();
  }

  get state(): NvaState {
    const { address } = this.#failover;
    const { tls } = this.#options;
    return {
      is: this.#is,
      address,
      reason: this.#reason,
      applied: this.#watcher.applied,
      ...(tls && { certificate: { validToUnixMs: tls.current.notAfter, fault: tls.fault } }),
    };
  }

  async admit(ask: Admission, timeoutMs: number): Promise<Verdict> {
    const deadline = Date.now() + timeoutMs;
    if (this.#is !== "connected") await this.#connected(timeoutMs);
    const client = this.#client;
    if (this.#is !== "connected" || client === undefined) {
      return { is: "unreachable", reason: this.#reason };
    }
    const request = admitRequest(this.#options.self, ask);
    const together = this.#session?.admit(request, deadline - Date.now());
    if (together !== undefined) return together;
    return new Promise((resolve) => {
      client.admit(request, new Metadata(), { deadline }, (error, response) => {
        if (error !== null) resolve({ is: "unreachable", reason: reasonOf(error) });
        else resolve(readVerdict(response));
      });
    });
  }

  watch(vns: readonly VnId[], pull = false): void {
    this.#watcher.watch(vns, pull);
  }

  select(vn: VnId, add: readonly Mac[], remove: readonly Mac[]): void {
    this.#watcher.select(vn, add, remove);
  }

  async lookup(vn: VnId, wanted: Wanted, timeoutMs: number): Promise<Found> {
    const client = this.#client;
    if (this.#is !== "connected" || client === undefined) return { is: "unreachable" };
    const { self, log } = this.#options;
    const odd = (reason: string): void => log.debug({ vn, ...wanted, reason }, "lookup failed");
    return lookup(client, self, vn, wanted, { timeoutMs, odd });
  }

  unwatch(vns: readonly VnId[]): void {
    this.#watcher.unwatch(vns);
  }

  report(report: Report): void {
    this.#session?.report(report);
  }

  departed(vnics: readonly Uuid[]): void {
    this.#session?.departed(vnics);
  }

  arrived(vnics: readonly Uuid[]): Promise<void> {
    return this.#session?.arrivals.awaited(vnics) ?? Promise.resolve();
  }

  whole(): void {
    this.#session?.whole();
  }

  async synced(vns: readonly VnId[]): Promise<void> {
    if (this.#is !== "connected") return;
    await Promise.all([this.#session?.reported(), this.#watcher.known(vns)]);
  }

  /** `compared`, `differing`, …: how VNs were found when they were compared with the NVA's. */
  get digests(): Readonly<DigestCounts> {
    return this.#digests.counters;
  }

  close(): void {
    this.#closed = true;
    this.#callOff?.();
    this.#callOffDigests?.();
    for (const done of [...this.#waiting]) done();
    this.#drop();
  }

  /** When there is a session, or the time is over: an NVA that fails over is back in no time. */
  #connected(timeoutMs: number): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const done = (): void => {
        callOff();
        this.#waiting.delete(done);
        resolve();
      };
      const callOff = clock.at(Instant(clock.now() + timeoutMs), done);
      this.#waiting.add(done);
    });
  }

  #compare(): void {
    const { clock, digestMs = DIGEST_MS } = this.#options;
    if (digestMs === 0) return;
    this.#callOffDigests = clock.at(Instant(clock.now() + digestMs), () => {
      if (this.#is === "connected") void this.#digests.begin();
      this.#compare();
    });
  }

  #askDigests(vns: readonly VnId[]): Promise<NvaDigests | undefined> {
    const client = this.#client;
    if (client === undefined || vns.length === 0) return Promise.resolve(undefined);
    const deadline = Date.now() + DIGESTS_MS;
    return new Promise((resolve) => {
      client.digests({ vnIds: [...vns] }, new Metadata(), { deadline }, (error, response) => {
        if (error !== null) this.#options.log.debug({ reason: reasonOf(error) }, "no digests");
        resolve(error === null ? nvaDigestsOf(response) : undefined);
      });
    });
  }

  #connect(): void {
    const { self, incarnation, clock, log, all, tls } = this.#options;
    const client = connect(NveClient, this.#failover.address, tls);
    this.#client = client;
    this.#session = new Session({
      stream: client.connect(),
      self,
      incarnation,
      clock,
      log,
      all,
      onWelcome: () => this.#welcome(client),
      onEvent: this.#options.onEvent,
      onLost: (reason) => this.#lost(reason),
    });
    const { patienceMs } = this.#failover;
    client.waitForReady(Date.now() + patienceMs, (error) => {
      if (error !== undefined && error !== null && this.#client === client)
        this.#lost(`no connection within ${patienceMs} ms`);
    });
  }

  #welcome(client: NveClient): void {
    this.#is = "connected";
    this.#reason = "";
    this.#failover.succeeded();
    for (const done of [...this.#waiting]) done();
    this.#options.log.info({ address: this.#failover.address }, "NVA connected");
    this.#options.onEvent({ on: "nva", connected: true });
    this.#session?.heardOfWatch();
    this.#watcher.open(
      watchStream(client),
      () => this.#session?.heardOfWatch(),
      (reason) => this.#lost(reason),
    );
  }

  #lost(reason: string): void {
    if (this.#closed) return;
    const { address } = this.#failover;
    const was = this.#is;
    const what = was === "connected" ? "NVA lost" : "NVA not reached";
    this.#options.log[was === "lost" ? "debug" : "warn"]({ address, reason }, what);
    this.#is = "lost";
    this.#reason = reason;
    this.#drop();
    if (was === "connected") this.#options.onEvent({ on: "nva", connected: false });
    const pauseMs = this.#failover.failed();
    const { clock } = this.#options;
    this.#callOff = clock.at(Instant(clock.now() + pauseMs), () => this.#connect());
  }

  #drop(): void {
    this.#watcher.close();
    this.#digests.reset();
    this.#session?.close();
    this.#session = undefined;
    this.#client?.close();
    this.#client = undefined;
  }
}
