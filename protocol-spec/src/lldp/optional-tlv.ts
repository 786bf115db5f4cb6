import { concat, decode, type Reader, uint, utf8From, utf8Octets } from "../bytes.ts";
import { DecodeError, OutOfRange } from "../errors.ts";
import { type IpAddress, ipFrom, ipOctets, isIpv6 } from "../ip.ts";
import {
  ORGANIZATIONAL_TLV,
  type Organizational,
  organizationalOctets,
  readOrganizational,
  type Tlv,
  tlvOctets,
} from "../tlv.ts";

/** The optional TLVs (802.1AB §8.5.5 to §8.6); those we do not know are kept as they came. */
export type OptionalTlv =
  | { is: TextTlv; text: string }
  | { is: "system-capabilities"; capabilities: number; enabled: number }
  | { is: "management-address"; address: ManagementAddress }
  | Organizational
  /** Also a text that is not UTF-8. */
  | { is: "unknown"; type: number; octets: Uint8Array };

/** 0 … 255 octets of UTF-8. */
export type TextTlv = "port-description" | "system-name" | "system-description";

/**
 * Management address TLV (802.1AB §8.5.9). 1 … 31 octets, OID 0 … 128 octets. `ip` is there where the subtype
 * is 1 (IPv4) or 2 (IPv6); written are the `octets`.
 */
export type ManagementAddress = {
  subtype: number;
  octets: Uint8Array;
  ip?: IpAddress;
  interface: { subtype: number; number: number };
  oid: Uint8Array;
};

/** Where the system is managed; which of its interfaces has the address is not said (802.1AB §8.5.9.5, subtype 1). */
export function managementAddressTlv(ip: IpAddress): OptionalTlv {
  const address: ManagementAddress = {
    subtype: isIpv6(ip) ? 2 : 1,
    octets: ipOctets(ip),
    ip,
    interface: { subtype: 1, number: 0 },
    oid: new Uint8Array(),
  };
  return { is: "management-address", address };
}

/** System capability bits (802.1AB Table 8-4). */
export const Capability = {
  other: 1,
  repeater: 2,
  bridge: 4,
  wlanAp: 8,
  router: 16,
  station: 128,
} as const;

const TEXT: Record<TextTlv, number> = {
  "port-description": 4,
  "system-name": 5,
  "system-description": 6,
};
const SYSTEM_CAPABILITIES = 7;
const MANAGEMENT_ADDRESS = 8;

/** Types below are not optional. */
const FIRST_OPTIONAL = 4;

/** @throws DecodeError `bad-value`, `short` or `trailing` when a length is not what the type allows */
export function optionalTlv({ type, value }: Tlv): OptionalTlv {
  switch (type) {
    case TEXT["port-description"]:
      return textTlv("port-description", value);
    case TEXT["system-name"]:
      return textTlv("system-name", value);
    case TEXT["system-description"]:
      return textTlv("system-description", value);
    case SYSTEM_CAPABILITIES:
      return decode(value, readCapabilities);
    case MANAGEMENT_ADDRESS:
      return { is: "management-address", address: decode(value, readManagementAddress) };
    case ORGANIZATIONAL_TLV:
      return decode(value, readOrganizational);
    default:
      if (type >= FIRST_OPTIONAL) return { is: "unknown", type, octets: value };
      throw new DecodeError("bad-value", `TLV type ${type} stands once, in front`);
  }
}

/** @throws OutOfRange when a field or a text does not fit, or an unknown type is not an optional one */
export function optionalTlvOctets(tlv: OptionalTlv): Uint8Array {
  switch (tlv.is) {
    case "system-capabilities":
      return tlvOctets(SYSTEM_CAPABILITIES, uint(2, tlv.capabilities), uint(2, tlv.enabled));
    case "management-address":
      return tlvOctets(MANAGEMENT_ADDRESS, managementAddressOctets(tlv.address));
    case "organizational":
      return tlvOctets(ORGANIZATIONAL_TLV, organizationalOctets(tlv));
    case "unknown":
      if (tlv.type >= FIRST_OPTIONAL) return tlvOctets(tlv.type, tlv.octets);
      throw new OutOfRange(`TLV type ${tlv.type} is not optional`);
    default:
      return tlvOctets(TEXT[tlv.is], within("a text", 0, 255, utf8Octets(tlv.text)));
  }
}

/** `octets` when there are `min` to `max` of them. @throws OutOfRange */
export function within(what: string, min: number, max: number, octets: Uint8Array): Uint8Array {
  if (octets.length >= min && octets.length <= max) return octets;
  throw new OutOfRange(`${what} has ${min}..${max} octets, not ${octets.length}`);
}

function textTlv(is: TextTlv, octets: Uint8Array): OptionalTlv {
  const text = utf8From(within(is, 0, 255, octets));
  return text === undefined ? { is: "unknown", type: TEXT[is], octets } : { is, text };
}

const readCapabilities = (r: Reader): OptionalTlv => ({
  is: "system-capabilities",
  capabilities: r.uint(2),
  enabled: r.uint(2),
});

function readManagementAddress(r: Reader): ManagementAddress {
  const length = r.uint(1); // of subtype and address
  const subtype = r.uint(1);
  const octets = within("a management address", 1, 31, r.take(Math.max(length - 1, 0)));
  const isIp = (subtype === 1 && octets.length === 4) || (subtype === 2 && octets.length === 16);
  return {
    subtype,
    octets,
    ...(isIp && { ip: ipFrom(octets) }),
    interface: { subtype: r.uint(1), number: r.uint(4) },
    oid: within("an OID", 0, 128, r.take(r.uint(1))),
  };
}

function managementAddressOctets(address: ManagementAddress): Uint8Array {
  const octets = within("a management address", 1, 31, address.octets);
  const oid = within("an OID", 0, 128, address.oid);
  return concat(
    concat(uint(1, octets.length + 1), uint(1, address.subtype), octets),
    concat(uint(1, address.interface.subtype), uint(4, address.interface.number)),
    concat(uint(1, oid.length), oid),
  );
}
