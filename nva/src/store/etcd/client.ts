import { checkServerIdentity } from "node:tls";
import grpc from "@grpc/grpc-js";
import type { Clock } from "@nve/linux";
import { reachOf, type Shown } from "@nve/program/tls-client";
import { tlsReason } from "@nve/program/tls-reason";
import { Instant } from "@nve/protocol-spec";
import {
  type Compare,
  type Method,
  methods,
  type Op,
  type RangeRequest,
  type RangeResponse,
  type Stream,
  type TxnResponse,
} from "./messages.ts";

/** No answer, or none that says whether it was done: the same again, elsewhere, may have one. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}
/** What was asked for is older than what etcd remembers. */
export class Compacted extends Error {
  override readonly name = "Compacted";
}
/** etcd has answered that it cannot. */
export class EtcdRefused extends Error {
  override readonly name = "EtcdRefused";
}

/** Of one try. A healthy cluster answers within milliseconds; one that elects a leader, after an election. */
const tryMs = 500;
/** Of one on a machine, or a network, that is so slow that no member answers in time. */
const slowMs = 2_000;
const pauseMs = 50;

/** The members of an etcd cluster, one of which is asked at a time. */
export class EtcdClient {
  readonly clock: Clock;
  readonly #clients: readonly grpc.Client[];
  readonly #endpoints: readonly string[];
  #at: number;
  /** Tries in sequence that had no answer, at whatever member. */
  #unanswered = 0;
  #closed = false;

  /** @param tls absent: plain TCP */
  constructor(endpoints: readonly string[], clock: Clock, tls?: Shown, random = Math.random) {
    if (endpoints.length === 0) throw new Error("an etcd cluster has at least one endpoint");
    this.clock = clock;
    this.#endpoints = endpoints;
    this.#clients = endpoints.map((endpoint) => {
      const reach = reachOf(endpoint, tls, checkServerIdentity);
      return new grpc.Client(endpoint, reach.credentials, { ...options, ...reach.options });
    });
    this.#at = Math.floor(random() * endpoints.length);
  }

  get endpoint(): string {
    return this.#endpoints[this.#at] ?? "";
  }

  /** On to the next member, when `client` is the one that has failed. */
  #next(client: grpc.Client): void {
    if (this.#clients[this.#at] === client) this.#at = (this.#at + 1) % this.#clients.length;
  }

  /** How long a try may take now: longer after each round of all members in which none has answered. */
  get #patienceMs(): number {
    return patienceMs(this.#unanswered, this.#clients.length);
  }

  /** One try. @throws NoAnswer, Compacted, EtcdRefused */
  call<Req, Res>(
    { path, request: codec, response }: Method<Req, Res>,
    request: Partial<Req>,
    timeoutMs = this.#patienceMs,
  ): Promise<Res> {
    const client = this.#client();
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        codec.encode,
        response.decode,
        request as Req,
        new grpc.Metadata(),
        { deadline: Date.now() + timeoutMs },
        (error, answer) => {
          const failure = error === null && answer ? undefined : failureOf(error, this.endpoint);
          this.#heard(!(failure instanceof NoAnswer));
          if (failure === undefined) return resolve(answer as Res);
          if (failure instanceof NoAnswer) this.#next(client);
          reject(failure);
        },
      );
    });
  }

  /** Tries again, at each member, until there is an answer: for what may be done twice. @throws as `call` */
  async insist<T>(attempt: () => Promise<T>, timeoutMs = 10_000): Promise<T> {
    const deadline = this.clock.now() + timeoutMs;
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof NoAnswer) || this.#closed || this.clock.now() > deadline)
          throw error;
      }
      await this.pause();
    }
  }

  pause(ms = pauseMs): Promise<void> {
    return new Promise((resolve) => {
      this.clock.at(Instant(this.clock.now() + ms), resolve);
    });
  }

  range(request: Partial<RangeRequest>, timeoutMs = 5_000): Promise<RangeResponse> {
    return this.insist(() => this.call(methods.range, request, timeoutMs));
  }

  /** One try. @throws NoAnswer: it may have been done, or may yet be */
  txn(compare: readonly Compare[], success: readonly Op[], failure: readonly Op[] = []) {
    return this.call(methods.txn, { compare, success, failure }) as Promise<TxnResponse>;
  }

  /** A stream to the present member. `requireLeader`: ended by a member that is cut off from the others. */
  stream<Req, Res>({
    path,
    request,
    response,
  }: Method<Req, Res>): {
    stream: Stream<Req, Res>;
    /** It has failed: the next one is to another member. */
    failed(): void;
  } {
    const client = this.#client();
    const metadata = new grpc.Metadata();
    metadata.set("hasleader", "true");
    const stream = client.makeBidiStreamRequest(path, request.encode, response.decode, metadata);
    return { stream: stream as Stream<Req, Res>, failed: () => this.#next(client) };
  }

  /** Renews a lease. @returns seconds that it has left; 0: it is over. @throws NoAnswer */
  keepAlive(id: bigint, timeoutMs = this.#patienceMs): Promise<number> {
    const { stream, failed } = this.stream(methods.keepAlive);
    return new Promise<number>((resolve, reject) => {
      const callOff = this.clock.at(Instant(this.clock.now() + timeoutMs), () =>
        fail(`no answer within ${timeoutMs} ms`),
      );
      const fail = (why: string): void => {
        callOff();
        failed();
        this.#heard(false);
        stream.cancel();
        reject(new NoAnswer(why));
      };
      stream.on("error", (error: grpc.ServiceError) => fail(error.details));
      stream.on("end", () => fail("the stream has ended"));
      stream.on("data", ({ ttl }) => {
        callOff();
        this.#heard(true);
        stream.removeAllListeners("end");
        stream.end();
        resolve(Number(ttl));
      });
      stream.write({ id });
    });
  }

  close(): void {
    this.#closed = true;
    for (const client of this.#clients) client.close();
  }

  #heard(is: boolean): void {
    this.#unanswered = is ? 0 : this.#unanswered + 1;
  }

  #client(): grpc.Client {
    const client = this.#clients[this.#at];
    if (client === undefined || this.#closed) throw new NoAnswer("the store is closed");
    return client;
  }
}

/**
 * Where every try is given up a moment before its answer comes, nothing is ever done: each round of all members that brought none
 * doubles the time of a try.
 */
export const patienceMs = (unanswered: number, members: number): number =>
  Math.min(slowMs, tryMs * 2 ** Math.floor(unanswered / members));

const options = {
  "grpc.use_local_subchannel_pool": 1,
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
};

function failureOf(error: grpc.ServiceError | null, endpoint: string): Error {
  const details = error?.details ?? "no answer";
  const ofTls = error?.code === grpc.status.UNAVAILABLE ? tlsReason(details, "server") : undefined;
  const why = `${ofTls ?? details} (etcd at ${endpoint})`;
  switch (error?.code) {
    case grpc.status.OUT_OF_RANGE:
      return new Compacted(why);
    case grpc.status.INVALID_ARGUMENT:
    case grpc.status.FAILED_PRECONDITION:
    case grpc.status.NOT_FOUND:
    case grpc.status.PERMISSION_DENIED:
    case grpc.status.UNAUTHENTICATED:
      return new EtcdRefused(why);
    case grpc.status.RESOURCE_EXHAUSTED:
      // Too many requests at a time pass; a database that is full does not.
      return /space/.test(why) ? new EtcdRefused(why) : new NoAnswer(why);
    default: // with what is no etcd at all among them: another endpoint may be one
      return new NoAnswer(why);
  }
}
