import { appendFileSync, cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findTopology } from "@nve/lab/find";
import { makeKeyFile } from "@nve/program/key-file";
import {
  type AssociationType,
  decode,
  EtherType,
  ecpduOctets,
  frameOctets,
  GroupAddress,
  Mac,
  readEcpdu,
  readFrame,
  readVdpdu,
  type Status,
  type Uuid,
  unsealed,
  vdpduOctets,
  vsiIdOf,
} from "@nve/protocol-spec";
import { readPcap } from "./pcap.ts";

/** What the server srv2 has on its NIC, which its port lets in. */
export const srv2Mac = Mac("02:00:00:00:aa:02");

/**
 * A copy of lab/two-racks in which each access port is guarded in its own way: tor1 eth1 (srv1) by VNs, MACs, IPs and
 * limits, tor1 eth2 (srv2) by its station, tor2 by keys, of which srv4 has the right one and srv3 a wrong one.
 * @returns the folder, with `two-racks.clab.yml`
 */
export function policyLab(): string {
  const folder = mkdtempSync(join(tmpdir(), "policy-"));
  cpSync(dirname(findTopology("two-racks")), folder, { recursive: true });
  const file = (name: string) => join(folder, name);
  makeKeyFile(file("right.key"), 1);
  makeKeyFile(file("wrong.key"), 1);
  const edit = (name: string, change: (text: string) => string) =>
    writeFileSync(file(name), change(readFileSync(file(name), "utf8")));
  edit("two-racks.clab.yml", (text) =>
    text.replace(
      "    srv2: { kind: linux, group: server,",
      `    srv2: { kind: linux, group: server, exec: ["ip link set eth1 address ${srv2Mac}"],`,
    ),
  );
  edit("tor1/config.yaml", (text) =>
    text
      .replace("- name: eth1", "- { name: eth1, policy: tenant }")
      .replace("- name: eth2", `- { name: eth2, policy: { stations: ["${srv2Mac}"] } }`),
  );
  appendFileSync(file("tor1/config.yaml"), TENANT);
  const guarded = (port: string) => `- { name: ${port}, auth: { keys: ${file("right.key")} } }`;
  edit("tor2/config.yaml", (text) =>
    text.replace("- name: eth1", guarded("eth1")).replace("- name: eth2", guarded("eth2")),
  );
  const keyed = (key: string) => (text: string) =>
    text.replace("- name: eth1", `- { name: eth1, auth: { key: ${file(key)} } }`);
  edit("srv3/config.yaml", keyed("wrong.key"));
  edit("srv4/config.yaml", keyed("right.key"));
  return folder;
}

/** VN red alone, two MACs that are red1's or near, and two IPs of its subnet. */
const TENANT = `policies:
  tenant:
    vns: [10001]
    macs: ["02:00:00:00:00:00/44"]
    ips: [10.0.1.0/24]
    maxVnics: 1
    maxMacs: 2
    maxAddresses: 2
`;

/** A VDP request as any station may put it; `from`: source address. */
export function vdpFrame(
  from: Mac,
  sequence: number,
  type: AssociationType,
  vnic: Uuid,
  vn: number,
  mac: Mac,
): Uint8Array {
  const status: Status = { is: "request", suspended: false, migrating: false, code: 0 };
  const association = {
    status,
    vsiType: { id: 0, version: 1 },
    vsiId: vsiIdOf(vnic),
    filters: { by: "group-mac-vid" as const, entries: [{ groupId: vn, mac }] },
  };
  const tlvs = [{ is: "association" as const, type, association }];
  const ulpdu = vdpduOctets({ manager: new Uint8Array(16), tlvs });
  return frameOctets({
    destination: GroupAddress.nearestCustomerBridge,
    source: from,
    etherType: EtherType.ecp,
    payload: ecpduOctets({ op: "request", subtype: 1, sequence, ulpdu }),
  });
}

export type CapturedVdp = {
  frame: Uint8Array;
  source: Mac;
  statuses: Status[];
  isSealed: boolean;
};

/** The ECPDUs of a capture that carry VDP, as they were on the wire, and the status of what they say. */
export function vdpIn(path: string): CapturedVdp[] {
  return readPcap(readFileSync(path)).flatMap(({ octets }) => {
    const { etherType, payload, source } = decode(octets, readFrame);
    if (etherType !== EtherType.ecp) return [];
    const { op, ulpdu } = decode(payload, readEcpdu);
    if (op !== "request") return [];
    const { tlvs } = decode(ulpdu, readVdpdu);
    const statuses = tlvs.flatMap((tlv) =>
      tlv.is === "association" ? [tlv.association.status] : [],
    );
    return [{ frame: octets, source, statuses, isSealed: unsealed(ulpdu) !== undefined }];
  });
}
