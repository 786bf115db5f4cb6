import { cpSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "../../model/random.ts";
import { expect } from "./expected.ts";
import { Facts } from "./facts.ts";
import { type FaultKind, Faults } from "./faults.ts";
import { Model } from "./model.ts";
import { moveOnce } from "./moves.ts";
import { observe } from "./observed.ts";
import { type Moved, type Server, type SoakOptions, servers, tors, vnicsOf } from "./plan.ts";
import { type Rig, startRig } from "./rig.ts";

export type SoakReport = {
  moves: number;
  /** How often each order was taken, and each fault happened. */
  orders: Record<string, number>;
  faults: Partial<Record<FaultKind, number>>;
  retries: number;
  quietPoints: number;
  /** Of the moves alone, and in all. */
  movesPerSecond: number;
  seconds: number;
  /** The longest until a quiet point was as the model has it. */
  longestSettleMs: number;
  /** Open files and memory of each program, at the first quiet point and at the last. */
  usage: Record<string, { fds: [number, number]; rssMb: [number, number] }>;
};

/** Of a quiet point that takes longer it is told what was the last to be so. */
const slowMs = 12_000;
/** A program may have so many open files, and MiB of memory, more at the last quiet point than at the first. */
const moreFds = 40;
const moreRssMb = 200;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Moves VNICs to and fro with faults, as the seed has it, and holds all against the model again and again. @param say a line
 * of progress @throws Error with what is not as it should be
 */
export async function soak(options: SoakOptions, say: (line: string) => void): Promise<SoakReport> {
  const vnics = vnicsOf(options);
  const rig = await startRig(`migration-soak-${process.pid}`, vnics);
  const run = new Run(rig, vnics, options, say);
  try {
    return await run.all();
  } catch (error) {
    const kept = mkdtempSync(join(tmpdir(), "migration-soak-failed-"));
    cpSync(rig.logs, kept, { recursive: true });
    writeFileSync(join(kept, "trace.txt"), run.trace.join("\n"));
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`seed ${options.seed}: ${why}\nwhat programs said is kept in ${kept}`, {
      cause: error,
    });
  } finally {
    await rig.end();
  }
}

