import grpc from "@grpc/grpc-js";
import type { Clock } from "@nve/linux";
import type { Log, Serving } from "@nve/program";
import { Tls } from "@nve/program/tls";
import { migrationTimesOf, type NvaConfig } from "./config.ts";
import { startReplica } from "./replica/replica.ts";
import { logRefusal } from "./server/guard.ts";
import { listenAt } from "./server/listen.ts";
import { beginningOf, beginTerm } from "./server/term.ts";
import { lmdbStore } from "./store/lmdb.ts";
import { memoryStore } from "./store/memory.ts";
import type { Store } from "./store/store.ts";

export type Nva = {
  /** Where it listens: the socket, then TCP if any (with the port that port 0 became). */
  readonly addresses: readonly string[];
  /** Resolves when the store fails: stop then, nothing later would be kept. */
  readonly failed: Promise<Error>;
  stop(): Promise<void>;
};

/** Starts an authority. @throws Refused when the store or an address cannot be used */
export async function startNva(config: NvaConfig, clock: Clock, log: Log): Promise<Nva> {
  const { store: wanted } = config;
  const tls = config.listen?.tls && new Tls(config.listen.tls, { log });
  let store: Store | undefined;
  try {
    if (wanted.use === "etcd")
      return await startReplica({ ...config, store: wanted }, tls, clock, log);
    store = wanted.use === "memory" ? memoryStore() : await lmdbStore(wanted.path);
    return await serveStore(store, tls, config, clock, log);
  } catch (error) {
    tls?.close();
    await store?.close();
    throw error;
  }
}

async function serveStore(
  store: Store,
  tls: Tls | undefined,
  config: NvaConfig,
  clock: Clock,
  log: Log,
): Promise<Nva> {
  const { id } = config;
  const holdMs = config.holdSeconds * 1000;
  const beginning = await beginningOf(store, clock);
  const migration = migrationTimesOf(config);
  const term = await beginTerm({ id, holdMs, migration, clock, log, tls, store, beginning });
  const servers: Serving[] = [];
  const stop = async (): Promise<void> => {
    term.hangUp(grpc.status.UNAVAILABLE, "the NVA is stopping");
    await Promise.all(servers.map((server) => server.close()));
    tls?.close();
    await term.stop();
    await store.close();
  };
  try {
    servers.push(...(await listenAt(config, term.services, tls, log, logRefusal(log))));
  } catch (error) {
    await stop();
    throw error;
  }
  const addresses = servers.map(({ address }) => address);
  log.info(
    { addresses, store: store.kind, storeId: store.id, revision: store.revision },
    "started",
  );
  return { addresses, failed: term.failed, stop };
}
