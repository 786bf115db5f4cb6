import { OutOfRange } from "./errors.ts";

declare const brand: unique symbol;
declare const prefix: unique symbol;

/**
 * IPv4 or IPv6 prefix: `10.0.0.0/28` with no bits behind its length, or a single address, which is written without
 * a length.
 */
export type IpPrefix = string & { readonly [prefix]: true };

/** IPv4 or IPv6 address in its canonical text form (RFC 5952 for IPv6). */
export type IpAddress = IpPrefix & { readonly [brand]: "IpAddress" };

export function IpAddress(text: string): IpAddress {
  return ipFrom(ipOctets(text));
}

/** 4 or 16 octets of an address. @throws OutOfRange when `text` is no IP address. */
export function ipOctets(text: string): Uint8Array {
  const octets = text.includes(":") ? sixteen(text) : four(text);
  if (octets === undefined) throw new OutOfRange(`"${text}" is not an IP address`);
  return octets;
}

export function ipFrom(octets: Uint8Array): IpAddress {
  if (octets.length === 4) {
    return `${octets[0]}.${octets[1]}.${octets[2]}.${octets[3]}` as IpAddress;
  }
  if (octets.length !== 16)
    throw new OutOfRange(`an IP address has 4 or 16 octets, not ${octets.length}`);
  const words = Array.from({ length: 8 }, (_, i) =>
    (((octets[2 * i] ?? 0) << 8) | (octets[2 * i + 1] ?? 0)).toString(16),
  );
  return shorten(words) as IpAddress;
}

export const isIpv6 = (ip: IpPrefix): boolean => ip.includes(":");

/** An address of one host that others can reach: not unspecified, loopback, multicast or broadcast (RFC 6890). */
export function isUnicast(ip: IpAddress): boolean {
  const octets = ipOctets(ip);
  const v4 = octets.length === 4 ? octets : v4Mapped(octets);
  if (v4 !== undefined) {
    const [first = 0] = v4;
    return first !== 0 && first !== 127 && first < 224;
  }
  const isLowest = octets.subarray(0, 15).every((octet) => octet === 0) && (octets[15] ?? 0) <= 1; // :: and ::1
  return octets[0] !== 0xff && !isLowest;
}

/** 224.0.0.0/4 (RFC 5771) and ff00::/8 (RFC 4291 §2.7). */
export function isMulticast(ip: IpAddress): boolean {
  const [first = 0] = ipOctets(ip);
  return isIpv6(ip) ? first === 0xff : first >> 4 === 0xe;
}

/** An address that a host may have, or a prefix that is not wholly of others: 0.0.0.0/0 is not. */
export function holdsHosts(prefix: IpPrefix): boolean {
  if (isSingle(prefix)) return isUnicast(prefix);
  const { ip, length } = prefixParts(prefix);
  const [first = 0] = ipOctets(ip);
  if (isIpv6(ip)) return first !== 0xff;
  return first < 224 && (length < 8 || isUnicast(ip));
}

/** ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). */
function v4Mapped(octets: Uint8Array): Uint8Array | undefined {
  const mapped = octets.every((octet, i) => i >= 12 || octet === (i < 10 ? 0 : 0xff));
  return mapped ? octets.subarray(12) : undefined;
}

/** @throws OutOfRange when `text` is neither an address nor a prefix, or has bits behind its length */
export function IpPrefix(text: string): IpPrefix {
  const [address = "", length, ...more] = text.split("/");
  const ip = IpAddress(address);
  if (length === undefined) return ip;
  const bits = Number(length);
  if (more.length > 0 || !/^\d{1,3}$/.test(length) || bits > widthOf(ip)) {
    throw new OutOfRange(`"${text}" is not an IP prefix like 10.0.0.0/28`);
  }
  const network = networkOf(ip, bits);
  if (network === ip) return prefixFrom(ip, bits);
  throw new OutOfRange(`"${text}" has bits behind its prefix length: is ${network}/${bits} meant?`);
}

/**
 * As it stands in a message. @param octets 4 or 16, of the network
 * @throws OutOfRange for a length that is too long, or bits behind it
 */
export function prefixFromOctets(octets: Uint8Array, length: number): IpPrefix {
  const ip = ipFrom(octets);
  const isPrefix = Number.isInteger(length) && length >= 0 && length <= 8 * octets.length;
  if (isPrefix && octets.every((octet, i) => (octet & ~maskOctet(length, i)) === 0)) {
    return prefixFrom(ip, length);
  }
  return IpPrefix(`${ip}/${length}`); // which says what is wrong
}

/** The prefix that begins with `network`, which has no bits behind the length. */
export const prefixFrom = (network: IpAddress, length: number): IpPrefix =>
  length === widthOf(network) ? network : (`${network}/${length}` as IpPrefix);

export function prefixParts(prefix: IpPrefix): { ip: IpAddress; length: number } {
  const [address = "", length] = prefix.split("/");
  const ip = address as IpAddress;
  return { ip, length: length === undefined ? widthOf(ip) : Number(length) };
}

