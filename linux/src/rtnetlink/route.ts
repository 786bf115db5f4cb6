import {
  concat,
  type IpAddress,
  ipFrom,
  ipOctets,
  isIpv6,
  type Mac,
  macFrom,
} from "@nve/protocol-spec";
import { attribute, field, hostUint, readAttributes, readHostUint, signed } from "./codec.ts";

/** Where packets to an address go: out of an interface, to a neighbour there (the address itself, if it is near). */
export type Route = {
  index: number;
  neighbour: IpAddress;
  /** Octets, where the route says so. */
  mtu?: number;
};

/** The interfaces that a route leads out of, each once. @throws DecodeError */
export function readRouteInterfaces(body: Uint8Array): number[] {
  const attributes = readAttributes(body.subarray(RTMSG));
  const out = attributes.get(RTA.out);
  const found = new Set<number>(out ? [readHostUint(out)] : []);
  const several = attributes.get(RTA.multipath) ?? new Uint8Array();
  // rtnexthop (length 2, flags 1, hops 1, interface 4), then attributes
  for (let at = 0; at + 8 <= several.length; ) {
    found.add(field(several, at + 4, 4));
    at += Math.max(8, field(several, at, 2));
  }
  return [...found];
}

/** What the kernel knows of a neighbour. */
export type Neighbour = {
  index: number;
  ip: IpAddress;
  /** While it is known. */
  mac?: Mac;
  /** The MAC was right once, and has not been confirmed for a while (RFC 4861 §7.3.2). */
  stale: boolean;
};

/**
 * rtmsg (family 1, destination and source length 1 each, tos 1, …, flags 4; 12 in all), then attributes.
 * @param all ask for the route itself, with all its ways, not for the one that would be taken
 */
export function routeQuestionOctets(
  to: IpAddress,
  from: IpAddress | undefined,
  all: boolean,
): Uint8Array {
  const destination = ipOctets(to);
  const header = concat(new Uint8Array(8), hostUint(4, all ? RTM_F_FIB_MATCH : 0));
  header[0] = familyOf(to);
  header[1] = destination.length * 8;
  const source = from && ipOctets(from);
  if (source) header[2] = source.length * 8;
  return concat(
    header,
    attribute(RTA.destination, destination),
    source ? attribute(RTA.source, source) : new Uint8Array(),
  );
}

/** @param to what was asked for @returns undefined: nothing can be sent there. @throws DecodeError */
export function readRoute(body: Uint8Array, to: IpAddress): Route | undefined {
  const attributes = readAttributes(body.subarray(RTMSG));
  const out = attributes.get(RTA.out);
  if (field(body, 7, 1) !== RTN_UNICAST || out === undefined) return undefined;
  const gateway = attributes.get(RTA.gateway) ?? attributes.get(RTA.via)?.subarray(2);
  const metrics = attributes.get(RTA.metrics);
  const mtu = metrics && readAttributes(metrics).get(RTAX_MTU);
  return {
    index: readHostUint(out),
    neighbour: gateway ? ipFrom(gateway) : to,
    ...(mtu && { mtu: readHostUint(mtu) }),
  };
}

/** ndmsg (family 1, pad 3, index 4, state 2, flags 1, type 1), then attributes. @throws DecodeError */
export function readNeighbour(body: Uint8Array): Neighbour | undefined {
  const attributes = readAttributes(body.subarray(NDMSG));
  const ip = attributes.get(NDA.destination);
  if (ip?.length !== 4 && ip?.length !== 16) return undefined; // of a bridge
  const state = field(body, 8, 2);
  const mac = attributes.get(NDA.address);
  return {
    index: signed(field(body, 4, 4)),
    ip: ipFrom(ip),
    ...((state & NUD_VALID) !== 0 && mac?.length === 6 && { mac: macFrom(mac) }),
    stale: (state & NUD_STALE) !== 0,
  };
}

/** Body of RTM_GETNEIGH for all neighbours of one family. */
export const neighbourDumpOctets = (family: 4 | 6): Uint8Array =>
  concat(Uint8Array.of(family === 4 ? AF_INET : AF_INET6), new Uint8Array(NDMSG - 1));

/** Body of RTM_NEWNEIGH: as if a packet were sent to the neighbour, so that the kernel asks for its MAC if need be. */
export const neighbourUseOctets = (index: number, ip: IpAddress): Uint8Array =>
  concat(
    Uint8Array.of(familyOf(ip), 0, 0, 0),
    hostUint(4, index),
    hostUint(2, 0),
    Uint8Array.of(NTF_USE, 0),
    attribute(NDA.destination, ipOctets(ip)),
  );

const familyOf = (ip: IpAddress): number => (isIpv6(ip) ? AF_INET6 : AF_INET);

const AF_INET = 2;
const AF_INET6 = 10;
const RTMSG = 12;
const NDMSG = 12;
const RTN_UNICAST = 1;
const RTM_F_FIB_MATCH = 0x2000;
const RTA = { destination: 1, source: 2, out: 4, gateway: 5, metrics: 8, multipath: 9, via: 18 };
const RTAX_MTU = 2;
const NDA = { destination: 1, address: 2 };
const NTF_USE = 1;
const NUD_STALE = 4;
/** PERMANENT, NOARP, REACHABLE, PROBE, STALE, DELAY: in each of them the kernel sends to that MAC. */
const NUD_VALID = 0x80 | 0x40 | 0x02 | 0x10 | NUD_STALE | 0x08;
