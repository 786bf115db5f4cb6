import type { Clock } from "@nve/linux";
import type { Log, Tls } from "@nve/program";
import type { NveId, Uuid, VnId } from "@nve/protocol-spec";
import type { Departures } from "@nve/protocol-spec/proto/nve";
import type { Digests } from "../authority/digest.ts";
import type { Disconnect, SuspendedMode, Touch } from "../authority/records.ts";
import type { Departing } from "./departing.ts";
import type { Feed } from "./feed.ts";
import type { Keeper } from "./keeper.ts";

/** What all calls of one NVA share. */
export type Hub = {
  readonly id: string;
  readonly version: string;
  readonly startedUnixMs: number;
  readonly holdMs: number;
  /** Packets for suspended addresses, where a VN does not say it (M8). */
  readonly suspended: SuspendedMode;
  /** Where it listens with TLS. */
  readonly tls?: Tls | undefined;
  readonly keeper: Keeper;
  readonly feed: Feed;
  readonly digests: Digests;
  readonly clock: Clock;
  readonly log: Log;
  /** The live session of each NVE. */
  readonly sessions: Map<NveId, NveSession>;
  /** Everything that has to be ended when the NVA stops. */
  readonly calls: Set<Closable>;
  /** It stops, or decides no more: a session that ends with that says nothing of its NVE. */
  stopping: boolean;
  readonly watchers: Watching;
  /** Who is told of events as they happen. */
  readonly followers: Set<{ more(): void }>;
  /** Who is told of one migration as it goes on. */
  readonly migrationFollowers: Set<{ readonly vnic: Uuid; more(): void }>;
  /** The highest revision that each NVE says it has in its dataplane. */
  readonly applied: Map<NveId, bigint>;
  /** Who is told of VNICs that have moved on. */
  departing?: Departing;
};

export interface Closable {
  close(code: number, reason: string): void;
}

export interface NveSession extends Closable {
  /** Tells the NVE who may stay no more. */
  disconnect(order: Disconnect): void;
  /** Tells it of VNICs that have moved on from there. */
  departures(some: Departures): void;
  /** Tells it that what comes for this VNIC where it was is forwarded there. */
  arrived(vnic: Uuid): void;
}

/** Who watches which VN. */
export class Watching {
  readonly #byVn = new Map<VnId, Set<VnWatcher>>();
  /** Watch calls, and the VNs of all of them together. */
  count = 0;
  vns = 0;

  of(vnId: VnId): ReadonlySet<VnWatcher> {
    return this.#byVn.get(vnId) ?? none;
  }

  add(vnId: VnId, watcher: VnWatcher): void {
    const watchers = this.#byVn.get(vnId);
    if (watchers === undefined) this.#byVn.set(vnId, new Set([watcher]));
    else watchers.add(watcher);
    this.vns += 1;
  }

  delete(vnId: VnId, watcher: VnWatcher): void {
    const watchers = this.#byVn.get(vnId);
    if (watchers?.delete(watcher)) this.vns -= 1;
    if (watchers?.size === 0) this.#byVn.delete(vnId);
  }
}

export interface VnWatcher {
  /** Known with its first request. */
  readonly nveId?: NveId | undefined;
  /** @param encoded the delta of exactly this change, made once for all; nothing where it is too large for one */
  changed(vnId: VnId, touch: Touch, encoded: () => Buffer | undefined): void;
}

const none: ReadonlySet<VnWatcher> = new Set();
