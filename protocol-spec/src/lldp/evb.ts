import type { EvbTlv } from "./evb-tlv.ts";

/**
 * EVB negotiation (802.1Q §40.4, §D.2.12; spec/lldp-evb.md 3.1): each side shows its own policy and copies
 * the other's status; R, RTE, RWD and RKA in force are the larger of both sides' (never act on ROL).
 */
export type Evb = { is: "alone" | "agreed"; role: EvbRole; policy: EvbPolicy; peer?: EvbTlv; local: EvbTlv };

export type EvbRole = "station" | "bridge";

/** What this side offers. Exponents 0 … 27: lldpad overflows above (spec/vdp.md 4). */
export type EvbPolicy = {
  groupId: boolean;
  /** Reflective relay: a bridge can (RRCAP), a station asks (RRREQ). */
  reflectiveRelay: boolean;
  r: number;
  rte: number;
  rwd: number;
  rka: number;
};

/** What both sides ended up with. Before any EVB TLV came, `groupId` is false and the numbers are ours. */
export type EvbAgreed = { peer: boolean; groupId: boolean; r: number; rte: number; rwd: number; rka: number };

export type EvbEvent = { on: "peer"; tlv: EvbTlv } | { on: "peer-gone" };

/** `announce`: our own TLV changed, send a LLDPDU. `agreed`: what is in force changed. */
export type EvbAction = { do: "announce" } | { do: "agreed"; agreed: EvbAgreed };
