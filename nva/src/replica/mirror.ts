import type { Clock } from "@nve/linux";
import { Refused } from "@nve/program";
import { Inventory, type Stored } from "../authority/inventory.ts";
import type { RowKey } from "../authority/reopen.ts";
import { Feed } from "../server/feed.ts";
import type { Beginning, Left } from "../server/term.ts";
import type { EtcdStore } from "../store/etcd/store.ts";
import { storedOf } from "../store/rows.ts";
import { type Batch, type Table, tables } from "../store/store.ts";

/** Commits whose keys are remembered: cursors that another replica gave are good here so far. */
const rememberedCommits = 10_000;
/** Rows taken at a time, of some microseconds each. */
const portion = 1_000;
/** Rows asked for at a time. */
const together = 64;

/**
 * What a store holds, kept as another replica changes it: what a replica begins its term with. To take over costs what has changed
 * since the last commit that is here, which is nothing or next to it, however much there is.
 */
export class Mirror {
  readonly #inventory: Inventory;
  readonly #clock: Clock;
  #feed: Feed;
  #revision: number;
  #fault: Error | undefined;
  #stop = (): void => {};

  private constructor(clock: Clock, { inventory, feed }: Beginning, revision: number) {
    this.#clock = clock;
    this.#inventory = inventory;
    this.#feed = feed;
    this.#revision = revision;
  }

  /** Of all that the store has. @throws NoAnswer, Refused */
  static async of(store: EtcdStore, clock: Clock): Promise<Mirror> {
    const nothing = { inventory: new Inventory(), feed: new Feed(0) };
    const mirror = new Mirror(clock, nothing, 0);
    await mirror.#begin(
      (deliver) => mirror.#watch(store, deliver),
      () => mirror.#load(store),
    );
    return mirror;
  }

  /**
   * Of what this replica had when it decided no more, and what the store has committed since: it costs as much as that, not as
   * all there is. @returns undefined where all has to be read. @throws NoAnswer, Refused
   */
  static async after(left: Left, store: EtcdStore, clock: Clock): Promise<Mirror | undefined> {
    const behind = left.inventory.reopen(left.undone);
    if (behind === undefined) return undefined;
    const mirror = new Mirror(clock, left, left.since);
    const isWatching = await mirror.#begin(
      async (deliver) => {
        const stop = await store.watch(left.since, deliver);
        if (stop === "compacted") return false;
        mirror.#stop = stop;
        return true;
      },
      () => mirror.#restore(store, behind),
    );
    return isWatching ? mirror : undefined;
  }

  /** What is committed while it loads comes after. */
  async #begin(
    watch: (deliver: (batch: Batch) => void) => Promise<boolean>,
    load: () => Promise<void>,
  ): Promise<boolean> {
    const early: Batch[] = [];
    let take = (batch: Batch): void => void early.push(batch);
    if (!(await watch((batch) => take(batch)))) return false;
    try {
      await load();
      for (const batch of early) this.#take(batch);
    } catch (error) {
      this.stop();
      throw error;
    }
    take = (batch) => this.#take(batch);
    return true;
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

  async #watch(store: EtcdStore, deliver: (batch: Batch) => void): Promise<boolean> {
    for (let back = rememberedCommits; ; back = Math.floor(back / 2)) {
      const from = Math.max(0, store.revision - back);
      const stop = await store.watch(from, deliver);
      if (stop === "compacted") continue; // `back` comes down to 0, which never is
      this.#feed = new Feed(from);
      this.#stop = stop;
      return true;
    }
  }

  /** Commits that come after bring what is read here to where it is again: of each row the last counts. */
  async #restore(store: EtcdStore, behind: readonly RowKey[]): Promise<void> {
    const view = await store.snapshot();
    const stored: Stored[] = [];
    for (let i = 0; i < behind.length; i += together) {
      const some = behind.slice(i, i + together).map(async ({ table, key }) => {
        const row = await view.get(table, key);
        return storedOf({ table, key, ...row }, row?.revision ?? 0);
      });
      stored.push(...(await Promise.all(some)));
    }
    for await (const { key, value, revision } of view.list("event"))
      stored.push(storedOf({ table: "event", key, value }, revision));
    this.#inventory.restore(behind, stored, this.#clock.now());
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
