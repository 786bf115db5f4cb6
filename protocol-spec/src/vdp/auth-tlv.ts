import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concat, decode, Reader, uint } from "../bytes.ts";
import { DecodeError, OutOfRange } from "../errors.ts";
import { type Mac, macOctets } from "../ids.ts";
import { END_TLV, NVE_OUI, ORGANIZATIONAL_TLV, readTlv, tlvOctets } from "../tlv.ts";

/**
 * Our authentication TLV in VDP, the last TLV of its ULPDU (RFC 8394 Req-11, H26). Unlike our others it speaks of
 * the whole ULPDU and not of one VSI.
 *
 *   octets  3        1    1        8         16
 *         | 4E5645 | 08 | key id | counter | HMAC-SHA-256, its first 16 octets |
 *
 * The HMAC is over: direction (1 octet: 1 from station to bridge, 2 back), the receiver's nonce (16), the sender's
 * MAC address (6), the ULPDU up to this TLV, key id (1), counter (8).
 */
export type Seal = { keyId: number; counter: number; digest: Uint8Array };

/** `id`: 0 … 255, tells several keys apart while one is replaced; `secret`: 16 … 64 octets. */
export type AuthKey = { id: number; secret: Uint8Array };

/** What both sides know beside the ULPDU. */
export type SealContext = {
  from: "station" | "bridge";
  sender: Mac;
  /** The receiver's, 16 octets, as its LLDPDUs say (protocol-spec, "authentication"). */
  nonce: Uint8Array;
};

export const AUTH_SUBTYPE = 0x08;
export const NONCE_OCTETS = 16;
const DIGEST_OCTETS = 16;
/** What the TLV adds to a ULPDU. */
export const SEAL_OCTETS = 2 + 4 + 1 + 8 + DIGEST_OCTETS;

/** The ULPDU with its TLV. @param counter 1 … 2^53-1, greater than any that was used with this key @throws OutOfRange */
export function sealed(
  ulpdu: Uint8Array,
  key: AuthKey,
  counter: number,
  context: SealContext,
): Uint8Array {
  const said = concat(uint(1, key.id), counterOctets(counter));
  const digest = digestOf(ulpdu, said, key, context);
  const head = concat(uint(3, NVE_OUI), uint(1, AUTH_SUBTYPE));
  return concat(ulpdu, tlvOctets(ORGANIZATIONAL_TLV, head, said, digest));
}

/**
 * The TLV of a ULPDU, and what stands before it; undefined when it has none.
 * @throws DecodeError when it is malformed, or something but End TLV and padding stands behind it
 */
export function unsealed(ulpdu: Uint8Array): { body: Uint8Array; seal: Seal } | undefined {
  const r = new Reader(ulpdu);
  while (r.left > 0) {
    const at = ulpdu.length - r.left;
    const { type, value } = readTlv(r);
    if (type === END_TLV) return undefined;
    if (type !== ORGANIZATIONAL_TLV || !isSeal(value)) continue;
    const seal = decode(value.subarray(4), readSeal);
    if (r.left > 0 && readTlv(r).type !== END_TLV) {
      throw new DecodeError("bad-value", "the authentication TLV is not the last");
    }
    return { body: ulpdu.subarray(0, at), seal };
  }
  return undefined;
}

/** Whether whoever has the key has sealed just this, for this receiver, in this direction. */
export function isAuthentic(
  body: Uint8Array,
  { counter, digest, keyId }: Seal,
  key: AuthKey,
  context: SealContext,
): boolean {
  const said = concat(uint(1, keyId), counterOctets(counter));
  const wanted = digestOf(body, said, key, context);
  // without an early end, so that the time it takes tells nothing
  return (
    keyId === key.id && wanted.reduce((n, octet, i) => n | (octet ^ (digest[i] ?? 256)), 0) === 0
  );
}

function readSeal(r: Reader): Seal {
  const keyId = r.uint(1);
  const counter = r.uint(4) * 2 ** 32 + r.uint(4);
  if (counter < 1 || counter > Number.MAX_SAFE_INTEGER) {
    throw new DecodeError("bad-value", "the counter is not in 1..2^53-1");
  }
  return { keyId, counter, digest: r.take(DIGEST_OCTETS) };
}

function counterOctets(counter: number): Uint8Array {
  if (!Number.isSafeInteger(counter) || counter < 1) {
    throw new OutOfRange(`counter ${counter} is not in 1..2^53-1`);
  }
  return concat(uint(4, Math.floor(counter / 2 ** 32)), uint(4, counter % 2 ** 32));
}

function digestOf(
  body: Uint8Array,
  said: Uint8Array,
  { secret }: AuthKey,
  { from, sender, nonce }: SealContext,
): Uint8Array {
  if (nonce.length !== NONCE_OCTETS) {
    throw new OutOfRange(`a nonce has ${NONCE_OCTETS} octets, not ${nonce.length}`);
  }
  const direction = uint(1, from === "station" ? 1 : 2);
  const text = concat(direction, nonce, macOctets(sender), body, said);
  return hmac(sha256, secret, text).subarray(0, DIGEST_OCTETS);
}

function isSeal(value: Uint8Array): boolean {
  const head = new Reader(value);
  return head.left >= 4 && head.uint(3) === NVE_OUI && head.uint(1) === AUTH_SUBTYPE;
}
