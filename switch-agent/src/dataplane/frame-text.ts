import { IpAddress, ipFrom } from "@nve/protocol-spec";
import type { Captured } from "./capture.ts";
import {
  destinationOf,
  ETHERNET,
  etherTypeOf,
  has,
  readArp,
  sourceOf,
  typeOf,
  u8,
  u16,
  untag,
} from "./userspace/parse.ts";
import { readFlow } from "./userspace/rules.ts";

/** A bare frame in a few words: `02:… to 02:…, IPv4 10.0.0.1 to 10.0.0.2, tcp 49152 to 25, 60 octets`. */
export function frameText(frame: Uint8Array, octets = frame.length): string {
  if (!has(frame, ETHERNET)) return `${octets} octets, which is no frame`;
  const ends = `${sourceOf(frame)} to ${destinationOf(frame)}`;
  return [ends, ...contentText(frame), `${octets} octets`].join(", ");
}

function contentText(frame: Uint8Array): string[] {
  switch (etherTypeOf(frame)) {
    case typeOf.ipv4:
    case typeOf.ipv6:
      return ipText(frame);
    case typeOf.arp:
    case typeOf.rarp:
      return [arpText(frame)];
    case typeOf.cTag:
    case typeOf.sTag:
      return [has(frame, 16) ? `tag ${u16(frame, 14) & 0xfff}` : "a tag that is cut off"];
    case typeOf.lldp:
      return ["LLDP"];
    case typeOf.ecp:
      return ["ECP"];
    default:
      return [`type 0x${etherTypeOf(frame).toString(16).padStart(4, "0")}`];
  }
}

const names: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6" };

function ipText(frame: Uint8Array): string[] {
  const is4 = etherTypeOf(frame) === typeOf.ipv4;
  const flow = readFlow(frame);
  if (flow === undefined) return [`${is4 ? "IPv4" : "IPv6"} that cannot be read`];
  const { protocol = 0, ports } = flow;
  const [at, octets] = is4 ? [26, 4] : [22, 16];
  const ip = (from: number): string => ipFrom(frame.subarray(from, from + octets));
  const transport = ports === undefined ? "" : ` ${ports.source} to ${ports.destination}`;
  return [
    `${is4 ? "IPv4" : "IPv6"} ${ip(at)} to ${ip(at + octets)}`,
    `${names[protocol] ?? `protocol ${protocol}`}${transport}`,
  ];
}

function arpText(frame: Uint8Array): string {
  const name = etherTypeOf(frame) === typeOf.arp ? "ARP" : "RARP";
  const arp = readArp(frame);
  if (arp?.isEthernet !== true || !has(frame, ETHERNET + 28)) return `${name} that cannot be read`;
  const asked = ipFrom(frame.subarray(38, 42));
  const said = IpAddress([...arp.ip].join("."));
  if (name === "ARP" && arp.op === 1) return `ARP: who has ${asked}? says ${said}`;
  return name === "ARP" && arp.op === 2
    ? `ARP: ${said} is at ${arp.mac}`
    : `${name} ${u8(frame, 21)}`;
}

/** The tenant's frame of one that was captured. */
export function capturedText({ from, octets, length }: Captured): string {
  const headers = from.is === "overlay" && from.outer ? outerOctets(octets) : tagOctets(from);
  if (from.is === "port" && headers > 0) {
    const bare = untag(octets)?.frame ?? octets;
    return frameText(bare, length - headers);
  }
  return frameText(octets.subarray(headers), length - headers);
}

const tagOctets = (from: Captured["from"]): number =>
  from.is === "port" && from.tag !== undefined ? 4 : 0;

const UDP = 17;

/** Of Ethernet, IP without options, and UDP with VXLAN, or GRE. */
function outerOctets(octets: Uint8Array): number {
  const is4 = etherTypeOf(octets) === typeOf.ipv4;
  const protocol = u8(octets, is4 ? 23 : 20);
  return ETHERNET + (is4 ? 20 : 40) + (protocol === UDP ? 16 : 8);
}
