import { concat, type Reader, uint, utf8From } from "../bytes.ts";
import { DecodeError } from "../errors.ts";
import { cutUtf8 } from "../text.ts";
import type { Organizational } from "../tlv.ts";
import type { VsiId } from "./association.ts";
import { OurSubtype, ofVsi, ourTlv, readOurs } from "./our-tlv.ts";
import type { VdpTlv } from "./vdpdu.ts";

/**
 * Whose a VSI is, for people: beside its request. Our TLV (our-tlv.ts) of subtype 05:
 *
 *   octets  1        0 … 200          1        0 … 200
 *         | length | hypervisor id  | length | VM's name |      both UTF-8
 */
export type VsiLabels = {
  vsiId: VsiId;
  /** As they were sent: `printable` makes them fit to be shown. Empty: not said. */
  hypervisor: string;
  vm: string;
};

/** Octets of UTF-8. */
export const MAX_LABEL = 200;

/** Undefined for other TLVs. @throws DecodeError `bad-value` for a label that is too long or no UTF-8; `short` */
export const readLabels = (tlv: Organizational): VsiLabels | undefined =>
  readOurs(tlv, OurSubtype.labels, (r) => ({ hypervisor: readLabel(r), vm: readLabel(r) }));

/** Labels of more than 200 octets are cut, at a character. @throws OutOfRange for a bad VSI ID */
export const labelTlv = ({ vsiId, hypervisor, vm }: VsiLabels): Organizational =>
  ourTlv(OurSubtype.labels, vsiId, labelOctets(hypervisor), labelOctets(vm));

/** What a ULPDU says of one VSI; the first counts. @throws as readLabels does */
export const labelsOf = (vsiId: VsiId, tlvs: readonly VdpTlv[]): VsiLabels | undefined =>
  ofVsi(vsiId, tlvs, readLabels)[0];

function readLabel(r: Reader): string {
  const length = r.uint(1);
  if (length > MAX_LABEL) throw new DecodeError("bad-value", `a label of ${length} octets`);
  const text = utf8From(r.take(length));
  if (text === undefined) throw new DecodeError("bad-value", "a label that is no UTF-8");
  return text;
}

function labelOctets(text: string): Uint8Array {
  const octets = cutUtf8(text, MAX_LABEL);
  return concat(uint(1, octets.length), octets);
}
