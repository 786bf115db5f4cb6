import {
  concat,
  decode,
  EtherType,
  type Frame,
  frameOctets,
  IpAddress,
  ipFrom,
  ipOctets,
  type Mac,
  macFrom,
  macOctets,
  ndOctets,
  readFrame,
  readNd,
  uint,
} from "@nve/protocol-spec";
import { station } from "./wires.ts";

// ARP, RARP, Neighbour Discovery and plain IP packets between stations named as in wires.ts, and these in words.

export const RARP = 0x8035;
const ICMPV6 = 58;

type Ends = { from: string; to?: string; tags?: string };

const frame = ({ from, to = "ff", tags = "10" }: Ends, etherType: number, payload: Uint8Array) =>
  frameOctets({
    destination: station(to),
    source: station(from),
    ...(tags !== "" && { tag: { pcp: 0, dei: false, vid: Number(tags) } }),
    etherType,
    payload: concat(payload, new Uint8Array(Math.max(0, 46 - payload.length))),
  });

/** Operations by number: 1 request, 2 reply; of RARP 3 and 4. `mac`: the sender that it names, if not its source. */
export type ArpWords = Ends & { op?: number; ip: string; mac?: string; asks: string; of?: string };

export function arp({ op = 1, ip, mac, asks, of = "00", ...ends }: ArpWords): Uint8Array {
  const target = of === "00" ? new Uint8Array(6) : macOctets(station(of));
  const header = concat(uint(4, 0x00010800), uint(2, 0x0604), uint(2, op));
  const sender = concat(macOctets(station(mac ?? ends.from)), ipOctets(ip));
  const payload = concat(header, sender, concat(target, ipOctets(asks)));
  return frame(ends, op > 2 ? RARP : EtherType.arp, payload);
}

export const packet4 = (ends: Ends, source: string, destination = "10.0.0.99"): Uint8Array => {
  const header = concat(uint(4, 0x4500001c), uint(4, 0), Uint8Array.of(64, 253, 0, 0));
  const text = new TextEncoder().encode("hello 4!");
  return frame(ends, EtherType.ipv4, concat(header, ipOctets(source), ipOctets(destination), text));
};

/** @param more headers, and what they are of */
export const packet6 = (
  ends: Ends,
  source: string,
  destination = "fd00::99",
  next = 253,
  body: Uint8Array = new TextEncoder().encode("hello 6!"),
): Uint8Array => {
  const header = concat(uint(4, 0x60000000), uint(2, body.length), Uint8Array.of(next, 255));
  const addresses = concat(ipOctets(source), ipOctets(destination));
  return frame(ends, EtherType.ipv6, concat(header, addresses, body));
};

/** @param source `::` where a host looks whether anybody has `target` already */
export const solicitation = (
  ends: Ends,
  source: string,
  target: string,
  option: Uint8Array = new Uint8Array(),
): Uint8Array => {
  const said = { solicited: false, override: false };
  const linkLayer = source === "::" ? {} : { linkLayer: station(ends.from) };
  const asks = { is: "solicitation", target: IpAddress(target), ...said, ...linkLayer } as const;
  const body = concat(ndOctets(asks), option);
  return packet6({ to: "33:33:ff:00:00:01", ...ends }, source, "ff02::1:ff00:1", ICMPV6, body);
};

export const advertisement = (
  ends: Ends,
  source: string,
  target: string,
  extension: Uint8Array = new Uint8Array(),
): Uint8Array => {
  const linkLayer = station(ends.from);
  const said = { solicited: false, override: true, linkLayer };
  const body = ndOctets({ is: "advertisement", target: IpAddress(target), ...said });
  const next = extension.length === 0 ? ICMPV6 : 60;
  return packet6(ends, source, "ff02::1", next, concat(extension, body));
};

/** Destination options with nothing in them. */
export const extension = Uint8Array.of(ICMPV6, 0, 1, 4, 0, 0, 0, 0);

/** One frame in words; undefined of any other. */
export function neighbourText(octets: Uint8Array): string | undefined {
  const { source, destination, tag, etherType, payload } = decode(octets, readFrame);
  const ends = `${name(source)} → ${name(destination)} [${tag?.vid ?? ""}]`;
  const words = inWords(etherType, payload);
  return words && `${ends} ${words}`;
}

function inWords(etherType: Frame["etherType"], payload: Uint8Array): string | undefined {
  const at = (from: number, length: number) => payload.subarray(from, from + length);
  if (etherType === EtherType.arp || etherType === RARP) {
    const [mac, of] = [name(macFrom(at(8, 6))), name(macFrom(at(18, 6)))];
    return `arp ${payload[7]} ${mac} ${ipFrom(at(14, 4))}, ${of} ${ipFrom(at(24, 4))}`;
  }
  if (etherType === EtherType.ipv4) return `ip ${ipFrom(at(12, 4))}`;
  if (etherType !== EtherType.ipv6) return undefined;
  const ends = `${ipFrom(at(8, 16))} → ${ipFrom(at(24, 16))}`;
  if (payload[6] !== ICMPV6) return `ip ${ends}`;
  const length = (payload[4] ?? 0) * 256 + (payload[5] ?? 0);
  const body = at(40, length);
  const { is, target, solicited, override, linkLayer } = decode(body, readNd);
  if (is === "solicitation") return `${is} ${ends} ${target}`;
  const flags = `${solicited ? "S" : ""}${override ? "O" : ""}`;
  const router = ((body[4] ?? 0) & 0x80) === 0 ? "" : "R";
  const sum = checksum(at(8, 32), body) === 0 ? "" : ", bad checksum";
  return `${is} ${ends} ${target} is ${name(linkLayer)} ${router}${flags}${sum}`;
}

/** Of ICMPv6 with its pseudo-header (RFC 8200 §8.1): 0 when right. */
function checksum(addresses: Uint8Array, body: Uint8Array): number {
  const all = concat(addresses, uint(4, body.length), uint(4, ICMPV6), body);
  let sum = 0;
  for (let i = 0; i < all.length; i += 2) sum += (all[i] ?? 0) * 256 + (all[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

const name = (mac: Mac | undefined): string => {
  if (mac === undefined) return "nobody";
  if (mac === station("ff")) return "ff";
  return mac.startsWith("02:00:00:00:00:") ? mac.slice(-2) : mac;
};
