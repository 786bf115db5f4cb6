import { hexPairs, utf8From } from "../bytes.ts";
import { macFrom } from "../ids.ts";
import type { Lldpdu, TypedId } from "./lldpdu.ts";
import type { TextTlv } from "./optional-tlv.ts";

/** Subtypes of the chassis ID (802.1AB §8.5.2) and of the port ID (§8.5.3) that we read or write as text. */
export const IdSubtype = {
  chassisMac: 4,
  chassisLocal: 7,
  portMac: 3,
  portInterfaceName: 5,
} as const;

/** A MAC address where the subtype says so; else text, and hex digits where it is none. */
export const chassisText = (id: TypedId): string => idText(id, IdSubtype.chassisMac);
export const portText = (id: TypedId): string => idText(id, IdSubtype.portMac);

/** The text of a TLV that a LLDPDU has once at most; empty without it. */
export function textOf({ tlvs }: Lldpdu, is: TextTlv): string {
  for (const tlv of tlvs) if ("text" in tlv && tlv.is === is) return tlv.text;
  return "";
}

/** Bits of the system capabilities from the lowest on (802.1AB Table 8-4). */
const CAPABILITIES = [
  "other",
  "repeater",
  "bridge",
  "wlan-access-point",
  "router",
  "telephone",
  "docsis-cable-device",
  "station-only",
  "c-vlan-component",
  "s-vlan-component",
  "two-port-mac-relay",
] as const;

/** The system capabilities that are enabled; reserved bits are left out. */
export function capabilitiesOf({ tlvs }: Lldpdu): string[] {
  for (const tlv of tlvs) {
    if (tlv.is === "system-capabilities") {
      return CAPABILITIES.filter((_, bit) => (tlv.enabled & (1 << bit)) !== 0);
    }
  }
  return [];
}

/** The first management address that is an IP address; empty without one. */
export function managementAddressOf({ tlvs }: Lldpdu): string {
  for (const tlv of tlvs)
    if (tlv.is === "management-address" && tlv.address.ip) return tlv.address.ip;
  return "";
}

function idText({ subtype, octets }: TypedId, mac: number): string {
  if (subtype === mac && octets.length === 6) return macFrom(octets);
  const text = utf8From(octets);
  return text !== undefined && /^[\x20-\x7e]+$/.test(text) ? text : hexPairs(octets).join("");
}
