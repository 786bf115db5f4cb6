import {
  capabilitiesOf,
  chassisText,
  type EvbAgreed,
  managementAddressOf,
  type Neighbour,
  portText,
  textOf,
} from "@nve/protocol-spec";
import type { Neighbor, PortStatus } from "@nve/protocol-spec/proto/agent";

// What both agents' control APIs say of an interface that speaks LLDP, EVB and ECP.

export type Edge = {
  interface: string;
  state: string;
  evb: EvbAgreed;
  neighbours: readonly Neighbour[];
  /** By group, as `lldp` and `ecp`; the names become `lldp.in`, `ecp.requests-out`. */
  counters: Readonly<Record<string, Readonly<Record<string, number>>>>;
  vnics: number;
  tagsLent: number;
  tagsFree: number;
  /** Why it cannot be used now. */
  reason?: string | undefined;
  /** Of a port for several. */
  stations?: readonly Station[];
};

export type Station = EdgeNumbers & { mac: string; systemName: string; vnics: number };
type EdgeNumbers = { evb: EvbAgreed; counters: Edge["counters"] };

export function portStatusOf({
  evb,
  neighbours,
  counters,
  reason = "",
  stations = [],
  ...edge
}: Edge): PortStatus {
  return {
    ...edge,
    ...agreedOf(evb),
    neighbors: neighbours.map(neighborOf),
    counters: flat(counters),
    reason,
    stations: stations.map(({ evb, counters, ...station }) => ({
      ...station,
      ...agreedOf(evb),
      counters: flat(counters),
    })),
  };
}

const agreedOf = ({ peer, groupId, r, rte, rwd, rka }: EvbAgreed) => ({
  evb: peer,
  groupId,
  r,
  rte,
  rwd,
  rka,
});

function neighborOf({ lldpdu, source }: Neighbour): Neighbor {
  return {
    chassisId: chassisText(lldpdu.chassisId),
    portId: portText(lldpdu.portId),
    systemName: textOf(lldpdu, "system-name"),
    systemDescription: textOf(lldpdu, "system-description"),
    managementAddress: managementAddressOf(lldpdu),
    mac: source,
    ttl: lldpdu.ttl,
    portDescription: textOf(lldpdu, "port-description"),
    capabilities: capabilitiesOf(lldpdu),
  };
}

const flat = (groups: Edge["counters"]): Record<string, bigint> =>
  Object.fromEntries(
    Object.entries(groups).flatMap(([group, counts]) =>
      Object.entries(counts).map(([name, n]) => [`${group}.${dashed(name)}`, BigInt(n)]),
    ),
  );

const dashed = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
