import type { EdgeCounters } from "@nve/linux";
import {
  IpPrefix,
  MAX_LABEL,
  Mac,
  macFrom,
  type Neighbour,
  type OptionalTlv,
  OutOfRange,
  prefixesIn,
  printable,
  type TextTlv,
  type TypedId,
  Uuid,
  utf8Octets,
  VnId,
} from "@nve/protocol-spec";
import type {
  MacAttachment,
  Neighbor,
  PortStatus,
  TreeNode,
  VnAttachment,
  Vnic,
} from "@nve/protocol-spec/proto/agent";
import type { VnicView } from "./agent.ts";
import { type NodePath, plus, type Tree, type VnRef } from "./tree.ts";
import type { Uplink } from "./uplink.ts";

/** @throws OutOfRange for what is no VN ID, MAC or IP address */
export const treeFrom = (vns: readonly VnAttachment[]): Tree =>
  vns
    .map((vn) => ({ vn: vnFrom(vn), macs: vn.macs.map(macFromProto) }))
    .reduce<Tree>((tree, node) => plus(tree, [node]), []);

const vnFrom = ({ vnId, vnName }: { vnId: number; vnName: string }): VnRef =>
  vnId === 0 && vnName !== "" ? Uuid(vnName) : VnId(vnId);

const macFromProto = ({ mac, ips }: MacAttachment) => ({
  mac: Mac(mac),
  ips: ips.flatMap(prefixesIn),
});

/** @throws OutOfRange for a name that cannot be shown on one line or sent as it is */
export function VmName(text: string): string {
  if (printable(text) === text && utf8Octets(text).length <= MAX_LABEL) return text;
  throw new OutOfRange(
    `a VM's name has ${MAX_LABEL} octets at most, no control characters, and no spaces at its ends`,
  );
}

/** @throws OutOfRange */
export const pathFrom = ({ mac, ip, ...vn }: TreeNode): NodePath => ({
  vn: vnFrom(vn),
  ...(mac !== "" && { mac: Mac(mac) }),
  ...(ip !== "" && { ip: IpPrefix(ip) }),
});

export function vnicOf({
  vnic,
  interface: of,
  uplink,
  state,
  reason,
  tree,
  tagged,
  mtus,
  vm,
}: VnicView): Vnic {
  const mtuIn = (vn: VnRef) => {
    const granted = tagged.find((leaf) => leaf.vn === vn);
    return (granted && mtus.get(granted.vn)) ?? 0;
  };
  const vns = tree.map(({ vn, name, macs }) => ({
    vnId: typeof vn === "number" ? vn : 0,
    vnName: typeof vn === "string" ? vn : (name ?? ""),
    tag: tagged.find((leaf) => leaf.vn === vn)?.vid ?? 0,
    mtu: mtuIn(vn),
    macs: macs.map(({ mac, ips }) => ({ mac, ips: [...ips] })),
  }));
  return { vnic, interface: of, uplink, state, reason: reason ?? "", vns, vmName: vm ?? "" };
}

export function portStatusOf({ name, link, port, book }: Uplink): PortStatus {
  const { evb, neighbours, counters } = port;
  const tags = new Set([...book.vnics.values()].flatMap((vnic) => tagsOf(vnic.granted?.tagged)));
  return {
    interface: name,
    state: link.state,
    evb: evb.peer,
    groupId: evb.groupId,
    r: evb.r,
    rte: evb.rte,
    rwd: evb.rwd,
    rka: evb.rka,
    neighbors: neighbours.map(neighborOf),
    counters: countersOf(counters, link.dropped),
    vnics: book.vnics.size,
    tagsLent: tags.size,
    tagsFree: 0, // the NVE's business
  };
}

const tagsOf = (tagged: readonly { vid: number }[] = []) => tagged.map(({ vid }) => vid);

function neighborOf({ lldpdu, source }: Neighbour): Neighbor {
  const { chassisId, portId, ttl, tlvs } = lldpdu;
  const address = tlvs.find((tlv) => tlv.is === "management-address");
  return {
    chassisId: idText(chassisId, 4),
    portId: idText(portId, 3),
    systemName: textIn(tlvs, "system-name"),
    systemDescription: textIn(tlvs, "system-description"),
    managementAddress: address?.address.ip ?? "",
    mac: source,
    ttl,
  };
}

function textIn(tlvs: readonly OptionalTlv[], is: TextTlv): string {
  for (const tlv of tlvs) if ("text" in tlv && tlv.is === is) return tlv.text;
  return "";
}

/** A MAC address where the subtype says so; else text, and hex digits where it is none (802.1AB §8.5.2, §8.5.3). */
function idText({ subtype, octets }: TypedId, macSubtype: number): string {
  if (subtype === macSubtype && octets.length === 6) return macFrom(octets);
  const text = new TextDecoder().decode(octets);
  return /^[\x20-\x7e]+$/.test(text) ? text : Buffer.from(octets).toString("hex");
}

/** `lldp.in`, `ecp.requests-out`, `malformed.vdp.short`, `link.dropped-in`. */
function countersOf(
  { lldp, ecp, malformed }: EdgeCounters,
  dropped: { in: number; out: number },
): Record<string, bigint> {
  const groups: [string, Readonly<Record<string, number>>][] = [
    ["lldp.", lldp],
    ["ecp.", ecp],
    ["malformed.", malformed],
    ["link.dropped-", dropped],
  ];
  return Object.fromEntries(
    groups.flatMap(([prefix, counts]) =>
      Object.entries(counts).map(([key, count]) => [`${prefix}${dashed(key)}`, BigInt(count)]),
    ),
  );
}

const dashed = (camel: string): string =>
  camel.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
