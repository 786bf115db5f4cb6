import type { Clock } from "@nve/linux";
import { turn } from "@nve/linux/turn";
import { Instant, type Uuid } from "@nve/protocol-spec";
import type { Authority } from "../authority/authority.ts";
import type { Noted } from "../authority/events.ts";
import {
  type Disconnect,
  mergeTouch,
  type Step,
  type Touched,
  touchOf,
} from "../authority/records.ts";
import { rowChange } from "../store/rows.ts";
import type { RowChange, Store } from "../store/store.ts";

export type Decide<T> = (authority: Authority, now: Instant) => Step<T>;
/** `ended`: revision of the commit with the last slice, where it took several. */
export type Outcome<T> = { result: T; revision: number; ended: number };
/** What a commit came to beside rows. */
export type Told = {
  disconnect: readonly Disconnect[];
  events: readonly Noted[];
  /** VNICs whose migrations are another now. */
  migrated: ReadonlySet<Uuid>;
};
export type Listener = (
  authority: Authority,
  touched: Touched,
  revision: number,
  told: Told,
) => void;
type Job = (now: Instant, into: Pending) => void;
type Pending = {
  changes: RowChange[];
  touched: Touched;
  disconnect: Disconnect[];
  events: Noted[];
  migrated: Set<Uuid>;
  settle: ((revision: number) => void)[];
  /** Of a duplicate too, which lasts until its own deadline. */
  isNearer: boolean;
};

/** Another replica decides now: what this one has decided and not stored is void. */
export class Superseded extends Error {
  override readonly name = "Superseded";
}

/** Nobody waits for this change any more: it is not made. */
export class CallerGone extends Error {
  override readonly name = "CallerGone";
}

/**
 * Keeps an authority and its store in step: decides event by event, commits many at once, and lets nobody see what
 * is not on the disk yet. When the store fails, `failed` resolves: stop then, and start from the disk.
 */
export class Keeper {
  readonly failed: Promise<Error>;
  readonly #authority: Authority;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #jobs: Job[] = [];
  /** Further slices of what was begun: one goes into a commit. */
  readonly #slices: Job[] = [];
  readonly #reads: (() => void)[] = [];
  readonly #listeners = new Set<Listener>();
  #undone: readonly RowChange[] = [];
  #committed: number;
  #isKnown = true;
  #busy = false;
  #stopped = false;
  #idle: Promise<void> = Promise.resolve();
  #callOff = (): void => {};
  #fail: (error: Error) => void = () => {};

  constructor(authority: Authority, store: Store, clock: Clock) {
    this.#authority = authority;
    this.#store = store;
    this.#clock = clock;
    this.#committed = store.revision;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
  }

  /** Of the last commit. */
  get revision(): number {
    return this.#store.revision;
  }

  /**
   * What memory is ahead of the store by, when all has come to rest: rows that were decided after the commit `since`, and were not
   * stored, or may yet be. undefined: it is in no known state.
   */
  get ahead(): { since: number; undone: readonly RowChange[] } | undefined {
    return this.#isKnown ? { since: this.#committed, undone: this.#undone } : undefined;
  }

  get store(): Store {
    return this.#store;
  }

