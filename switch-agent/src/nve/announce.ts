import {
  arpOctets,
  concat,
  EtherType,
  frameOctets,
  type IpAddress,
  type IpPrefix,
  ipOctets,
  isIpv6,
  isSingle,
  Mac,
  ndOctets,
  uint,
  type VnId,
} from "@nve/protocol-spec";
import type { LocalPlace } from "./intents.ts";

/**
 * A MAC of a VN has moved: who is behind these places is told, on its behalf, that its IPs are still its own (M3). Switches
 * between us and them learn from it where it is now.
 */
export type Announcement = {
  vn: VnId;
  mac: Mac;
  /** Of these, prefixes are nobody's to announce. */
  ips: readonly IpPrefix[];
  places: readonly LocalPlace[];
};

/** Of one MAC. */
const mostIps = 16;

/** A frame for each place and IP: a gratuitous ARP (RFC 5227 §3), or an unsolicited Neighbour Advertisement (RFC 4861 §7.2.6). */
export function* framesOf({ mac, ips, places }: Announcement): Generator<{
  port: string;
  frame: Uint8Array;
}> {
  for (const ip of ips.filter(isSingle).slice(0, mostIps))
    for (const { port, vid } of places) {
      const tag = vid === 0 ? {} : { tag: { pcp: 0, dei: false, vid } };
      yield { port, frame: frameOctets({ source: mac, ...tag, ...said(mac, ip) }) };
    }
}

const said = (mac: Mac, ip: IpAddress) => (isIpv6(ip) ? advertisement(mac, ip) : arp(mac, ip));

function arp(mac: Mac, ip: IpAddress) {
  const sender = { mac, ip };
  const target = { mac: Mac("00:00:00:00:00:00"), ip };
  const payload = concat(arpOctets({ op: "request", sender, target }), new Uint8Array(18));
  return { destination: Mac("ff:ff:ff:ff:ff:ff"), etherType: EtherType.arp, payload };
}

const ICMPV6 = 58;
/** All nodes: ff02::1. */
const allNodes = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

function advertisement(mac: Mac, target: IpAddress) {
  const flags = { solicited: false, override: true };
  const body = ndOctets({ is: "advertisement", target, ...flags, linkLayer: mac });
  const ends = concat(ipOctets(target), allNodes);
  const pseudo = concat(ends, uint(4, body.length), uint(4, ICMPV6), body);
  const sum = checksumOf(pseudo);
  body[2] = sum >> 8;
  body[3] = sum & 0xff;
  const header = concat(uint(4, 0x6000_0000), uint(2, body.length), uint(1, ICMPV6), uint(1, 255));
  const destination = Mac("33:33:00:00:00:01");
  return { destination, etherType: EtherType.ipv6, payload: concat(header, ends, body) };
}

/** RFC 1071, of an even number of octets. */
function checksumOf(octets: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < octets.length; i += 2) sum += ((octets[i] ?? 0) << 8) | (octets[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