export const isSingle = (prefix: IpPrefix): prefix is IpAddress => !prefix.includes("/");

/** 32 or 128. */
export const widthOf = (ip: IpPrefix): number => (isIpv6(ip) ? 128 : 32);

/** The address with all bits behind `length` 0. */
export const networkOf = (ip: IpAddress, length: number): IpAddress =>
  ipFrom(ipOctets(ip).map((octet, i) => octet & maskOctet(length, i)));

/** Octet `i` of the mask with `length` bits. */
const maskOctet = (length: number, i: number): number =>
  (0xff << (8 - Math.min(Math.max(length - 8 * i, 0), 8))) & 0xff;

/**
 * What `10.0.0.1`, `10.0.0.0/28` or the range `10.0.0.5-10.0.0.9` says, in as few prefixes as it takes: at most 2
 * for each bit of an address.
 * @throws OutOfRange
 */
export function prefixesIn(text: string): IpPrefix[] {
  const [from = "", to, ...more] = text.split("-");
  if (to === undefined) return [IpPrefix(text)];
  const [first, last] = [IpAddress(from), IpAddress(to)];
  const [low, high] = [numberOf(first), numberOf(last)];
  if (more.length > 0 || isIpv6(first) !== isIpv6(last) || low > high) {
    throw new OutOfRange(`"${text}" is not a range like 10.0.0.5-10.0.0.9`);
  }
  const width = widthOf(first);
  const all: IpPrefix[] = [];
  for (let at = low; at <= high; ) {
    let length = width;
    while (length > 0 && fits(at, 1n << BigInt(width - length + 1), high)) length -= 1;
    all.push(prefixFrom(ipFromNumber(at, width), length));
    at += 1n << BigInt(width - length);
  }
  return all;
}

const fits = (at: bigint, size: bigint, high: bigint): boolean =>
  at % size === 0n && at + size - 1n <= high;

const numberOf = (ip: IpAddress): bigint =>
  ipOctets(ip).reduce((n, octet) => n * 256n + BigInt(octet), 0n);

const ipFromNumber = (n: bigint, width: number): IpAddress =>
  ipFrom(
    Uint8Array.from({ length: width / 8 }, (_, i) =>
      Number((n >> BigInt(width - 8 * (i + 1))) & 0xffn),
    ),
  );

/** Four decimal numbers up to 255, without leading zeros. */
function four(text: string): Uint8Array | undefined {
  const octets = new Uint8Array(4);
  let at = 0;
  let number: number | undefined;
  for (let i = 0; i <= text.length; i++) {
    const code = i < text.length ? text.charCodeAt(i) : DOT;
    const digit = code - ZERO;
    if (code === DOT) {
      if (number === undefined || at === 4) return undefined;
      octets[at] = number;
      at += 1;
      number = undefined;
    } else if (digit >= 0 && digit <= 9 && number !== 0) {
      number = 10 * (number ?? 0) + digit;
      if (number > 255) return undefined;
    } else return undefined;
  }
  return at === 4 ? octets : undefined;
}

/** Of ASCII. */
const DOT = 0x2e;
const ZERO = 0x30;

function sixteen(text: string): Uint8Array | undefined {
  const [head = "", tail, ...more] = text.split("::");
  if (more.length > 0) return undefined;
  const front = words(head, tail === undefined);
  const back = words(tail ?? "", true);
  if (front === undefined || back === undefined) return undefined;
  const gap = 8 - front.length - back.length;
  if (tail === undefined ? gap !== 0 : gap < 1) return undefined;
  const octets = new Uint8Array(16);
  const view = new DataView(octets.buffer);
  for (const [i, word] of front.entries()) view.setUint16(2 * i, word);
  for (const [i, word] of back.entries()) view.setUint16(16 - 2 * (back.length - i), word);
  return octets;
}

/** 16-bit words; the last two of an address may be written as an IPv4 address (RFC 4291 §2.2). */
function words(text: string, isEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const last = parts.at(-1) ?? "";
  if (isEnd && last.includes(".")) {
    const v4 = four(last);
    if (v4 === undefined) return undefined;
    const [a = 0, b = 0, c = 0, d = 0] = v4;
    parts.splice(-1, 1, ((a << 8) | b).toString(16), ((c << 8) | d).toString(16));
  }
  if (!parts.every((part) => /^[0-9a-fA-F]{1,4}$/.test(part))) return undefined;
  return parts.map((part) => Number.parseInt(part, 16));
}

/** Replaces the first longest run of two or more zero words by `::` (RFC 5952 §4.2). */
function shorten(words: readonly string[]): string {
  let best = { at: 0, length: 1 };
  for (let at = 0; at < words.length; at++) {
    let length = 0;
    while (words[at + length] === "0") length += 1;
    if (length > best.length) best = { at, length };
  }
  if (best.length < 2) return words.join(":");
  return `${words.slice(0, best.at).join(":")}::${words.slice(best.at + best.length).join(":")}`;
}
