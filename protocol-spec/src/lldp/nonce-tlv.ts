import { decode, type Reader } from "../bytes.ts";
import { DecodeError, OutOfRange } from "../errors.ts";
import { NVE_OUI, type Organizational } from "../tlv.ts";
import type { OptionalTlv } from "./optional-tlv.ts";

/**
 * Our nonce in LLDP: who sends it wants the ULPDUs that come to it sealed, for this nonce (vdp/auth-tlv.ts). It is
 * random and new at each start, so that nothing sealed for an earlier run counts again.
 *
 *   octets  3        1    16
 *         | 4E5645 | 02 | nonce |
 */
export const NONCE_SUBTYPE = 0x02;
const OCTETS = 16;

/** @throws OutOfRange when it has not 16 octets */
export function nonceTlv(nonce: Uint8Array): Organizational {
  if (nonce.length !== OCTETS) throw new OutOfRange(`a nonce has ${OCTETS} octets`);
  return { is: "organizational", oui: NVE_OUI, subtype: NONCE_SUBTYPE, octets: nonce };
}

/** The nonce of whoever sent a LLDPDU; undefined when it has none that can be read. */
export function nonceOf(tlvs: readonly OptionalTlv[]): Uint8Array | undefined {
  const found = tlvs.find(isNonce);
  if (found === undefined) return undefined;
  try {
    return decode(found.octets, (r: Reader) => Uint8Array.from(r.take(OCTETS)));
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

const isNonce = (tlv: OptionalTlv): tlv is Organizational =>
  tlv.is === "organizational" && tlv.oui === NVE_OUI && tlv.subtype === NONCE_SUBTYPE;
