import type { Neighbor, PortStatus } from "@nve/protocol-spec/proto/agent";
import type { Column } from "./output.ts";

// How both agents' CLIs show interfaces that speak LLDP, EVB and ECP.

type EdgeRow = Pick<PortStatus, "interface" | "state" | "evb" | "groupId" | "vnics"> &
  Record<"r" | "rte" | "rwd" | "rka", number | null>;

/** @param head what an interface is called here: "PORT" or "UPLINK" */
export const edgeColumns = (head: string): readonly Column<EdgeRow>[] => [
  { head, of: (edge) => edge.interface },
  { head: "STATE", of: ({ state }) => state },
  { head: "EVB", of: ({ evb }) => (evb ? "yes" : "no") },
  { head: "GROUP-ID", of: ({ groupId }) => (groupId ? "yes" : "no") },
  { head: "R", of: ({ r }) => r ?? undefined },
  { head: "RTE", of: ({ rte }) => rte ?? undefined },
  { head: "RWD", of: ({ rwd }) => rwd ?? undefined },
  { head: "RKA", of: ({ rka }) => rka ?? undefined },
  { head: "VNICS", of: ({ vnics }) => vnics },
];

export const neighborColumns: readonly Column<Neighbor>[] = [
  { head: "SYSTEM", of: ({ systemName }) => systemName },
  { head: "CHASSIS", of: ({ chassisId }) => chassisId },
  { head: "THEIR-PORT", of: ({ portId }) => portId },
  { head: "MAC", of: ({ mac }) => mac },
  { head: "ADDRESS", of: ({ managementAddress }) => managementAddress },
  { head: "CAPABILITIES", of: ({ capabilities }) => capabilities.join(" ") },
  { head: "TTL", of: ({ ttl }) => ttl },
  { head: "PORT-DESCRIPTION", of: ({ portDescription }) => portDescription },
  { head: "DESCRIPTION", of: ({ systemDescription }) => systemDescription },
];

export type Count = { where: string; counter: string; value: number };

export const countColumns: readonly Column<Count>[] = [
  { head: "WHERE", of: ({ where }) => where },
  { head: "COUNTER", of: ({ counter }) => counter },
  { head: "VALUE", of: ({ value }) => value },
];

export const countsOf = (
  where: string,
  counters: Readonly<Record<string, bigint>>,
  prefix = "",
): Count[] =>
  Object.entries(counters).map(([name, value]) => ({
    where,
    counter: `${prefix}${name}`,
    value: Number(value),
  }));
