import { concat, type Reader, uint } from "../bytes.ts";
import { DecodeError } from "../errors.ts";
import { macFrom, macOctets, VnId } from "../ids.ts";
import { ipOctets, isIpv6, prefixFromOctets, prefixParts } from "../ip.ts";
import type { Organizational } from "../tlv.ts";
import type { VsiAddress, VsiAddresses } from "./address-tlv.ts";
import type { VsiId } from "./association.ts";
import { chunks, OUR_ROOM, OurSubtype, ofVsi, ourTlv, readOurs } from "./our-tlv.ts";
import type { VdpTlv } from "./vdpdu.ts";

/**
 * IP prefixes of a VSI (H8, H14), beside its addresses (address-tlv.ts). Our TLV (our-tlv.ts) of subtype 06; VN ID 0
 * and MAC 00:00:00:00:00:00 stand for "not named":
 *
 *   octets  1       then for each entry
 *         | count | VN ID:3 MAC:6 family:1 (4 or 6) prefix length:1 address:4 or 16 |
 */
export const readPrefixes = (tlv: Organizational): VsiAddresses | undefined =>
  readOurs(tlv, OurSubtype.prefixes, (r) => {
    const count = r.uint(1);
    return { entries: Array.from({ length: count }, () => readEntry(r)) };
  });

/** As many as it takes; none for none. @throws OutOfRange for a bad VSI ID. `room` as in `addressTlvs` */
export const prefixTlvs = ({ vsiId, entries }: VsiAddresses, room = OUR_ROOM): Organizational[] =>
  entries.length === 0
    ? []
    : chunks(entries.map(entryOctets), room - 1).map((chunk) =>
        ourTlv(OurSubtype.prefixes, vsiId, uint(1, chunk.length), ...chunk),
      );

/** What all TLVs of a ULPDU say of one VSI. @throws as readPrefixes does */
export const prefixesOf = (vsiId: VsiId, tlvs: readonly VdpTlv[]): VsiAddress[] =>
  ofVsi(vsiId, tlvs, readPrefixes).flatMap(({ entries }) => [...entries]);

const NO_MAC = "00:00:00:00:00:00";

function readEntry(r: Reader): VsiAddress {
  const vn = r.uint(3);
  const mac = macFrom(r.take(6));
  const family = r.uint(1);
  const length = r.uint(1);
  if (family !== 4 && family !== 6) {
    throw new DecodeError("unsupported", `address family ${family}`);
  }
  const ip = prefixFromOctets(r.take(family === 4 ? 4 : 16), length);
  return { ...(vn !== 0 && { vn: VnId(vn) }), ...(mac !== NO_MAC && { mac }), ip };
}

function entryOctets({ vn, mac, ip: prefix }: VsiAddress): Uint8Array {
  const { ip, length } = prefixParts(prefix);
  return concat(
    concat(uint(3, vn ?? 0), mac === undefined ? new Uint8Array(6) : macOctets(mac)),
    concat(uint(1, isIpv6(ip) ? 6 : 4), uint(1, length), ipOctets(ip)),
  );
}
