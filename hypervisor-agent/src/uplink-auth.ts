import { randomBytes } from "node:crypto";
import { type Clock, type Guard, type Link, openGuard, seldom } from "@nve/linux";
import type { Log } from "@nve/program/log";
import { type AuthKey, NONCE_OCTETS, nonceTlv, type OptionalTlv } from "@nve/protocol-spec";

/** We seal with the first key, or with that which the NVE answers with. `required`: an NVE that proves nothing is not heard. */
export type UplinkAuth = { keys: readonly AuthKey[]; required: boolean };

/** The guard of an uplink, and what its LLDPDUs carry for it; nothing where there is no key. */
export type UplinkGuard = { guard?: Guard; tlvs: readonly OptionalTlv[] };

const LOGGED_EVERY_MS = 1000;

/** We prove to the NVE who we are, and it to us (RFC 8394 Req-11; protocol-spec, "08: authentication"). */
export function openUplinkGuard(
  auth: UplinkAuth | undefined,
  link: Link,
  clock: Clock,
  log: Log,
): UplinkGuard {
  if (auth === undefined) return { tlvs: [] };
  const nonce = Uint8Array.from(randomBytes(NONCE_OCTETS));
  const mayLog = seldom(clock, LOGGED_EVERY_MS);
  const uplink = link.name;
  const guard = openGuard({
    ...auth,
    role: "station",
    mac: () => link.mac,
    nonce,
    unixMicros: () => Date.now() * 1000,
    onProven: (mac, key) => log.info({ uplink, mac, key }, "NVE authenticated"),
    onRefused: (mac, why) => {
      if (mayLog()) log.warn({ uplink, mac, why }, "VDP that is not authentic: not read");
    },
  });
  return { guard, tlvs: [nonceTlv(nonce)] };
}
