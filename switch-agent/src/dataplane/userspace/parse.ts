import {
  type IpPrefix,
  ipOctets,
  isIpv6,
  type Mac,
  macFrom,
  prefixParts,
} from "@nve/protocol-spec";

/** Octets of an Ethernet header without a tag. */
export const ETHERNET = 14;
const TAG = 4;

export const typeOf = {
  ipv4: 0x0800,
  arp: 0x0806,
  rarp: 0x8035,
  ipv6: 0x86dd,
  lldp: 0x88cc,
  ecp: 0x8940,
  cTag: 0x8100,
  sTag: 0x88a8,
} as const;

/** Numbers in network order; the caller has seen that they are there (`has`). */
export const u8 = (octets: Uint8Array, at: number): number => octets[at] ?? 0;
export const u16 = (octets: Uint8Array, at: number): number =>
  (u8(octets, at) << 8) | u8(octets, at + 1);
export const u32 = (octets: Uint8Array, at: number): number =>
  u16(octets, at) * 0x10000 + u16(octets, at + 2);

export const has = (octets: Uint8Array, n: number): boolean => octets.length >= n;

export const destinationOf = (frame: Uint8Array): Mac => macFrom(frame.subarray(0, 6));
export const sourceOf = (frame: Uint8Array): Mac => macFrom(frame.subarray(6, 12));
export const etherTypeOf = (frame: Uint8Array): number => u16(frame, 12);

export const isGroup = (mac: Mac): boolean => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;
/** 01-80-C2-00-00-0X: never forwarded by a bridge (802.1Q §8.6.3, table 8-1). */
export const isLinkLocal = (mac: Mac): boolean => mac.startsWith("01:80:c2:00:00:0");

const isTag = (type: number): boolean => type === typeOf.cTag || type === typeOf.sTag;

/** A frame in two parts: its outermost tag, if any, and the rest as if that had not been there. */
export type Parsed = { tag?: { type: number; vid: number }; frame: Uint8Array };

/** @returns undefined: cut off in its addresses or its tag */
export function untag(octets: Uint8Array): Parsed | undefined {
  if (!has(octets, ETHERNET)) return undefined;
  const type = etherTypeOf(octets);
  if (!isTag(type)) return { frame: octets };
  if (!has(octets, ETHERNET + TAG)) return undefined;
  return { tag: { type, vid: u16(octets, 14) & 0xfff }, frame: without(octets, 12, TAG) };
}

export const isTagged = (frame: Uint8Array): boolean => isTag(etherTypeOf(frame));

/** @param vid 0: no tag */
export function withTag(frame: Uint8Array, vid: number): Uint8Array {
  if (vid === 0) return frame;
  const tagged = new Uint8Array(frame.length + TAG);
  tagged.set(frame.subarray(0, 12));
  tagged.set([0x81, 0x00, vid >> 8, vid & 0xff], 12);
  tagged.set(frame.subarray(12), 12 + TAG);
  return tagged;
}

function without(octets: Uint8Array, at: number, n: number): Uint8Array {
  const less = new Uint8Array(octets.length - n);
  less.set(octets.subarray(0, at));
  less.set(octets.subarray(at + n), at);
  return less;
}

/** An IPv4 or IPv6 address as 32 hexadecimal digits; IPv4 as ::ffff:a.b.c.d. */
export const ipKey = (octets: Uint8Array): string =>
  (octets.length === 4 ? `${"0".repeat(20)}ffff` : "") + Buffer.from(octets).toString("hex");

/** @param key as `ipKey` has it */
export function isWithin(key: string, prefix: IpPrefix): boolean {
  const { ip: network, length } = prefixParts(prefix);
  const bits = length + (isIpv6(network) ? 0 : 96);
  return bitsOf(key, bits) === bitsOf(ipKey(ipOctets(network)), bits);
}

const bitsOf = (key: string, n: number): bigint => BigInt(`0x${key}`) >> BigInt(128 - n);

/** RFC 1071, of octets from `from`, an odd one at the end filled up with 0. */
export function sumOf(octets: Uint8Array, from = 0, to = octets.length): number {
  let sum = 0;
  for (let at = from; at < to; at += 2)
    sum += (u8(octets, at) << 8) | (at + 1 < to ? u8(octets, at + 1) : 0);
  return sum;
}

export function folded(sum: number): number {
  let left = sum;
  while (left > 0xffff) left = (left % 0x10000) + Math.floor(left / 0x10000);
  return left;
}

export const checksumOf = (sum: number): number => ~folded(sum) & 0xffff;

/** Of an IPv4 packet whose first two octets have changed (RFC 1624): a wrong one stays as wrong as it was. */
export function followChecksum(was: Uint8Array, is: Uint8Array): void {
  const sum = (~u16(was, 24) & 0xffff) + (~u16(was, 14) & 0xffff) + u16(is, 14);
  const checksum = checksumOf(sum);
  is[24] = checksum >> 8;
  is[25] = checksum & 0xff;
}

/** The sender and target of ARP and RARP over Ethernet (RFC 826), in a bare frame; `at` of `octets` in the frame. */
export type Arp = {
  isEthernet: boolean;
  op: number;
  mac: Mac;
  ip: Uint8Array;
};

/** Up to the sender's addresses. @returns undefined: cut off */
export function readArp(frame: Uint8Array): Arp | undefined {
  if (!has(frame, ETHERNET + 18)) return undefined;
  return {
    isEthernet: u32(frame, 14) === 0x00010800 && u16(frame, 18) === 0x0604,
    op: u16(frame, 20),
    mac: macFrom(frame.subarray(22, 28)),
    ip: frame.subarray(28, 32),
  };
}

/** Right behind the IPv6 header: solicitations are 135, advertisements 136 (RFC 4861 §4). */
export type Nd = {
  type: number;
  code: number;
  hops: number;
  source: Uint8Array;
  target: Uint8Array;
};

export const ICMPV6 = 58;
export const SOLICITATION = 135;
export const ADVERTISEMENT = 136;

/** @returns undefined: no ICMPv6, or cut off in its target */
export function readNd(frame: Uint8Array): Nd | undefined {
  if (etherTypeOf(frame) !== typeOf.ipv6 || !has(frame, ETHERNET + 64)) return undefined;
  if (u8(frame, 20) !== ICMPV6) return undefined;
  return {
    type: u8(frame, 54),
    code: u8(frame, 55),
    hops: u8(frame, 21),
    source: frame.subarray(22, 38),
    target: frame.subarray(62, 78),
  };
}
