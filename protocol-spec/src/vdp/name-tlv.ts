import { concat, type Reader, uint } from "../bytes.ts";
import { OutOfRange } from "../errors.ts";
import { type Uuid, uuidFrom, uuidOctets, VnId } from "../ids.ts";
import type { Organizational } from "../tlv.ts";
import type { VsiId } from "./association.ts";
import { chunks, OUR_ROOM, OurSubtype, ofVsi, ourTlv, readOurs } from "./our-tlv.ts";
import type { VdpTlv } from "./vdpdu.ts";

/**
 * VNs by their names (H4): a station that knows the VN Name alone puts a placeholder into the filter entry and says
 * here whose place it holds; the bridge answers with the VN IDs. Our TLV (our-tlv.ts) of subtype 03:
 *
 *   octets  1       then for each entry
 *         | count | placeholder:4 (FF000001 … FFFFFFFF) VN Name:16 VN ID:3 (0 in a request) |
 */
export type VsiNames = { vsiId: VsiId; entries: readonly VnNaming[] };
export type VnNaming = { placeholder: number; name: Uuid; vn?: VnId };

const FIRST_PLACEHOLDER = 0xff000001;

/** GroupIDs that are placeholders, `n` from 0: no VN ID and no GroupID of 802.1Qcy has FF as its top octet. */
export const placeholder = (n: number): number => checked(FIRST_PLACEHOLDER + n);

export const isPlaceholder = (groupId: number): boolean =>
  groupId >= FIRST_PLACEHOLDER && groupId <= 0xffffffff;

/** Undefined for other TLVs. @throws DecodeError when it is of this kind and malformed */
export const readNames = (tlv: Organizational): VsiNames | undefined =>
  readOurs(tlv, OurSubtype.names, (r) => {
    const count = r.uint(1);
    return { entries: Array.from({ length: count }, () => readEntry(r)) };
  });

/** As many as it takes, 21 entries in each. @throws OutOfRange for a bad VSI ID or placeholder */
export const nameTlvs = ({ vsiId, entries }: VsiNames): Organizational[] =>
  chunks(entries.map(entryOctets), OUR_ROOM - 1).map((chunk) =>
    ourTlv(OurSubtype.names, vsiId, uint(1, chunk.length), ...chunk),
  );

/** What all TLVs of a ULPDU name for one VSI; of one placeholder the first counts. @throws as readNames does */
export function namesOf(vsiId: VsiId, tlvs: readonly VdpTlv[]): ReadonlyMap<number, VnNaming> {
  const said = ofVsi(vsiId, tlvs, readNames).flatMap(({ entries }) => entries);
  return new Map(said.reverse().map((entry) => [entry.placeholder, entry]));
}

function readEntry(r: Reader): VnNaming {
  const groupId = checked(r.uint(4));
  const name = uuidFrom(r.take(16));
  const vn = r.uint(3);
  return { placeholder: groupId, name, ...(vn !== 0 && { vn: VnId(vn) }) };
}

const entryOctets = ({ placeholder, name, vn }: VnNaming): Uint8Array =>
  concat(uint(4, checked(placeholder)), uuidOctets(name), uint(3, vn ?? 0));

function checked(groupId: number): number {
  if (isPlaceholder(groupId)) return groupId;
  throw new OutOfRange(`GroupID ${groupId} is no placeholder of a VN Name`);
}
