import { type IpPrefix, ipOctets, isSingle, type Mac, macOctets } from "@nve/protocol-spec";
import {
  ADVERTISEMENT,
  ETHERNET,
  etherTypeOf,
  has,
  ICMPV6,
  ipKey,
  isWithin,
  readArp,
  sourceOf,
  typeOf,
  u8,
  u16,
} from "./parse.ts";

type Ips = readonly IpPrefix[];

/** More extension headers than this nobody sends. */
const EXTENSIONS = 6;
/** Hop-by-hop options, routing, fragment, destination options (RFC 8200 §4). */
const EXTENSION_HEADERS = [0, 43, 44, 60];
const FRAGMENT = 44;

/** Whether all IPs that a bare frame says are its source's are so (M10). What says none may pass. */
export function ownsWhatItSays(frame: Uint8Array, ips: Ips): boolean {
  const mac = sourceOf(frame);
  switch (etherTypeOf(frame)) {
    case typeOf.ipv4:
      return has(frame, ETHERNET + 16) && owns(mac, ips, frame.subarray(26, 30));
    case typeOf.arp: {
      const arp = readArp(frame);
      return arp?.isEthernet === true && arp.mac === mac && owns(mac, ips, arp.ip);
    }
    case typeOf.ipv6:
      return ownsIpv6(frame, mac, ips);
    default:
      return true;
  }
}

/** The source, and what a Neighbour Advertisement is about, which no extension header may hide (RFC 6980, RFC 7113). */
function ownsIpv6(frame: Uint8Array, mac: Mac, ips: Ips): boolean {
  if (!has(frame, ETHERNET + 24) || !owns(mac, ips, frame.subarray(22, 38))) return false;
  let next = u8(frame, 20);
  let at = ETHERNET + 40;
  let headers = 0;
  for (; headers < EXTENSIONS && next !== ICMPV6; headers++) {
    if (!EXTENSION_HEADERS.includes(next)) return true;
    if (!has(frame, at + 8)) return false;
    if (next === FRAGMENT && (u16(frame, at + 2) & 0xfff8) !== 0) return true; // not the first
    const octets = next === FRAGMENT ? 8 : (u8(frame, at + 1) + 1) * 8;
    next = u8(frame, at);
    at += octets;
  }
  if (headers === EXTENSIONS || !has(frame, at + 1)) return false;
  if (u8(frame, at) !== ADVERTISEMENT) return true;
  return headers === 0 && has(frame, at + 24) && owns(mac, ips, frame.subarray(at + 8, at + 24));
}

/** 0.0.0.0 and :: are nobody's, and the link-local address that is made of the MAC is its own. */
function owns(mac: Mac, ips: Ips, ip: Uint8Array): boolean {
  if (ip.every((octet) => octet === 0)) return true;
  const key = ipKey(ip);
  if (key === ipKey(linkLocalOf(mac)) || key === ipKey(new Uint8Array(4))) return true;
  return ips.some((one) => (isSingle(one) ? ipKey(ipOctets(one)) === key : isWithin(key, one)));
}

/** RFC 4291 appendix A. */
function linkLocalOf(mac: Mac): Uint8Array {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = macOctets(mac);
  return Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f);
}
