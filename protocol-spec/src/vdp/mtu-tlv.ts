import { concat, type Reader, uint } from "../bytes.ts";
import { DecodeError, OutOfRange } from "../errors.ts";
import { VnId } from "../ids.ts";
import type { Organizational } from "../tlv.ts";
import type { VsiId } from "./association.ts";
import { chunks, OUR_ROOM, OurSubtype, ofVsi, ourTlv, readOurs } from "./our-tlv.ts";
import type { VdpTlv } from "./vdpdu.ts";

/**
 * The longest packet that a VN carries, beside the grant of a VSI that is in it. Our TLV (our-tlv.ts) of subtype 04:
 *
 *   octets  1       then for each entry
 *         | count | VN ID:3 MTU:2 |
 */
export type VsiMtus = { vsiId: VsiId; entries: readonly VnMtu[] };
/** `mtu`: octets of a packet without its Ethernet header, 68 (RFC 791 §3.2) … 65535. */
export type VnMtu = { vn: VnId; mtu: number };

const MIN_MTU = 68;

/** Undefined for other TLVs. @throws DecodeError when it is of this kind and malformed */
export const readMtus = (tlv: Organizational): VsiMtus | undefined =>
  readOurs(tlv, OurSubtype.mtus, (r) => {
    const count = r.uint(1);
    return { entries: Array.from({ length: count }, () => readEntry(r)) };
  });

/** As many as it takes, 97 entries in each. @throws OutOfRange for a bad VSI ID or MTU */
export const mtuTlvs = ({ vsiId, entries }: VsiMtus): Organizational[] =>
  chunks(entries.map(entryOctets), OUR_ROOM - 1).map((chunk) =>
    ourTlv(OurSubtype.mtus, vsiId, uint(1, chunk.length), ...chunk),
  );

/** What all TLVs of a ULPDU say of the VNs of one VSI; the last counts. @throws as readMtus does */
export const mtusOf = (vsiId: VsiId, tlvs: readonly VdpTlv[]): ReadonlyMap<VnId, number> =>
  new Map(
    ofVsi(vsiId, tlvs, readMtus).flatMap(({ entries }) => entries.map(({ vn, mtu }) => [vn, mtu])),
  );

function readEntry(r: Reader): VnMtu {
  const vn = VnId(r.uint(3));
  const mtu = r.uint(2);
  if (mtu < MIN_MTU) throw new DecodeError("bad-value", `MTU ${mtu}`);
  return { vn, mtu };
}

function entryOctets({ vn, mtu }: VnMtu): Uint8Array {
  if (mtu < MIN_MTU) throw new OutOfRange(`MTU ${mtu} is below ${MIN_MTU}`);
  return concat(uint(3, vn), uint(2, mtu));
}
