import type { IpAddress } from "../ip.ts";
import type { Mac, VnId } from "../ids.ts";
import type { VsiId } from "./association.ts";

/**
 * IP addresses of a VSI, in organizationally specific TLVs after its association TLV.
 *
 * Ours (OUI 4E-56-45, locally administered, subtype 01), the whole set each time, in one or more TLVs:
 *
 *   octets  3        1    1        16       1       then for each entry
 *         | 4E5645 | 01 | VSI ID format | VSI ID | count | VN ID:3 MAC:6 family:1 (4 or 6) address:4 or 16 |
 *
 * Cisco's as lldpad sends it (OUI 00-00-0C, subtype F2): VSI ID format, VSI ID, AFI (2 octets, 1 = IPv4), address.
 * It names no MAC: the address is of the only MAC of the VSI.
 */
export type VsiAddresses = { vsiId: VsiId; entries: readonly VsiAddress[] };

export type VsiAddress = { vn?: VnId; mac?: Mac; ip: IpAddress };
