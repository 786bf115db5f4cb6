import { concat, decode, type Reader, uint } from "../bytes.ts";
import { DecodeError } from "../errors.ts";
import { NVE_OUI, type Organizational } from "../tlv.ts";
import type { OptionalTlv } from "./optional-tlv.ts";

/**
 * Our announcement in LLDP: who sends it understands TLVs of our own in VDP, and no others are sent to it.
 * Organizationally specific TLV, OUI 4E-56-45 (locally administered), subtype 01:
 *
 *   octets  3        1    1         1              any
 *         | 4E5645 | 01 | version | 0:7 address:1 | for later versions, read past |
 */
export type Extension = {
  /** 1 … 255. A later version keeps the meaning of what an earlier one has said. */
  version: number;
  /** Understands the address TLV in VDP. */
  addressTlv: boolean;
};

export const EXTENSION_SUBTYPE = 0x01;
export const EXTENSION_VERSION = 1;

/**
 * Reads what follows OUI and subtype.
 * @throws DecodeError `short`; `bad-value` for version 0
 */
export function readExtension(r: Reader): Extension {
  const version = r.uint(1);
  if (version === 0) throw new DecodeError("bad-value", "extension version 0");
  const capabilities = r.uint(1);
  r.rest();
  return { version, addressTlv: (capabilities & 1) !== 0 };
}

/** What follows OUI and subtype. @throws OutOfRange */
export const extensionOctets = ({ version, addressTlv }: Extension): Uint8Array =>
  concat(uint(1, version), uint(1, addressTlv ? 1 : 0));

/** The announcement in a LLDPDU, if there is one that can be read. */
export function findExtension(tlvs: readonly OptionalTlv[]): Extension | undefined {
  const found = tlvs.find(isExtension);
  if (found === undefined) return undefined;
  try {
    return decode(found.octets, readExtension);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** As it stands in a LLDPDU. @throws OutOfRange */
export const extensionOptionalTlv = (extension: Extension): Organizational => ({
  is: "organizational",
  oui: NVE_OUI,
  subtype: EXTENSION_SUBTYPE,
  octets: extensionOctets(extension),
});

const isExtension = (tlv: OptionalTlv): tlv is Organizational =>
  tlv.is === "organizational" && tlv.oui === NVE_OUI && tlv.subtype === EXTENSION_SUBTYPE;
