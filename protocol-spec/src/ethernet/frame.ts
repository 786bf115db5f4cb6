import type { Mac } from "../ids.ts";

/**
 * Ethernet II frame with at most one 802.1Q tag (802.3 §3.1, 802.1Q §9). No FCS: the NIC has taken it.
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

export const EtherType = { vlan: 0x8100, lldp: 0x88cc, ecp: 0x8940, arp: 0x0806 } as const;
