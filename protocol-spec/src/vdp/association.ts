import type { Filters } from "./filters.ts";

/** TLV types 1 … 4. */
export type AssociationType = "pre-associate" | "pre-associate-rr" | "associate" | "de-associate";

/**
 * Value of a VDP association TLV (802.1Q clause 41; spec/vdp.md 1.2).
 *
 *   octets  1        3             1         1               16       variable
 *         | status | VSI type ID | version | VSI ID format | VSI ID | filter info |
 */
export type Association = {
  status: Status;
  vsiType: { id: number; version: number };
  vsiId: VsiId;
  filters: Filters;
};

/**
 * The status octet (spec/vdp.md 1.3): bit 7 tells a response from a request, and with it the meaning of
 * bits 6 and 5. In a request the error code is not defined: it is kept as read and written back.
 */
export type Status =
  | { is: "request"; suspended: boolean; migrating: boolean; code: number }
  | { is: "response"; keep: boolean; hard: boolean; code: number };

export const VdpError = {
  success: 0,
  invalidFormat: 1,
  insufficientResources: 2,
  managerUnreachable: 3,
  other: 4,
  invalidVidGroupOrMac: 5,
} as const;

/** Formats: 1 IPv4, 2 IPv6, 3 MAC, 4 local, 5 UUID (spec/vdp.md 1.4). 16 octets. */
export type VsiId = { format: number; octets: Uint8Array };