  /** Resolves when what was decided is on the disk. Of what `decide` throws it bears CallerGone, before anything is changed. */
  change<T>(decide: Decide<T>): Promise<Outcome<T>> {
    return new Promise((resolve, reject) => {
      if (this.#stopped) return reject(new Error("the NVA is stopping"));
      this.#jobs.push((now, into) => {
        const step = wanted(() => decide(this.#authority, now));
        if (step instanceof CallerGone) return reject(step);
        let revision = 0;
        const left = { slices: 0 };
        const settle = (at: number): void => {
          revision ||= at;
          if (left.slices === 0) resolve({ result: step.result, revision, ended: at });
        };
        this.#slice(step, now, into, left, settle);
      });
      if (!this.#busy) this.#idle = this.#work();
    });
  }

  /** One slice, and whoever may stay no more is let go of in the same commit. `settle` after each. */
  #slice(
    step: Step<unknown>,
    now: Instant,
    into: Pending,
    left: { slices: number },
    settle: (revision: number) => void,
  ): void {
    this.#take(step, into);
    const { disconnect = [], later = [] } = step;
    if (disconnect.length > 0)
      this.#take(this.#authority.expel(disconnect, now).step(undefined), into);
    for (const go of later) {
      left.slices += 1;
      this.#slices.push((then, next) => {
        left.slices -= 1;
        this.#slice(go(then), then, next, left, settle);
      });
    }
    into.settle.push(settle);
  }

  #take({ changes, touched, disconnect, events = [], migrated }: Step<unknown>, into: Pending) {
    for (const change of changes) {
      into.changes.push(rowChange(change));
      if (change.table === "duplicate" || change.table === "migration") into.isNearer = true;
    }
    for (const [vnId, touch] of touched) mergeTouch(touchOf(into.touched, vnId), touch);
    for (const one of disconnect ?? []) into.disconnect.push(one);
    for (const one of events) into.events.push(one);
    for (const one of migrated ?? []) into.migrated.add(one);
  }

  /** Runs `look` while the authority holds what is on the disk and no more: at once, or after the commit under way. */
  read(look: (authority: Authority) => void): void {
    if (this.#busy) this.#reads.push(() => look(this.#authority));
    else look(this.#authority);
  }

  /** As `read`, with an answer. What `look` throws rejects. */
  ask<T>(look: (authority: Authority) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.read((authority) => {
        try {
          resolve(look(authority));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  onCommit(listener: Listener): void {
    this.#listeners.add(listener);
  }

  /** Begins to drop what nobody names again in time. */
  start(): void {
    this.#callOff();
    const { deadline } = this.#authority;
    const now = this.#clock.now();
    const minute = now + 60_000; // the histories' turn
    const next = Instant(Math.max(now + 1, Math.min(deadline ?? minute, minute)));
    this.#callOff = this.#clock.at(next, () => {
      const again = (): void => {
        if (!this.#stopped) this.start();
      };
      this.change((authority, at) => authority.tick(at)).then(again, again);
    });
  }

  /** A deadline may have come nearer. */
  rewind(): void {
    if (!this.#stopped) this.start();
  }

  /** Resolves when all that was asked for is done, or can be gone on with after the next start. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#callOff();
    await this.#idle;
  }

  async #work(): Promise<void> {
    this.#busy = true;
    try {
      while (this.#jobs.length > 0 || this.#slices.length > 0) {
        await this.#commit();
        // What is looked at may ask for another look: nothing would come after it to let that one have its turn.
        while (this.#reads.length > 0) for (const look of this.#reads.splice(0)) look();
        if (this.#stopped) this.#slices.length = 0; // after the next start it goes on
        if (this.#slices.length > 0) await turn();
      }
    } catch (error) {
      this.#stopped = true; // memory may be ahead of the disk: go no further
      this.#isKnown = error instanceof Superseded;
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#busy = false;
  }

  async #commit(): Promise<void> {
    const pending: Pending = {
      changes: [],
      touched: new Map(),
      disconnect: [],
      events: [],
      migrated: new Set(),
      settle: [],
      isNearer: false,
    };
    const now = this.#clock.now();
    this.#authority.events.epochMs = Date.now() - now;
    this.#slices.shift()?.(now, pending);
    while (this.#jobs.length > 0 && pending.changes.length + pending.events.length < batch)
      this.#jobs.shift()?.(now, pending);
    for (const change of this.#authority.events.append(pending.events, now))
      pending.changes.push(rowChange(change));
    if (pending.changes.length >= batch) await turn(); // it was long until here
    if (pending.changes.length > 0) {
      this.#undone = pending.changes;
      const committed = await this.#store.commit(pending.changes);
      if (committed.is === "superseded") throw new Superseded(committed.reason);
      if (committed.is === "conflict") throw new Error("a commit without guards was refused");
      this.#authority.committed(pending.touched, committed.revision);
      this.#committed = committed.revision;
      this.#undone = [];
    }
    // Who was refused, and is to be let go of, may have left no trace.
    if (pending.changes.length > 0 || pending.disconnect.length > 0)
      for (const tell of this.#listeners)
        tell(this.#authority, pending.touched, this.#store.revision, pending);
    for (const settle of pending.settle) settle(this.#store.revision);
    if (pending.isNearer) this.rewind();
  }
}

function wanted<T>(decide: () => T): T | CallerGone {
  try {
    return decide();
  } catch (error) {
    if (error instanceof CallerGone) return error;
    throw error;
  }
}

/** Rows from which on a commit is not made larger. */
const batch = 5_000;
