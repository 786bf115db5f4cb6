import { concat, decode, type Reader, uint } from "../bytes.ts";
import { DecodeError, OutOfRange } from "../errors.ts";
import {
  END_TLV,
  NVE_OUI,
  ORGANIZATIONAL_TLV,
  readOrganizational,
  readTlv,
  type Tlv,
  tlvOctets,
} from "../tlv.ts";
import { EVB_OUI, EVB_SUBTYPE } from "./evb-tlv.ts";
import { EXTENSION_SUBTYPE } from "./extension-tlv.ts";
import { NONCE_SUBTYPE } from "./nonce-tlv.ts";
import { type OptionalTlv, optionalTlv, optionalTlvOctets, within } from "./optional-tlv.ts";

/** LLDPDU (802.1AB clause 8; ../spec): the three mandatory TLVs first, then the optional ones in wire order. */
export type Lldpdu = {
  chassisId: TypedId;
  portId: TypedId;
  /** Seconds, 0 … 65535; 0 takes the sender's information back at once (802.1AB §9.1.2.2). */
  ttl: number;
  tlvs: readonly OptionalTlv[];
};

/** Chassis ID (802.1AB §8.5.2; subtype 4 = MAC, 7 = local) or port ID (§8.5.3; 3 = MAC, 5 = interface name). 1 … 255 octets. */
export type TypedId = { subtype: number; octets: Uint8Array };

/** Payload of one untagged frame. */
const MAX_LLDPDU_LENGTH = 1500;

const CHASSIS_ID = 1;
const PORT_ID = 2;
const TTL = 3;
/** Types that may stand once: port description, system name, description and capabilities (802.1AB §8.5). */
const ONCE = [4, 5, 6, 7];

/**
 * Reads up to the End TLV, or to the end where there is none; what follows it is padding (802.1AB §9.2.7.7).
 * @throws DecodeError `bad-value` when a mandatory TLV is missing, out of order or repeated, a TLV that may
 *   stand once is repeated, or a length is not what the TLV's type allows
 */
export function readLldpdu(r: Reader): Lldpdu {
  const chassisId = decode(mandatory(r, CHASSIS_ID, "chassis ID"), readTypedId);
  const portId = decode(mandatory(r, PORT_ID, "port ID"), readTypedId);
  const ttl = decode(mandatory(r, TTL, "TTL"), (r) => r.uint(2));
  const tlvs: OptionalTlv[] = [];
  const seen = new Set<string>();
  while (r.left > 0) {
    const tlv = readTlv(r);
    if (tlv.type === END_TLV) {
      if (tlv.value.length > 0) throw new DecodeError("bad-value", "End TLV is not empty");
      r.rest();
      break;
    }
    const once = standsOnce(tlv);
    if (once !== undefined) {
      if (seen.has(once)) throw new DecodeError("bad-value", `a second TLV ${once}`);
      seen.add(once);
    }
    tlvs.push(optionalTlv(tlv));
  }
  return { chassisId, portId, ttl, tlvs };
}

/** With the End TLV. @throws OutOfRange when a field or a text does not fit, or all of it not into one frame */
export function lldpduOctets({ chassisId, portId, ttl, tlvs }: Lldpdu): Uint8Array {
  const octets = concat(
    tlvOctets(CHASSIS_ID, typedIdOctets(chassisId)),
    tlvOctets(PORT_ID, typedIdOctets(portId)),
    tlvOctets(TTL, uint(2, ttl)),
    ...tlvs.map(optionalTlvOctets),
    tlvOctets(END_TLV),
  );
  if (octets.length > MAX_LLDPDU_LENGTH) {
    throw new OutOfRange(`a LLDPDU has ${MAX_LLDPDU_LENGTH} octets at most, not ${octets.length}`);
  }
  return octets;
}

function mandatory(r: Reader, type: number, what: string): Uint8Array {
  const tlv = readTlv(r);
  if (tlv.type === type) return tlv.value;
  throw new DecodeError("bad-value", `TLV of type ${tlv.type} in the place of the ${what}`);
}

const readTypedId = (r: Reader): TypedId => ({
  subtype: r.uint(1),
  octets: within("an ID", 1, 255, r.rest()),
});

const typedIdOctets = ({ subtype, octets }: TypedId): Uint8Array =>
  concat(uint(1, subtype), within("an ID", 1, 255, octets));

/** A name for what this TLV must not share with a second one. */
function standsOnce({ type, value }: Tlv): string | undefined {
  if (ONCE.includes(type)) return `of type ${type}`;
  if (type !== ORGANIZATIONAL_TLV) return undefined;
  const { oui, subtype } = decode(value, readOrganizational);
  const once =
    (oui === EVB_OUI && subtype === EVB_SUBTYPE) ||
    (oui === NVE_OUI && (subtype === EXTENSION_SUBTYPE || subtype === NONCE_SUBTYPE));
  return once ? `${oui.toString(16)}/${subtype}` : undefined;
}
