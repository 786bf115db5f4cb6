import { serverAddress } from "@nve/program/address";
import { Refused, Usage } from "@nve/program/errors";
import { textArgument } from "@nve/program/program";
import { connect } from "@nve/program/rpc";
import { readTls, type TlsMaterial } from "@nve/program/tls-files";
import { type Command, Option } from "commander";
import { DEFAULT_SOCKET } from "../socket.ts";

/** Where an NVA is, and what we show it of ourselves. */
export type Reach = {
  address: string;
  ca?: string;
  cert?: string;
  key?: string;
  insecure?: boolean;
};

/** Its options; the environment says what the command line does not. */
export const reaching = (command: Command): Command =>
  command
    .addOption(
      new Option("--address <address>", "the NVA: unix:<path> or host:port")
        .env("NVA_ADDRESS")
        .argParser(textArgument(serverAddress))
        .default(DEFAULT_SOCKET),
    )
    .addOption(file("--cert", "our certificate, for host:port", "NVA_CERT"))
    .addOption(file("--key", "its key", "NVA_KEY"))
    .addOption(file("--ca", "the CAs that we trust", "NVA_CA"))
    .option("--insecure", "host:port without TLS, as the NVA's config says", false);

const file = (flag: string, does: string, variable: string): Option =>
  new Option(`${flag} <file>`, does).env(variable);

type ClientClass<C> = Parameters<typeof connect<C>>[0];

/** @throws Usage when TLS is wanted and a file is not named; Refused when one cannot be used */
export function clientOf<C>(Client: ClientClass<C>, reach: Reach): C {
  const { address, ca, cert, key, insecure } = reach;
  if (address.startsWith("unix:") || insecure) return connect(Client, address);
  if (ca === undefined || cert === undefined || key === undefined) {
    const missing = (["cert", "key", "ca"] as const).filter((one) => reach[one] === undefined);
    throw new Usage(
      `${address}: to talk TLS say --${missing.join(", --")} too (docs/pki.md); --insecure is for an NVA that listens without it`,
    );
  }
  return connect(Client, address, { current: ownTls(cert, key, ca) });
}

/** @throws Refused that names the flag */
function ownTls(certificate: string, key: string, ca: string): TlsMaterial {
  try {
    return readTls({ certificate, key, ca });
  } catch (cause) {
    if (!(cause instanceof Refused)) throw cause;
    const why = cause.message
      .replace(/^tls\.(key|ca): /, "--$1: ")
      .replace(/^tls\.certificate: /, "--cert: ");
    throw new Refused(why, { cause });
  }
}
