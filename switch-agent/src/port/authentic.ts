import { randomBytes } from "node:crypto";
import { type Clock, type Guard, type Link, openGuard, seldom } from "@nve/linux";
import type { Log } from "@nve/program/log";
import { type AuthKey, NONCE_OCTETS, nonceTlv, type OptionalTlv } from "@nve/protocol-spec";

/** `required`: stations that prove nothing are not heard. */
export type PortAuth = { keys: readonly AuthKey[]; required: boolean };

/** The guard of an access port, and what its LLDPDUs carry for it; nothing where there are no keys. */
export type Authentic = { guard?: Guard; tlvs: readonly OptionalTlv[] };

const LOGGED_EVERY_MS = 1000;

/** New at each start: what was sealed for an earlier one does not count (protocol-spec, "08: authentication"). */
export function openAuthentic(
  auth: PortAuth | undefined,
  link: Link,
  clock: Clock,
  log: Log,
): Authentic {
  if (auth === undefined) return { tlvs: [] };
  const nonce = Uint8Array.from(randomBytes(NONCE_OCTETS));
  const mayLog = seldom(clock, LOGGED_EVERY_MS);
  const guard = openGuard({
    ...auth,
    role: "bridge",
    mac: () => link.mac,
    nonce,
    unixMicros: () => Date.now() * 1000,
    onProven: (station, key) => log.info({ station, key }, "station authenticated"),
    onRefused: (station, why) => {
      if (mayLog()) log.warn({ station, why }, "VDP that is not authentic: not answered");
    },
  });
  return { guard, tlvs: [nonceTlv(nonce)] };
}
