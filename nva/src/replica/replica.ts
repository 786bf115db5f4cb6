import grpc from "@grpc/grpc-js";
import type { Clock } from "@nve/linux";
import { connect, type Log, type Serving } from "@nve/program";
import { Tls } from "@nve/program/tls";
import { NorthboundService } from "@nve/protocol-spec/proto/northbound";
import { NveService } from "@nve/protocol-spec/proto/nve";
import { migrationTimesOf, type NvaConfig } from "../config.ts";
import type { Nva } from "../nva.ts";
import { logRefusal } from "../server/guard.ts";
import { callerText } from "../server/identity.ts";
import { listenAt } from "../server/listen.ts";
import { beginTerm, type Left, type Term } from "../server/term.ts";
import { type EtcdStore, etcdStore } from "../store/etcd/store.ts";
import { Election, type Leader, type Reign } from "./election.ts";
import { Mirror } from "./mirror.ts";
import { watchPulse } from "./pulse.ts";
import { Switchboard } from "./switchboard.ts";
import { keepVigil } from "./vigil.ts";

export type EtcdConfig = Extract<NvaConfig["store"], { use: "etcd" }>;

/**
 * Starts one of several NVAs over one etcd cluster. One of them decides; the others follow what it stores, pass calls
 * on to it, and take its place when it is gone (A14).
 * @throws Refused when etcd or an address cannot be used
 */
export async function startReplica(
  config: NvaConfig & { store: EtcdConfig },
  tls: Tls | undefined,
  clock: Clock,
  log: Log,
): Promise<Nva> {
  const replica = new ReplicaOfNva(config, tls, clock, log);
  const first = await replica.open();
  let servers: Serving[] = [];
  try {
    servers = await listenAt(config, replica.services, tls, log, logRefusal(log));
  } catch (error) {
    await first.close();
    throw error;
  }
  const running = replica.run(first);
  const addresses = servers.map(({ address }) => address);
  log.info({ addresses, store: first.kind, storeId: first.id }, "started");
  return {
    addresses,
    failed: new Promise(() => undefined), // it goes on, whatever etcd does
    stop: async () => {
      replica.stop();
      await running;
      await Promise.all(servers.map((server) => server.close()));
      tls?.close();
    },
  };
}

const nobody = "no NVA decides at the moment: the replicas are electing one";

class ReplicaOfNva {
  readonly #config: NvaConfig & { store: EtcdConfig };
  readonly #tls: Tls | undefined;
  /** Shown to etcd. */
  readonly #storeTls: Tls | undefined;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #board = new Switchboard([NveService, NorthboundService], callerText);
  readonly #stopped: Promise<void>;
  #stop = (): void => {};
  #isStopped = false;
  #left: Left | undefined;
  #endVigil = (): void => {};
  readonly #forgetTls: () => void;

