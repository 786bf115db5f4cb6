/**
 * EVB TLV (802.1Q §D.2.12; OUI 00-80-C2, subtype 0D; information string of 9 octets).
 *
 *   octets  3+1           1               1                1             1                      1
 *         | 0080C2 0D | bridge status | station status | R:3 RTE:5 | mode:2 ROL:1 RWD:5 | 0:2 ROL:1 RKA:5 |
 */
export type EvbTlv = {
  bridge: { groupId: boolean; reflectiveRelayCapable: boolean; reflectiveRelay: boolean };
  station: { groupId: boolean; reflectiveRelayRequest: boolean; reflectiveRelay: 0 | 1 | 2 | 3 };
  /** Retries, 0 … 7. */
  r: number;
  /** Exponents 0 … 31 of 10 µs × 2^n. */
  rte: number;
  rwd: number;
  rka: number;
  /** The value shown is the remote one. For people only: compute the maximum (spec, ROL conflict). */
  rolRwd: boolean;
  rolRka: boolean;
  mode: EvbMode;
};

/** 0 not supported, 1 EVB bridge, 2 EVB station, 3 reserved. */
export type EvbMode = 0 | 1 | 2 | 3;
