import http2 from "node:http2";
import net, { type Socket } from "node:net";
import tls, { type TLSSocket } from "node:tls";
import grpc from "@grpc/grpc-js";
import { Refused } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Tls } from "./tls.ts";
import { tlsReason } from "./tls-reason.ts";

export type Listening = { port: number; close(): void };

/** What has not finished its handshake by then is closed, milliseconds. */
const HANDSHAKE_MS = 10_000;
const MAX_UNFINISHED = 1_000;

/**
 * Takes in connections for a gRPC server with mutual TLS. Whose certificate we do not trust is told so in a gRPC status,
 * and reaches no service: gRPC's own listener would only close the connection, and log nothing.
 * @throws Refused when the address cannot be used
 */
export async function listenTls(
  server: grpc.Server,
  address: string,
  secure: Tls,
  log: Log,
): Promise<Listening> {
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
  const turnAway = turningAway();
  const listener = tls.createServer({
    ...secure.current.options,
    requestCert: true,
    rejectUnauthorized: false, // we look ourselves, below, so that we can say why
    ALPNProtocols: ["h2"],
    handshakeTimeout: HANDSHAKE_MS,
  });
  const unfinished = boundUnfinished(listener, log);
  listener.on("secureConnection", (socket: TLSSocket) => {
    unfinished.finished(socket);
    socket.on("error", () => undefined); // what follows is a close
    if (socket.authorized) return injector.injectConnection(socket);
    const reason = distrust(socket);
    log.warn({ peer: peerOf(socket), reason }, "TLS client turned away");
    turnAway(socket, reason);
  });
  listener.on("tlsClientError", (error: Error & { code?: string }, socket: TLSSocket) => {
    const text = `${error.code ?? ""} ${error.message}`;
    const reason = tlsReason(text, "client") ?? (/ECONNRESET/.test(text) ? WENT_AWAY : text);
    // Who only looks whether somebody listens, sends nothing.
    log[heardOf(socket) ? "warn" : "debug"](
      { peer: peerOf(socket), reason },
      "TLS handshake failed",
    );
  });
  const forget = secure.onChange(({ options }) => listener.setSecureContext(options));
  const { port, close } = await listen(listener, address);
  return {
    port,
    close: () => {
      forget();
      close();
    },
  };
}

function distrust(socket: TLSSocket): string {
  if (socket.getPeerX509Certificate() === undefined) return "the client has shown no certificate";
  const code = String(socket.authorizationError);
  return tlsReason(code, "client") ?? code;
}

/** A handshake that is not finished costs memory, and nobody has shown who he is: so many at a time, and no more. */
function boundUnfinished(listener: tls.Server, log: Log): { finished(socket: Ended): void } {
  const sockets = new Set<Socket>();
  let limit = MAX_UNFINISHED;
  listener.prependListener("connection", (socket: Socket) => {
    if (sockets.size >= limit) {
      log.warn({ peer: socket.remoteAddress }, "too many unfinished TLS handshakes: closed");
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  return {
    finished: ({ _parent: parent }) => {
      if (parent === undefined)
        limit = Number.POSITIVE_INFINITY; // a Node that does not tell which one it was
      else sockets.delete(parent);
    },
  };
}

/** The same in plain TCP. A client that speaks TLS is found out by its first octet, and logged. */
export async function listenPlain(
  server: grpc.Server,
  address: string,
  log: Log | undefined,
): Promise<Listening> {
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
  const listener = net.createServer((socket) => {
    socket.on("error", () => undefined); // what follows is a close
    socket.setTimeout(HANDSHAKE_MS, () => socket.destroy());
    socket.once("readable", () => {
      const first: unknown = socket.read();
      if (!Buffer.isBuffer(first)) return;
      if (first.at(0) !== TLS_HANDSHAKE) {
        socket.setTimeout(0);
        socket.unshift(first);
        return injector.injectConnection(socket);
      }
      const reason = "the client speaks TLS, and here is plain TCP (`insecure: true`)";
      log?.warn({ peer: peerOf(socket), reason }, "client turned away");
      socket.end(NO_TLS_HERE);
    });
  });
  return listen(listener, address);
}

/** ContentType handshake, RFC 8446 §5.1. */
const TLS_HANDSHAKE = 22;
/** No TLS record: the client's TLS says "wrong version number". */
const NO_TLS_HERE = "plain TCP\n";
const WENT_AWAY = "the client went away in the handshake: it may not trust our certificate";

/** After the end of a TLS connection only what it was made of still knows. */
type Ended = Socket & { _parent?: Socket };
const peerOf = (socket: Ended): string =>
  socket.remoteAddress ?? socket._parent?.remoteAddress ?? "gone";
const heardOf = (socket: Ended): boolean =>
  socket.bytesRead > 0 || (socket._parent?.bytesRead ?? 0) > 0;

function listen(listener: net.Server, address: string): Promise<Listening> {
  const { host, port } = hostPort(address);
  const sockets = new Set<Socket>();
  listener.on("connection", (socket: Socket) => {
    void socket.remoteAddress; // it remembers it then
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.once("close", () => sockets.delete(socket));
  });
  const close = (): void => {
    listener.close();
    for (const socket of sockets) socket.destroy();
  };
  return new Promise((resolve, reject) => {
    listener.once("error", (error) =>
      reject(new Refused(`cannot listen at ${address}: ${error.message}`, { cause: error })),
    );
    listener.listen({ host, port }, () => {
      listener.on("error", () => undefined); // of one connection that could not be taken: there will be others
      const bound = listener.address();
      resolve({ port: bound === null || typeof bound === "string" ? port : bound.port, close });
    });
  });
}

/** @throws Refused */
function hostPort(address: string): { host: string; port: number } {
  const [, v6, name, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address) ?? [];
  if (port === undefined) throw new Refused(`"${address}" is no address like 192.0.2.1:7470`);
  return { host: v6 ?? name ?? "", port: Number(port) };
}

/** Answers each call on a connection with UNAUTHENTICATED and a reason, for a second, and closes it. */
function turningAway(): (socket: TLSSocket, reason: string) => void {
  const reasons = new WeakMap<object, string>();
  const refuser = http2.createServer({ settings: { maxConcurrentStreams: 4 } });
  refuser.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    const reason = reasons.get(stream.session ?? stream) ?? "not trusted";
    if (headers[":method"] !== "POST") return stream.close();
    const trailers = {
      ":status": 200,
      "content-type": "application/grpc+proto",
      "grpc-status": grpc.status.UNAUTHENTICATED,
      "grpc-message": encodeURI(reason),
    };
    stream.respond(trailers, { endStream: true });
  });
  refuser.on("sessionError", () => undefined);
  return (socket, reason) => {
    refuser.once("session", (session) => {
      reasons.set(session, reason);
      setTimeout(() => session.destroy(), 1_000).unref();
    });
    refuser.emit("connection", socket);
  };
}
