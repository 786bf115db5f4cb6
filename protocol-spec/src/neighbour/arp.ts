import { concat, type Reader, uint } from "../bytes.ts";
import { DecodeError, OutOfRange } from "../errors.ts";
import { type Mac, macFrom, macOctets } from "../ids.ts";
import { type IpAddress, ipFrom, ipOctets, isIpv6 } from "../ip.ts";

/**
 * ARP for IPv4 over Ethernet (RFC 826), the payload of a frame with EtherType 0806.
 *
 *   octets  2      2      1   1   2    6            4           6            4
 *         | 0001 | 0800 | 6 | 4 | op | sender MAC | sender IP | target MAC | target IP |
 */
export type Arp = { op: "request" | "reply"; sender: ArpEnd; target: ArpEnd };

/** In a request the target's MAC is not known: 00:00:00:00:00:00. */
export type ArpEnd = { mac: Mac; ip: IpAddress };

const ETHERNET_AND_IPV4 = [0x0001, 0x0800, 0x0604] as const;
const OP = { request: 1, reply: 2 } as const;

/** Padding of a short frame is read past. @throws DecodeError `unsupported` for other media, protocols and operations */
export function readArp(r: Reader): Arp {
  for (const want of ETHERNET_AND_IPV4) {
    if (r.uint(2) !== want) throw new DecodeError("unsupported", "ARP not for IPv4 over Ethernet");
  }
  const op = r.uint(2);
  if (op !== OP.request && op !== OP.reply)
    throw new DecodeError("unsupported", `ARP operation ${op}`);
  const [sender, target] = [readEnd(r), readEnd(r)];
  r.rest();
  return { op: op === OP.request ? "request" : "reply", sender, target };
}

/** @throws OutOfRange when an address is not IPv4 */
export const arpOctets = ({ op, sender, target }: Arp): Uint8Array =>
  concat(
    ...ETHERNET_AND_IPV4.map((word) => uint(2, word)),
    uint(2, OP[op]),
    endOctets(sender),
    endOctets(target),
  );

const readEnd = (r: Reader): ArpEnd => ({ mac: macFrom(r.take(6)), ip: ipFrom(r.take(4)) });

function endOctets({ mac, ip }: ArpEnd): Uint8Array {
  if (isIpv6(ip)) throw new OutOfRange(`ARP cannot carry ${ip}`);
  return concat(macOctets(mac), ipOctets(ip));
}
