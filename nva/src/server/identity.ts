import type grpc from "@grpc/grpc-js";
import { checked } from "@nve/program";
import { type Certified, certified, roles } from "@nve/program/certified";
import { IpAddress } from "@nve/protocol-spec";
import { z } from "zod";

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

type AnyCall = Pick<grpc.ServerUnaryCall<unknown, unknown>, "getAuthContext" | "metadata">;

const known = new WeakMap<object, Identity>();

/** Who calls, by the door and the certificate that TLS has checked; kept for `identityOf`. */
export function identify(call: AnyCall, door: Door): Identity {
  const direct = identityAt(call, door);
  const identity = direct.is === "nva" ? (callerIn(call.metadata) ?? direct) : direct;
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

/** Metadata of a call that another NVA has passed on: whose it is. Only an NVA is believed in it. */
export const callerKey = "split-nve-caller";
export const callerText = (call: object): string => JSON.stringify(identityOf(call));

function callerIn(metadata: grpc.Metadata): Identity | undefined {
  const [text] = metadata.get(callerKey);
  if (text === undefined) return undefined;
  try {
    return identitySchema.parse(JSON.parse(String(text)));
  } catch {
    return { is: "unknown", reason: "another NVA passed it on and does not tell whose it is" };
  }
}

const names = { id: z.string(), ips: z.array(z.string().transform(checked(IpAddress))) };
const identitySchema = z.discriminatedUnion("is", [
  z.strictObject({ is: z.enum(["nve", "nva", "hypervisor"]), ...names }),
  z.strictObject({ is: z.literal("client"), role: z.enum(roles), ...names }),
  z.strictObject({ is: z.enum(["local", "anyone"]) }),
  z.strictObject({ is: z.literal("unknown"), reason: z.string() }),
]);

function identityAt(call: AnyCall, door: Door): Identity {
  if (door === "socket") return { is: "local" };
  if (door === "plain") return { is: "anyone" };
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return { is: "unknown", reason: "no certificate was shown" };
  const name = certified(certificate);
  return typeof name === "string" ? { is: "unknown", reason: name } : name;
}