  constructor(
    config: NvaConfig & { store: EtcdConfig },
    tls: Tls | undefined,
    clock: Clock,
    log: Log,
  ) {
    this.#config = config;
    this.#tls = tls;
    this.#storeTls = config.store.tls && new Tls(config.store.tls, { log, named: false });
    if (this.#storeTls === undefined)
      log.warn("talking to etcd without TLS: whoever reaches it may change everything");
    this.#clock = clock;
    this.#log = log;
    this.#forgetTls = tls?.onChange(() => this.#renew()) ?? (() => undefined);
    this.#stopped = new Promise((resolve) => {
      this.#stop = resolve;
    });
  }

  get services() {
    return this.#board.services;
  }

  /** @throws Refused */
  open(): Promise<EtcdStore> {
    const { endpoints, prefix } = this.#config.store;
    return etcdStore({ endpoints, prefix, clock: this.#clock, tls: this.#storeTls });
  }

  stop(): void {
    this.#isStopped = true;
    this.#forgetTls();
    this.#storeTls?.close();
    this.#stop();
  }

  /** Follows and decides by turns, until `stop`. */
  async run(first: EtcdStore): Promise<void> {
    let store: EtcdStore | undefined = first;
    while (!this.#isStopped) {
      try {
        store ??= await this.open();
        await this.#serve(store);
      } catch (error) {
        this.#log.warn({ err: error }, "begins anew");
      }
      this.#standDown(nobody);
      store?.resign();
      await store?.close().catch(() => undefined);
      store = undefined;
      if (!this.#isStopped) await this.#pause(200);
    }
    this.#endVigil();
    this.#board.set({ is: "nobody", reason: "the NVA is stopping" }, "the NVA is stopping");
  }

  /** One turn: follows until it is elected, and decides until it is superseded. */
  async #serve(store: EtcdStore): Promise<void> {
    const { id, advertise, store: config } = this.#config;
    const election = new Election({
      store,
      self: { id, address: advertise ?? "" },
      leaseSeconds: config.leaseSeconds,
      log: this.#log,
      onLeader: (leader) => this.#turnTo(leader, election, store),
    });
    try {
      await election.look();
      const { leader } = election;
      if (leader === undefined) this.#turnTo(leader, election, store);
      // Whoever had our address before us is gone: nobody else listens there.
      if (leader?.address === advertise && leader?.id === id) await election.depose(leader);
      const mirror = await this.#mirror(store);
      const failed = store.failed.then((error) => Promise.reject(error));
      const reign = await Promise.race([election.win(), failed, this.#stopped]);
      if (reign === undefined) return;
      await this.#reign(store, mirror, reign).finally(() => reign.resign());
    } finally {
      election.stop();
    }
  }

  /** After a time in which this replica has decided, from what it has. */
  async #mirror(store: EtcdStore): Promise<Mirror> {
    const left = this.#left;
    this.#left = undefined; // of use once: what becomes of it is told by no revision
    const mirror = left && (await Mirror.after(left, store, this.#clock));
    if (left === undefined || mirror === undefined) return Mirror.of(store, this.#clock);
    const { since, undone } = left;
    const { revision } = store;
    this.#log.info({ since, revision, undone: undone.length }, "follows on from what it has");
    return mirror;
  }

  async #reign(store: EtcdStore, mirror: Mirror, reign: Reign): Promise<void> {
    const log = this.#log;
    const over = Promise.race([
      reign.over,
      store.failed.then(({ message }) => message),
      this.#stopped.then(() => "the NVA is stopping"),
    ]);
    const begun = performance.now();
    const taking = this.#takeOver(store, mirror, reign);
    const term = await Promise.race([taking, over]);
    if (typeof term === "string") {
      store.resign();
      taking.then((late) => late.stop()).catch(() => undefined);
      return;
    }
    const { revision } = term;
    const tookMs = Math.round(performance.now() - begun);
    this.#board.set({ is: "here", services: term.services }, "another NVA decides now");
    log.info({ revision, tookMs }, "this replica decides");
    const reason = await Promise.race([over, term.failed.then(({ message }) => message)]);
    log.warn({ reason }, "this replica decides no more");
    await this.#end(store, term, reason);
  }

  async #takeOver(store: EtcdStore, mirror: Mirror, reign: Reign): Promise<Term> {
    const { id, holdSeconds } = this.#config;
    await store.lead(reign.at);
    mirror.stop();
    const term = await beginTerm({
      id,
      holdMs: holdSeconds * 1000,
      migration: migrationTimesOf(this.#config),
      clock: this.#clock,
      log: this.#log,
      tls: this.#tls,
      store,
      beginning: mirror.beginning(store.revision),
    });
    return term;
  }

  /** Whoever asked us comes anew, here or elsewhere. */
  async #end(store: EtcdStore, term: Term, reason: string): Promise<void> {
    this.#standDown(reason);
    term.hangUp(grpc.status.UNAVAILABLE, reason);
    if (!this.#isStopped) store.resign(); // else what is under way is stored first
    this.#left = await term.stop();
  }

  /** Unless another has been elected already: it answers, whatever is to be ended here first. */
  #standDown(reason: string): void {
    if (this.#board.answering.is !== "elsewhere")
      this.#board.set({ is: "nobody", reason: nobody }, reason);
  }

  /** A connection keeps the certificate that it was made with. */
  #renew(): void {
    this.#board.renew((address) => connect(grpc.Client, address, this.#tls));
  }

  #turnTo(leader: Leader | undefined, election: Election, store: EtcdStore): void {
    this.#endVigil();
    if (leader === undefined) this.#board.set({ is: "nobody", reason: nobody }, nobody);
    else if (leader.address === this.#config.advertise) {
      const reason = "this replica is about to decide";
      this.#board.set({ is: "nobody", reason }, reason);
    } else {
      const { id, address } = leader;
      this.#log.info({ leader: id, address }, "another replica decides");
      const client = connect(grpc.Client, address, this.#tls);
      this.#board.set({ is: "elsewhere", client, name: id, address }, `NVA "${id}" decides now`);
      const depose = (reason: string) => (): void => {
        this.#log.warn({ leader: id, address, reason }, "the replica that decides is gone");
        election.depose(leader).catch(() => undefined);
      };
      const ends = [
        keepVigil(address, this.#clock, depose("its host refuses connections")),
        watchPulse(store.client, leader.lease, depose("it has not renewed its lease")),
      ];
      this.#endVigil = () => {
        for (const end of ends) end();
      };
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }
}
