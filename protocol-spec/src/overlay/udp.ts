import { decode, type Reader } from "../bytes.ts";
import { DecodeError } from "../errors.ts";
import { type IpAddress, ipFrom } from "../ip.ts";

/** What a UDP datagram over IPv4 (RFC 791) or IPv6 (RFC 8200) says; enough to look into the underlay. */
export type Udp = {
  source: IpAddress;
  destination: IpAddress;
  sourcePort: number;
  destinationPort: number;
  payload: Uint8Array;
};

type Packet = { source: IpAddress; destination: IpAddress; protocol: number; payload: Uint8Array };

const UDP = 17;

/**
 * Reads the payload of a frame with EtherType 0800 or 86DD, padding included. Checksums are not looked at.
 * @throws DecodeError `unsupported` for anything but whole UDP datagrams directly in IP: other protocols,
 *   fragments, IPv6 extension headers; `bad-value` for lengths that contradict each other; `short`
 */
export function readUdpOverIp(r: Reader): Udp {
  const versionAndLength = r.uint(1);
  const version = versionAndLength >> 4;
  if (version !== 4 && version !== 6) throw new DecodeError("unsupported", `IP version ${version}`);
  const packet = version === 4 ? readIpv4(r, (versionAndLength & 0x0f) * 4) : readIpv6(r);
  r.rest(); // padding of a short frame
  const { source, destination, protocol, payload } = packet;
  if (protocol !== UDP) throw new DecodeError("unsupported", `IP protocol ${protocol}`);
  return { source, destination, ...decode(payload, readUdp) };
}

/** From the second octet on. */
function readIpv4(r: Reader, headerLength: number): Packet {
  r.take(1);
  const length = r.uint(2);
  if (headerLength < 20 || length < headerLength) {
    throw new DecodeError("bad-value", `IPv4 header of ${headerLength} octets in ${length}`);
  }
  r.take(2);
  const fragment = r.uint(2) & 0x3fff; // more-fragments bit and offset
  if (fragment !== 0) throw new DecodeError("unsupported", "IPv4 fragment");
  r.take(1);
  const protocol = r.uint(1);
  r.take(2);
  const ends = { source: ipFrom(r.take(4)), destination: ipFrom(r.take(4)) };
  r.take(headerLength - 20);
  return { ...ends, protocol, payload: r.take(length - headerLength) };
}

/** From the second octet on. */
function readIpv6(r: Reader): Packet {
  r.take(3);
  const length = r.uint(2);
  const protocol = r.uint(1);
  r.take(1);
  const ends = { source: ipFrom(r.take(16)), destination: ipFrom(r.take(16)) };
  return { ...ends, protocol, payload: r.take(length) };
}

/** RFC 768; octets behind the UDP length belong to nobody. */
function readUdp(r: Reader): Pick<Udp, "sourcePort" | "destinationPort" | "payload"> {
  const ports = { sourcePort: r.uint(2), destinationPort: r.uint(2) };
  const length = r.uint(2);
  if (length < 8) throw new DecodeError("bad-value", `UDP length ${length}`);
  r.take(2);
  const payload = r.take(length - 8);
  r.rest();
  return { ...ports, payload };
}
