import grpc from "@grpc/grpc-js";
import type { Clock } from "@nve/linux";
import type { Log, Serving } from "@nve/program";
import { Tls } from "@nve/program/tls";
import { Authority } from "./authority/authority.ts";
import type { NvaConfig } from "./config.ts";
import { wholeDelta } from "./server/delta.ts";
import { Feed } from "./server/feed.ts";
import { logRefusal } from "./server/guard.ts";
import { type Hub, Watching } from "./server/hub.ts";
import { Keeper } from "./server/keeper.ts";
import { listenAt } from "./server/listen.ts";
import { northboundService } from "./server/northbound.ts";
import { nveService } from "./server/nve.ts";
import { lmdbStore } from "./store/lmdb.ts";
import { memoryStore } from "./store/memory.ts";
import { loadTables } from "./store/rows.ts";
import type { Store } from "./store/store.ts";
import { version } from "./version.ts";

export type Nva = {
  /** Where it listens: the socket, then TCP if any (with the port that port 0 became). */
  readonly addresses: readonly string[];
  /** Resolves when the store fails: stop then, nothing later would be kept. */
  readonly failed: Promise<Error>;
  stop(): Promise<void>;
};

/** Starts an authority. @throws Refused when the store or an address cannot be used */
export async function startNva(config: NvaConfig, clock: Clock, log: Log): Promise<Nva> {
  const tls = config.listen?.tls && new Tls(config.listen.tls, { log });
  const store = await openStore(config.store);
  try {
    return await serveStore(store, tls, config, clock, log);
  } catch (error) {
    tls?.close();
    await store.close();
    throw error;
  }
}

const openStore = async (store: NvaConfig["store"]): Promise<Store> =>
  store.use === "memory" ? memoryStore() : lmdbStore(store.path);

async function serveStore(
  store: Store,
  tls: Tls | undefined,
  config: NvaConfig,
  clock: Clock,
  log: Log,
): Promise<Nva> {
  const holdMs = config.holdSeconds * 1000;
  const authority = new Authority(await loadTables(store), holdMs, clock.now());
  const feed = await feedOf(store, authority);
  const keeper = new Keeper(authority, store, clock);
  const hub = { ...hubOf(config.id, keeper, feed, clock, log, holdMs), tls };
  tellWatchers(hub);
  await keeper.change((all, now) => all.start(now));
  keeper.start();
  const services = [nveService(hub), northboundService(hub)];
  const servers: Serving[] = [];
  const stop = async (): Promise<void> => {
    for (const call of [...hub.calls]) call.close(grpc.status.UNAVAILABLE, "the NVA is stopping");
    await Promise.all(servers.map((server) => server.close()));
    tls?.close();
    await keeper.stop();
    await store.close();
  };
  try {
    servers.push(...(await listenAt(config, services, tls, log, logRefusal(log))));
  } catch (error) {
    await stop();
    throw error;
  }
  const addresses = servers.map(({ address }) => address);
  log.info(
    { addresses, store: store.kind, storeId: store.id, revision: store.revision },
    "started",
  );
  return { addresses, failed: keeper.failed, stop };
}

/** Cursors of before a restart are good as far as the store remembers. */
async function feedOf(store: Store, authority: Authority): Promise<Feed> {
  for (let back = 10_000; back >= 1; back = Math.floor(back / 2)) {
    const floor = Math.max(0, store.revision - back);
    const feed = new Feed(floor);
    const stop = await store.watch(floor, (batch) => feed.replay(batch, authority));
    if (stop === "compacted") continue;
    stop();
    return feed;
  }
  return new Feed(store.revision);
}

function hubOf(
  id: string,
  keeper: Keeper,
  feed: Feed,
  clock: Clock,
  log: Log,
  holdMs: number,
): Hub {
  return {
    id,
    version,
    startedUnixMs: Date.now(),
    holdMs,
    keeper,
    feed,
    clock,
    log,
    sessions: new Map(),
    calls: new Set(),
    watchers: new Watching(),
    applied: new Map(),
  };
}

function tellWatchers({ keeper, feed, watchers }: Hub): void {
  keeper.onCommit((authority, touched, revision) => {
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
