import type { EdgePortOptions } from "@nve/linux";
import {
  type Association,
  announcing,
  Capability,
  HypervisorId,
  hexPairs,
  type IpAddress,
  type Lldpdu,
  type Mac,
  macFrom,
  managementAddressTlv,
  type Neighbour,
  type NveId,
  type TypedId,
  utf8From,
  utf8Octets,
} from "@nve/protocol-spec";

/** What makes two requests of one port speak of the same VSI (spec/vdp.md 3). */
export function vsiKey(port: string, manager: Uint8Array, association: Association): string {
  const { vsiType, vsiId, filters } = association;
  const parts = [port, hex(manager), vsiType.id, vsiType.version, vsiId.format, hex(vsiId.octets)];
  return [...parts, filters.by].join(" ");
}

export type Announced = {
  /** Of the port. */
  name: string;
  nve: NveId;
  version: string;
  managementAddress?: IpAddress;
};

/** What our LLDPDUs say of us: a bridge, and which of our own TLVs it reads. */
export function announcement({
  name,
  nve,
  version,
  managementAddress,
}: Announced): EdgePortOptions["lldp"] {
  return {
    chassisId: { subtype: CHASSIS_LOCAL, octets: utf8Octets(nve) },
    portId: { subtype: PORT_INTERFACE_NAME, octets: utf8Octets(name) },
    tlvs: [
      { is: "port-description", text: `access port ${name}` },
      { is: "system-name", text: nve },
      { is: "system-description", text: `split-nve switch-agent ${version}` },
      {
        is: "system-capabilities",
        capabilities: Capability.bridge,
        enabled: Capability.bridge,
      },
      ...(managementAddress === undefined ? [] : [managementAddressTlv(managementAddress)]),
      announcing("addresses", "names", "labels", "prefixes"),
    ],
  };
}

/** The neighbour with this address; or the only neighbour, which may use another address for LLDP. */
export function neighbourOf(neighbours: readonly Neighbour[], station: Mac): Neighbour | undefined {
  const same = neighbours.find(({ source }) => source === station);
  return same ?? (neighbours.length === 1 ? neighbours[0] : undefined);
}

/**
 * Whose VSI it is: what the station says; the chassis ID of the neighbour; or, when none is known, the address itself. What an id may
 * not hold becomes a dash.
 */
export function hypervisorOf(
  neighbours: readonly Neighbour[],
  station: Mac,
  said = "",
): HypervisorId {
  if (said !== "") return idFrom(said);
  const neighbour = neighbourOf(neighbours, station);
  const text = neighbour === undefined ? station : chassisText(neighbour.lldpdu.chassisId);
  return idFrom(text);
}

const idFrom = (text: string): HypervisorId =>
  HypervisorId(text.replace(/[^A-Za-z0-9._-]/g, "-").slice(0, 64));

/** For logs and tables. */
export function neighbourFields({ lldpdu, source }: Neighbour) {
  return {
    chassis: chassisText(lldpdu.chassisId),
    neighbourPort: portText(lldpdu.portId),
    system: systemText(lldpdu, "system-name"),
    mac: source,
  };
}

export const chassisText = (id: TypedId): string => idText(id, CHASSIS_MAC);
export const portText = (id: TypedId): string => idText(id, PORT_MAC);

export function systemText(lldpdu: Lldpdu, is: "system-name" | "system-description"): string {
  const found = lldpdu.tlvs.find((tlv) => tlv.is === is);
  return found !== undefined && "text" in found ? found.text : "";
}

export function managementAddress(lldpdu: Lldpdu): string {
  const found = lldpdu.tlvs.find((tlv) => tlv.is === "management-address");
  return found?.is === "management-address" ? (found.address.ip ?? "") : "";
}

/** Subtypes of the chassis ID (802.1AB §8.5.2) and of the port ID (§8.5.3). */
const CHASSIS_MAC = 4;
const CHASSIS_LOCAL = 7;
const PORT_MAC = 3;
const PORT_INTERFACE_NAME = 5;

function idText({ subtype, octets }: TypedId, mac: number): string {
  if (subtype === mac && octets.length === 6) return macFrom(octets);
  const text = utf8From(octets);
  return text !== undefined && /^[\x20-\x7e]+$/.test(text) ? text : hex(octets);
}

const hex = (octets: Uint8Array): string => hexPairs(octets).join("");
