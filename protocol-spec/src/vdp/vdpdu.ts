import { decode, type Reader, Writer } from "../bytes.ts";
import { DecodeError, OutOfRange } from "../errors.ts";
import {
  END_TLV,
  ORGANIZATIONAL_HEADER,
  ORGANIZATIONAL_TLV,
  type Organizational,
  readOrganizational,
  readTlv,
  TLV_HEADER,
  type Tlv,
  writeOrganizational,
  writeTlvHeader,
} from "../tlv.ts";
import { readAddresses } from "./address-tlv.ts";
import {
  type Association,
  type AssociationType,
  readAssociation,
  writeAssociation,
} from "./association.ts";
import { associationLength } from "./filters.ts";
import { readLabels } from "./label-tlv.ts";
import { readMacs } from "./mac-tlv.ts";
import { readMtus } from "./mtu-tlv.ts";
import { readNames } from "./name-tlv.ts";
import { readPrefixes } from "./prefix-tlv.ts";
import { readReason } from "./reason-tlv.ts";
import { readSet } from "./set-tlv.ts";

/**
 * VDP ULPDU (802.1Q clause 41, 802.1Qcy): one VSI Manager ID TLV, then association TLVs, each followed
 * by the organizationally specific TLVs that speak of it; End TLV and zero padding are optional, and not written.
 */
export type Vdpdu = { manager: Uint8Array; tlvs: readonly VdpTlv[] };

export type VdpTlv =
  | { is: "association"; type: AssociationType; association: Association }
  | Organizational
  | { is: "unknown"; type: number; octets: Uint8Array };

const MANAGER_TLV = 5;
const MANAGER_LENGTH = 16;
const ASSOCIATION_TLV = {
  "pre-associate": 1,
  "pre-associate-rr": 2,
  associate: 3,
  "de-associate": 4,
} as const satisfies Record<AssociationType, number>;
const ASSOCIATION_TYPES: readonly (AssociationType | undefined)[] = [
  undefined,
  "pre-associate",
  "pre-associate-rr",
  "associate",
  "de-associate",
];

/** Readers of all TLVs of our own. */
const OURS = [
  readAddresses,
  readReason,
  readNames,
  readMtus,
  readLabels,
  readPrefixes,
  readSet,
  readMacs,
] as const;

/**
 * Reads up to the End TLV; what follows it is padding. One TLV that cannot be read refuses the whole.
 * @throws DecodeError `bad-value` when the manager TLV is missing, not first, there twice or not 16 octets long;
 *   as {@link readAssociation}, and as the reader of each kind for TLVs of our own
 */
export function readVdpdu(r: Reader): Vdpdu {
  const manager = readManager(r);
  const tlvs: VdpTlv[] = [];
  while (r.left > 0) {
    const tlv = readTlv(r);
    if (tlv.type === END_TLV) {
      if (tlv.value.length > 0) throw new DecodeError("bad-value", "End TLV is not empty");
      r.rest();
      break;
    }
    tlvs.push(vdpTlv(tlv));
  }
  return { manager, tlvs };
}

/** @throws OutOfRange when the manager ID has not 16 octets, a field does not fit or a TLV grows too long */
export function vdpduOctets({ manager, tlvs }: Vdpdu): Uint8Array {
  if (manager.length !== MANAGER_LENGTH) {
    throw new OutOfRange(`a VSI manager ID has ${MANAGER_LENGTH} octets, not ${manager.length}`);
  }
  const w = new Writer(vdpduLength({ manager, tlvs }));
  writeTlvHeader(w, MANAGER_TLV, MANAGER_LENGTH);
  w.put(manager);
  for (const tlv of tlvs) writeVdpTlv(w, tlv);
  return w.end();
}

/** As many octets as {@link vdpduOctets} makes of it, without making them. */
export function vdpduLength({ manager, tlvs }: Vdpdu): number {
  let length = TLV_HEADER + manager.length;
  for (const tlv of tlvs) length += TLV_HEADER + vdpTlvLength(tlv);
  return length;
}

function readManager(r: Reader): Uint8Array {
  const { type, value } = readTlv(r);
  if (type !== MANAGER_TLV) {
    throw new DecodeError("bad-value", `the first TLV has type ${type}, it is no VSI manager ID`);
  }
  if (value.length !== MANAGER_LENGTH) {
    throw new DecodeError("bad-value", `VSI manager ID of ${value.length} octets`);
  }
  return value;
}

function vdpTlv({ type, value }: Tlv): VdpTlv {
  const association = ASSOCIATION_TYPES[type];
  if (association !== undefined) {
    return { is: "association", type: association, association: decode(value, readAssociation) };
  }
  if (type === MANAGER_TLV) throw new DecodeError("bad-value", "a second VSI manager ID");
  if (type !== ORGANIZATIONAL_TLV) return { is: "unknown", type, octets: value };
  const organizational = decode(value, readOrganizational);
  for (const read of OURS) read(organizational); // a malformed one is refused here, where it is counted
  return organizational;
}

/** Of the information string. */
function vdpTlvLength(tlv: VdpTlv): number {
  switch (tlv.is) {
    case "association": {
      const { by, entries } = tlv.association.filters;
      return associationLength(by, entries.length);
    }
    case "organizational":
      return ORGANIZATIONAL_HEADER + tlv.octets.length;
    case "unknown":
      return tlv.octets.length;
  }
}

function writeVdpTlv(w: Writer, tlv: VdpTlv): void {
  const length = vdpTlvLength(tlv);
  switch (tlv.is) {
    case "association":
      writeTlvHeader(w, ASSOCIATION_TLV[tlv.type], length);
      writeAssociation(w, tlv.association);
      break;
    case "organizational":
      writeTlvHeader(w, ORGANIZATIONAL_TLV, length);
      writeOrganizational(w, tlv);
      break;
    case "unknown":
      if (tlv.type < 6 || tlv.type > 126)
        throw new OutOfRange(`TLV type ${tlv.type} is no unknown one`);
      writeTlvHeader(w, tlv.type, length);
      w.put(tlv.octets);
      break;
  }
}
