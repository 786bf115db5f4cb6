import type { Log } from "@nve/program";
import { Instant } from "@nve/protocol-spec";
import { z } from "zod";
import { NoAnswer } from "../store/etcd/client.ts";
import { created, type KeyValue, methods } from "../store/etcd/messages.ts";
import { type EtcdStore, type WriterKey, writerOf } from "../store/etcd/store.ts";

/** A replica, as the others know it: its id, and where it serves them. */
export type Replica = { id: string; address: string };
/** The replica that decides. `reign`: the revision of etcd at which its time began, as long as `lease` lasts. */
export type Leader = Replica & { reign: bigint; lease: bigint };

const leaderSchema = z.object({ id: z.string(), address: z.string() });

/** A lease is good for so much longer here than etcd was asked for: an answer that is late is no loss yet. */
const graceMs = 500;
/** In the time of a lease: one that is paused for less than a second is not followed by another (pulse.ts). */
const renewals = 8;

type Options = {
  store: EtcdStore;
  self: Replica;
  /** Of the lease; etcd may make it longer. */
  leaseSeconds: number;
  log: Log;
  /** Who decides; undefined: nobody at the moment. */
  onLeader(leader: Leader | undefined): void;
};

/**
 * Elects the one replica that decides, by a key of etcd that lives as long as a lease. Whoever made it writes under the
 * condition that it is there still (Writer), so one that was paused and has been followed by another cannot write.
 */
export class Election {
  readonly #options: Options;
  #leader: Leader | undefined;
  /** The revision of etcd at which the key was last put or deleted. */
  #heardAt = 0n;
  #wake = (): void => {};
  #stopped = false;

  constructor(options: Options) {
    this.#options = options;
    options.store.onWriter((key, at) => this.#heard(key, at));
  }

  get leader(): Leader | undefined {
    return this.#leader;
  }

  /** Learns who decides now. @throws NoAnswer */
  async look(): Promise<void> {
    const { client, keys } = this.#options.store;
    const { header, kvs } = await client.range({ key: keys.writer });
    this.#found(kvs[0], header?.revision ?? 0n);
  }

  /** Resolves when this replica is the one that decides; never, after `stop`. @throws EtcdRefused */
  async win(): Promise<Reign> {
    for (;;) {
      const reign = this.#stopped ? undefined : await this.#try();
      if (reign !== undefined) return reign;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (this.#leader === undefined && !this.#stopped) resolve();
      });
    }
  }

  /**
   * Ends the time of a replica that is gone, before its lease does: to end it is safe, whether or not it is
   * gone, since it writes under the condition that it lasts.
   */
  async depose({ reign }: Leader): Promise<void> {
    const { client, keys } = this.#options.store;
    await client.insist(() =>
      client.txn([created(keys.writer, reign)], [{ delete: { key: keys.writer } }]),
    );
  }

  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  async #try(): Promise<Reign | undefined> {
    const { store, self, leaseSeconds, log } = this.#options;
    const { client, keys } = store;
    try {
      const asked = client.clock.now();
      const { id, ttl } = await client.call(methods.grant, { ttl: BigInt(leaseSeconds) });
      const value = Buffer.from(JSON.stringify(self));
      const put = { put: { key: keys.writer, value, lease: id } };
      const range = { range: { key: keys.writer } };
      const answer = await client.txn([created(keys.writer, 0n)], [put], [range]);
      const at = answer.header?.revision ?? 0n;
      if (answer.succeeded) {
        this.#set({ ...self, reign: at, lease: id }, at);
        return new Reign(store, id, Number(ttl) * 1000, at, asked);
      }
      client.call(methods.revoke, { id }).catch(() => undefined);
      this.#found(answer.responses[0]?.range?.kvs[0], at);
      return undefined;
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      log.debug({ reason: error.message }, "no election: etcd does not answer");
      this.#set(undefined, this.#heardAt);
      await client.pause(100);
      return undefined;
    }
  }

  #found(kv: KeyValue | undefined, at: bigint): void {
    this.#heard(kv && writerOf(kv), at);
  }

  #heard(key: WriterKey | undefined, at: bigint): void {
    if (at < this.#heardAt) return;
    this.#set(key && leaderOf(key), at);
  }

  #set(leader: Leader | undefined, at: bigint): void {
    this.#heardAt = at;
    const changed = leader?.reign !== this.#leader?.reign;
    this.#leader = leader;
    if (changed) this.#options.onLeader(leader);
    if (leader === undefined) this.#wake();
  }
}

function leaderOf({ value, createRevision: reign, lease }: WriterKey): Leader {
  const said = leaderSchema.safeParse(jsonIn(value));
  const who = said.success ? said.data : { id: "unknown", address: "" };
  return { ...who, reign, lease };
}

/** Whoever reaches etcd may have written it. */
function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The time in which this replica decides. */
export class Reign {
  /** The revision of etcd at which it began. */
  readonly at: bigint;
  /** Resolves with why it is over, as soon as that is known or may be. */
  readonly over: Promise<string>;
  readonly #store: EtcdStore;
  readonly #lease: bigint;
  readonly #ttlMs: number;
  #end: (reason: string) => void = () => {};
  #ended = false;
  #goodUntil: number;

  constructor(store: EtcdStore, lease: bigint, ttlMs: number, at: bigint, asked: Instant) {
    this.at = at;
    this.#store = store;
    this.#lease = lease;
    this.#ttlMs = ttlMs;
    this.#goodUntil = asked + ttlMs + graceMs;
    this.over = new Promise((resolve) => {
      this.#end = (reason) => {
        this.#ended = true;
        resolve(reason);
      };
    });
    store.onWriter((key, heardAt) => {
      if (heardAt > at && key?.createRevision !== at) this.#end("another replica decides now");
    });
    this.#renew();
    this.#guard();
  }

  /** Gives it up: another replica can follow at once. */
  async resign(): Promise<void> {
    this.#end("this replica gives up");
    await this.#store.client.call(methods.revoke, { id: this.#lease }).catch(() => undefined);
  }

  async #renew(): Promise<void> {
    const { client } = this.#store;
    while (!this.#ended) {
      const asked = client.clock.now();
      try {
        const left = await client.keepAlive(this.#lease);
        if (left === 0) return this.#end("the lease in etcd is over");
        this.#goodUntil = asked + this.#ttlMs + graceMs;
        await client.pause(this.#ttlMs / renewals);
      } catch (error) {
        if (!(error instanceof NoAnswer)) return this.#end(String(error));
        await client.pause();
      }
    }
  }

  /** Ends it when etcd has not confirmed it for too long: another replica may decide by then. */
  #guard(): void {
    const { clock } = this.#store.client;
    clock.at(Instant(this.#goodUntil), () => {
      if (this.#ended) return;
      if (clock.now() >= this.#goodUntil) this.#end("etcd has not confirmed the lease in time");
      else this.#guard();
    });
  }
}
