import { concat, DecodeError, type Mac, macFrom } from "@nve/protocol-spec";
import {
  attribute,
  cString,
  field,
  hostUint,
  nested,
  readAttributes,
  readCString,
  readHostUint,
  signed,
} from "./codec.ts";

/** A network interface as RTM_NEWLINK tells it. */
export type LinkInfo = {
  index: number;
  name: string;
  /** Absent where the interface has no Ethernet address. */
  mac?: Mac;
  /** IFF_*, see `isUp`. */
  flags: number;
  mtu: number;
  /** "veth", "vxlan", "bridge" …; absent for hardware. */
  kind?: string;
  /** Index of the bridge or bond that it belongs to. */
  master?: number;
  /** Index of a veth's other end, where that is in the same network namespace. */
  peer?: number;
};

/**
 * Up and with carrier. IFF_LOWER_UP follows the carrier at once; IFF_RUNNING and operstate can lag behind by a
 * second while frames already pass.
 */
export const isUp = ({ flags }: LinkInfo): boolean => (flags & UP_AND_CARRIER) === UP_AND_CARRIER;

/** What to change; what is absent stays. */
export type LinkChange = {
  up?: boolean;
  /** Octets, 68 … 65535. */
  mtu?: number;
  /** `false`: no IPv6 link-local address is made for it. */
  linkLocal?: boolean;
};

/** A VXLAN device that takes VNI and remote VTEP from what is attached to each packet ("external"). */
export type VxlanExternal = {
  name: string;
  /** UDP port to send to and listen on; default 4789 (RFC 7348 §5). */
  port?: number;
};

/** ifinfomsg (family 1, pad 1, type 2, index 4, flags 4, change 4), then attributes. @throws DecodeError */
export function readLink(body: Uint8Array): LinkInfo {
  const attributes = readAttributes(body.subarray(IFINFO));
  const name = attributes.get(IFLA.ifname);
  if (name === undefined) throw new DecodeError("short", "link without a name");
  const mac = attributes.get(IFLA.address);
  const mtu = attributes.get(IFLA.mtu);
  const master = attributes.get(IFLA.master);
  const info = attributes.get(IFLA.linkinfo);
  const kind = info && readAttributes(info).get(INFO.kind);
  const lower = attributes.get(IFLA.link);
  const isHere =
    kind !== undefined && readCString(kind) === "veth" && !attributes.has(IFLA.linkNetnsid);
  const peer = isHere && lower ? readHostUint(lower) : 0;
  return {
    index: signed(field(body, 4, 4)),
    name: readCString(name),
    flags: field(body, 8, 4),
    mtu: mtu ? readHostUint(mtu) : 0,
    ...(mac?.length === 6 && { mac: macFrom(mac) }),
    ...(kind && { kind: readCString(kind) }),
    ...(master && { master: readHostUint(master) }),
    ...(peer !== 0 && { peer }),
  };
}

/** Body of RTM_GETLINK for all links, without their statistics. */
export const linkDumpOctets = (): Uint8Array =>
  concat(ifinfo(0, 0, 0), attribute(IFLA.extMask, hostUint(4, SKIP_STATISTICS)));

/** Body of RTM_DELLINK and the like: one interface. */
export const linkIndexOctets = (index: number): Uint8Array => ifinfo(index, 0, 0);

/** Body of RTM_SETLINK. */
export function linkChangeOctets(index: number, { up, mtu, linkLocal }: LinkChange): Uint8Array {
  return concat(
    ifinfo(index, up ? IFF_UP : 0, up === undefined ? 0 : IFF_UP),
    mtu === undefined ? none : attribute(IFLA.mtu, hostUint(4, mtu)),
    linkLocal === undefined ? none : addressGeneration(linkLocal ? 0 : 1),
  );
}

/**
 * Body of RTM_NEWLINK: UDP source ports 49152 … 65535, one per inner flow (RFC 7348 §5), learning off, zero UDP
 * checksums over IPv6 accepted (RFC 6935).
 */
export function vxlanExternalOctets({ name, port }: VxlanExternal): Uint8Array {
  return concat(
    ifinfo(0, 0, 0),
    attribute(IFLA.ifname, cString(name)),
    nested(
      IFLA.linkinfo,
      attribute(INFO.kind, cString("vxlan")),
      nested(
        INFO.data,
        attribute(VXLAN.collectMetadata, on),
        attribute(VXLAN.learning, off),
        attribute(VXLAN.port, bigEndian(port ?? 4789)),
        attribute(VXLAN.portRange, concat(bigEndian(49152), bigEndian(65535))),
        attribute(VXLAN.zeroChecksum6Rx, on),
      ),
    ),
  );
}

const IFINFO = 16;
const IFF_UP = 1;
const UP_AND_CARRIER = IFF_UP | 0x10000;
const SKIP_STATISTICS = 8;
const IFLA = {
  address: 1,
  ifname: 3,
  mtu: 4,
  link: 5,
  master: 10,
  linkinfo: 18,
  afSpec: 26,
  extMask: 29,
  linkNetnsid: 37,
};
const INFO = { kind: 1, data: 2 };
const VXLAN = { learning: 7, portRange: 10, port: 15, zeroChecksum6Rx: 20, collectMetadata: 25 };
const INET6 = { family: 10, addressGeneration: 8 };
const none = new Uint8Array();
const on = Uint8Array.of(1);
const off = Uint8Array.of(0);

const bigEndian = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 0xff);

const ifinfo = (index: number, flags: number, change: number): Uint8Array =>
  concat(hostUint(4, 0), hostUint(4, index), hostUint(4, flags), hostUint(4, change));

const addressGeneration = (mode: number): Uint8Array =>
  nested(
    IFLA.afSpec,
    nested(INET6.family, attribute(INET6.addressGeneration, Uint8Array.of(mode))),
  );
