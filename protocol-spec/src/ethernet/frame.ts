import { bits, concat, type Reader, uint } from "../bytes.ts";
import { Mac, macFrom, macOctets } from "../ids.ts";

/**
 * Ethernet II frame with at most one 802.1Q tag (802.3 §3.1, 802.1Q §9). No FCS: the NIC has taken it.
 * A second tag stays in the payload, its EtherType 8100 is then the frame's. A value below 0600 in place of
 * the EtherType is the length of an LLC frame (802.3 §3.2.6), kept as it came.
 *
 *   octets  6             6        (4)                    2           variable
 *         | destination | source | 8100 PCP:3 DEI:1 VID:12 | EtherType | payload |
 */
export type Frame = {
  destination: Mac;
  source: Mac;
  tag?: VlanTag;
  etherType: number;
  payload: Uint8Array;
};

/** `vid` 0 is a priority tag (802.1Q §9.6); 0 … 4095 as it came. */
export type VlanTag = { pcp: number; dei: boolean; vid: number };

export const EtherType = {
  vlan: 0x8100,
  lldp: 0x88cc,
  ecp: 0x8940,
  arp: 0x0806,
  ipv4: 0x0800,
  ipv6: 0x86dd,
} as const;

/** Group addresses that no bridge of the named kind passes on (802.1Q Table 8-1 to 8-3). */
export const GroupAddress = {
  /** EVB TLV, ECP, VDP. */
  nearestCustomerBridge: Mac("01:80:c2:00:00:00"),
  /** CDCP. */
  nearestNonTpmrBridge: Mac("01:80:c2:00:00:03"),
  /** Ordinary LLDP. */
  nearestBridge: Mac("01:80:c2:00:00:0e"),
} as const;

export function readFrame(r: Reader): Frame {
  const ends = { destination: macFrom(r.take(6)), source: macFrom(r.take(6)) };
  const etherType = r.uint(2);
  if (etherType !== EtherType.vlan) return { ...ends, etherType, payload: r.rest() };
  return { ...ends, tag: readTag(r), etherType: r.uint(2), payload: r.rest() };
}

/** @throws OutOfRange when a field of the tag or the EtherType does not fit */
export function frameOctets({ destination, source, tag, etherType, payload }: Frame): Uint8Array {
  return concat(
    concat(macOctets(destination), macOctets(source)),
    tag === undefined ? new Uint8Array() : concat(uint(2, EtherType.vlan), tagOctets(tag)),
    uint(2, etherType),
    payload,
  );
}

function readTag(r: Reader): VlanTag {
  const word = r.uint(2);
  return { pcp: word >> 13, dei: (word & 0x1000) !== 0, vid: word & 0xfff };
}

function tagOctets({ pcp, dei, vid }: VlanTag): Uint8Array {
  return uint(2, (bits(3, pcp) << 13) | (dei ? 0x1000 : 0) | bits(12, vid));
}
