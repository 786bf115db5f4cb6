import { portStatusOf } from "@nve/program/edge-status";
import {
  IpPrefix,
  MAX_LABEL,
  Mac,
  OutOfRange,
  prefixesIn,
  printable,
  Uuid,
  utf8Octets,
  VnId,
} from "@nve/protocol-spec";
import type {
  MacAttachment,
  PortStatus,
  TreeNode,
  VnAttachment,
  Vnic,
} from "@nve/protocol-spec/proto/agent";
import type { VnicView } from "./agent.ts";
import {
  GuestTag,
  type NodePath,
  plus,
  StageName,
  type Tree,
  type VnRef,
} from "./stations/tree.ts";
import { notReady } from "./stations/vnic.ts";
import type { Uplink } from "./uplink.ts";
import type { Driver } from "./vms/driven.ts";

/** @throws OutOfRange for what is no VN ID, guest tag, MAC or IP address */
export const treeFrom = (vns: readonly VnAttachment[]): Tree =>
  vns
    .map((vn) => ({
      vn: vnFrom(vn),
      ...(vn.guestTag !== 0 && { guestTag: GuestTag(vn.guestTag) }),
      ...(vn.stage !== undefined && { stage: StageName(vn.stage) }),
      macs: vn.macs.map(macFromProto),
    }))
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

export function vnicOf(view: VnicView, drivenBy?: Driver): Vnic {
  const { vnic, interface: of, pinned, over, state, reason, tree, tagged, mtus, vm } = view;
  const mtuIn = (vn: VnRef) => {
    const granted = tagged.find((leaf) => leaf.vn === vn);
    return (granted && mtus.get(granted.vn)) ?? 0;
  };
  const vns = tree.map(({ vn, name, guestTag = 0, stage, macs }) => ({
    vnId: typeof vn === "number" ? vn : 0,
    vnName: typeof vn === "string" ? vn : (name ?? ""),
    tag: tagged.find((leaf) => leaf.vn === vn)?.vid ?? 0,
    mtu: mtuIn(vn),
    guestTag,
    ...(stage !== undefined && stage !== "active" && { stage }),
    uplink: over.get(vn) ?? "",
    macs: macs.map(({ mac, ips }) => ({ mac, ips: [...ips] })),
  }));
  const [uplink = "", ...others] = new Set(vns.map((one) => one.uplink));
  return {
    vnic,
    interface: of,
    uplink: others.length === 0 ? uplink : "",
    state,
    reason: reason ?? "",
    vns,
    vmName: vm ?? "",
    pinnedUplink: pinned ?? "",
    ...(drivenBy !== undefined && { drivenBy }),
  };
}

/** Counters: `lldp.in`, `ecp.requests-out`, `malformed.vdp.short`, `link.dropped-in`, … */
export function uplinkStatusOf({ name, link, port, book, guard }: Uplink): PortStatus {
  const { lldp, ecp, malformed } = port.counters;
  const tags = new Set([...book.vnics.values()].flatMap((vnic) => tagsOf(vnic.granted?.tagged)));
  const { in: droppedIn, out: droppedOut, ...reasons } = link.dropped;
  return portStatusOf({
    interface: name,
    state: link.state,
    evb: port.evb,
    neighbours: port.neighbours,
    counters: {
      ...{ lldp, ecp, malformed, link: { droppedIn, droppedOut, ...reasons } },
      ...(guard && { auth: guard.counters }),
    },
    vnics: book.vnics.size,
    tagsLent: tags.size,
    tagsFree: 0, // the NVE's business
    reason: notReady(book.peer),
  });
}

const tagsOf = (tagged: readonly { vid: number }[] = []) => tagged.map(({ vid }) => vid);
