import type { IpAddress } from "../ip.ts";

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

export type OptionalTlv =
  | { is: "port-description" | "system-name" | "system-description"; text: string }
  | { is: "system-capabilities"; capabilities: number; enabled: number }
  | { is: "management-address"; address: ManagementAddress }
  | { is: "organizational"; oui: number; subtype: number; octets: Uint8Array }
  | { is: "unknown"; type: number; octets: Uint8Array };

/** Management address TLV (802.1AB §8.5.9). `address` is an IP where the subtype says 1 (IPv4) or 2 (IPv6). */
export type ManagementAddress = {
  subtype: number;
  octets: Uint8Array;
  ip?: IpAddress;
  interface: { subtype: number; number: number };
  oid: Uint8Array;
};

/** System capability bits (802.1AB Table 8-4). */
export const Capability = { other: 1, repeater: 2, bridge: 4, wlanAp: 8, router: 16, station: 128 } as const;
