import type { Log } from "@nve/program/log";
import { type Mac, type NveId, OutOfRange, VnId } from "@nve/protocol-spec";
import type { NveEvent, RemoteChange } from "@nve/switch-agent/nve";
import { type Cursor, eventsOf, type Self, type WatchRequest, watchOf } from "./convert.ts";
import { Locations } from "./locations.ts";
import { reasonOf, type Stream } from "./session.ts";
import type { Told } from "./watch-wire.ts";

type WatchStream = Stream<WatchRequest, Told>;

type WatcherOptions = {
  self: Self;
  log: Log;
  onEvent(event: NveEvent): void;
  /** Everything up to this revision has been told. */
  onBookmark(revision: bigint): void;
  /** When the dataplane has all that was told until now. */
  settled(): Promise<void>;
};

/**
 * The Watch stream over all sessions: which VNs, and up to where each is known. A cursor moves at bookmarks and at
 * the end of a snapshot only, for between them a transaction may be told by half; telling it again does no harm.
 */
export class Watcher {
  readonly #options: WatcherOptions;
  readonly #locations: Locations;
  readonly #vns = new Map<VnId, Cursor | undefined>();
  readonly #strangers = new Set<NveId>();
  /**
   * Left since the stream began: of such a VN that is watched again what was under way may be of before, so its cursor is of no
   * use to another stream.
   */
  readonly #left = new Set<VnId>();
  /** Of VNs in pull: the MACs that are to be told (A18). */
  readonly #selected = new Map<VnId, Set<Mac>>();
  #stream: WatchStream | undefined;
  #applied = 0n;
  /** Whose revisions `applied` counts. */
  #store: Buffer | undefined;
  #told = 0n;
  #waiting: { vns: Set<VnId>; resolve: () => void }[] = [];

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#locations = new Locations(options.self);
  }

  /** The highest revision that the dataplane has. */
  get applied(): bigint {
    return this.#applied;
  }

  /** @param pull of their mappings only those that `select` names */
  watch(vns: readonly VnId[], pull = false): void {
    for (const vn of vns) {
      this.#vns.set(vn, undefined);
      if (pull) this.#selected.set(vn, new Set());
      else this.#selected.delete(vn);
    }
    this.#write({ add: vns.map((vn) => [vn, undefined, this.#selected.get(vn)]) });
  }

  /** Of a VN in pull: what is told from now on, as it is and as it becomes, and what no more. */
  select(vn: VnId, add: readonly Mac[], remove: readonly Mac[]): void {
    const selected = this.#selected.get(vn);
    if (selected === undefined) return;
    for (const mac of remove) selected.delete(mac);
    for (const mac of add) selected.add(mac);
    this.#write({ select: { vn, add, remove } });
  }

  unwatch(vns: readonly VnId[]): void {
    for (const vn of vns) {
      this.#vns.delete(vn);
      this.#selected.delete(vn);
      this.#left.add(vn);
    }
    this.#write({ remove: vns });
    for (const vn of vns) this.#ready(vn);
  }

  watched(): { vn: VnId; pull: boolean }[] {
    return [...this.#vns.keys()].map((vn) => ({ vn, pull: this.#selected.has(vn) }));
  }

  /** What is known of a VN is wrong: all of it once more. */
  anew(vn: VnId): void {
    if (!this.#vns.has(vn)) return;
    this.#vns.set(vn, undefined);
    this.#write({ add: [[vn, undefined, this.#selected.get(vn)]] });
  }

  /** When all of these VNs are known wholly; at once without a session. */
  known(vns: readonly VnId[]): Promise<void> {
    const missing = new Set(vns.filter((vn) => this.#vns.has(vn) && !this.#vns.get(vn)));
    if (this.#stream === undefined || missing.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ vns: missing, resolve }));
  }

  open(stream: WatchStream, heard: () => void, lost: (reason: string) => void): void {
    this.#stream = stream;
    this.#told = 0n;
    for (const vn of this.#left) if (this.#vns.has(vn)) this.#vns.set(vn, undefined);
    this.#left.clear();
    stream.on("data", (event) => {
      if (this.#stream !== stream) return;
      heard();
      this.#hear(event);
    });
    stream.on("error", (error) => {
      if (this.#stream === stream) lost(reasonOf(error));
    });
    stream.on("end", () => {
      if (this.#stream === stream) lost("the NVA ended the watch");
    });
    this.#write({
      add: [...this.#vns].map(([vn, cursor]) => [vn, cursor, this.#selected.get(vn)]),
    });
  }

  close(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.cancel();
    for (const { resolve } of this.#waiting) resolve();
    this.#waiting = [];
  }

  #write(change: Parameters<typeof watchOf>[1]): void {
    this.#stream?.write(watchOf(this.#options.self, { applied: this.#applied, ...change }));
  }

  #hear({ event }: Told): void {
    switch (event?.$case) {
      case "snapshotBegin":
        this.#snapshot("snapshot-begin", event.value.vnId);
        return;
      case "snapshotEnd":
        this.#snapshot("snapshot-end", event.value.vnId, event.value.cursor);
        return;
      case "delta":
        for (const told of eventsOf(event.value, this.#locations, this.#odd)) {
          this.#options.onEvent(this.#wanted(told));
          if (told.on === "remote") this.#tellStrangers(told.change);
        }
        return;
      case "bookmark":
        this.#bookmark(event.value);
        return;
    }
  }

  /** In pull what is not selected, or no more, is not believed: nobody would tell that it is not so any more. */
  #wanted(told: NveEvent): NveEvent {
    const selected = told.on === "remote" ? this.#selected.get(told.change.vn) : undefined;
    if (told.on !== "remote" || selected === undefined) return told;
    const { change } = told;
    const mappings = change.mappings.filter(({ mac }) => selected.has(mac));
    const withdrawn = change.withdrawn.filter((mac) => selected.has(mac));
    const digests = { mappings: [], members: change.digests?.members ?? [] };
    return { on: "remote", change: { ...change, mappings, withdrawn, digests } };
  }

  #snapshot(on: "snapshot-begin" | "snapshot-end", vnId: number, cursor?: Cursor): void {
    const vn = this.#vnOf(vnId);
    if (vn === undefined || !this.#vns.has(vn)) return;
    this.#vns.set(vn, cursor); // none while it runs: broken off, it begins anew
    this.#options.onEvent({ on, vn });
    if (on === "snapshot-end") this.#ready(vn);
  }

  #bookmark(cursor: Cursor): void {
    this.#options.onBookmark(cursor.revision);
    for (const [vn, known] of this.#vns) if (known !== undefined) this.#vns.set(vn, cursor);
    void this.#options.settled().then(() => {
      const same = this.#store?.equals(cursor.storeId) ?? false;
      this.#store = cursor.storeId;
      if (!same || cursor.revision > this.#applied) this.#applied = cursor.revision;
      if (this.#applied === this.#told) return;
      this.#told = this.#applied;
      this.#write({});
    });
  }

  #ready(vn: VnId): void {
    for (const waiting of this.#waiting) {
      waiting.vns.delete(vn);
      if (waiting.vns.size === 0) waiting.resolve();
    }
    this.#waiting = this.#waiting.filter(({ vns }) => vns.size > 0);
  }

  #vnOf(vnId: number): VnId | undefined {
    try {
      return VnId(vnId);
    } catch (error) {
      if (!(error instanceof OutOfRange)) throw error;
      this.#odd(error.message);
      return undefined;
    }
  }

  /** NVEs that we cannot send to are named once. */
  #tellStrangers({ mappings, members }: RemoteChange): void {
    for (const { nve, vtep, via } of [...mappings, ...members]) {
      if (via?.length !== 0) {
        if (this.#strangers.size > 0) this.#strangers.delete(nve);
      } else if (!this.#strangers.has(nve)) {
        this.#strangers.add(nve);
        this.#options.log.warn(
          { nve, vtep },
          "no encapsulation in common with this NVE: its MACs are not reachable from here",
        );
      }
    }
  }

  readonly #odd = (reason: string): void => {
    this.#options.log.warn({ reason }, "the NVA said what cannot be: left out");
  };
}
