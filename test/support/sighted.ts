import {
  arpOctets,
  concat,
  DhcpMessage,
  dhcp6Octets,
  dhcpOctets,
  EtherType,
  frameOctets,
  IpAddress,
  ipOctets,
  type Mac,
  ndOctets,
  uint,
} from "@nve/protocol-spec";
import { broadcast } from "./frames.ts";

// Frames that say who has which IP, without a tag.

const UDP = 17;
const ICMPV6 = 58;

/** An ARP announcement (RFC 5227 §3), or of `sender` in the name of another. */
export const arpFrom = (source: Mac, ip: string, sender = source): Uint8Array =>
  frameOctets({
    destination: broadcast,
    source,
    etherType: EtherType.arp,
    payload: arpOctets({
      op: "request",
      sender: { mac: sender, ip: IpAddress(ip) },
      target: { mac: broadcast, ip: IpAddress(ip) },
    }),
  });

/** An unsolicited advertisement (RFC 4861 §7.2.6). */
export const advertisementFrom = (source: Mac, ip: string, hops = 255): Uint8Array => {
  const target = IpAddress(ip);
  const said = { solicited: false, override: true, linkLayer: source };
  const body = ndOctets({ is: "advertisement", target, ...said });
  return ipv6(source, broadcast, "fe80::1", "ff02::1", ICMPV6, body, hops);
};

/** @param from the IPv6 source; `::` where a host looks whether anybody has `target` already */
export const solicitationFrom = (source: Mac, from: string, target: string): Uint8Array => {
  const linkLayer = from === "::" ? {} : { linkLayer: source };
  const said = { solicited: false, override: false, ...linkLayer };
  const body = ndOctets({ is: "solicitation", target: IpAddress(target), ...said });
  return ipv6(source, broadcast, from, "ff02::1:ff00:1", ICMPV6, body, 255);
};

/** The server's acknowledgement (RFC 2131 §3.1). */
export const dhcpAck = (
  server: Mac,
  client: Mac,
  ip: string,
  leaseSeconds: number,
  message: number = DhcpMessage.ack,
): Uint8Array => {
  const body = dhcpOctets({
    op: "reply",
    transaction: 1,
    client,
    yourIp: IpAddress(ip),
    message,
    leaseSeconds,
  });
  const udp = concat(uint(2, 67), uint(2, 68), uint(2, body.length + 8), uint(2, 0), body);
  const header = concat(uint(2, 0x4500), uint(2, udp.length + 20), uint(4, 0));
  const ends = concat(ipOctets("10.0.0.254"), ipOctets("255.255.255.255"));
  return frameOctets({
    destination: broadcast,
    source: server,
    etherType: EtherType.ipv4,
    payload: concat(header, Uint8Array.of(64, UDP, 0, 0), ends, udp),
  });
};

/** The server's reply (RFC 8415 §18.3.10). */
export const dhcp6Reply = (
  server: Mac,
  client: Mac,
  ip: string,
  validSeconds: number,
): Uint8Array => {
  const addresses = [{ ip: IpAddress(ip), validSeconds }];
  const body = dhcp6Octets({ type: 7, transaction: 1, addresses });
  const udp = concat(uint(2, 547), uint(2, 546), uint(2, body.length + 8), uint(2, 0), body);
  return ipv6(server, client, "fe80::fe", "fe80::a", UDP, udp, 64);
};

function ipv6(
  source: Mac,
  destination: Mac,
  from: string,
  to: string,
  next: number,
  body: Uint8Array,
  hops: number,
): Uint8Array {
  const header = concat(
    uint(4, 0x60000000),
    uint(2, body.length),
    Uint8Array.of(next, hops),
    concat(ipOctets(from), ipOctets(to)),
  );
  const payload = concat(header, body);
  return frameOctets({ destination, source, etherType: EtherType.ipv6, payload });
}
