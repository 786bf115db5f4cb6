import {
  concat,
  EtherType,
  type IpAddress,
  ipFrom,
  ipOctets,
  isIpv6,
  uint,
  VXLAN_PORT,
} from "@nve/protocol-spec";

/** What an NVE sends to another in the underlay, as a suite says or sees it. */
export type Tunnelled = {
  vni: number;
  source: IpAddress;
  destination: IpAddress;
  frame: Uint8Array;
  /** RFC 2474; default 0. */
  ds?: number;
  /** Default 64. */
  ttl?: number;
  /** Cut off after so many octets from VXLAN's or GRE's header on; what stands before says so. */
  cut?: number;
  /** All bits of VXLAN's header are set that mean nothing (RFC 7348 §5). */
  reserved?: boolean;
  encapsulation?: "vxlan" | "nvgre" | "mpls-over-gre";
};

/** Of the outer headers, what is not said by `Tunnelled`. */
export type Seen = Required<Omit<Tunnelled, "cut" | "reserved">> & {
  dontFragment: boolean;
  /** UDP's; of NVGRE the FlowID. */
  flow: number;
  /** UDP's. */
  checksum: "none" | "right" | "wrong";
};

/** The IP packet around a frame. UDP without checksum. */
export function tunnelOctets(tunnelled: Tunnelled): Uint8Array {
  const { source, destination, ds = 0, ttl = 64, encapsulation = "vxlan" } = tunnelled;
  const payload = concat(shim(tunnelled), tunnelled.frame).subarray(0, tunnelled.cut);
  if (encapsulation !== "vxlan")
    return ipPacket({ source, destination, ds, ttl, protocol: 47, payload });
  const udp = concat(uint(2, 50000), uint(2, VXLAN_PORT), uint(2, payload.length + 8), uint(2, 0));
  return ipPacket({ source, destination, ds, ttl, protocol: 17, payload: concat(udp, payload) });
}

function shim({ vni, encapsulation, reserved }: Tunnelled): Uint8Array {
  switch (encapsulation) {
    case "nvgre": // RFC 7637: key present, Transparent Ethernet Bridging, VSID, FlowID
      return concat(uint(2, 0x2000), uint(2, 0x6558), uint(3, vni), uint(1, 7));
    case "mpls-over-gre": // RFC 4023 §4, RFC 3032: label, bottom of the stack, TTL
      return concat(uint(2, 0), uint(2, 0x8847), uint(3, (vni << 4) | 1), uint(1, 64));
    default:
      if (reserved) return concat(uint(4, 0xffffffff), uint(3, vni), uint(1, 0xff));
      return concat(uint(1, 8), uint(3, 0), uint(3, vni), uint(1, 0));
  }
}

/** @returns undefined: no tunnel of ours. Throws on headers whose lengths or checksum do not fit. */
export function readTunnel(packet: Uint8Array): Seen | undefined {
  const view = viewOf(packet);
  const v6 = view.getUint8(0) >>> 4 === 6;
  const at = v6 ? 40 : 20;
  const protocol = view.getUint8(v6 ? 6 : 9);
  const udp = protocol === 17 && view.getUint16(at + 2) === VXLAN_PORT;
  if (!udp && protocol !== 47) return undefined;
  const length = v6 ? view.getUint16(4) + 40 : view.getUint16(2);
  if (length !== packet.length) throw new Error(`IP says ${length} octets of ${packet.length}`);
  if (!v6 && checksum(packet.subarray(0, 20)) !== 0) throw new Error("IPv4 checksum");
  const outer = {
    source: ipFrom(v6 ? packet.subarray(8, 24) : packet.subarray(12, 16)),
    destination: ipFrom(v6 ? packet.subarray(24, 40) : packet.subarray(16, 20)),
    ds: v6 ? (view.getUint16(0) >>> 4) & 0xff : view.getUint8(1),
    ttl: view.getUint8(v6 ? 7 : 8),
    dontFragment: v6 || view.getUint16(6) === 0x4000,
  };
  return { ...outer, ...(udp ? readUdp(packet, at) : readGre(packet, at)) };
}

type Inside = Pick<Seen, "vni" | "frame" | "encapsulation" | "flow" | "checksum">;

