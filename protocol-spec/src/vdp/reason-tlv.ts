import { bits, type Reader, uint, utf8From } from "../bytes.ts";
import { DecodeError } from "../errors.ts";
import { cutUtf8 } from "../text.ts";
import type { Organizational } from "../tlv.ts";
import type { VsiId } from "./association.ts";
import { OurSubtype, ofVsi, ourTlv, readOurs } from "./our-tlv.ts";
import type { VdpTlv } from "./vdpdu.ts";

/**
 * Why the NVE refuses a request, or disconnects a VSI, in its own words: beside the association TLV that does so.
 * Our TLV (our-tlv.ts) of subtype 02:
 *
 *   octets  1       0 … 255
 *         | code  | text, UTF-8 |
 */
export type VsiReason = {
  vsiId: VsiId;
  /** That of the association TLV beside: 0 … 15, 0 in the NVE's own De-Associate. */
  code: number;
  /** As it was sent: `printable` makes it fit to be shown. */
  text: string;
};

const MAX_TEXT = 255;

/** Undefined for other TLVs. @throws DecodeError `bad-value` for text that is too long or no UTF-8; `short` */
export const readReason = (tlv: Organizational): VsiReason | undefined =>
  readOurs(tlv, OurSubtype.reason, readOwn);

/** A text of more than 255 octets is cut, at a character. @throws OutOfRange for a bad VSI ID or code */
export const reasonTlv = ({ vsiId, code, text }: VsiReason): Organizational =>
  ourTlv(OurSubtype.reason, vsiId, uint(1, bits(4, code)), cutUtf8(text, MAX_TEXT));

/** The reason for what an association with `code` says of a VSI; the first counts. @throws as readReason does */
export const reasonFor = (
  vsiId: VsiId,
  code: number,
  tlvs: readonly VdpTlv[],
): string | undefined =>
  ofVsi(vsiId, tlvs, readReason).find((reason) => reason.code === code)?.text;

function readOwn(r: Reader): Omit<VsiReason, "vsiId"> {
  const code = bits(4, r.uint(1));
  if (r.left > MAX_TEXT) throw new DecodeError("bad-value", `a reason of ${r.left} octets`);
  const text = utf8From(r.rest());
  if (text === undefined) throw new DecodeError("bad-value", "a reason that is no UTF-8");
  return { code, text };
}
