import { concat, decode, type Reader, uint } from "../bytes.ts";
import { DecodeError } from "../errors.ts";
import { type Mac, macFrom, macOctets, VnId } from "../ids.ts";
import { type IpAddress, type IpPrefix, ipFrom, ipOctets, isIpv6 } from "../ip.ts";
import type { Organizational } from "../tlv.ts";
import { readVsiId, type VsiId, vsiIdOctets } from "./association.ts";
import { chunks, OUR_ROOM, OurSubtype, ofVsi, ourTlv, readOurs } from "./our-tlv.ts";
import type { VdpTlv } from "./vdpdu.ts";

/**
 * IP addresses of a VSI, in organizationally specific TLVs after its association TLV.
 *
 * Ours (our-tlv.ts, subtype 01), the whole set each time, in one or more TLVs of one ULPDU; count 0 says that
 * there are none. VN ID 0 and MAC 00:00:00:00:00:00 stand for "not named":
 *
 *   octets  1       then for each entry
 *         | count | VN ID:3 MAC:6 family:1 (4 or 6) address:4 or 16 |
 *
 * Cisco's as lldpad sends it (OUI 00-00-0C, subtype F2): VSI ID format, VSI ID, AFI (2 octets, 1 = IPv4), address;
 * one TLV for each. It names no VN and no MAC: the address is of the only MAC of the VSI.
 */
export type VsiAddresses<Ip extends IpPrefix = IpPrefix> = {
  vsiId: VsiId;
  entries: readonly VsiAddress<Ip>[];
};

/** A single address here; a prefix in a prefix TLV (prefix-tlv.ts). */
export type VsiAddress<Ip extends IpPrefix = IpPrefix> = { vn?: VnId; mac?: Mac; ip: Ip };

const CISCO_OUI = 0x00000c;
const CISCO_ADDRESS_SUBTYPE = 0xf2;
/** Address family numbers (IANA), in Cisco's TLV. lldpad sends the first only. */
const AFI = { ipv4: 1, ipv6: 2 } as const;

/** Octets of the count. */
const COUNT = 1;
const NO_MAC = "00:00:00:00:00:00";

/**
 * The addresses in one TLV of a ULPDU. Undefined for TLVs of others, and for one of Cisco's that is not as
 * described above: a foreign TLV does not spoil the request beside it.
 * @throws DecodeError when it is ours and malformed; readVdpdu lets none such through
 */
export function readAddresses(tlv: Organizational): VsiAddresses<IpAddress> | undefined {
  const ours = readOurs(tlv, OurSubtype.addresses, readEntries);
  if (ours !== undefined) return ours;
  if (tlv.oui !== CISCO_OUI || tlv.subtype !== CISCO_ADDRESS_SUBTYPE) return undefined;
  try {
    return decode(tlv.octets, readCisco);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** What all TLVs of a ULPDU say of one VSI; undefined when none speaks of it. @throws as readAddresses does */
export function addressesOf(
  vsiId: VsiId,
  tlvs: readonly VdpTlv[],
): VsiAddresses<IpAddress> | undefined {
  const said = ofVsi(vsiId, tlvs, readAddresses);
  if (said.length === 0) return undefined;
  return { vsiId, entries: said.flatMap(({ entries }) => entries) };
}

/**
 * Ours, as many as it takes: one at least, for the empty set too. @throws OutOfRange for a bad VSI ID
 * @param room octets of each for its count and entries
 */
export function addressTlvs(
  { vsiId, entries }: VsiAddresses<IpAddress>,
  room = OUR_ROOM,
): Organizational[] {
  return chunks(entries.map(entryOctets), room - COUNT).map((chunk) =>
    ourTlv(OurSubtype.addresses, vsiId, uint(1, chunk.length), ...chunk),
  );
}

/** Cisco's, one for each address; VN and MAC are left out. @throws OutOfRange for a bad VSI ID */
export function ciscoAddressTlvs({ vsiId, entries }: VsiAddresses<IpAddress>): Organizational[] {
  return entries.map(({ ip }) => ({
    is: "organizational",
    oui: CISCO_OUI,
    subtype: CISCO_ADDRESS_SUBTYPE,
    octets: concat(vsiIdOctets(vsiId), uint(2, isIpv6(ip) ? AFI.ipv6 : AFI.ipv4), ipOctets(ip)),
  }));
}

function readEntries(r: Reader): Omit<VsiAddresses<IpAddress>, "vsiId"> {
  const count = r.uint(1);
  return { entries: Array.from({ length: count }, () => readEntry(r)) };
}

function readEntry(r: Reader): VsiAddress<IpAddress> {
  const vn = r.uint(3);
  const mac = macFrom(r.take(6));
  return {
    ...(vn !== 0 && { vn: VnId(vn) }),
    ...(mac !== NO_MAC && { mac }),
    ip: readIp(r, r.uint(1)),
  };
}

function readIp(r: Reader, family: number): IpAddress {
  if (family === 4) return ipFrom(r.take(4));
  if (family === 6) return ipFrom(r.take(16));
  throw new DecodeError("unsupported", `address family ${family}`);
}

function entryOctets({ vn, mac, ip }: VsiAddress<IpAddress>): Uint8Array {
  return concat(
    uint(3, vn ?? 0),
    mac === undefined ? new Uint8Array(6) : macOctets(mac),
    uint(1, isIpv6(ip) ? 6 : 4),
    ipOctets(ip),
  );
}

function readCisco(r: Reader): VsiAddresses<IpAddress> {
  const vsiId = readVsiId(r);
  const afi = r.uint(2);
  if (afi !== AFI.ipv4 && afi !== AFI.ipv6) throw new DecodeError("unsupported", `AFI ${afi}`);
  return { vsiId, entries: [{ ip: ipFrom(r.take(afi === AFI.ipv4 ? 4 : 16)) }] };
}
