import { sha256 } from "@noble/hashes/sha2.js";
import { concat, type Reader, sameOctets, uint } from "../bytes.ts";
import { DecodeError, OutOfRange } from "../errors.ts";
import {
  ORGANIZATIONAL_TLV,
  type Organizational,
  organizationalOctets,
  tlvOctets,
} from "../tlv.ts";
import type { VsiId } from "./association.ts";
import { OurSubtype, ofVsi, ourTlv, readOurs, vsiOf } from "./our-tlv.ts";
import type { VdpTlv } from "./vdpdu.ts";

/**
 * The set of a VSI: what its TLVs of addresses, prefixes and MACs say, where that is more than one ULPDU holds. The
 * request names the set by its hash; a bridge that does not have it asks; then the station says it, part by part.
 * Our TLV (our-tlv.ts) of subtype 07, once for each VSI in a ULPDU:
 *
 *   octets  8      2      2
 *         | hash | part | parts |
 */
export type VsiSet = {
  vsiId: VsiId;
  /** 8 octets, of all parts: `hashOfSet`. */
  hash: Uint8Array;
  /** 1 … `parts` of what stands beside it; 0: it names the set, or asks for it. */
  part: number;
  /** 1 … 1024 */
  parts: number;
};

export const MAX_SET_PARTS = 1024;
const HASH = 8;

/** Undefined for other TLVs. @throws DecodeError `bad-value` for a part that cannot be; `short`, `trailing` */
export const readSet = (tlv: Organizational): VsiSet | undefined =>
  readOurs(tlv, OurSubtype.set, (r: Reader) => {
    const [hash, part, parts] = [r.take(HASH), r.uint(2), r.uint(2)];
    const fault = faultOf(part, parts);
    if (fault !== undefined) throw new DecodeError("bad-value", fault);
    return { hash, part, parts };
  });

/** @throws OutOfRange */
export function setTlv({ vsiId, hash, part, parts }: VsiSet): Organizational {
  const fault = hash.length === HASH ? faultOf(part, parts) : `a hash of ${hash.length} octets`;
  if (fault !== undefined) throw new OutOfRange(fault);
  return ourTlv(OurSubtype.set, vsiId, hash, uint(2, part), uint(2, parts));
}

/** What a ULPDU says of the set of a VSI; the first counts. @throws as readSet does */
export const setOf = (vsiId: VsiId, tlvs: readonly VdpTlv[]): VsiSet | undefined =>
  ofVsi(vsiId, tlvs, readSet)[0];

/** The TLVs that belong to a set: addresses, prefixes and MACs of one VSI, ours only. @throws as their readers do */
export const membersOfSet = (vsiId: VsiId, tlvs: readonly VdpTlv[]): Organizational[] =>
  ofVsi(vsiId, tlvs, member).map(({ tlv }) => tlv);

/** The first 8 octets of SHA-256 over the TLVs of all parts, with their headers, in the order of the parts. */
export const hashOfSet = (parts: readonly (readonly Organizational[])[]): Uint8Array =>
  sha256(concat(...parts.flat().map(wire))).subarray(0, HASH);

export const sameHash = (a: VsiSet, b: VsiSet): boolean => sameOctets(a.hash, b.hash);

/**
 * TLVs in parts of at most `room` octets each, in order.
 * @throws OutOfRange when they make more parts than can be said
 */
export function partsOfSet(tlvs: readonly Organizational[], room: number): Organizational[][] {
  const parts: Organizational[][] = [];
  let left = 0;
  for (const tlv of tlvs) {
    const octets = wire(tlv).length;
    if (octets > left) {
      parts.push([]);
      left = room;
    }
    parts.at(-1)?.push(tlv);
    left -= octets;
  }
  if (parts.length <= MAX_SET_PARTS) return parts;
  throw new OutOfRange(`a set of ${parts.length} parts, not ${MAX_SET_PARTS} at most`);
}

const MEMBERS: readonly number[] = [OurSubtype.addresses, OurSubtype.prefixes, OurSubtype.macs];

const member = (tlv: Organizational): { vsiId: VsiId; tlv: Organizational } | undefined => {
  const vsiId = MEMBERS.includes(tlv.subtype) ? vsiOf(tlv) : undefined;
  return vsiId && { vsiId, tlv };
};

const wire = (tlv: Organizational): Uint8Array =>
  tlvOctets(ORGANIZATIONAL_TLV, organizationalOctets(tlv));

const faultOf = (part: number, parts: number): string | undefined =>
  parts >= 1 && parts <= MAX_SET_PARTS && part <= parts
    ? undefined
    : `part ${part} of ${parts} of a set`;
