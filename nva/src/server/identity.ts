import type grpc from "@grpc/grpc-js";
import { type Certified, certified } from "@nve/program/certified";

/**
 * Who calls. "local": over the unix socket, which its mode leaves to its owner. "anyone": over plain TCP, where the config
 * says `insecure: true`. "unknown": by TLS, with a certificate that names nobody.
 */
export type Identity =
  | Certified
  | { is: "local" }
  | { is: "anyone" }
  | { is: "unknown"; reason: string };

/** How calls come to a server. */
export type Door = "socket" | "plain" | "tls";

type AnyCall = Pick<grpc.ServerUnaryCall<unknown, unknown>, "getAuthContext">;

const known = new WeakMap<object, Identity>();

/** Who calls, by the door and the certificate that TLS has checked; kept for `identityOf`. */
export function identify(call: AnyCall, door: Door): Identity {
  const identity = identityAt(call, door);
  known.set(call, identity);
  return identity;
}

/** Who makes this call. A service that nobody guards is called from within this process: "local". */
export const identityOf = (call: object): Identity => known.get(call) ?? { is: "local" };

/** As audit and refusals name who did it: "local", "anyone", "cert:<client>", "nve:<id>" … */
export function actorOf(identity: Identity): string {
  if (identity.is === "client") return `cert:${identity.id}`;
  return "id" in identity ? `${identity.is}:${identity.id}` : identity.is;
}

function identityAt(call: AnyCall, door: Door): Identity {
  if (door === "socket") return { is: "local" };
  if (door === "plain") return { is: "anyone" };
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return { is: "unknown", reason: "no certificate was shown" };
  const name = certified(certificate);
  return typeof name === "string" ? { is: "unknown", reason: name } : name;
}
