import { modalVn, modes, registrations } from "./admission.ts";
import { Audit } from "./audit.ts";
import type { Authorities, Fault } from "./authorities.ts";
import { holdSeconds } from "./authorities.ts";
import { Book, type Content, keyOf, partsOf } from "./book.ts";
import { contentOf, ips, ownIp, vnicAt } from "./content.ts";
import { Contest } from "./contest.ts";
import { Doubts } from "./doubts.ts";
import { Freezes, freezingVn, rule } from "./freezes.ts";
import { Northbound } from "./northbound.ts";
import { after } from "./one-nva.ts";
import { Pace } from "./pace.ts";
import { quiet } from "./quiet.ts";
import { Random } from "./random.ts";
import { type Change, SimNve } from "./sim-nve.ts";
import { SimWatcher } from "./sim-watcher.ts";
import { Trace, Violation } from "./trace.ts";
import type { World } from "./world.ts";

export type Options = {
  seed: number;
  /** How long to go on, milliseconds; a round that has begun is ended. */
  ms: number;
  /** Told after each round. */
  progress?: (figures: Figures) => void;
};

/** What a history came to. */
export type Figures = {
  rounds: number;
  operations: number;
  faults: Record<string, number>;
  /** Things told to watchers and by lookups that were held against the writes. */
  told: number;
  audits: number;
  snapshots: number;
  resumed: number;
  /** Addresses that were seen to be frozen, duplicates and migrations that were made when all was at rest. */
  frozen: number;
  contests: number;
};

const vns = [1, 2, 3];
const macs = Array.from({ length: 8 }, (_, n) => `02000000000${n}`);
const operations = {
  claim: 30,
  withdraw: 12,
  move: 8,
  suspend: 4,
  flap: 4,
  leave: 2,
  cut: 2,
  stop: 2,
  start: 4,
  watch: 5,
  unwatch: 2,
  "cut-watch": 3,
  "pause-watch": 3,
  create: 4,
  delete: 2,
  put: 5,
  contest: 5,
  clear: 3,
  register: 7,
  unregister: 3,
  bind: 4,
  unbind: 4,
  deny: 2,
  allow: 4,
  lookup: 6,
  audit: 3,
  wait: 12,
};
/** So long the faults of a round may take, on a busy machine. */
const faultMs = 180_000;
type Operation = keyof typeof operations;

/** Any history of NVEs, watchers and clients against authorities that break, held against what nve.proto promises. */
export class History {
  readonly #random: Random;
  /** Of what is done in which round, however many operations it had. */
  readonly #rounds: Random;
  readonly #trace = new Trace();
  readonly #book: Book;
  readonly #world: World;
  readonly #authorities: Authorities;
  readonly #northbound: Northbound;
  readonly #audit: Audit;
  readonly #contest: Contest;
  readonly #nves: SimNve[];
  readonly #watchers: SimWatcher[];
  readonly #pending = new Set<Promise<unknown>>();
  readonly #figures = { rounds: 0, operations: 0, faults: {} as Record<string, number> };
  #failed: unknown;

