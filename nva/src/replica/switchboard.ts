import grpc from "@grpc/grpc-js";
import type { Service } from "@nve/program";
import { callerKey } from "../server/identity.ts";
import { type Defined, forward, type ServerCall } from "./forward.ts";

/** Metadata of a call that another replica has passed on: that it was. */
const forwardedKey = "split-nve-forwarded";

type Handler = (call: ServerCall, done?: grpc.sendUnaryData<unknown>) => void;
type Status = { code: grpc.status; details: string };

/** Who answers. Nobody: with the reason, for those who ask. */
export type Answering =
  | { is: "here"; services: readonly Service[] }
  | { is: "elsewhere"; client: grpc.Client; name: string; address: string }
  | { is: "nobody"; reason: string };

/**
 * What a replica serves, whoever decides: calls go to its own services, or as octets to another replica. When that
 * changes, all calls end with UNAVAILABLE, and their callers come anew.
 */
export class Switchboard {
  readonly services: readonly Service[];
  readonly #callerOf: (call: ServerCall) => string;
  readonly #calls = new Set<(status: Status) => void>();
  readonly #handlers = new Map<string, Handler>();
  #answering: Answering = { is: "nobody", reason: "this replica is starting" };

  /** @param callerOf what another replica is to know of a caller */
  constructor(
    definitions: readonly grpc.ServiceDefinition[],
    callerOf: (call: ServerCall) => string,
  ) {
    this.#callerOf = callerOf;
    this.services = definitions.map((definition) => this.#service(definition));
  }

  get answering(): Answering {
    return this.#answering;
  }

  /** @param reason of those whose calls end now */
  set(answering: Answering, reason: string): void {
    const before = this.#answering;
    this.#answering = answering;
    this.#handlers.clear();
    if (answering.is === "here")
      for (const { definition, implementation } of answering.services)
        for (const [name, { path }] of Object.entries(definition))
          this.#handlers.set(path, implementation[name] as Handler);
    this.hangUp(reason);
    if (before.is === "elsewhere") before.client.close();
  }

  /** The same replica by another connection: calls that are under way end on theirs. */
  renew(connected: (address: string) => grpc.Client): void {
    const before = this.#answering;
    if (before.is !== "elsewhere") return;
    this.#answering = { ...before, client: connected(before.address) };
    before.client.close();
  }

  hangUp(reason: string): void {
    for (const end of [...this.#calls]) end({ code: grpc.status.UNAVAILABLE, details: reason });
  }

  #service(definition: grpc.ServiceDefinition): Service {
    const names = Object.keys(definition);
    const entries = names.map((name) => [name, this.#method(definition[name] as Defined)] as const);
    return {
      definition: Object.fromEntries(entries.map(([name, [method]]) => [name, method])),
      implementation: Object.fromEntries(
        entries.map(([name, [, handler]]) => [name, handler]),
      ) as grpc.UntypedServiceImplementation,
    };
  }

  /** Messages of a stream stay octets where another replica reads them. */
  #method(method: Defined): [Defined, Handler] {
    const dynamic: Defined = {
      ...method,
      requestDeserialize: (octets) =>
        method.requestStream && this.#answering.is !== "here"
          ? octets
          : method.requestDeserialize(octets),
      responseSerialize: (value) =>
        Buffer.isBuffer(value) ? value : method.responseSerialize(value),
    };
    return [dynamic, (call, done) => this.#answer(method, call, done)];
  }

  #answer(method: Defined, call: ServerCall, done?: grpc.sendUnaryData<unknown>): void {
    const answering = this.#answering;
    if (answering.is === "here") {
      const handler = this.#handlers.get(method.path);
      if (handler !== undefined) handler(call, done && this.#once(done));
      else refuse(method, call, done, "this replica does not know this call");
    } else if (answering.is === "nobody") refuse(method, call, done, answering.reason);
    else if (call.metadata.get(forwardedKey).length > 0)
      refuse(method, call, done, `this replica decides no more: ${answering.name} does`);
    else this.#forward(answering.client, method, call, done);
  }

  #forward(
    client: grpc.Client,
    method: Defined,
    call: ServerCall,
    done?: grpc.sendUnaryData<unknown>,
  ): void {
    const metadata = new grpc.Metadata();
    metadata.set(forwardedKey, "1");
    metadata.set(callerKey, this.#callerOf(call));
    const { end } = forward(client, method, call, metadata, {
      done,
      over: () => this.#calls.delete(end),
    });
    this.#calls.add(end);
  }

  /** What is not answered when the answering ends, is answered so. */
  #once(done: grpc.sendUnaryData<unknown>): grpc.sendUnaryData<unknown> {
    let answered = false;
    const end = (status: Status): void => once(status);
    const once: grpc.sendUnaryData<unknown> = (...answer) => {
      this.#calls.delete(end);
      if (!answered) done(...answer);
      answered = true;
    };
    this.#calls.add(end);
    return once;
  }
}

function refuse(
  { requestStream }: Defined,
  call: ServerCall,
  done: grpc.sendUnaryData<unknown> | undefined,
  details: string,
): void {
  const status = { code: grpc.status.UNAVAILABLE, details };
  if (done !== undefined) done(status);
  else call.emit("error", status);
  if (requestStream) call.resume(); // what still arrives is read past
}
