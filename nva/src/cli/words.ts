/** Fields as they are called on the wire, and as domain files and flags call them (docs/nva-domain.md). */
const USERS: ReadonlyMap<string, string> = new Map([
  ["burst_octets", "burstOctets"],
  ["police_kbps", "police"],
  ["ether_type", "etherType"],
  ["source_ports", "sourcePorts"],
  ["destination_ports", "destinationPorts"],
  ["max_vns", "maxVns"],
  ["vn_id", "id"],
  ["window_ms", "window"],
  ["freeze_ms", "for"],
]);

const wireNames = new RegExp(
  `(?<=^|[\\s.(])(?:${[...USERS.keys()].join("|")})(?=[:,.\\s]|$)`,
  "gm",
);

/** What the NVA says of fields, in the words of who writes domain files. What stands in quotes stays. */
export const inUsersWords = (text: string): string =>
  text.replace(wireNames, (name) => USERS.get(name) ?? name);
