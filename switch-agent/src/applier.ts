import type { Clock } from "@nve/linux";
import type { Log } from "@nve/program/log";
import { Instant } from "@nve/protocol-spec";
import { type Intent, type IntentChange, IntentTable, type Keyed } from "@nve/switch-agent/nve";
import type { Dataplane } from "./dataplane/dataplane.ts";
import { DataplaneError } from "./dataplane/error.ts";
import { Inheritance } from "./local/inheritance.ts";

type Job = { change: IntentChange; done: () => void; failed: (error: Error) => void };

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30_000;

/**
 * Brings changes to the dataplane one after another; what waits goes together. A change that fails is the
 * asker's to take back, or, when nobody can, a fault: then all that is wanted is ensured again until it holds.
 */
export class Applier {
  readonly #dataplane: Dataplane;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #wanted: () => readonly Intent[];
  readonly #inheritance: Inheritance;
  readonly #applied = new IntentTable<true>();
  #waiting: Job[] = [];
  #running: Promise<void> | undefined;
  #fault: string | undefined;
  #retryMs = FIRST_RETRY_MS;
  #callOff: (() => void) | undefined;
  #closed = false;

  /** @param inheritance what is in the dataplane already and stays until its end */
  constructor(
    dataplane: Dataplane,
    clock: Clock,
    log: Log,
    wanted: () => readonly Intent[],
    inheritance = new Inheritance(undefined),
  ) {
    this.#dataplane = dataplane;
    this.#inheritance = inheritance;
    this.#clock = clock;
    this.#log = log;
    this.#wanted = wanted;
  }

  /** For `show`: "in sync", "applying", "reconciling" while an earlier run's is forwarded still, or the fault. */
  get state(): string {
    if (this.#fault !== undefined) return this.#fault;
    if (!this.#inheritance.isOver) return "reconciling";
    return this.#running === undefined ? "in sync" : "applying";
  }

  /** Has the dataplane taken what has this key? */
  has(intent: Keyed): boolean {
    return this.#applied.get(intent) !== undefined;
  }

  /** Resolves when the dataplane has it; rejects with its reason, and then the asker takes it back. */
  apply(change: IntentChange): Promise<void> {
    if (change.ensure.length + change.remove.length === 0) return Promise.resolve();
    return new Promise((done, failed) => {
      this.#waiting.push({ change, done, failed });
      this.#run();
    });
  }

  /** As `apply`, for what nobody can take back: tried again until it holds. */
  async keepTrying(change: IntentChange): Promise<void> {
    try {
      await this.apply(change);
    } catch (error) {
      this.#faulty(error);
    }
  }

  /** When all that was asked for until now is done, well or not. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Removes what an earlier run left and nobody wants: its inheritance is over. */
  async prune(): Promise<void> {
    await this.settled();
    const wasOver = this.#inheritance.isOver;
    this.#inheritance.end();
    try {
      const wanted = this.#wanted();
      if (!wasOver)
        await this.apply({ ensure: wanted.filter(({ is }) => is === "vn"), remove: [] });
      await this.#dataplane.prune(wanted);
    } catch (error) {
      this.#faulty(error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#callOff?.();
    await this.settled();
  }

  #run(): void {
    if (this.#running !== undefined) return;
    this.#running = this.#drain().finally(() => {
      this.#running = undefined;
      if (this.#waiting.length > 0) this.#run();
    });
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const jobs = this.#waiting;
      this.#waiting = [];
      if (jobs.length > 1 && (await this.#together(jobs))) continue;
      for (const job of jobs) await this.#alone(job);
    }
  }

  async #together(jobs: readonly Job[]): Promise<boolean> {
    const last = new IntentTable<{ intent: Intent; ensure: boolean }>();
    for (const { change } of jobs) {
      for (const intent of change.ensure) last.set(intent, { intent, ensure: true });
      for (const intent of change.remove) last.set(intent, { intent, ensure: false });
    }
    const all = [...last.values()];
    const change = {
      ensure: all.filter(({ ensure }) => ensure).map(({ intent }) => intent),
      remove: all.filter(({ ensure }) => !ensure).map(({ intent }) => intent),
    };
    try {
      await this.#make(change);
    } catch {
      return false; // one by one tells whose fault it is
    }
    for (const { done } of jobs) done();
    return true;
  }

  async #alone({ change, done, failed }: Job): Promise<void> {
    try {
      await this.#make(change);
      done();
    } catch (error) {
      failed(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /**
   * First what is to be, then what is not to be: a station that moves is never nowhere. Where something of a VN
   * was not taken nothing of it is removed; the other VNs are not spoilt by it.
   */
  async #make(change: IntentChange): Promise<void> {
    const { ensure, remove } = this.#inheritance.with(change);
    try {
      await this.#ensure(ensure);
    } catch (error) {
      if (error instanceof DataplaneError) {
        const vnis = new Set(error.failed.map(({ intent }) => intent.vni));
        await this.#remove(remove.filter(({ vni }) => !vnis.has(vni)));
      }
      throw error;
    }
    await this.#remove(remove);
  }

  async #ensure(intents: readonly Intent[]): Promise<void> {
    if (intents.length === 0) return;
    const made = (failed: ReadonlySet<Intent>): void => {
      for (const intent of intents) {
        if (!failed.has(intent)) this.#applied.set(intent, true);
      }
    };
    try {
      await this.#dataplane.ensure(intents);
      made(new Set());
    } catch (error) {
      if (error instanceof DataplaneError) made(new Set(error.failed.map(({ intent }) => intent)));
      throw error;
    }
  }

  async #remove(intents: readonly Intent[]): Promise<void> {
    if (intents.length > 0) await this.#dataplane.remove(intents);
    for (const intent of intents) this.#applied.delete(intent);
  }

  #faulty(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (this.#fault !== reason) this.#log.error({ reason }, "dataplane out of sync: trying again");
    this.#fault = reason;
    if (this.#closed || this.#callOff !== undefined) return;
    this.#callOff = this.#clock.at(Instant(this.#clock.now() + this.#retryMs), () => {
      this.#callOff = undefined;
      this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
      void this.#again();
    });
  }

  async #again(): Promise<void> {
    try {
      await this.apply({ ensure: this.#wanted(), remove: [] });
      if (this.#inheritance.isOver) await this.#dataplane.prune(this.#wanted());
    } catch (error) {
      this.#faulty(error);
      return;
    }
    if (this.#fault !== undefined) this.#log.info("dataplane in sync again");
    this.#fault = undefined;
    this.#retryMs = FIRST_RETRY_MS;
  }
}
