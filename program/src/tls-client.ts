import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import grpc from "@grpc/grpc-js";
import { certified } from "./certified.ts";
import type { TlsMaterial } from "./tls-files.ts";

/** What a client shows of itself. */
export type Shown = { readonly current: TlsMaterial };

/** @returns why the server is not the one that was asked for, at `host` */
export type ServerCheck = (host: string, certificate: PeerCertificate) => Error | undefined;

/** Who answers must be an NVA, at the address that was asked for. */
export const isNva: ServerCheck = (host, certificate) => {
  const other = checkServerIdentity(host, certificate);
  if (other !== undefined) return other;
  const name = certified(certificate);
  if (typeof name === "string") return new Error(name);
  return name.is === "nva"
    ? undefined
    : new Error(`its certificate is of ${name.is}/${name.id}, no NVA's`);
};

type Reaching = { credentials: grpc.ChannelCredentials; options: grpc.ChannelOptions };

/** How gRPC is to connect to `host:port`: in plain TCP without `shown`. */
export function reachOf(address: string, shown: Shown | undefined, check: ServerCheck): Reaching {
  if (shown === undefined) return { credentials: grpc.credentials.createInsecure(), options: {} };
  const host = /^\[?(.*?)\]?:\d+$/.exec(address)?.[1] ?? address;
  return {
    credentials: new LiveCredentials(shown, (_, certificate) => check(host, certificate)),
    // TLS names no IP addresses (RFC 6066 §3); what is checked is the address all the same.
    options: isIP(host) === 0 ? {} : { "grpc.ssl_target_name_override": "nva" },
  };
}

/** Each connection of a channel shows the certificate that there is when it is made. */
class LiveCredentials extends grpc.ChannelCredentials {
  readonly #shown: Shown;
  readonly #check: ServerCheck;

  constructor(shown: Shown, check: ServerCheck) {
    super();
    this.#shown = shown;
    this.#check = check;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: grpc.ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    ...target: Parameters<grpc.ChannelCredentials["_createSecureConnector"]>
  ): grpc.experimental.SecureConnector {
    const now = () =>
      grpc.credentials
        .createFromSecureContext(this.#shown.current.context, { checkServerIdentity: this.#check })
        ._createSecureConnector(...target);
    const first = now();
    return {
      connect: (socket) => now().connect(socket),
      waitForReady: () => first.waitForReady(),
      getCallCredentials: () => first.getCallCredentials(),
      destroy: () => first.destroy(),
    };
  }
}
