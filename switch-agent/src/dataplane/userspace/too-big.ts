import { concat, isIpv6, uint } from "@nve/protocol-spec";
import type { FloodLimit, VnIntent } from "../../nve/intents.ts";
import type { Deciding, Decision } from "./decision.ts";
import { sendBack } from "./neighbours.ts";
import {
  checksumOf,
  destinationOf,
  ETHERNET,
  etherTypeOf,
  has,
  ICMPV6,
  isGroup,
  sumOf,
  typeOf,
  u8,
  u16,
} from "./parse.ts";
import type { Hop, Tables } from "./tables.ts";

const ICMP = 1;
const TCP = 6;
const DF = 0x4000;
/** RFC 1812 §4.3.2.3, RFC 4443 §2.4 c: the answer has 576 and 1,280 octets. */
const QUOTE = { v4: 528, v6: 1232 } as const;
const IPV6_MIN_MTU = 1280;
/** What one place is told (RFC 4443 §2.4 f). */
export const TELLING: FloodLimit = { perSecond: 100, burst: 20 };

/** Outer Ethernet, IP, UDP and VXLAN headers: all encapsulations have the room of that one. */
const roomOf = (t: Tables, hop: Hop): number => hop.mtu - (isIpv6(t.vtep) ? 70 : 50);

/** @returns undefined: it fits; else octets of the longest packet that goes to another NVE */
export function exceeded(
  t: Tables,
  vn: VnIntent | undefined,
  frame: Uint8Array,
  hop?: Hop,
): number | undefined {
  const length = frame.length - ETHERNET;
  const rooms = [
    ...(vn?.mtu === undefined ? [] : [Math.min(vn.mtu, t.mtu)]),
    ...(hop === undefined ? [] : [roomOf(t, hop)]),
    t.mtu,
  ];
  return rooms.find((room) => length > room);
}

/** For the overlay the packet is longer than `mtu`: its sender is told, if that can be (RFC 1191, RFC 8201). */
export function tooBig(t: Tables, d: Deciding, frame: Uint8Array, mtu: number): Decision {
  const { at } = d.from;
  const type = etherTypeOf(frame);
  const isIp = type === typeOf.ipv4 || type === typeOf.ipv6;
  if (at === undefined || !isIp || isGroup(destinationOf(frame))) return d.drop("oversize");
  if (!t.clocks.hasToken(`told ${at.port} ${at.vid}`, TELLING, d.now)) return d.drop("oversize");
  const answer = answerTo(frame, mtu);
  if (answer === undefined) return d.drop("oversize");
  d.drop("too-big-told");
  return sendBack(d, answer);
}

/**
 * What the sender of a frame is told, in the name of whom it was for.
 * @param mtu 0: that the host cannot be reached @returns undefined: nothing (RFC 1122 §3.2.2)
 */
export function answerTo(frame: Uint8Array, mtu: number): Uint8Array | undefined {
  const packet = frame.subarray(ETHERNET);
  const isIpv4 = etherTypeOf(frame) === typeOf.ipv4;
  const answer = isIpv4 ? answer4(packet, mtu) : answer6(packet, mtu);
  const ends = concat(frame.subarray(6, 12), frame.subarray(0, 6), frame.subarray(12, 14));
  return answer && concat(ends, answer);
}

/** The packet without what Ethernet has put behind it; undefined: it is cut off too early to be told of. */
function quotable(packet: Uint8Array, length: number, header: number, protocol: number) {
  const whole = packet.subarray(0, length);
  return has(whole, header + (protocol === TCP ? 20 : 8)) ? whole : undefined;
}

/** Fragmentation needed and DF set, or host unreachable (RFC 792). */
function answer4(packet: Uint8Array, mtu: number): Uint8Array | undefined {
  const header = (u8(packet, 0) & 0xf) * 4;
  const [source, destination] = [u8(packet, 12), u8(packet, 16)];
  if (u8(packet, 0) >> 4 !== 4 || header < 20 || !has(packet, 20)) return undefined;
  const whole =
    mtu === 0
      ? quotable(packet, u16(packet, 2), header, u8(packet, 9))
      : has(packet, header + 20) && packet;
  if (!whole) return undefined;
  if ((u16(packet, 6) & 0x1fff) !== 0) return undefined; // a later part
  if (mtu > 0 && (u16(packet, 6) & DF) === 0) return undefined; // may be split
  if (source === 0 || source === 127 || source >= 224 || destination >= 224) return undefined;
  const isError = [3, 4, 5, 11, 12].includes(u8(packet, header));
  if (u8(packet, 9) === ICMP && isError) return undefined;
  const quote = whole.subarray(0, Math.min(QUOTE.v4, whole.length & ~3));
  const what = mtu === 0 ? 0x03010000 : 0x03040000;
  const icmp = (sum: number) => concat(uint(4, what + sum), uint(4, mtu & 0xffff), quote);
  const start = concat(uint(2, 0x45c0), uint(2, 28 + quote.length), uint(4, 0));
  const ends = concat(packet.subarray(16, 20), packet.subarray(12, 16));
  const ip = (sum: number) => concat(start, Uint8Array.of(64, ICMP), uint(2, sum), ends);
  return concat(ip(checksumOf(sumOf(ip(0)))), icmp(checksumOf(sumOf(icmp(0)))));
}

/** Packet Too Big (RFC 4443 §3.2), or address unreachable (§3.1). */
function answer6(packet: Uint8Array, mtu: number): Uint8Array | undefined {
  if (mtu > 0 && (mtu < IPV6_MIN_MTU || !has(packet, QUOTE.v6))) return undefined;
  if (!has(packet, 40) || u8(packet, 0) >> 4 !== 6) return undefined;
  const whole = mtu === 0 ? quotable(packet, 40 + u16(packet, 4), 40, u8(packet, 6)) : packet;
  if (whole === undefined) return undefined;
  if (u8(packet, 8) === 0xff || u8(packet, 24) === 0xff) return undefined;
  if (packet.subarray(8, 24).every((octet) => octet === 0)) return undefined;
  if (u8(packet, 6) === ICMPV6 && u8(packet, 40) < 128) return undefined; // an error
  const quote = whole.subarray(0, Math.min(QUOTE.v6, whole.length & ~3));
  const ends = concat(packet.subarray(24, 40), packet.subarray(8, 24));
  const icmp = (sum: number) => concat(uint(4, what + sum), uint(4, mtu), quote);
  const what = mtu === 0 ? 0x01030000 : 0x02000000;
  const length = 8 + quote.length;
  const sum = sumOf(ends) + length + ICMPV6 + sumOf(icmp(0));
  const start = concat(uint(4, 0x60000000), uint(2, length), Uint8Array.of(ICMPV6, 64));
  return concat(start, ends, icmp(checksumOf(sum)));
}
