import {
  announcing,
  Capability,
  type ExtensionKind,
  IdSubtype,
  type IpAddress,
  managementAddressTlv,
  utf8Octets,
} from "@nve/protocol-spec";
import type { EdgePortOptions } from "../edge-port.ts";

/** Who we are, on one interface. */
export type Announced = {
  /** NVE id or hypervisor id: chassis ID and system name. */
  system: string;
  /** Such as "split-nve switch-agent 0.1.0". */
  description: string;
  capability: "bridge" | "station";
  interface: string;
  /** Such as "access port swp1". */
  port: string;
  managementAddress?: IpAddress | undefined;
  /** Which TLVs of our own we read in VDP. */
  reads: readonly ExtensionKind[];
};

/** What our LLDPDUs carry besides TTL and EVB TLV. */
export function announcement(us: Announced): EdgePortOptions["lldp"] {
  const { system, description, interface: name, port, managementAddress, reads } = us;
  const capability = Capability[us.capability];
  return {
    chassisId: { subtype: IdSubtype.chassisLocal, octets: utf8Octets(system) },
    portId: { subtype: IdSubtype.portInterfaceName, octets: utf8Octets(name) },
    tlvs: [
      { is: "port-description", text: port },
      { is: "system-name", text: system },
      { is: "system-description", text: description },
      { is: "system-capabilities", capabilities: capability, enabled: capability },
      ...(managementAddress === undefined ? [] : [managementAddressTlv(managementAddress)]),
      announcing(...reads),
    ],
  };
}
