import type { Clock } from "@nve/linux";
import type { Log } from "@nve/program/log";
import { Instant, type VnId } from "@nve/protocol-spec";
import type { Intent, NveCore, NveEvent } from "@nve/switch-agent/nve";
import type { Applier } from "../applier.ts";
import type { Gleaning } from "../gleaning.ts";
import type { Nva } from "../nva-client/client.ts";
import type { Pulling } from "../pulling.ts";
import type { Inheritance } from "./inheritance.ts";

type Parts = {
  readonly core: NveCore;
  readonly applier: Applier;
  readonly inheritance: Inheritance;
  readonly nva: Pick<Nva, "whole">;
  readonly pulling: Pick<Pulling, "recall" | "isRecalling">;
  readonly gleaning: Pick<Gleaning, "seen">;
  feed(event: NveEvent): void;
};

type ReconcilingOptions = { clock: Clock; log: Log; patienceMs: number | undefined };

/** For stations to ask for what they have, if nobody says otherwise. */
const PATIENCE_MS = 60_000;
/** How often it is looked whether they all have. */
const LOOK_MS = 1000;

/**
 * What an earlier run left goes when nobody can be waited for any more: all of it is wanted again, or those who could
 * ask for it have had the time, with the NVA there to answer them; and the NVA has told all of our VNs.
 */
export class Reconciling {
  readonly #parts: Parts;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #patienceMs: number;
  /** Since when the NVA is there. */
  #since: Instant | undefined;
  #callOff: (() => void) | undefined;
  #closed = false;

  constructor(parts: Parts, { clock, log, patienceMs = PATIENCE_MS }: ReconcilingOptions) {
    this.#parts = parts;
    this.#clock = clock;
    this.#log = log;
    this.#patienceMs = patienceMs;
    if (!parts.inheritance.isOver) this.#watch();
  }

  nvaIs(connected: boolean): void {
    this.#since = connected ? this.#clock.now() : undefined;
  }

  /** These VNs, in pull, are ours: the NVA is asked again for those who are spoken to. */
  pulled(vns: readonly VnId[]): void {
    const { core, inheritance, pulling } = this.#parts;
    for (const vn of vns) {
      const known = inheritance.remotesOf(core.infos.get(vn)?.vni);
      if (known.length > 0) void pulling.recall(vn, known);
    }
  }

  /** Those who were learnt from frames at places that learn again are there still. */
  ensured(intents: readonly Intent[]): void {
    const { inheritance, gleaning } = this.#parts;
    if (inheritance.isOver) return;
    for (const intent of intents) {
      if (intent.is === "access") gleaning.seen(inheritance.seenAt(intent));
    }
  }

  close(): void {
    this.#closed = true;
    this.#callOff?.();
  }

  #watch(): void {
    const clock = this.#clock;
    this.#callOff = clock.at(Instant(clock.now() + LOOK_MS), () => {
      if (this.#isHeard()) void this.#end();
      else this.#watch();
    });
  }

  #isHeard(): boolean {
    const { core, applier, inheritance, pulling } = this.#parts;
    const since = this.#since;
    const isTold = core
      .watched()
      .every((vn) => core.fdb.complete(vn) || core.infos.pull(vn) !== undefined);
    if (since === undefined || !isTold || pulling.isRecalling) return false;
    const isLong = this.#clock.now() - since >= this.#patienceMs;
    return isLong || inheritance.isConfirmed((intent) => applier.has(intent));
  }

  async #end(): Promise<void> {
    await this.#parts.applier.prune();
    await this.#parts.applier.settled(); // what came meanwhile is told first: else the NVA would think it gone
    if (this.#closed) return;
    this.#parts.feed({ on: "inheritance-over" });
    this.#parts.nva.whole?.();
    this.#log.info("reconciled: what an earlier run left and nobody wants any more is gone");
  }
}
