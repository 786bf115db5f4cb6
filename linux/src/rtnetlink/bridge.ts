import {
  concat,
  type IpAddress,
  ipFrom,
  ipOctets,
  isIpv6,
  type Mac,
  macFrom,
  macOctets,
} from "@nve/protocol-spec";
import {
  attribute,
  cString,
  field,
  hostUint,
  nested,
  readAttributes,
  readHostUint,
  signed,
} from "./codec.ts";

// Bodies of messages about bridges, their ports, VLANs and forwarding tables (rtnetlink(7), linux/if_bridge.h).

/** A VXLAN device of one VNI, for a bridge. Without learning; TTL 64, DF, DSCP and ECN of the tenant's packet, no UDP checksum over IPv4. */
export type VxlanPort = { name: string; vni: number; local: IpAddress; port: number; mtu: number };

/** Of a bridge's port: what is sent out of it though nobody there is known, and who may send into it. */
export type BridgePortFlags = {
  /** Unknown unicast. */
  flood: boolean;
  /** Broadcast and multicast. */
  floodGroups: boolean;
  /** Only MACs that the forwarding table has there may send. */
  locked: boolean;
};

/** An entry of a bridge's forwarding table (`vid`, no `vtep`), or of a VXLAN device's own (`vtep`). */
export type FdbEntry = { index: number; mac: Mac; vid?: number; vtep?: IpAddress };

/** Body of RTM_NEWLINK: filters VLANs, has none at first, and does nothing by itself (STP, snooping, netfilter). */
export function bridgeOctets(name: string): Uint8Array {
  return newLink(name, "bridge", [
    attribute(BR.vlanFiltering, on),
    attribute(BR.defaultPvid, hostUint(2, 0)),
    attribute(BR.stp, hostUint(4, 0)),
    attribute(BR.multicastSnooping, off),
    attribute(BR.callIptables, off),
    attribute(BR.callIp6tables, off),
    attribute(BR.callArptables, off),
  ]);
}

/** Whether the bridge of a link message filters VLANs: some kernels take the wish and do not. @throws DecodeError */
export function filtersVlans(body: Uint8Array): boolean {
  const info = readAttributes(readAttributes(body.subarray(IFINFO)).get(IFLA.linkinfo) ?? none);
  return readAttributes(info.get(INFO.data) ?? none).get(BR.vlanFiltering)?.[0] === 1;
}

/** Frames that an interface has received and sent. */
export type LinkCounts = { index: number; in: number; out: number };

/** Of a link message with its statistics. @throws DecodeError */
export function readLinkCounts(body: Uint8Array): LinkCounts | undefined {
  const counts = readAttributes(body.subarray(IFINFO)).get(IFLA.statistics64);
  if (counts === undefined || counts.length < 16) return undefined;
  const view = new DataView(counts.buffer, counts.byteOffset);
  const [into, out] = [0, 8].map((at) => Number(view.getBigUint64(at, true)));
  return { index: signed(field(body, 4, 4)), in: into ?? 0, out: out ?? 0 };
}

/** Body of RTM_GETLINK for all interfaces with their statistics. */
export const countsDumpOctets = (): Uint8Array => ifinfo(0, 0);

/** Body of RTM_NEWLINK: the frames of an interface that have this tag. It is up though that is down. */
export const vlanOctets = (name: string, lower: number, vid: number): Uint8Array =>
  newLink(
    name,
    "vlan",
    [
      attribute(VLAN.id, hostUint(2, vid)),
      attribute(VLAN.flags, concat(hostUint(4, LOOSE), hostUint(4, LOOSE))),
    ],
    [attribute(IFLA.link, hostUint(4, lower))],
  );

/** Body of RTM_NEWLINK. */
export function vxlanPortOctets({ name, vni, local, port, mtu }: VxlanPort): Uint8Array {
  return newLink(
    name,
    "vxlan",
    [
      attribute(VXLAN.id, hostUint(4, vni)),
      attribute(isIpv6(local) ? VXLAN.local6 : VXLAN.local, ipOctets(local)),
      attribute(VXLAN.port, bigEndian(port)),
      attribute(VXLAN.portRange, concat(bigEndian(49152), bigEndian(65535))),
      attribute(VXLAN.ttl, Uint8Array.of(64)),
      attribute(VXLAN.tos, Uint8Array.of(INHERIT)),
      attribute(VXLAN.df, on),
      attribute(VXLAN.learning, off),
      attribute(VXLAN.checksum4, off),
      attribute(VXLAN.zeroChecksum6Rx, on),
    ],
    [attribute(IFLA.mtu, hostUint(4, mtu))],
  );
}

/** Body of RTM_SETLINK. @param bridge 0: of none any more */
export const masterOctets = (index: number, bridge: number): Uint8Array =>
  concat(ifinfo(0, index), attribute(IFLA.master, hostUint(4, bridge)));

/** Body of RTM_SETLINK of family AF_BRIDGE. Nothing is learnt. */
export function portFlagsOctets(index: number, flags: BridgePortFlags): Uint8Array {
  const flag = (type: number, is: boolean): Uint8Array => attribute(type, is ? on : off);
  return concat(
    ifinfo(AF_BRIDGE, index),
    nested(
      IFLA.protinfo,
      flag(PORT.learning, false),
      flag(PORT.flood, flags.flood),
      flag(PORT.floodMulticast, flags.floodGroups),
      flag(PORT.floodBroadcast, flags.floodGroups),
      flag(PORT.locked, flags.locked),
    ),
  );
}

