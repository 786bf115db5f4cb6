import { concat, decode, Reader } from "../bytes.ts";
import { MAX_TLV_LENGTH, NVE_OUI, type Organizational } from "../tlv.ts";
import { readVsiId, sameVsi, type VsiId, vsiIdOctets } from "./association.ts";
import type { VdpTlv } from "./vdpdu.ts";

/**
 * What all our own TLVs in VDP have in common: each speaks of one VSI of its ULPDU.
 *
 *   octets  3        1         1               16       variable
 *         | 4E5645 | subtype | VSI ID format | VSI ID | ... |
 */
export const OurSubtype = {
  addresses: 0x01,
  reason: 0x02,
  names: 0x03,
  mtus: 0x04,
  labels: 0x05,
  prefixes: 0x06,
  set: 0x07,
  /** 0x08 is authentication's. */
  macs: 0x09,
} as const;

/** Octets of the information string in front of what is each kind's own. */
const BEFORE = 21;
/** Octets that a kind may have for its own. */
export const OUR_ROOM = MAX_TLV_LENGTH - BEFORE;
/** So much of it that three TLVs and a set TLV fill an ULPDU of 1493 octets. */
export const THIRD_ROOM = 457;

/** @throws OutOfRange for a bad VSI ID */
export const ourTlv = (
  subtype: number,
  vsiId: VsiId,
  ...parts: readonly Uint8Array[]
): Organizational => ({
  is: "organizational",
  oui: NVE_OUI,
  subtype,
  octets: concat(vsiIdOctets(vsiId), ...parts),
});

/** Undefined for TLVs of others and of other kinds. @throws DecodeError when it is of this kind and malformed */
export function readOurs<T extends object>(
  tlv: Organizational,
  subtype: number,
  read: (r: Reader) => T,
): (T & { vsiId: VsiId }) | undefined {
  if (tlv.oui !== NVE_OUI || tlv.subtype !== subtype) return undefined;
  return decode(tlv.octets, (r) => ({ vsiId: readVsiId(r), ...read(r) }));
}

/** The VSI that one of our TLVs speaks of; undefined for TLVs of others. @throws DecodeError `short` */
export const vsiOf = ({ oui, octets }: Organizational): VsiId | undefined =>
  oui === NVE_OUI ? readVsiId(new Reader(octets)) : undefined;

/** What the TLVs of a ULPDU that `read` knows say of one VSI, in their order. */
export const ofVsi = <T extends { vsiId: VsiId }>(
  vsiId: VsiId,
  tlvs: readonly VdpTlv[],
  read: (tlv: Organizational) => T | undefined,
): T[] =>
  besideVsi(vsiId, tlvs).flatMap((tlv) => {
    const said = read(tlv);
    return said !== undefined && sameVsi(said.vsiId, vsiId) ? [said] : [];
  });

/**
 * The TLVs of a ULPDU that speak of one VSI, in their order: all that is said of it, to be asked for by kind. All of
 * them begin with its ID, Cisco's TLVs too; of a ULPDU full of VSIs and TLVs each TLV would else be read for each VSI.
 */
export function besideVsi(vsiId: VsiId, tlvs: readonly VdpTlv[]): Organizational[] {
  const found: Organizational[] = [];
  for (const tlv of tlvs) {
    if (tlv.is === "organizational" && beginsWith(tlv, vsiId)) found.push(tlv);
  }
  return found;
}

function beginsWith({ octets }: Organizational, { format, octets: id }: VsiId): boolean {
  if (octets[0] !== format) return false;
  // From the end: UUIDs of one host, or of one moment (RFC 9562 §5.7), begin alike.
  for (let i = id.length; i > 0; i--) if (octets[i] !== id[i - 1]) return false;
  return true;
}

/** In order, each chunk of `room` octets at most. The first may be empty: it then says so. */
export function chunks(parts: readonly Uint8Array[], room: number): Uint8Array[][] {
  let chunk: Uint8Array[] = [];
  let left = room;
  const all = [chunk];
  for (const part of parts) {
    if (part.length > left) {
      chunk = [];
      left = room;
      all.push(chunk);
    }
    chunk.push(part);
    left -= part.length;
  }
  return all;
}
