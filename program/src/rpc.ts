import { rmSync } from "node:fs";
import { dirname } from "node:path";
import grpc from "@grpc/grpc-js";
import { OutOfRange } from "@nve/protocol-spec/errors";
import { answers } from "./answers.ts";
import { Conflict, Forbidden, NotFound, Refused } from "./errors.ts";
import { makeFolder } from "./folder.ts";
import type { Log } from "./log.ts";
import { type Listening, listenPlain, listenTls } from "./tcp-server.ts";
import type { Tls } from "./tls.ts";
import { isNva, reachOf, type Shown } from "./tls-client.ts";
import { tlsReason } from "./tls-reason.ts";
import { refuseUndecodable, withUndecodable } from "./undecodable.ts";

export type Service = {
  definition: grpc.ServiceDefinition;
  implementation: grpc.UntypedServiceImplementation;
};

export type Serving = { address: string; close(): Promise<void> };

/** Mutual TLS, or without `tls` none; and where it is said who was turned away. */
export type Secure = { tls?: Tls | undefined; log: Log };

/**
 * Serves gRPC on `unix:<path>` (folder made, stale socket of a dead process removed, mode 0600) or `host:port`; there
 * with mutual TLS, or in plain TCP.
 * @throws Refused when another process serves there, or the address cannot be used.
 */
export async function serve(
  address: string,
  services: readonly Service[],
  secure: Partial<Secure> = {},
): Promise<Serving> {
  const path = socketPath(address);
  if (path !== undefined) await clearSocket(path);
  const server = new grpc.Server({
    "grpc.max_receive_message_length": 8 * 1024 * 1024,
    "grpc.max_concurrent_streams": 10_000,
    interceptors: [refuseUndecodable],
  });
  for (const { definition, implementation } of services)
    server.addService(withUndecodable(definition), implementation);
  const { port, close } = await listen(server, address, secure);
  return {
    address: path === undefined ? address.replace(/:0$/, `:${port}`) : address,
    close: async () => {
      server.forceShutdown();
      close();
      if (path !== undefined) rmSync(path, { force: true });
    },
  };
}

type ClientOf<C> = new (
  address: string,
  credentials: grpc.ChannelCredentials,
  options?: object,
) => C;

/**
 * A client of `unix:<path>` or `host:port` on a connection of its own; there with mutual TLS, and only to an NVA, or in
 * plain TCP without `secure`. Whenever it connects anew it shows the certificate that there is then.
 */
export function connect<C>(Client: ClientOf<C>, address: string, secure?: Shown): C {
  const { credentials, options } = reachOf(address, secure, isNva);
  return new Client(address, credentials, {
    ...options,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": -1,
    // Left to itself it looks each two minutes in the end, and whoever is back would be taken for away so long.
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 2_000,
  });
}

type UnaryMethod<Req, Res> = (
  request: Req,
  metadata: grpc.Metadata,
  options: Partial<grpc.CallOptions>,
  done: (error: grpc.ServiceError | null, response: Res) => void,
) => grpc.ClientUnaryCall;

/** One unary call. @throws Refused with the server's reason, or that nobody answers and what to do. */
export function call<Req, Res>(
  client: grpc.Client,
  method: UnaryMethod<Req, Res>,
  request: Req,
  timeoutMs = 10_000,
): Promise<Res> {
  const deadline = Date.now() + timeoutMs;
  return new Promise((resolve, reject) => {
    method.call(client, request, new grpc.Metadata(), { deadline }, (error, response) => {
      if (error) reject(refusal(error, client.getChannel().getTarget()));
      else resolve(response);
    });
  });
}

/** A unary handler from a function: what it throws becomes the status that `call` understands. */
export function unary<Req, Res>(
  handler: (request: Req) => Promise<Res> | Res,
): grpc.handleUnaryCall<Req, Res> {
  return (request, done) => {
    Promise.resolve()
      .then(() => handler(request.request))
      .then(
        (response) => done(null, response),
        (error: unknown) => done(statusOf(error)),
      );
  };
}

