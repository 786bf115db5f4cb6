import { announcement } from "@nve/linux";
import {
  type Association,
  chassisText,
  HypervisorId,
  hexPairs,
  type Lldpdu,
  type Mac,
  type Neighbour,
  type OptionalTlv,
  portText,
  textOf,
} from "@nve/protocol-spec";
import { once } from "./once.ts";
import type { PortOptions } from "./options.ts";

/**
 * What makes two requests of one port speak of the same VSI (spec/vdp.md 3).
 * @param station where there are several on the port: each has VSIs of its own (RFC 8394 Req-2)
 */
export function vsiKey(
  port: string,
  manager: Uint8Array,
  association: Association,
  station?: Mac,
): string {
  const { vsiType, vsiId, filters } = association;
  const parts = [port, hex(manager), vsiType.id, vsiType.version, vsiId.format, hex(vsiId.octets)];
  return [...parts, filters.by, ...(station === undefined ? [] : [station])].join(" ");
}

/** @param more TLVs of ours */
export function announcementOf(
  { name, nve, version, managementAddress }: PortOptions,
  more: readonly OptionalTlv[],
): Lldp {
  const { tlvs, ...ids } = announcement({
    system: nve,
    description: `split-nve switch-agent ${version}`,
    capability: "bridge",
    interface: name,
    port: `access port ${name}`,
    managementAddress,
    reads: ["addresses", "names", "labels", "prefixes", "sets"],
  });
  return { ...ids, tlvs: [...tlvs, ...more] };
}

type Lldp = ReturnType<typeof announcement>;

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
  return neighbour === undefined ? idFrom(station) : chassisIdOf(neighbour.lldpdu);
}

const chassisIdOf = once(({ chassisId }: Lldpdu) => idFrom(chassisText(chassisId)));

const idFrom = (text: string): HypervisorId =>
  HypervisorId(text.replace(/[^A-Za-z0-9._-]/g, "-").slice(0, 64));

/** For logs and tables. */
export function neighbourFields({ lldpdu, source }: Neighbour) {
  return {
    chassis: chassisText(lldpdu.chassisId),
    neighbourPort: portText(lldpdu.portId),
    system: textOf(lldpdu, "system-name"),
    mac: source,
  };
}

const hex = (octets: Uint8Array): string => hexPairs(octets).join("");
