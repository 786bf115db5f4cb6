import { concat, type Reader, uint } from "../bytes.ts";
import { type Mac, macFrom, macOctets } from "../ids.ts";
import type { Organizational } from "../tlv.ts";
import type { VsiId } from "./association.ts";
import { chunks, OUR_ROOM, OurSubtype, ofVsi, ourTlv, readOurs } from "./our-tlv.ts";
import type { VdpTlv } from "./vdpdu.ts";

/**
 * MACs of a VSI besides those of its filter entries (H12), each in a VN that one of the entries names: its tag is
 * theirs too. Our TLV (our-tlv.ts) of subtype 09:
 *
 *   octets  1       then for each entry
 *         | count | GroupID:4 (as in the filter entry) MAC:6 |
 */
export type VsiMacs = { vsiId: VsiId; entries: readonly VsiMac[] };
/** `groupId`: 0 … 2^32-1, placeholders of VN Names too (name-tlv.ts). */
export type VsiMac = { groupId: number; mac: Mac };

/** Undefined for other TLVs. @throws DecodeError when it is of this kind and malformed */
export const readMacs = (tlv: Organizational): VsiMacs | undefined =>
  readOurs(tlv, OurSubtype.macs, (r) => {
    const count = r.uint(1);
    return { entries: Array.from({ length: count }, () => readEntry(r)) };
  });

/**
 * As many as it takes, 48 entries in each; none for none. @throws OutOfRange for a bad VSI ID or GroupID.
 * `room` as in `addressTlvs`
 */
export const macTlvs = ({ vsiId, entries }: VsiMacs, room = OUR_ROOM): Organizational[] =>
  entries.length === 0
    ? []
    : chunks(entries.map(entryOctets), room - 1).map((chunk) =>
        ourTlv(OurSubtype.macs, vsiId, uint(1, chunk.length), ...chunk),
      );

/** What all TLVs of a ULPDU say of one VSI. @throws as readMacs does */
export const macsOf = (vsiId: VsiId, tlvs: readonly VdpTlv[]): VsiMac[] =>
  ofVsi(vsiId, tlvs, readMacs).flatMap(({ entries }) => [...entries]);

const readEntry = (r: Reader): VsiMac => ({ groupId: r.uint(4), mac: macFrom(r.take(6)) });

const entryOctets = ({ groupId, mac }: VsiMac): Uint8Array =>
  concat(uint(4, groupId), macOctets(mac));
