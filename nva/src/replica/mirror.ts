import type { Clock } from "@nve/linux";
import { Refused } from "@nve/program";
import { Inventory, type Stored } from "../authority/inventory.ts";
import { Feed } from "../server/feed.ts";
import type { Beginning } from "../server/term.ts";
import type { EtcdStore } from "../store/etcd/store.ts";
import { storedOf } from "../store/rows.ts";
import { type Batch, type Table, tables } from "../store/store.ts";

/** Commits whose keys are remembered: cursors that another replica gave are good here so far. */
const rememberedCommits = 10_000;
/** Rows taken at a time, of some microseconds each. */
const portion = 1_000;

/**
 * What a store holds, kept as another replica changes it: what a replica begins its term with. To take over costs what has changed
 * since the last commit that is here, which is nothing or next to it, however much there is.
 */
export class Mirror {
  readonly #inventory = new Inventory();
  readonly #clock: Clock;
  #feed = new Feed(0);
  #revision = 0;
  #fault: Error | undefined;
  #stop = (): void => {};

  private constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws NoAnswer, Refused */
  static async of(store: EtcdStore, clock: Clock): Promise<Mirror> {
    const mirror = new Mirror(clock);
    const early: Batch[] = [];
    let take = (batch: Batch): void => void early.push(batch);
    await mirror.#watch(store, (batch) => take(batch));
    try {
      await mirror.#load(store);
      for (const batch of early) mirror.#take(batch);
    } catch (error) {
      mirror.stop();
      throw error;
    }
    take = (batch) => mirror.#take(batch);
    return mirror;
  }

  get revision(): number {
    return this.#revision;
  }

  /** For a look at it only. */
  get inventory(): Inventory {
    return this.#inventory;
  }

  /**
   * All of it, for the one that decides from now on; it follows no further.
   * @param revision up to which it must have followed
   * @throws Refused when it has not, or a row was not as it was written
   */
  beginning(revision: number): Beginning {
    this.stop();
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#revision !== revision)
      throw new Refused(`commit ${revision} is not here yet, the last is ${this.#revision}`);
    this.#inventory.complete(revision);
    return { inventory: this.#inventory, feed: this.#feed };
  }

  /** Follows no further. */
  stop(): void {
    this.#stop();
  }

  async #watch(store: EtcdStore, deliver: (batch: Batch) => void): Promise<void> {
    for (let back = rememberedCommits; ; back = Math.floor(back / 2)) {
      const from = Math.max(0, store.revision - back);
      const stop = await store.watch(from, deliver);
      if (stop === "compacted") continue; // `back` comes down to 0, which never is
      this.#feed = new Feed(from);
      this.#stop = stop;
      return;
    }
  }

  async #load(store: EtcdStore): Promise<void> {
    const view = await store.snapshot();
    for (const table of inOrder) {
      let rows: Stored[] = [];
      for await (const { key, value, revision } of view.list(table)) {
        rows.push(storedOf({ table, key, value }, revision));
        if (rows.length < portion) continue;
        this.#inventory.take(rows, this.#clock.now());
        rows = [];
      }
      this.#inventory.take(rows, this.#clock.now());
    }
    this.#revision = view.meta.revision;
  }

  /** What cannot be read is told to who wants to begin with it. */
  #take(batch: Batch): void {
    const { revision, changes } = batch;
    try {
      if (revision > this.#revision) {
        const stored = changes.map((change) => storedOf(change, revision));
        this.#inventory.take(stored, this.#clock.now());
        this.#revision = revision;
      }
      this.#feed.replay(batch, this.#inventory);
    } catch (error) {
      this.#fault ??= error instanceof Error ? error : new Error(String(error));
    }
  }
}

/** What others name comes first; a claim names a VN and an NVE. */
const first: readonly Table[] = ["tenant", "profile", "policy", "vn", "nve", "member", "claim"];
const inOrder = [...first, ...tables.filter((table) => !first.includes(table))];
