import { type IpPrefix, isIpv6 } from "@nve/protocol-spec";
import type { AclRule } from "../../nve/profile.ts";
import { ETHERNET, etherTypeOf, has, ipKey, isWithin, typeOf, u8, u16 } from "./parse.ts";

export type Denied = { fromVnic: boolean; toVnic: boolean };

/** What rules look at. IPs as 16 octets; what is absent is not known, or not there. */
export type Flow = {
  etherType: number;
  source?: string;
  destination?: string;
  protocol?: number;
  ports?: { source: number; destination: number };
};

/**
 * Which directions a VN's list denies to a bare frame: the first rule that matches counts, what none matches passes (H25).
 * What cannot be read to its ports goes nowhere: an ACL must not be got round by it.
 */
export function deniedOf(frame: Uint8Array, acl: readonly AclRule[]): Denied {
  const flow = readFlow(frame);
  if (flow === undefined) return { fromVnic: true, toVnic: true };
  const isDenied = (other: AclRule["direction"]): boolean =>
    acl.find((rule) => rule.direction !== other && matches(rule, flow))?.action === "deny";
  return { fromVnic: isDenied("to-vnic"), toVnic: isDenied("from-vnic") };
}

/** Whether a rule is for such a frame, whatever its direction. */
export function matches(rule: AclRule, flow: Flow): boolean {
  const { etherType, protocol, source, destination, sourcePorts, destinationPorts } = rule;
  if (etherType !== undefined && etherType !== flow.etherType) return false;
  if (protocol !== undefined && protocol !== flow.protocol) return false;
  if (source !== undefined && !isOf(source, flow, flow.source)) return false;
  if (destination !== undefined && !isOf(destination, flow, flow.destination)) return false;
  if ((sourcePorts ?? destinationPorts) === undefined) return true;
  const { ports } = flow;
  return (
    ports !== undefined &&
    isBetween(ports.source, sourcePorts) &&
    isBetween(ports.destination, destinationPorts)
  );
}

/** A prefix is for packets of its family alone. */
function isOf(prefix: IpPrefix, { etherType }: Flow, ip: string | undefined): boolean {
  if (etherType !== (isIpv6(prefix) ? typeOf.ipv6 : typeOf.ipv4)) return false;
  return ip !== undefined && isWithin(ip, prefix);
}

/** Both ends belong to it. */
const isBetween = (port: number, [first, last]: readonly [number, number] = [0, 0xffff]) =>
  port >= first && port <= last;

/** @returns undefined: no header of its EtherType, or it ends before its ports */
export function readFlow(frame: Uint8Array): Flow | undefined {
  const etherType = etherTypeOf(frame);
  if (etherType === typeOf.ipv4) return readFlow4(frame);
  return etherType === typeOf.ipv6 ? readFlow6(frame) : { etherType };
}

function readFlow4(frame: Uint8Array): Flow | undefined {
  const header = (u8(frame, ETHERNET) & 15) * 4;
  if (!has(frame, ETHERNET + 20) || u8(frame, ETHERNET) >> 4 !== 4 || header < 20) return undefined;
  const flow: Flow = {
    etherType: typeOf.ipv4,
    source: ipKey(frame.subarray(26, 30)),
    destination: ipKey(frame.subarray(30, 34)),
    protocol: u8(frame, 23),
  };
  const isLater = (u16(frame, 20) & 0x1fff) !== 0;
  return isLater ? flow : withPorts(frame, flow, ETHERNET + header);
}

/** Headers after IPv6's own that are looked behind: more than RFC 8200 §4.1 lists. */
const HEADERS = 8;
const [FRAGMENT, AUTHENTICATION] = [44, 51];
/** Hop-by-hop options, routing, fragment, authentication, destination options (RFC 8200 §4, RFC 4302). */
const EXTENSION_HEADERS = [0, 43, FRAGMENT, AUTHENTICATION, 60];

function readFlow6(frame: Uint8Array): Flow | undefined {
  if (!has(frame, ETHERNET + 40) || u8(frame, ETHERNET) >> 4 !== 6) return undefined;
  const ends = {
    etherType: typeOf.ipv6,
    source: ipKey(frame.subarray(22, 38)),
    destination: ipKey(frame.subarray(38, 54)),
  };
  let [protocol, at] = [u8(frame, 20), ETHERNET + 40];
  for (let headers = 0; headers <= HEADERS; headers++) {
    if (!EXTENSION_HEADERS.includes(protocol)) return withPorts(frame, { ...ends, protocol }, at);
    if (!has(frame, at + 4)) return undefined;
    const is = protocol;
    const length = u8(frame, at + 1);
    protocol = u8(frame, at);
    if (is === FRAGMENT && (u16(frame, at + 2) & 0xfff8) !== 0) return { ...ends, protocol };
    if (is === FRAGMENT) at += 8;
    else at += is === AUTHENTICATION ? (length + 2) * 4 : (length + 1) * 8;
  }
  return undefined;
}

/** TCP, UDP, SCTP, UDP-Lite, DCCP. */
const WITH_PORTS = [6, 17, 132, 136, 33];

function withPorts(frame: Uint8Array, flow: Flow, at: number): Flow | undefined {
  if (!WITH_PORTS.includes(flow.protocol ?? -1)) return flow;
  if (!has(frame, at + 4)) return undefined;
  return { ...flow, ports: { source: u16(frame, at), destination: u16(frame, at + 2) } };
}
