import type { Instant } from "@nve/protocol-spec";
import type { EtcdClient } from "./client.ts";
import {
  afterPrefix,
  type Event,
  methods,
  type WatchRequest,
  type WatchResponse,
} from "./messages.ts";

/** All that changed at one revision of etcd. */
export type Changes = { at: bigint; events: readonly Event[] };
type Heard = {
  /** One after another: the next waits. */
  changes(changes: Changes): Promise<void> | void;
  /** What should come next is remembered no more: it is over. */
  compacted(): void;
};

const progressMs = 500;
/** Without a word, not even about its progress: that member is stuck. */
const silenceMs = 1_500;

/**
 * Watches all keys of a prefix, from a revision on, for ever: when a member fails it goes on at the next one, where it
 * was. gRPC's own keepalive would not do: etcd drops who pings more often than each five seconds.
 */
export class EtcdWatch {
  readonly #client: EtcdClient;
  readonly #prefix: Buffer;
  readonly #heard: Heard;
  /** The revision that is to come next. */
  #next: bigint;
  #said: Instant;
  #cancel = (): void => {};
  #callOff = (): void => {};
  #work: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(client: EtcdClient, prefix: string, from: bigint, heard: Heard) {
    this.#client = client;
    this.#prefix = Buffer.from(prefix);
    this.#next = from;
    this.#heard = heard;
    this.#said = client.clock.now();
    this.#open();
  }

  stop(): void {
    this.#stopped = true;
    this.#callOff();
    this.#cancel();
  }

  #open(): void {
    if (this.#stopped) return;
    const { clock } = this.#client;
    const { stream, failed } = this.#client.stream<WatchRequest, WatchResponse>(methods.watch);
    let over = false;
    const again = (): void => {
      if (over) return;
      over = true;
      this.#callOff();
      stream.cancel();
      failed();
      // What has come is dealt with first: it says where to go on.
      this.#work.then(() => this.#client.pause()).then(() => this.#open());
    };
    this.#cancel = () => {
      over = true;
      stream.cancel();
    };
    stream.on("data", (response: WatchResponse) => {
      this.#said = clock.now();
      if (over) return;
      if (response.compactRevision > 0n) {
        this.stop();
        this.#heard.compacted();
      } else if (response.canceled) again();
      else this.#take(response);
    });
    stream.on("error", again);
    stream.on("end", again);
    const rangeEnd = afterPrefix(this.#prefix);
    stream.write({ create: { key: this.#prefix, rangeEnd, startRevision: this.#next } });
    this.#said = clock.now();
    const beat = (): void => {
      this.#callOff = clock.at((clock.now() + progressMs) as Instant, () => {
        if (clock.now() - this.#said > silenceMs) return again();
        stream.write({ progress: {} });
        beat();
      });
    };
    beat();
  }

  /** A response holds whole revisions, in their order. */
  #take({ events }: WatchResponse): void {
    const batches: Changes[] = [];
    let batch: Event[] = [];
    let at = 0n;
    for (const event of events) {
      const revision = event.kv?.modRevision ?? 0n;
      if (revision !== at) {
        batch = [];
        at = revision;
        batches.push({ at, events: batch });
      }
      batch.push(event);
    }
    for (const changes of batches) {
      if (changes.at < this.#next) continue; // heard before
      this.#next = changes.at + 1n;
      this.#work = this.#work.then(async () => {
        if (!this.#stopped) await this.#heard.changes(changes);
      });
    }
  }
}