class Run {
  readonly trace: string[] = [];
  readonly #rig: Rig;
  readonly #options: SoakOptions;
  readonly #say: (line: string) => void;
  readonly #model: Model;
  readonly #at = new Map<Moved, Server>();
  readonly #randoms: Map<Moved, Random>;
  readonly #random: Random;
  readonly #faults: Faults;
  readonly #begun = performance.now();
  #movingMs = 0;
  readonly #report: SoakReport = {
    ...{ moves: 0, orders: {}, faults: {}, retries: 0, quietPoints: 0 },
    ...{ movesPerSecond: 0, seconds: 0, longestSettleMs: 0, usage: {} },
  };

  constructor(
    rig: Rig,
    vnics: readonly Moved[],
    options: SoakOptions,
    say: (line: string) => void,
  ) {
    this.#rig = rig;
    this.#options = options;
    this.#say = say;
    this.#model = new Model(rig, vnics, (line) => this.#note(line));
    this.#random = new Random(options.seed);
    this.#faults = new Faults(rig, this.#model, this.#random, (line) => this.#note(line));
    this.#randoms = new Map(vnics.map((one) => [one, new Random(options.seed * 1_000 + one.n)]));
  }

  async all(): Promise<SoakReport> {
    await Promise.all(
      this.#model.vnics.map(async (vnic) => {
        const [first] = vnic.places;
        if (first === undefined) return;
        await this.#model.want(vnic, first, "active");
        this.#at.set(vnic, first);
      }),
    );
    await this.#quiet();
    while (this.#report.moves < this.#options.moves) {
      await this.#phase(
        Math.min(this.#options.moves, this.#report.moves + this.#options.quietEvery),
      );
      await this.#quiet();
    }
    return this.#report;
  }

  /** Moves and faults until there have been `until` moves. */
  async #phase(until: number): Promise<void> {
    const begun = performance.now();
    let begunMoves = this.#report.moves;
    let over = false;
    const mover = async (vnic: Moved): Promise<void> => {
      while (begunMoves < until && !over) {
        begunMoves += 1;
        await this.#move(vnic);
      }
    };
    const movers = Promise.all(this.#model.vnics.map(mover)).finally(() => {
      over = true;
    });
    const { faultEvery } = this.#options;
    // Two at a time: what is left of one meets the next. By moves, so that a busy machine gets on between them.
    const failing = async (): Promise<void> => {
      while (faultEvery > 0 && !over) {
        const due = this.#report.moves + this.#random.below(4 * faultEvery);
        while (this.#report.moves < due && !over) await pause(20);
        if (!over) await this.#fault();
      }
    };
    const outcomes = await Promise.allSettled([movers, failing(), failing()]);
    for (const one of outcomes) if (one.status === "rejected") throw one.reason;
    this.#movingMs += performance.now() - begun;
    this.#report.movesPerSecond = Math.round((10_000 * this.#report.moves) / this.#movingMs) / 10;
  }

  async #move(vnic: Moved): Promise<void> {
    const random = this.#randoms.get(vnic);
    const from = this.#at.get(vnic);
    if (random === undefined || from === undefined) return;
    const { order, at } = await moveOnce(this.#model, vnic, from, random);
    this.#at.set(vnic, at);
    this.#report.moves += 1;
    this.#report.orders[order] = (this.#report.orders[order] ?? 0) + 1;
    this.#note(`VNIC ${vnic.n}: ${from.name} > ${at.name}: ${order}`);
  }

  async #fault(): Promise<void> {
    const kind = await this.#faults.one();
    this.#report.faults[kind] = (this.#report.faults[kind] ?? 0) + 1;
  }

  /** Nobody moves: all is as the model has it before long, and everybody reaches whom he shall. */
  async #quiet(): Promise<void> {
    const places = this.#model.places();
    const begun = performance.now();
    let left: string[];
    let last: string | undefined;
    for (;;) {
      left = await this.#differences();
      if (left.length === 0) break;
      [last] = left;
      if (performance.now() - begun > this.#options.settleMs)
        throw new Error(`after ${this.#report.moves} moves, ${told(left)}`);
      await pause(250);
    }
    const settledMs = Math.round(performance.now() - begun);
    this.#report.longestSettleMs = Math.max(this.#report.longestSettleMs, settledMs);
    const unreached = await this.#rig.guests.check(places);
    if (unreached.length > 0)
      throw new Error(`after ${this.#report.moves} moves, frames: ${told(unreached)}`);
    this.#report.quietPoints += 1;
    this.#report.retries = this.#model.retries;
    this.#report.seconds = Math.round((performance.now() - this.#begun) / 1000);
    this.#measure();
    const slow = settledMs > slowMs ? `, the last: ${last}` : "";
    const { moves, movesPerSecond, retries } = this.#report;
    const faults = Object.values(this.#report.faults).reduce((all, n) => all + n, 0);
    this.#note(`as the model has it after ${settledMs} ms; the last to be so: ${last}`);
    this.#say(
      `${moves} moves (${movesPerSecond}/s), ${faults} faults, ${retries} calls again; as the model has it after ${settledMs} ms${slow}`,
    );
  }

  async #differences(): Promise<string[]> {
    try {
      const { facts, tags } = await observe(this.#rig);
      return Facts.differences(facts, expect(this.#model.places(), tags));
    } catch (error) {
      return [`not to be seen: ${error}`];
    }
  }

  #measure(): void {
    for (const node of ["nva", ...[...tors, ...servers].map(({ name }) => name)]) {
      const { fds, rssMb } = this.#rig.usage(node);
      const was = this.#report.usage[node] ?? { fds: [fds, fds], rssMb: [rssMb, rssMb] };
      this.#report.usage[node] = { fds: [was.fds[0], fds], rssMb: [was.rssMb[0], rssMb] };
      if (fds > was.fds[0] + moreFds)
        throw new Error(`${node} has ${fds} open files, had ${was.fds[0]}`);
      if (rssMb > was.rssMb[0] + moreRssMb)
        throw new Error(`${node} has ${rssMb} MiB of memory, had ${was.rssMb[0]}`);
    }
  }

  #note(line: string): void {
    this.trace.push(`${Date.now()} ${line}`);
  }
}

const told = (faults: readonly string[]): string =>
  `${faults.length} differences:\n  ${faults.slice(0, 40).join("\n  ")}`;
