import { bits, concat, decode, type Reader, uint } from "../bytes.ts";
import { DecodeError } from "../errors.ts";
import { type Organizational, organizationalOctets } from "../tlv.ts";
import type { OptionalTlv } from "./optional-tlv.ts";

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

export const EVB_OUI = 0x0080c2;
export const EVB_SUBTYPE = 0x0d;

/**
 * Reads the information string, OUI and subtype included. Reserved bits are read past.
 * @throws DecodeError `short` or `trailing` when it has not 9 octets, `bad-value` when it is another TLV
 */
export function readEvbTlv(r: Reader): EvbTlv {
  const [oui, subtype] = [r.uint(3), r.uint(1)];
  if (oui !== EVB_OUI || subtype !== EVB_SUBTYPE) throw new DecodeError("bad-value", "no EVB TLV");
  const [bridge, station, retries] = [r.uint(1), r.uint(1), r.uint(1)];
  const [modeAndRwd, rka] = [r.uint(1), r.uint(1)];
  return {
    bridge: {
      groupId: (bridge & 0x04) !== 0,
      reflectiveRelayCapable: (bridge & 0x02) !== 0,
      reflectiveRelay: (bridge & 0x01) !== 0,
    },
    station: {
      groupId: (station & 0x08) !== 0,
      reflectiveRelayRequest: (station & 0x04) !== 0,
      reflectiveRelay: twoBits(station),
    },
    r: retries >> 5,
    rte: retries & 0x1f,
    rwd: modeAndRwd & 0x1f,
    rka: rka & 0x1f,
    rolRwd: (modeAndRwd & 0x20) !== 0,
    rolRka: (rka & 0x20) !== 0,
    mode: twoBits(modeAndRwd >> 6),
  };
}

/** The information string: 9 octets, for lldpad copies as many as come (spec/lldp-evb.md 3.1). @throws OutOfRange */
export function evbTlvOctets(tlv: EvbTlv): Uint8Array {
  const { bridge, station } = tlv;
  return concat(
    concat(uint(3, EVB_OUI), uint(1, EVB_SUBTYPE)),
    uint(
      1,
      flag(bridge.groupId, 4) |
        flag(bridge.reflectiveRelayCapable, 2) |
        flag(bridge.reflectiveRelay, 1),
    ),
    uint(
      1,
      flag(station.groupId, 8) |
        flag(station.reflectiveRelayRequest, 4) |
        bits(2, station.reflectiveRelay),
    ),
    uint(1, (bits(3, tlv.r) << 5) | bits(5, tlv.rte)),
    uint(1, (bits(2, tlv.mode) << 6) | flag(tlv.rolRwd, 0x20) | bits(5, tlv.rwd)),
    uint(1, flag(tlv.rolRka, 0x20) | bits(5, tlv.rka)),
  );
}

/**
 * The EVB TLV of a LLDPDU, if there is one that can be read: one of another length is not, and left out as
 * 802.1AB §9.2.7.7 has it for a single TLV.
 */
export function findEvbTlv(tlvs: readonly OptionalTlv[]): EvbTlv | undefined {
  const found = tlvs.find(isEvbTlv);
  if (found === undefined) return undefined;
  try {
    return decode(organizationalOctets(found), readEvbTlv);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** As it stands in a LLDPDU. @throws OutOfRange */
export const evbOptionalTlv = (tlv: EvbTlv): Organizational => ({
  is: "organizational",
  oui: EVB_OUI,
  subtype: EVB_SUBTYPE,
  octets: evbTlvOctets(tlv).subarray(4),
});

const isEvbTlv = (tlv: OptionalTlv): tlv is Organizational =>
  tlv.is === "organizational" && tlv.oui === EVB_OUI && tlv.subtype === EVB_SUBTYPE;

const flag = (set: boolean, mask: number): number => (set ? mask : 0);

const TWO_BITS = [0, 1, 2, 3] as const;
const twoBits = (octet: number): 0 | 1 | 2 | 3 => TWO_BITS[octet & 3] ?? 0;