/** The gRPC status of a thrown value; what is neither the caller's nor the operator's fault is INTERNAL. */
export function statusOf(error: unknown): { code: grpc.status; details: string } {
  const details = fitting(error instanceof Error ? error.message : String(error));
  if (error instanceof NotFound) return { code: grpc.status.NOT_FOUND, details };
  if (error instanceof Conflict) return { code: grpc.status.ABORTED, details };
  if (error instanceof Forbidden) return { code: grpc.status.PERMISSION_DENIED, details };
  if (error instanceof Refused) return { code: grpc.status.FAILED_PRECONDITION, details };
  if (error instanceof OutOfRange) return { code: grpc.status.INVALID_ARGUMENT, details };
  return { code: grpc.status.INTERNAL, details };
}

/** Octets of a reason: it goes in HTTP/2 trailers, and a connection stands still after one beyond 64 KiB, of 3 for 1. */
const REASON_OCTETS = 16 * 1024;

function fitting(reason: string): string {
  const octets = Buffer.from(reason);
  if (octets.length <= REASON_OCTETS) return reason;
  return `${octets
    .subarray(0, REASON_OCTETS)
    .toString()
    .replace(/\uFFFD+$/, "")}… (cut off)`;
}

/** What `call` throws of an answer that is an error. */
export function refusal(error: grpc.ServiceError, target: string): Refused {
  const where = target.replace(/^dns:/, "");
  switch (error.code) {
    case grpc.status.UNAVAILABLE:
      return new Refused(unavailable(error.details, where), { cause: error });
    case grpc.status.DEADLINE_EXCEEDED:
      return new Refused(`no answer from ${where} in time`, { cause: error });
    case grpc.status.UNIMPLEMENTED:
      return new Refused(
        `who answers at ${where} does not know this command: another program, or an older one?`,
        { cause: error },
      );
    case grpc.status.ABORTED:
      return new Conflict(error.details, { cause: error });
    case grpc.status.NOT_FOUND:
      return new NotFound(error.details, { cause: error });
    case grpc.status.PERMISSION_DENIED:
      return new Forbidden(error.details, { cause: error });
    default:
      return new Refused(error.details, { cause: error });
  }
}

function unavailable(details: string, where: string): string {
  const reason = tlsReason(details, "server");
  if (reason !== undefined) return `cannot talk to ${where}: ${reason}`;
  if (!lostConnection.test(details)) return `${details} (says who answers at ${where})`;
  return `nobody answers at ${where}: is it running? (${plainCause(details)})`;
}

/** grpc-js' own words; any others are those of who was asked. */
const lostConnection = /\b[Cc]onnect|\bE[A-Z]{3,}\b|resolution|[Ss]tream|dropped/;

/** Of grpc-js' "No connection established. Last error: Error: connect ENOENT … . Resolution note: " the part for people. */
const plainCause = (details: string): string =>
  /connect (E[A-Z]+)/.exec(details)?.[1] ?? details.replace(/^No connection established\. /, "");

function listen(
  server: grpc.Server,
  address: string,
  { tls, log }: Partial<Secure>,
): Promise<Listening> {
  if (socketPath(address) !== undefined) return bindSocket(server, address);
  if (tls === undefined) return listenPlain(server, address, log);
  if (log === undefined) throw new Error("TLS needs a log");
  return listenTls(server, address, tls, log);
}

function bindSocket(server: grpc.Server, address: string): Promise<Listening> {
  const mask = process.umask(0o177);
  return new Promise<Listening>((resolve, reject) => {
    server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
      if (error)
        reject(new Refused(`cannot listen at ${address}: ${error.message}`, { cause: error }));
      else resolve({ port, close: () => undefined });
    });
  }).finally(() => process.umask(mask));
}

const socketPath = (address: string): string | undefined =>
  address.startsWith("unix:") ? address.slice("unix:".length) : undefined;

/** sun_path without the 0 at its end (unix(7)); a longer one would be cut off in silence. */
const MAX_SOCKET_PATH = 107;

async function clearSocket(path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH)
    throw new Refused(`control socket: ${path} is longer than ${MAX_SOCKET_PATH} octets`);
  try {
    makeFolder(dirname(path), 0o755);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Refused(`cannot make the folder of the control socket: ${why}`, { cause: error });
  }
  if (await answers(path))
    throw new Refused(
      `another process serves ${path} already: stop it first, or use another control socket`,
    );
  rmSync(path, { force: true });
}
