import { concat, ipOctets, isIpv6, macOctets, uint } from "@nve/protocol-spec";
import type { RemotePlace } from "../../nve/intents.ts";
import type { Deciding, Decision } from "./decision.ts";
import { checksumOf, ETHERNET, etherTypeOf, has, sumOf, typeOf, u8, u16 } from "./parse.ts";
import type { Hop, Tables } from "./tables.ts";
import { exceeded, tooBig } from "./too-big.ts";

/** A bare frame to another NVE, in VXLAN or what the place says (A24). */
export function encapsulate(
  t: Tables,
  d: Deciding,
  frame: Uint8Array,
  to: RemotePlace,
  ttl = 64,
): Decision {
  const hop = t.hops.get(to.vtep);
  // The VN's MTU is for those who send here: what another NVE has let in goes on as it is.
  const vn = d.from.at === undefined ? undefined : t.vn(d.from.vni);
  const room = exceeded(t, vn, frame, hop);
  if (room !== undefined) return tooBig(t, d, frame, room);
  if (hop === undefined) return d.drop("no-next-hop");
  if (to.encapsulation === undefined && isCut(frame)) {
    d.count("overlayOut");
    return d.drop("not-sent"); // as the kernel's device has it
  }
  const packet = outerPacket(t, d, frame, to, ttl);
  if (packet === undefined) return d.drop("tunnel-error");
  if (packet.length > hop.mtu) return d.drop("not-sent");
  return d.send({ to: "underlay", link: hop.link, frame: concat(ethernet(t, hop), packet) });
}

/** Off in its IP header. No Ethernet carries so short a frame, but a tap may. */
function isCut(frame: Uint8Array): boolean {
  const type = etherTypeOf(frame);
  if (type === typeOf.ipv4) return !has(frame, ETHERNET + 20);
  return type === typeOf.ipv6 && !has(frame, ETHERNET + 40);
}

const ethernet = (t: Tables, { destination, source }: Hop): Uint8Array =>
  concat(
    macOctets(destination),
    macOctets(source),
    uint(2, isIpv6(t.vtep) ? typeOf.ipv6 : typeOf.ipv4),
  );

const UDP = 17;
const GRE = 47;
/** A label has 20 bits (RFC 3032 §2.1). */
const LABELS = 1 << 20;

/** @returns undefined: an MPLS label has no room for this VNI */
function outerPacket(
  t: Tables,
  d: Deciding,
  frame: Uint8Array,
  { vtep, encapsulation }: RemotePlace,
  ttl: number,
): Uint8Array | undefined {
  const { vni } = d.from;
  const ends = concat(ipOctets(t.vtep), ipOctets(vtep));
  const ds = dsOf(frame);
  switch (encapsulation) {
    case "nvgre": {
      // RFC 7637 §3.2: key present, Transparent Ethernet Bridging, VSID, FlowID
      const header = concat(uint(4, 0x20006558), uint(3, vni), uint(1, flowOf(frame) & 0xff));
      return ipPacket({ ds, ttl, protocol: GRE }, ends, concat(header, frame));
    }
    case "mpls-over-gre": {
      if (vni >= LABELS) return undefined;
      // RFC 4023 §3, RFC 3032 §2.1: label, class 0, bottom of the stack, TTL
      const header = concat(uint(4, 0x00008847), uint(4, vni * 0x1000 + 0x100 + 64));
      return ipPacket({ ds, ttl, protocol: GRE }, ends, concat(header, frame));
    }
    default:
      return ipPacket({ ds, ttl, protocol: UDP }, ends, vxlan(t, vni, frame, ends));
  }
}

/** RFC 7348 §5; a UDP checksum over IPv6 alone (RFC 8200 §8.1). */
function vxlan(t: Tables, vni: number, frame: Uint8Array, ends: Uint8Array): Uint8Array {
  const length = 16 + frame.length;
  const port = 0xc000 | (flowOf(frame) & 0x3fff); // a dynamic one for each flow
  const packet = (checksum: number): Uint8Array =>
    concat(
      concat(uint(2, port), uint(2, t.port), uint(2, length), uint(2, checksum)),
      concat(uint(4, 0x08000000), uint(3, vni), uint(1, 0)),
      frame,
    );
  if (ends.length === 8) return packet(0);
  const sum = sumOf(ends) + length + UDP + sumOf(packet(0));
  return packet(checksumOf(sum) || 0xffff);
}

type Header = { ds: number; ttl: number; protocol: number };

/** IPv4: DF (RFC 7348 §4.3), no identification (RFC 6864 §4.1). */
function ipPacket(
  { ds, ttl, protocol }: Header,
  ends: Uint8Array,
  payload: Uint8Array,
): Uint8Array {
  if (ends.length > 8) {
    const start = concat(uint(4, 0x60000000 + ds * 0x100000), uint(2, payload.length));
    return concat(start, Uint8Array.of(protocol, ttl), ends, payload);
  }
  const start = concat(Uint8Array.of(0x45, ds), uint(2, payload.length + 20), uint(4, 0x4000));
  const header = (checksum: number): Uint8Array =>
    concat(start, Uint8Array.of(ttl, protocol), uint(2, checksum), ends);
  return concat(header(checksumOf(sumOf(header(0)))), payload);
}

/** The DS field of the tenant's packet (RFC 2474; RFC 6040 §4.1, normal mode); 0 of what is no IP. */
export function dsOf(frame: Uint8Array): number {
  if (!has(frame, ETHERNET + 2)) return 0;
  if (etherTypeOf(frame) === typeOf.ipv4) return u8(frame, 15);
  return etherTypeOf(frame) === typeOf.ipv6 ? (u16(frame, 14) >> 4) & 0xff : 0;
}

/** A number for each flow, so that its packets go one way (RFC 7348 §5). */
function flowOf(frame: Uint8Array): number {
  const hash = flowOctets(frame).reduce((all, one) => Math.imul(all ^ one, 0x01000193), 0x811c9dc5);
  return hash ^ (hash >>> 16);
}

/** MACs, and of an IP packet protocol, addresses and ports. */
function flowOctets(frame: Uint8Array): Uint8Array {
  const macs = frame.subarray(0, ETHERNET);
  const ports = (protocol: number, at: number): Uint8Array =>
    frame.subarray(at, protocol === 6 || protocol === UDP ? at + 4 : at);
  if (etherTypeOf(frame) === typeOf.ipv4) {
    const isPlain = u8(frame, 14) === 0x45 && (u16(frame, 20) & 0x3fff) === 0;
    const rest = isPlain ? ports(u8(frame, 23), 34) : new Uint8Array();
    return concat(macs, frame.subarray(23, 24), frame.subarray(26, 34), rest);
  }
  if (etherTypeOf(frame) !== typeOf.ipv6) return macs;
  return concat(macs, frame.subarray(20, 21), frame.subarray(22, 54), ports(u8(frame, 20), 54));
}
