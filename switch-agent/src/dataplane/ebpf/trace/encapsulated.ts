import { type IpAddress, isIpv6, Mac, Vni } from "@nve/protocol-spec";
import type { Encapsulation } from "../../../nve/intents.ts";
import type { TraceOutput } from "../../trace.ts";
import { dsOf } from "../../userspace/encapsulate.ts";
import { ETHERNET, etherTypeOf, has, typeOf, u8, u16 } from "../../userspace/parse.ts";
import { configFlag, encapsulationOf, type KernelNextHop, type KernelPlace } from "../maps.ts";
import { exceeded } from "./room.ts";
import type { View } from "./story.ts";

type Sent = { says: string; facts: Record<string, string | number>; output: TraceOutput };
/** How it goes to another NVE; or how long it may be, as it is longer; or why it does not go. */
export type Encapsulated =
  | Sent
  | { room: number }
  | { reason: "no-next-hop" | "not-sent" | "tunnel-error"; why: string };

/** Octets of Ethernet, IP, UDP and VXLAN headers: the room that is kept for all encapsulations. */
const headersOf = (vtep: IpAddress): number => (isIpv6(vtep) ? 70 : 50);
/** Those of Ethernet, IP and GRE. */
const greHeadersOf = (vtep: IpAddress): number => (isIpv6(vtep) ? 62 : 42);
/** RFC 3168 §5. */
const [ECT0, CE] = [2, 3];
/** An MPLS label has 20 bits (RFC 3032 §2.1). */
const LABELS = 1 << 20;

/**
 * One frame to another NVE, as programs/encap.h, gre.h and the tunnel device do it.
 * @param device why VXLAN goes by the device in any case; and the TTL
 */
export function encapsulated(
  view: View,
  vni: number,
  frame: Uint8Array,
  to: KernelPlace,
  device?: { why: string; ttl: number },
): Encapsulated {
  const ttl = device?.ttl ?? 64;
  const kind = encapsulationOf[to.encapsulation];
  const hop = to.ifindex === 0 ? undefined : view.maps.nextHops.get(to.ifindex);
  const way = hop?.ifindex ? hop : undefined;
  if (kind !== undefined) return inGre(view, { vni, frame, to, kind, ttl }, way);
  const why = device?.why ?? whyByDevice(view, frame, to, way);
  if (why === undefined && way !== undefined) {
    const room = way.mtu - headersOf(to.vtep);
    if (frame.length - ETHERNET > room) return { room };
    return sent(view, { vni, frame, to, ttl }, way);
  }
  if (isCutOff(frame)) {
    return {
      reason: "not-sent",
      why: "the tunnel device takes no IP packet that is cut off in its header",
    };
  }
  const room = exceeded(view, frame, 0);
  return room === undefined ? sent(view, { vni, frame, to, ttl }, undefined, why) : { room };
}

type Asked = { vni: number; frame: Uint8Array; to: KernelPlace; kind?: Encapsulation; ttl: number };

function inGre(view: View, asked: Asked, way: KernelNextHop | undefined): Encapsulated {
  const { vni, frame, to, kind } = asked;
  if (way === undefined) {
    return { reason: "no-next-hop", why: `the way to ${to.vtep} is not known (yet)` };
  }
  const room = way.mtu - headersOf(to.vtep);
  if (frame.length - ETHERNET > room) return { room };
  if (kind === "mpls-over-gre" && vni >= LABELS) {
    return { reason: "tunnel-error", why: `an MPLS label has no room for VNI ${vni}` };
  }
  return sent(view, asked, way);
}

function isCutOff(frame: Uint8Array): boolean {
  const type = etherTypeOf(frame);
  const header = type === typeOf.ipv4 ? 20 : type === typeOf.ipv6 ? 40 : 0;
  return !has(frame, ETHERNET + header);
}

/** @returns undefined: the headers are put on by hand */
function whyByDevice(
  { maps }: View,
  frame: Uint8Array,
  to: KernelPlace,
  way: KernelNextHop | undefined,
): string | undefined {
  const type = etherTypeOf(frame);
  if (((maps.config.get(0)?.flags ?? 0) & configFlag.fastPath) === 0) return "fastPath is off";
  if (way === undefined) return "its next hop is not known (yet)";
  if (type !== typeOf.ipv4 && type !== typeOf.ipv6) return "it is no IP";
  if (isCutOff(frame)) return "it is cut off in its header";
  if (isIpv6(to.vtep) && !hasKnownSum(frame))
    return "it is no whole TCP or UDP packet with a checksum";
  return undefined;
}

/** Over IPv6: its checksum follows from that of the packet (programs/encap.h). */
function hasKnownSum(frame: Uint8Array): boolean {
  const is4 = etherTypeOf(frame) === typeOf.ipv4;
  const header = is4 ? 20 : 40;
  const octets = frame.length - ETHERNET - header;
  if (!has(frame, ETHERNET + header + 8)) return false;
  if (is4 && (u8(frame, 14) !== 0x45 || (u16(frame, 20) & 0x3fff) !== 0)) return false;
  if (u16(frame, is4 ? 16 : 18) !== (is4 ? octets + header : octets)) return false;
  const protocol = u8(frame, is4 ? 23 : 20);
  if (protocol === 6) return true;
  const udp = ETHERNET + header;
  return protocol === 17 && u16(frame, udp + 6) !== 0 && u16(frame, udp + 4) === octets;
}

/** @param why the tunnel device does it */
function sent(view: View, asked: Asked, way: KernelNextHop | undefined, why?: string): Sent {
  const { vni, frame, to, kind = "vxlan", ttl } = asked;
  const config = view.maps.config.get(0);
  const ds = dsOf(frame);
  const headers = kind === "vxlan" ? headersOf(to.vtep) : greHeadersOf(to.vtep);
  const outer = {
    source: config?.vtep ?? to.vtep,
    dscp: ds >> 2,
    // The device says ECT(0) of what is marked inside (docs/dataplane.md).
    ecn: way === undefined && (ds & 3) === CE ? ECT0 : ds & 3,
    ttl,
    octets: frame.length + headers - ETHERNET,
  };
  const byHand = way && {
    link: view.linkOf(way.ifindex),
    destination: Mac(way.destination),
    source: Mac(way.source),
  };
  const how = byHand
    ? `by hand out of ${byHand.link} to ${byHand.destination}`
    : `by the kernel's tunnel device, as ${why}`;
  const says = `${kind}, VNI ${vni}, ${outer.source} to ${to.vtep}, DSCP ${outer.dscp}, ECN ${outer.ecn}, TTL ${ttl}, ${outer.octets} octets, ${how}`;
  return {
    says,
    facts: {
      ...outer,
      encapsulation: kind,
      vni,
      destination: to.vtep,
      by: byHand ? "hand" : "device",
      ...(byHand && { link: byHand.link, nextHop: byHand.destination }),
    },
    output: {
      to: "nve",
      vtep: to.vtep,
      vni: Vni(vni),
      encapsulation: kind,
      ...(byHand && { byHand }),
      outer,
    },
  };
}