/** Body of RTM_SETLINK (RTM_DELLINK takes it away): frames of this port, which have no tag there, are of this VLAN. */
export const portVlanOctets = (index: number, vid: number): Uint8Array =>
  concat(
    ifinfo(AF_BRIDGE, index),
    nested(
      IFLA.afSpec,
      attribute(BRIDGE_VLAN_INFO, concat(hostUint(2, PVID | UNTAGGED), hostUint(2, vid))),
    ),
  );

/** Body of RTM_GETLINK for all ports of all bridges. */
export const bridgePortDumpOctets = (): Uint8Array =>
  concat(ifinfo(AF_BRIDGE, 0), attribute(IFLA.extMask, hostUint(4, FILTER_BRVLAN)));

/** A port as `bridgePortDumpOctets` lists it; `vid`: the VLAN of its frames without a tag. */
export type BridgePort = BridgePortFlags & { index: number; master: number; vid?: number };

/** @returns undefined: the bridge itself. @throws DecodeError */
export function readBridgePort(body: Uint8Array): BridgePort | undefined {
  const attributes = readAttributes(body.subarray(IFINFO));
  const master = attributes.get(IFLA.master);
  const flags = readAttributes(attributes.get(IFLA.protinfo) ?? none);
  if (master === undefined || flags.size === 0) return undefined;
  const isOn = (type: number): boolean => flags.get(type)?.[0] === 1;
  const vlan = readAttributes(attributes.get(IFLA.afSpec) ?? none).get(BRIDGE_VLAN_INFO);
  return {
    index: signed(field(body, 4, 4)),
    master: readHostUint(master),
    flood: isOn(PORT.flood),
    floodGroups: isOn(PORT.floodMulticast) && isOn(PORT.floodBroadcast),
    locked: isOn(PORT.locked),
    ...(vlan && { vid: field(vlan, 2, 2) }),
  };
}

/** Body of RTM_NEWNEIGH and RTM_DELNEIGH. It neither ages nor moves. */
export function fdbOctets({ index, mac, vid, vtep }: FdbEntry): Uint8Array {
  return concat(
    Uint8Array.of(AF_BRIDGE, 0, 0, 0),
    hostUint(4, index),
    hostUint(2, vtep ? NUD_NOARP | NUD_PERMANENT : NUD_NOARP),
    Uint8Array.of(vtep ? NTF_SELF : NTF_MASTER, 0),
    attribute(NDA.mac, macOctets(mac)),
    vid === undefined ? none : attribute(NDA.vlan, hostUint(2, vid)),
    vtep === undefined ? none : attribute(NDA.destination, ipOctets(vtep)),
  );
}

/** Body of RTM_GETNEIGH for the forwarding tables of all bridges and VXLAN devices. */
export const fdbDumpOctets = (): Uint8Array =>
  concat(Uint8Array.of(AF_BRIDGE), new Uint8Array(NDMSG - 1));

/** @returns undefined: neither of a bridge's VLANs nor with a VTEP. @throws DecodeError */
export function readFdbEntry(body: Uint8Array): FdbEntry | undefined {
  const attributes = readAttributes(body.subarray(NDMSG));
  const mac = attributes.get(NDA.mac);
  const vlan = attributes.get(NDA.vlan);
  const destination = attributes.get(NDA.destination);
  const isLocal = (field(body, 8, 2) & NUD_PERMANENT) !== 0 && destination === undefined;
  if (mac?.length !== 6 || isLocal || (vlan === undefined && destination === undefined)) {
    return undefined;
  }
  return {
    index: signed(field(body, 4, 4)),
    mac: macFrom(mac),
    ...(vlan && { vid: readHostUint(vlan) }),
    ...(destination && { vtep: ipFrom(destination) }),
  };
}

function newLink(
  name: string,
  kind: string,
  data: readonly Uint8Array[],
  more: readonly Uint8Array[] = [],
): Uint8Array {
  return concat(
    ifinfo(0, 0),
    attribute(IFLA.ifname, cString(name)),
    ...more,
    nested(IFLA.linkinfo, attribute(INFO.kind, cString(kind)), nested(INFO.data, ...data)),
  );
}

/** ifinfomsg: family 1, pad 1, type 2, index 4, flags 4, change 4. */
const ifinfo = (family: number, index: number): Uint8Array =>
  concat(hostUint(1, family), new Uint8Array(3), hostUint(4, index), new Uint8Array(8));

const bigEndian = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 0xff);

const on = Uint8Array.of(1);
const off = Uint8Array.of(0);
const none = new Uint8Array();

const AF_BRIDGE = 7;
const IFINFO = 16;
const NDMSG = 12;
const INHERIT = 1;
const FILTER_BRVLAN = 2;
const IFLA = {
  ifname: 3,
  mtu: 4,
  link: 5,
  master: 10,
  protinfo: 12,
  linkinfo: 18,
  statistics64: 23,
  afSpec: 26,
  extMask: 29,
};
const INFO = { kind: 1, data: 2 };
const VLAN = { id: 1, flags: 2 };
const LOOSE = 4;
const BR = {
  stp: 5,
  vlanFiltering: 7,
  multicastSnooping: 23,
  callIptables: 36,
  callIp6tables: 37,
  callArptables: 38,
  defaultPvid: 39,
};
const PORT = { learning: 8, flood: 9, floodMulticast: 27, floodBroadcast: 30, locked: 39 };
const VXLAN = {
  id: 1,
  local: 4,
  ttl: 5,
  tos: 6,
  learning: 7,
  portRange: 10,
  port: 15,
  local6: 17,
  checksum4: 18,
  zeroChecksum6Rx: 20,
  df: 29,
};
const BRIDGE_VLAN_INFO = 2;
const PVID = 2;
const UNTAGGED = 4;
const NDA = { destination: 1, mac: 2, vlan: 5 };
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
const NTF_SELF = 2;
const NTF_MASTER = 4;
