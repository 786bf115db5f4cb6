import type { Association, AssociationType } from "./association.ts";

/**
 * VDP ULPDU (802.1Q clause 41, 802.1Qcy): one VSI Manager ID TLV, then association TLVs, each followed
 * by the organizationally specific TLVs that speak of it; End TLV and zero padding are optional.
 */
export type Vdpdu = { manager: Uint8Array; tlvs: readonly VdpTlv[] };

export type VdpTlv =
  | { is: "association"; type: AssociationType; association: Association }
  | { is: "organizational"; oui: number; subtype: number; octets: Uint8Array }
  | { is: "unknown"; type: number; octets: Uint8Array };