  constructor(authorities: Authorities, seed: number) {
    this.#authorities = authorities;
    this.#random = new Random(seed);
    this.#rounds = new Random(seed + 2);
    const ids = ["tor1", "tor2", "tor3", "tor4"];
    this.#book = new Book(
      this.#trace,
      ids,
      vns.flatMap((vn) => macs.map((mac) => keyOf(vn, mac))),
    );
    this.#world = {
      trace: this.#trace,
      book: this.#book,
      freezes: new Freezes(this.#trace, this.#book),
      doubts: new Doubts(this.#trace, () => authorities.addresses()),
      random: new Random(seed + 1), // which address, when: not part of what is done
      addresses: () => authorities.addresses(),
      holdMs: holdSeconds * 1000,
      pace: new Pace(),
      drops: 0,
      expire: () => {
        for (const nve of this.#nves) nve.expire();
      },
      watchful: (work) => this.#watchful(work),
    };
    this.#northbound = new Northbound(this.#world);
    // As text 10.0.0.9 comes after 10.0.0.10, as a number before.
    this.#nves = ids.map((id, n) => new SimNve(id, `10.0.0.${11 - n}`, this.#world));
    this.#audit = new Audit(this.#world, this.#northbound, this.#nves);
    this.#contest = new Contest(this.#world, this.#northbound);
    this.#watchers = [1, 2, 3, 4].map((n) => new SimWatcher(`watcher${n}`, this.#world));
  }

  get figures(): Figures {
    const sum = (of: (watcher: SimWatcher) => number) =>
      this.#watchers.reduce((all, watcher) => all + of(watcher), 0);
    return {
      ...this.#figures,
      told: this.#book.checks,
      audits: this.#audit.done,
      snapshots: sum(({ snapshots }) => snapshots),
      resumed: sum(({ resumed }) => resumed),
      frozen: this.#world.freezes.seen,
      contests: this.#contest.done,
    };
  }

  /** Everything that happened of late. */
  get trace(): string {
    return this.#trace.all;
  }

  /** @throws Violation at the first promise that is broken */
  async run({ ms, progress }: Omit<Options, "seed">): Promise<Figures> {
    const end = performance.now() + ms;
    try {
      for (const vn of vns) await this.#northbound.create(vn);
      for (const vn of vns) await this.#northbound.put(vn, 1400, shapeOf(vn, 1));
      for (const nve of this.#nves) nve.start(true);
      for (const watcher of this.#watchers) watcher.add(vns);
      while (performance.now() < end) {
        await this.#round();
        progress?.(this.figures);
      }
      return this.figures;
    } finally {
      for (const one of [...this.#nves, ...this.#watchers]) one.close();
      this.#world.doubts.close();
      this.#world.pace.close();
    }
  }

  async #round(): Promise<void> {
    this.#trace.say(`round ${this.#figures.rounds}`);
    const end = performance.now() + faultMs;
    let isOver = false;
    const fault = this.#faults().finally(() => {
      isOver = true;
    });
    fault.catch(() => {}); // of a history that has ended with a find nobody waits for it
    const steps = 60 + this.#rounds.below(140);
    for (let step = 0; step < steps || !isOver; step++) {
      if (step >= steps) await after(5);
      if (performance.now() > end)
        throw this.#trace.violation(`not within ${faultMs / 1000} s: the end of a fault`);
      await this.#step(this.#random.weighted(operations));
      this.#figures.operations += 1;
      if (this.#failed !== undefined) throw this.#failed;
    }
    await fault;
    await this.#authorities.heal();
    await Promise.all([...this.#pending]);
    if (this.#failed !== undefined) throw this.#failed;
    await this.#quiet(this.#rounds.chance(0.1) ? this.#nves[this.#rounds.below(4)] : undefined);
    this.#figures.rounds += 1;
  }

  /** Once more where a connection was lost meanwhile, or a question was not answered: on a busy machine a lease may run out at any time. */
  async #quiet(stays: SimNve | undefined): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { drops } = this.#world;
      try {
        return await quiet({
          world: this.#world,
          northbound: this.#northbound,
          audit: this.#audit,
          vns,
          nves: this.#nves,
          watchers: this.#watchers,
          restart: this.#restart,
          contest: this.#rounds.chance(0.85) ? this.#contest : undefined,
          random: this.#rounds,
          stays,
          failed: () => this.#failed,
        });
      } catch (error) {
        const isCalm = this.#world.drops === drops && error instanceof Violation;
        if (attempt === 5 || this.#failed !== undefined || isCalm) throw error;
        this.#trace.say(`not at rest yet: ${String(error).split("\n")[0]}`);
        await this.#authorities.heal();
      }
    }
  }

  get #restart(): (() => Promise<void>) | undefined {
    const { faults, heal } = this.#authorities;
    const fault = faults.find(({ name }) => name.startsWith("kill -9"));
    if (fault === undefined) return undefined;
    const random = new Random(this.#rounds.below(2 ** 31));
    return async () => {
      await this.#strike(fault, random);
      await heal();
    };
  }

  /** While the round goes on: some of them, one after the other. */
  async #faults(): Promise<void> {
    const { faults } = this.#authorities;
    const weights = Object.fromEntries(faults.map(({ name, weight }) => [name, weight]));
    const random = new Random(this.#rounds.below(2 ** 31));
    const chosen = Array.from({ length: faults.length === 0 ? 0 : random.below(4) }, () => [
      random.weighted(weights),
      random.below(300),
    ]);
    for (const [name, ms] of chosen) {
      await after(Number(ms));
      const fault = faults.find((one) => one.name === name);
      if (fault !== undefined) await this.#strike(fault, random);
    }
  }

  async #strike(fault: Fault, random: Random): Promise<void> {
    this.#trace.say(`FAULT ${fault.name}`);
    await fault.strike(random);
    this.#trace.say(`after ${fault.name}`);
    const { faults } = this.#figures;
    faults[fault.name] = (faults[fault.name] ?? 0) + 1;
    await this.#tolerant(() => this.#audit.claims()); // before NVEs have named all that they have again
  }

  /** The numbers that decide are drawn whatever the state is: a seed is the same history each time. */
  async #step(operation: Operation): Promise<void> {
    const random = this.#random;
    const nve = random.pick(this.#nves);
    const other = random.pick(this.#nves);
    const watcher = random.pick(this.#watchers);
    const vn = random.pick(vns);
    const key = keyOf(vn, random.pick(macs));
    const content = contentOf(random, key);
    const third = random.below(3);
    const registration = random.pick(registrations);
    const [rareKey, strictKey] = [
      keyOf(freezingVn, partsOf(key).mac),
      keyOf(modalVn, partsOf(key).mac),
    ];
    const sequence = random.pick([0, 0, 0, 0, 0, 1, 3, 9]);
    const coin = random.chance(0.5);
    const ms = random.below(25);
    const claimed = (of: Content, by: SimNve) => [
      { key, content: { ...of, vnic: vnicAt(key, by) }, sequence },
    ];
    const claims = claimed(content, nve);
    const withdrawn = [key];
    switch (operation) {
      case "claim":
        return this.#tell(nve, { claims });
      case "withdraw":
        return this.#tell(nve, { withdrawn });
      case "move": // the destination says so before the source lets go, or after
        this.#tell(coin ? nve : other, { claims: claimed(content, coin ? nve : other) });
        return this.#tell(coin ? other : nve, { withdrawn });
      case "suspend":
        return this.#tell(nve, { claims: claimed({ ...content, suspended: true }, nve) });
      case "flap":
        for (let n = 0; n < 4; n++) this.#tell(nve, n % 2 === 0 ? { claims } : { withdrawn });
        return;
      case "contest":
        return this.#contest.flap(other, nve, rareKey, rule.moves);
      case "clear":
        return this.#aside(this.#northbound.clear(rareKey));
      case "register":
        return this.#aside(this.#northbound.register(strictKey, registration));
      case "unregister":
        return this.#aside(this.#northbound.register(strictKey, undefined));
      case "leave":
        return this.#tell(nve, { left: [vn] });
      case "cut":
        return nve.cut();
      case "stop":
        return nve.stop(coin);
      case "start":
        return nve.start(coin);
      case "watch":
        return watcher.add([vn]);
      case "unwatch":
        return watcher.remove(vn);
      case "cut-watch":
        return watcher.cut(coin && ms < 10);
      case "pause-watch":
        watcher.pause();
        return void setTimeout(() => watcher.go(), ms * 60);
      case "create":
        return this.#aside(this.#create(vn, coin));
      case "put":
        return this.#aside(this.#northbound.put(vn, 1400 + ms, shapeOf(vn, third)));
      case "bind":
        return this.#aside(this.#northbound.bind(key, ownIp(key, random.pick(ips)), nve.id));
      case "unbind":
        return this.#aside(this.#northbound.unbind(key));
      case "deny":
        return this.#aside(this.#northbound.deny(nve.id, vn));
      case "allow":
        return this.#aside(this.#northbound.allow(nve.id, vn));
      case "delete":
        return this.#aside(this.#delete(vn));
      case "lookup":
        return this.#aside(this.#tolerant(() => this.#audit.lookup(key)));
      case "audit":
        return this.#aside(this.#tolerant(() => this.#audit.claims()));
      case "wait":
        return after(ms);
    }
  }

  #tell(nve: SimNve, change: Change): void {
    if (nve.alive) nve.change(change);
  }

  /** Two clients at once, or one: one at most makes it. */
  async #create(vn: number, both: boolean): Promise<void> {
    const from = this.#trace.now;
    const made = await Promise.all(
      both
        ? [this.#northbound.create(vn), this.#northbound.create(vn)]
        : [this.#northbound.create(vn)],
    );
    const won = made.filter((one) => one === true).length;
    const isGone = this.#book.vn(vn).possible(from, this.#trace.now).has(undefined);
    if (won > 1 && !this.#book.deletedSince(vn, from))
      throw this.#trace.violation(`VN ${vn} was made twice`, { vn });
    if (won > 0 && !isGone) throw this.#trace.violation(`VN ${vn} was made where it was`, { vn });
  }

  async #delete(vn: number): Promise<void> {
    if (!(await this.#northbound.delete(vn))) return;
    for (const nve of this.#nves) nve.forget(vn);
  }

  #aside(work: Promise<unknown>): void {
    const done = work.catch((error) => this.#fail(error)).finally(() => this.#pending.delete(done));
    this.#pending.add(done);
  }

  /** While authorities break, a question may go unanswered; no answer may be wrong. */
  async #tolerant(ask: () => Promise<unknown>): Promise<void> {
    try {
      await ask();
      this.#audit.done += 1;
    } catch (error) {
      if (error instanceof Error && error.name === "Violation") throw error;
      this.#trace.say(`no answer: ${error}`);
    }
  }

  #watchful(work: () => void): void {
    try {
      this.#world.expire();
      work();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#failed ??= error;
  }
}

/** What a VN is put with, one of three. */
function shapeOf(vn: number, third: number): string {
  if (vn === modalVn) return modes[third] ?? "open";
  if (vn !== freezingVn) return "plain";
  return third === 0 ? "freezes until cleared" : "freezes for a time";
}
