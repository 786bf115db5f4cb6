import type { Log } from "@nve/program/log";
import { Tls } from "@nve/program/tls";
import type { NvaConfig } from "../local/config.ts";

/** The certificate that is shown to the NVA; none in plain TCP, which is said. @throws Refused */
export function tlsOf({ tls }: NvaConfig, log: Log): Tls | undefined {
  if (tls !== undefined) return new Tls(tls, { log });
  log.warn("talking to the NVA without TLS: whoever is on the way may read and change everything");
  return undefined;
}
