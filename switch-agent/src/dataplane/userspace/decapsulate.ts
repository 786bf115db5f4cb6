import { type IpAddress, ipFrom, isIpv6, type Mac, Vni } from "@nve/protocol-spec";
import {
  destinationOf,
  ETHERNET,
  etherTypeOf,
  folded,
  followChecksum,
  has,
  sumOf,
  typeOf,
  u8,
  u16,
  u32,
} from "./parse.ts";
import type { Tables } from "./tables.ts";

const UDP = 17;
const GRE = 47;
const ECN = 3;
const [NOT_ECT, ECT_1, ECT_0, CE] = [0, 1, 2, 3];

/** A tenant's frame as it came from another NVE, and the DS field that the underlay left outside. */
export type Tunnelled = { vni: Vni; vtep: IpAddress; ds: number; ttl: number; frame: Uint8Array };

/** `isPlain`: a header without options, and nothing behind the packet. */
type Ip = {
  vtep: IpAddress;
  to: IpAddress;
  ds: number;
  ttl: number;
  protocol: number;
  payload: Uint8Array;
  isPlain: boolean;
};

/** @param mac of the interface. @returns undefined: no tunnel to us */
export function decapsulate(t: Tables, octets: Uint8Array, mac: Mac): Tunnelled | undefined {
  if (!has(octets, ETHERNET) || destinationOf(octets) !== mac) return undefined;
  const ip = isIpv6(t.vtep) ? readIpv6(octets) : readIpv4(octets);
  if (ip === undefined || ip.to !== t.vtep) return undefined;
  const { vtep, ds, ttl, protocol, payload, isPlain } = ip;
  const isGre = protocol === GRE && isPlain; // other NVEs send no others, and there is no device for them
  const inside = protocol === UDP ? readVxlan(t, payload) : isGre && readGre(t, payload);
  return inside ? { ...inside, vtep, ds, ttl } : undefined;
}

type Inside = Pick<Tunnelled, "vni" | "frame">;

function readVxlan(t: Tables, udp: Uint8Array): Inside | undefined {
  if (!has(udp, 16) || u16(udp, 2) !== t.port || u16(udp, 4) !== udp.length) return undefined;
  if ((u8(udp, 8) & 8) === 0) return undefined; // no VNI
  return { vni: Vni(u32(udp, 12) >>> 8), frame: udp.subarray(16) };
}

/** NVGRE (RFC 7637 §3.2) and MPLS (RFC 4023 §3), with none of GRE's other options. */
function readGre(t: Tables, gre: Uint8Array): Inside | undefined {
  if (!has(gre, 8)) return undefined;
  const [start, word, frame] = [u32(gre, 0), u32(gre, 4), gre.subarray(8)];
  if (start === 0x20006558 && t.takes.has("nvgre")) return { vni: Vni(word >>> 8), frame };
  const isMpls = start === 0x00008847 && (word & 0x100) !== 0; // one label
  return isMpls && t.takes.has("mpls-over-gre") ? { vni: Vni(word >>> 12), frame } : undefined;
}

/** Fragments are not put together: what takes them has the tenants' packets cut, which our MTU prevents. */
function readIpv4(octets: Uint8Array): Ip | undefined {
  if (etherTypeOf(octets) !== typeOf.ipv4 || !has(octets, ETHERNET + 20)) return undefined;
  const header = (u8(octets, 14) & 15) * 4;
  const length = u16(octets, 16);
  if (u8(octets, 14) >> 4 !== 4 || header < 20 || length < header) return undefined;
  if (!has(octets, ETHERNET + length) || (u16(octets, 20) & 0x3fff) !== 0) return undefined;
  if (folded(sumOf(octets, ETHERNET, ETHERNET + header)) !== 0xffff) return undefined;
  return {
    vtep: ipFrom(octets.subarray(26, 30)),
    to: ipFrom(octets.subarray(30, 34)),
    ds: u8(octets, 15),
    ttl: u8(octets, 22),
    protocol: u8(octets, 23),
    payload: octets.subarray(ETHERNET + header, ETHERNET + length),
    isPlain: header === 20 && octets.length === ETHERNET + length,
  };
}

/** With no extension headers: nobody puts any before VXLAN. */
function readIpv6(octets: Uint8Array): Ip | undefined {
  if (etherTypeOf(octets) !== typeOf.ipv6 || !has(octets, ETHERNET + 40)) return undefined;
  const length = 40 + u16(octets, 18);
  if (u8(octets, 14) >> 4 !== 6 || !has(octets, ETHERNET + length)) return undefined;
  return {
    vtep: ipFrom(octets.subarray(22, 38)),
    to: ipFrom(octets.subarray(38, 54)),
    ds: (u16(octets, 14) >> 4) & 0xff,
    ttl: u8(octets, 21),
    protocol: u8(octets, 20),
    payload: octets.subarray(ETHERNET + 40, ETHERNET + length),
    isPlain: octets.length === ETHERNET + length,
  };
}

/** RFC 6040 §4.2: the tenant's packet gets what the underlay has marked. @returns undefined: it has to be dropped */
export function withMark(frame: Uint8Array, ds: number): Uint8Array | undefined {
  const at = ecnAt(frame);
  if (at === undefined) return frame;
  const { octet, shift } = at;
  const inner = (u8(frame, octet) >> shift) & ECN;
  const outer = ds & ECN;
  if (outer === CE && inner === NOT_ECT) return undefined;
  const isMarked = outer === CE || (outer === ECT_1 && inner === ECT_0);
  if (!isMarked || inner === outer || inner === NOT_ECT) return frame;
  const marked = frame.slice();
  marked[octet] = (u8(frame, octet) & ~(ECN << shift)) | (outer << shift);
  if (etherTypeOf(frame) === typeOf.ipv4) followChecksum(frame, marked);
  return marked;
}

function ecnAt(frame: Uint8Array): { octet: number; shift: number } | undefined {
  if (!has(frame, ETHERNET + 20)) return undefined;
  if (etherTypeOf(frame) === typeOf.ipv4) return { octet: 15, shift: 0 };
  return etherTypeOf(frame) === typeOf.ipv6 ? { octet: 15, shift: 4 } : undefined;
}
