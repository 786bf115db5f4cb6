import { Usage } from "@nve/program/errors";
import { Mac, macOctets } from "@nve/protocol-spec/ids";
import { type IpAddress, ipOctets, isIpv6 } from "@nve/protocol-spec/ip";

/** What a frame is made of that nobody has captured. */
export type FrameFields = {
  from?: Mac;
  to?: Mac;
  etherType?: number;
  srcIp?: IpAddress;
  dstIp?: IpAddress;
  proto?: number;
  srcPort?: number;
  dstPort?: number;
  dscp?: number;
  /** Octets of it all, without tag and checksum. */
  length?: number;
};

const type = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
const [TCP, UDP] = [6, 17];
const broadcast = Mac("ff:ff:ff:ff:ff:ff");
const ETHERNET = 14;
/** The shortest frame, without its checksum (802.3 §3.2.8). */
const SHORTEST = 60;

/** A bare frame, filled up with 0. @throws Usage */
export function frameOf(fields: FrameFields): Buffer {
  const { from, srcIp, dstIp, length } = fields;
  if (from === undefined)
    throw new Usage("give --from, the MAC that it comes from, or a frame in hex digits");
  if ((srcIp === undefined) !== (dstIp === undefined))
    throw new Usage("--src-ip and --dst-ip go together");
  const etherType = etherTypeOf(fields);
  const to = fields.to ?? (etherType === type.arp ? broadcast : undefined);
  if (to === undefined) throw new Usage("give --to, the MAC that it is for");
  const least = ETHERNET + contentOf(fields, etherType, 0).length;
  if (length !== undefined && length < least)
    throw new Usage(`--length: its headers have ${least} octets`);
  const rest = Math.max(length ?? SHORTEST, least) - least;
  const content = contentOf(fields, etherType, length === undefined ? 0 : rest);
  const start = concat(macOctets(to), macOctets(from), uint(2, etherType), content);
  return Buffer.concat([start, new Uint8Array(Math.max(0, least + rest - start.length))]);
}

function etherTypeOf({ etherType, srcIp, dstIp }: FrameFields): number {
  if (srcIp === undefined || dstIp === undefined) {
    if (etherType === undefined) throw new Usage("give --src-ip and --dst-ip, or --ether-type");
    return etherType;
  }
  if (isIpv6(srcIp) !== isIpv6(dstIp))
    throw new Usage("--src-ip and --dst-ip are not of one family");
  const is = isIpv6(srcIp) ? type.ipv6 : type.ipv4;
  if (etherType === type.arp && is === type.ipv4) return etherType;
  if (etherType !== undefined && etherType !== is)
    throw new Usage("--ether-type: IPs are in IP packets and in ARP");
  return is;
}

/** @param more octets of the packet behind its headers */
function contentOf(fields: FrameFields, etherType: number, more: number): Uint8Array {
  const { from, srcIp, dstIp } = fields;
  const transport = ["proto", "srcPort", "dstPort", "dscp"] as const;
  if (srcIp === undefined || dstIp === undefined || etherType === type.arp) {
    const stray = transport.find((name) => fields[name] !== undefined);
    if (stray !== undefined)
      throw new Usage(`${optionOf(stray)} is of IP packets: give --src-ip and --dst-ip`);
  }
  if (srcIp === undefined || dstIp === undefined || from === undefined) return new Uint8Array(more);
  const [source, destination] = [ipOctets(srcIp), ipOctets(dstIp)];
  if (etherType !== type.arp) return ipPacket(fields, source, destination, more);
  const start = concat(uint(4, 0x00010800), uint(4, 0x06040001));
  return concat(start, macOctets(from), source, concat(new Uint8Array(6), destination));
}

const optionOf = (name: string): string =>
  `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

function ipPacket(
  fields: FrameFields,
  source: Uint8Array,
  destination: Uint8Array,
  more: number,
): Uint8Array {
  const { dscp = 0 } = fields;
  const proto = protocolOf(fields);
  const ends = concat(source, destination);
  const payload = transportOf(fields, proto, ends, more);
  if (source.length > 4) {
    const start = concat(uint(4, 0x60000000 + dscp * 0x400000), uint(2, payload.length));
    return concat(start, Uint8Array.of(proto, 64), ends, payload);
  }
  const start = concat(
    Uint8Array.of(0x45, dscp << 2),
    uint(2, payload.length + 20),
    uint(4, 0x4000),
  );
  const header = (sum: number): Uint8Array =>
    concat(start, Uint8Array.of(64, proto), uint(2, sum), ends);
  return concat(header(checksumOf(header(0))), payload);
}

function protocolOf({ proto, srcPort, dstPort }: FrameFields): number {
  const hasPorts = (srcPort ?? dstPort) !== undefined;
  if (!hasPorts) return proto ?? UDP;
  if (proto === undefined || [TCP, UDP].includes(proto)) return proto ?? UDP;
  throw new Usage("ports are of --proto tcp and udp");
}

/** A dynamic port (RFC 6335 §6), and the discard service. */
const PORTS = { source: 49152, destination: 9 } as const;

function transportOf(
  fields: FrameFields,
  proto: number,
  ends: Uint8Array,
  more: number,
): Uint8Array {
  const { srcPort = PORTS.source, dstPort = PORTS.destination } = fields;
  if (proto !== TCP && proto !== UDP) return new Uint8Array(8 + more);
  const ports = concat(uint(2, srcPort), uint(2, dstPort));
  const length = (proto === TCP ? 20 : 8) + more;
  const make = (sum: number): Uint8Array => {
    const middle =
      proto === TCP
        ? concat(new Uint8Array(8), uint(4, 0x50024000), uint(2, sum), uint(2, 0))
        : concat(uint(2, length), uint(2, sum));
    return concat(ports, middle, new Uint8Array(more));
  };
  const pseudo = concat(ends, uint(4, length), uint(4, proto));
  return make(checksumOf(concat(pseudo, make(0))) || 0xffff);
}

/** RFC 1071. */
function checksumOf(octets: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < octets.length; at += 2)
    sum += ((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const concat = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);

/** Most significant octet first. */
const uint = (octets: 2 | 4, n: number): Uint8Array =>
  Uint8Array.from({ length: octets }, (_, i) => n >>> (8 * (octets - 1 - i)));
