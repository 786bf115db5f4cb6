import {
  DecodeError,
  Dhcp6Message,
  DhcpMessage,
  decode,
  EtherType,
  type Frame,
  type IpAddress,
  ipFrom,
  isUnicast,
  type Mac,
  type Nd,
  type Reader,
  readArp,
  readDhcp,
  readDhcp6,
  readFrame,
  readNd,
} from "@nve/protocol-spec";

/** Somebody said that this MAC has this IP. `leaseMs`: for so long, from now on; infinite: for ever. */
export type Sighting =
  | { by: "arp" | "nd"; mac: Mac; ip: IpAddress }
  | { by: "dhcp"; mac: Mac; ip: IpAddress; leaseMs: number };

const UDP = 17;
const ICMPV6 = 58;
const FOR_EVER = 0xffff_ffff;

/**
 * The source of a frame (without its tag, maybe cut off at the end) and what it says of who has which IP: the sender
 * in ARP, the speaker in neighbour discovery, the client in what a DHCP server acknowledges (H16). Addresses that no
 * host has are left out, and so is a MAC in ARP or ND that is not the source: nobody speaks for others there.
 * @throws DecodeError
 */
export function sightingsOf(octets: Uint8Array): { source: Mac; said: readonly Sighting[] } {
  const frame = decode(octets, readFrame);
  const said = saidIn(frame).filter(({ ip, mac, by }) => {
    return isUnicast(ip) && (by === "dhcp" || mac === frame.source);
  });
  return { source: frame.source, said };
}

function saidIn({ etherType, destination, payload }: Frame): Sighting[] {
  switch (etherType) {
    case EtherType.arp: {
      const { sender } = decode(payload, readArp);
      return [{ by: "arp", ...sender }];
    }
    case EtherType.ipv4:
      return decode(payload, inIpv4);
    case EtherType.ipv6:
      return decode(payload, (r) => inIpv6(r, destination));
    default:
      return [];
  }
}

/** Lengths are not looked at: the end may be cut off. */
function inIpv4(r: Reader): Sighting[] {
  const header = (r.uint(1) & 0x0f) * 4;
  if (header < 20) throw new DecodeError("bad-value", `IPv4 header of ${header} octets`);
  r.take(5);
  const fragment = r.uint(2) & 0x3fff; // more-fragments bit and offset
  r.take(1);
  const protocol = r.uint(1);
  r.take(header - 10);
  if (protocol !== UDP || fragment !== 0) return nothingIn(r);
  if (!isFor(r, 67, 68)) return nothingIn(r);
  const { op, message, client, yourIp, leaseSeconds } = readDhcp(r);
  if (op !== "reply" || message !== DhcpMessage.ack || leaseSeconds === undefined) return [];
  return [{ by: "dhcp", mac: client, ip: yourIp, leaseMs: msOf(leaseSeconds) }];
}

/** Extension headers: neither ND nor DHCPv6 needs any. */
function inIpv6(r: Reader, client: Mac): Sighting[] {
  r.take(6);
  const [next, hops] = [r.uint(1), r.uint(1)];
  const source = ipFrom(r.take(16));
  r.take(16);
  if (next === ICMPV6) return hops === 255 ? inIcmpv6(r, source) : nothingIn(r); // RFC 4861 §7.1
  if (next !== UDP || !isFor(r, 547, 546)) return nothingIn(r);
  const { type, addresses } = readDhcp6(r);
  if (type !== Dhcp6Message.reply) return [];
  return addresses
    .filter(({ validSeconds }) => validSeconds > 0)
    .map(({ ip, validSeconds }) => ({ by: "dhcp", mac: client, ip, leaseMs: msOf(validSeconds) }));
}

function inIcmpv6(r: Reader, source: IpAddress): Sighting[] {
  let nd: Nd;
  try {
    nd = readNd(r);
  } catch (error) {
    if (error instanceof DecodeError && error.code === "unsupported") return nothingIn(r);
    throw error;
  }
  const { is, target, linkLayer: mac } = nd;
  if (mac === undefined) return []; // also a test for duplicates: the address is not its own yet
  return [{ by: "nd", mac, ip: is === "solicitation" ? source : target }];
}

/** Whether UDP goes from a server's port to a client's. */
function isFor(r: Reader, server: number, client: number): boolean {
  const ports = [r.uint(2), r.uint(2)];
  r.take(4);
  return ports[0] === server && ports[1] === client;
}

function nothingIn(r: Reader): [] {
  r.rest();
  return [];
}

const msOf = (seconds: number): number =>
  seconds === FOR_EVER ? Number.POSITIVE_INFINITY : seconds * 1000;
