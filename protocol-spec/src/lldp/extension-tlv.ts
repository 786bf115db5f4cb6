import { concat, decode, type Reader, uint } from "../bytes.ts";
import { DecodeError } from "../errors.ts";
import { NVE_OUI, type Organizational } from "../tlv.ts";
import type { OptionalTlv } from "./optional-tlv.ts";

/**
 * Our announcement in LLDP: who sends it says which TLVs of our own it reads in VDP; no others are sent to it.
 * Organizationally specific TLV, OUI 4E-56-45 (locally administered), subtype 01:
 *
 *   octets  3        1    1         1      any
 *         | 4E5645 | 01 | version | bits | for later versions, read past |
 */
export type Extension = {
  /** 1 … 255. A later version keeps the meaning of what an earlier one has said. */
  version: number;
  reads: ReadonlySet<ExtensionKind>;
};

/** TLVs of our own in VDP, by the bit that announces who reads them. */
const BITS = {
  addresses: 0x01,
  reasons: 0x02,
  names: 0x04,
  mtus: 0x08,
  labels: 0x10,
  prefixes: 0x20,
  /** Sets over several ULPDUs, and MACs besides those of the filter entries. */
  sets: 0x40,
} as const;
export type ExtensionKind = keyof typeof BITS;
const KINDS = Object.keys(BITS) as ExtensionKind[];

export const EXTENSION_SUBTYPE = 0x01;
export const EXTENSION_VERSION = 1;

/**
 * Reads what follows OUI and subtype.
 * @throws DecodeError `short`; `bad-value` for version 0
 */
export function readExtension(r: Reader): Extension {
  const version = r.uint(1);
  if (version === 0) throw new DecodeError("bad-value", "extension version 0");
  const bits = r.uint(1);
  r.rest();
  return { version, reads: new Set(KINDS.filter((kind) => (bits & BITS[kind]) !== 0)) };
}

/** What follows OUI and subtype. @throws OutOfRange */
export const extensionOctets = ({ version, reads }: Extension): Uint8Array =>
  concat(
    uint(1, version),
    uint(
      1,
      KINDS.reduce((n, kind) => n | (reads.has(kind) ? BITS[kind] : 0), 0),
    ),
  );

/** Which of our TLVs the sender of a LLDPDU reads: none when it has not announced any. */
export const readsOurs = (tlvs: readonly OptionalTlv[]): ReadonlySet<ExtensionKind> =>
  findExtension(tlvs)?.reads ?? new Set();

/** The announcement of who reads these. @throws OutOfRange */
export const announcing = (...reads: readonly ExtensionKind[]): Organizational =>
  extensionOptionalTlv({ version: EXTENSION_VERSION, reads: new Set(reads) });

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
