import { type Reader, Writer } from "./bytes.ts";
import { OutOfRange } from "./errors.ts";

/**
 * TLV of LLDP (802.1AB §8.4) and of VDP (802.1Q clause 41).
 *
 *   bits  7      9        octets: `length`
 *       | type | length | information string |
 */
export type Tlv = { type: number; value: Uint8Array };

/** Longest information string: what 9 bits of length can say. */
export const MAX_TLV_LENGTH = 511;

/** Octets of type and length. */
export const TLV_HEADER = 2;

/** End TLV: type 0, length 0. */
export const END_TLV = 0;
/** Organizationally specific TLV: OUI (3 octets), subtype (1), then whatever that organization says. */
export const ORGANIZATIONAL_TLV = 127;
/** Octets of OUI and subtype. */
export const ORGANIZATIONAL_HEADER = 4;

/**
 * The OUI of our own TLVs: "NVE". Its local bit is set, so that it is locally administered and assigned by nobody
 * (802 §8.2.2); whoever else uses it on the same link is told apart by the LLDP announcement alone.
 */
export const NVE_OUI = 0x4e5645;

export type Organizational = {
  is: "organizational";
  oui: number;
  subtype: number;
  octets: Uint8Array;
};

/** @throws DecodeError `short` when the length goes past the end */
export function readTlv(r: Reader): Tlv {
  const header = r.uint(2);
  return { type: header >> 9, value: r.take(header & 0x1ff) };
}

/** @throws OutOfRange when `type` is not in 0 … 127 or the parts make more than 511 octets */
export function tlvOctets(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((n, part) => n + part.length, 0);
  const w = new Writer(TLV_HEADER + length);
  writeTlvHeader(w, type, length);
  for (const part of parts) w.put(part);
  return w.end();
}

/** What stands in front of `length` octets. @throws OutOfRange as {@link tlvOctets} */
export function writeTlvHeader(w: Writer, type: number, length: number): void {
  if (!Number.isInteger(type) || type < 0 || type > 127) {
    throw new OutOfRange(`TLV type ${type} is not in 0..127`);
  }
  if (length > MAX_TLV_LENGTH) {
    throw new OutOfRange(`a TLV holds ${MAX_TLV_LENGTH} octets, not ${length}`);
  }
  w.uint(2, (type << 9) | length);
}

export function readOrganizational(r: Reader): Organizational {
  return { is: "organizational", oui: r.uint(3), subtype: r.uint(1), octets: r.rest() };
}

/** The information string: OUI, subtype, octets. @throws OutOfRange */
export function organizationalOctets(tlv: Organizational): Uint8Array {
  const w = new Writer(ORGANIZATIONAL_HEADER + tlv.octets.length);
  writeOrganizational(w, tlv);
  return w.end();
}

/** @throws OutOfRange */
export function writeOrganizational(w: Writer, { oui, subtype, octets }: Organizational): void {
  w.uint(3, oui).uint(1, subtype).put(octets);
}