function readUdp(packet: Uint8Array, at: number): Inside {
  const view = viewOf(packet);
  if (view.getUint16(at + 4) !== packet.length - at) throw new Error("UDP length");
  if (view.getUint32(at + 8) !== 0x08000000) throw new Error("VXLAN flags");
  const right = checksum(concat(pseudoHeader(packet, 17), packet.subarray(at))) === 0;
  return {
    encapsulation: "vxlan",
    vni: view.getUint32(at + 12) >>> 8,
    flow: view.getUint16(at),
    checksum: view.getUint16(at + 6) === 0 ? "none" : right ? "right" : "wrong",
    frame: packet.subarray(at + 16),
  };
}

function readGre(packet: Uint8Array, at: number): Inside {
  const view = viewOf(packet);
  const start = view.getUint32(at);
  const word = view.getUint32(at + 4);
  const rest = { frame: packet.subarray(at + 8), checksum: "none" } as const;
  if (start === 0x20006558) {
    return { ...rest, encapsulation: "nvgre", vni: word >>> 8, flow: word & 0xff };
  }
  if (start !== 0x00008847 || (word & 0xfff) !== 0x140) throw new Error("GRE");
  return { ...rest, encapsulation: "mpls-over-gre", vni: word >>> 12, flow: 0 };
}

type Packet = {
  source: IpAddress;
  destination: IpAddress;
  ds: number;
  /** Default 64. */
  ttl?: number;
  protocol: number;
  payload: Uint8Array;
};

/** With DF. */
export function ipPacket({
  source,
  destination,
  ds,
  ttl = 64,
  protocol,
  payload,
}: Packet): Uint8Array {
  const ends = concat(ipOctets(source), ipOctets(destination));
  if (isIpv6(source)) {
    const start = concat(uint(4, 0x60000000 + (ds << 20)), uint(2, payload.length));
    return concat(start, Uint8Array.of(protocol, ttl), ends, payload);
  }
  const start = concat(Uint8Array.of(0x45, ds), uint(2, payload.length + 20), uint(2, 0));
  const header = concat(start, uint(2, 0x4000), Uint8Array.of(ttl, protocol, 0, 0), ends);
  const sum = uint(2, checksum(header));
  return concat(header.subarray(0, 10), sum, header.subarray(12), payload);
}

/** UDP in IP, with its checksum, and IP's EtherType. */
export function udpPacket(packet: Omit<Packet, "protocol">): { type: number; octets: Uint8Array } {
  const length = packet.payload.length + 8;
  const bare = concat(uint(2, 4001), uint(2, 4002), uint(2, length), uint(2, 0), packet.payload);
  const whole = ipPacket({ ...packet, protocol: 17, payload: bare });
  const sum = checksum(concat(pseudoHeader(whole, 17), bare)) || 0xffff;
  const payload = concat(bare.subarray(0, 6), uint(2, sum), bare.subarray(8));
  const type = isIpv6(packet.source) ? EtherType.ipv6 : EtherType.ipv4;
  return { type, octets: ipPacket({ ...packet, protocol: 17, payload }) };
}

/** A whole TCP or UDP packet with no options or headers between, in a bare frame. */
export function hasRightChecksum(frame: Uint8Array): boolean {
  const packet = frame.subarray(14);
  const v6 = (packet[0] ?? 0) >>> 4 === 6;
  const at = v6 ? 40 : 20;
  if (packet.length < at + 8 || (!v6 && packet[0] !== 0x45)) return false;
  const view = viewOf(packet);
  const length = v6 ? view.getUint16(4) + 40 : view.getUint16(2);
  if (length !== packet.length || (!v6 && (view.getUint16(6) & 0x3fff) !== 0)) return false;
  const protocol = packet[v6 ? 6 : 9] ?? 0;
  if (protocol !== 6 && (protocol !== 17 || view.getUint16(at + 6) === 0)) return false;
  return checksum(concat(pseudoHeader(packet, protocol), packet.subarray(at))) === 0;
}

/** RFC 768, RFC 8200 §8.1. */
function pseudoHeader(packet: Uint8Array, protocol: number): Uint8Array {
  const v6 = (packet[0] ?? 0) >>> 4 === 6;
  const ends = v6 ? packet.subarray(8, 40) : packet.subarray(12, 20);
  return concat(ends, uint(4, packet.length - (v6 ? 40 : 20)), uint(4, protocol));
}

/** RFC 1071: 0 of what has a right one in it. */
export function checksum(octets: Uint8Array): number {
  let sum = 0;
  for (const [i, octet] of octets.entries()) sum += i % 2 === 0 ? octet << 8 : octet;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const viewOf = (octets: Uint8Array): DataView =>
  new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
