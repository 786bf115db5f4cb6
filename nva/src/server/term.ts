import type grpc from "@grpc/grpc-js";
import type { Clock } from "@nve/linux";
import type { Log, Service, Tls } from "@nve/program";
import { Authority } from "../authority/authority.ts";
import { Inventory } from "../authority/inventory.ts";
import type { MigrationTimes } from "../authority/migration-row.ts";
import { loadTables } from "../store/rows.ts";
import type { RowChange, Store } from "../store/store.ts";
import { version } from "../version.ts";
import { wholeDelta } from "./delta.ts";
import { Departing } from "./departing.ts";
import { newDigests } from "./digest.ts";
import { Feed } from "./feed.ts";
import { type Hub, Watching } from "./hub.ts";
import { Keeper } from "./keeper.ts";
import { northboundService } from "./northbound.ts";
import { nveService } from "./nve.ts";

/** What a term is made of. */
export type TermOptions = {
  id: string;
  holdMs: number;
  /** Absent: as usual. */
  migration?: MigrationTimes | undefined;
  clock: Clock;
  log: Log;
  /** Where it listens with TLS. */
  tls?: Tls | undefined;
  /** Where it commits. */
  store: Store;
  beginning: Beginning;
};

/** What the store holds, all of it, and what it remembers of its last commits: cursors of earlier terms are good so far. */
export type Beginning = { inventory: Inventory; feed: Feed };

/** What a term leaves to the next one of the same process, as of the commit `since`. */
export type Left = Beginning & { since: number; undone: readonly RowChange[] };

/** The time in which one process decides: an authority that serves. */
export type Term = {
  readonly services: readonly Service[];
  /** Resolves when a commit has failed: end it then, nothing later would be kept. */
  readonly failed: Promise<Error>;
  readonly revision: number;
  /** Ends all streams with this status. */
  hangUp(code: grpc.status, reason: string): void;
  /** Resolves when what was decided is stored, or never will be. @returns undefined: nothing of use */
  stop(): Promise<Left | undefined>;
};

/** @throws Error when the store fails at once */
export async function beginTerm(options: TermOptions): Promise<Term> {
  const { id, holdMs, clock, log, tls, store, beginning } = options;
  const { inventory, feed } = beginning;
  const authority = new Authority(inventory, holdMs, clock.now());
  if (options.migration !== undefined) authority.migrations.times = options.migration;
  const keeper = new Keeper(authority, store, clock);
  const hub: Hub = {
    id,
    version,
    startedUnixMs: Date.now(),
    holdMs,
    suspended: options.migration?.suspended ?? "deliver",
    tls,
    keeper,
    feed,
    digests: newDigests(),
    clock,
    log,
    sessions: new Map(),
    calls: new Set(),
    stopping: false,
    watchers: new Watching(),
    followers: new Set(),
    migrationFollowers: new Set(),
    applied: new Map(),
  };
  tellWatchers(hub);
  tellOthers(hub);
  hub.departing = new Departing(hub);
  const begun = keeper.change((all, now) => all.start(now));
  const fault = await Promise.race([begun.then(() => undefined), keeper.failed]);
  if (fault !== undefined) throw fault;
  keeper.change((all, now) => all.resume(now)).catch(() => undefined); // the keeper has failed, or stops
  keeper.start();
  return {
    services: [nveService(hub), northboundService(hub)],
    failed: keeper.failed,
    get revision() {
      return keeper.revision;
    },
    hangUp: (code, reason) => {
      hub.stopping = true;
      for (const call of [...hub.calls]) call.close(code, reason);
    },
    stop: async () => {
      await keeper.stop();
      const { ahead } = keeper;
      return ahead && { inventory, feed, ...ahead };
    },
  };
}

/** @throws Refused for damaged rows */
export async function beginningOf(store: Store, clock: Clock): Promise<Beginning> {
  const inventory = Inventory.of(await loadTables(store), clock.now());
  for (let back = 10_000; back >= 1; back = Math.floor(back / 2)) {
    const from = Math.max(0, store.revision - back);
    const feed = new Feed(from);
    const stop = await store.watch(from, (batch) => feed.replay(batch, inventory));
    if (stop === "compacted") continue;
    stop();
    return { inventory, feed };
  }
  return { inventory, feed: new Feed(store.revision) };
}

/** NVEs of whom they must let go, followers of events, and the log of what somebody should see to. */
function tellOthers({ keeper, sessions, followers, migrationFollowers, log }: Hub): void {
  keeper.onCommit((_authority, _touched, _revision, { disconnect, events, migrated }) => {
    const orders = disconnect.filter(({ vnics }) => vnics.length > 0);
    for (const order of orders) sessions.get(order.nveId)?.disconnect(order); // one that is away is told when it reports them
    const [first] = orders;
    if (first !== undefined) {
      const { nveId, vnId, vnics, reason } = first;
      const more = orders.length > 1 ? { more: orders.length - 1 } : {};
      const some = vnics.slice(0, 10);
      log.warn({ nve: nveId, vn: vnId, vnics: some, reason, ...more }, "to be disconnected");
    }
    for (const { action, object, detail } of events)
      if (action.startsWith("duplicate.")) log.warn({ object, ...detail }, action);
      else if (action.startsWith("migration.")) log.info({ vnic: object, ...detail }, action);
    for (const follower of [...migrationFollowers])
      if (migrated.has(follower.vnic)) follower.more();
    if (events.length > 0) for (const follower of [...followers]) follower.more();
  });
}

function tellWatchers({ keeper, feed, digests, watchers }: Hub): void {
  keeper.onCommit((authority, touched, revision) => {
    digests.touched(touched);
    feed.record(touched, revision, (vnId) => authority.vn(vnId) === undefined);
    for (const [vnId, touch] of touched) {
      let once: { event: Buffer | undefined } | undefined;
      const encoded = (): Buffer | undefined => {
        once ??= { event: wholeDelta(authority, vnId, touch, revision) };
        return once.event;
      };
      for (const watcher of [...watchers.of(vnId)]) watcher.changed(vnId, touch, encoded);
    }
  });
}
