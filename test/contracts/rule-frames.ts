import { concat, EtherType, frameOctets, ipOctets, uint } from "@nve/protocol-spec";
import { station } from "./wires.ts";

// IP packets with ports, extension headers and fragments, between stations named as in wires.ts.

export const TCP = 6;
export const UDP = 17;

type Words = {
  from: string;
  to: string;
  tags?: string;
  source?: string;
  destination?: string;
  protocol?: number;
  /** Source and destination. */
  ports?: readonly [number, number];
  /** Octets after the ports. */
  octets?: number;
  /** The DS field. */
  ds?: number;
  /** Of IPv4: in units of 8 octets, with more to come (RFC 791 §3.1). */
  fragment?: { at: number; more?: boolean };
  /** Of IPv6: number and body of each header between. */
  extensions?: readonly (readonly [number, Uint8Array])[];
};

const frame = ({ from, to, tags = "10" }: Words, etherType: number, payload: Uint8Array) =>
  frameOctets({
    destination: station(to),
    source: station(from),
    ...(tags !== "" && { tag: { pcp: 0, dei: false, vid: Number(tags) } }),
    etherType,
    payload: concat(payload, new Uint8Array(Math.max(0, 46 - payload.length))),
  });

const body = ({ ports: [source, destination] = [1000, 2000], octets = 16 }: Words) =>
  concat(uint(2, source), uint(2, destination), new Uint8Array(octets));

export function ipv4(words: Words): Uint8Array {
  const { source = "10.0.0.1", destination = "10.0.0.2", protocol = UDP, ds = 0 } = words;
  const { at = 0, more = false } = words.fragment ?? {};
  const data = body(words);
  const start = concat(Uint8Array.of(0x45, ds), uint(2, 20 + data.length), uint(2, 7));
  const middle = concat(uint(2, at | (more ? 0x2000 : 0)), Uint8Array.of(64, protocol));
  const ends = concat(ipOctets(source), ipOctets(destination));
  const sum = checksum(concat(start, middle, ends));
  return frame(words, EtherType.ipv4, concat(start, middle, uint(2, sum), ends, data));
}

export function ipv6(words: Words): Uint8Array {
  const { source = "fd00::1", destination = "fd00::2", protocol = UDP, ds = 0 } = words;
  const { extensions = [] } = words;
  const numbers = [...extensions.map(([number]) => number), protocol];
  const headers = extensions.map(([, octets], i) => {
    return concat(Uint8Array.of(numbers[i + 1] ?? 0), octets);
  });
  const data = headers.reduceRight((rest, header) => concat(header, rest), body(words));
  const start = concat(uint(4, (0x60000000 | (ds << 20)) >>> 0), uint(2, data.length));
  const ends = concat(ipOctets(source), ipOctets(destination));
  const all = concat(start, Uint8Array.of(numbers[0] ?? protocol, 64), ends);
  return frame(words, EtherType.ipv6, concat(all, data));
}

/** Destination options with nothing in them, and a fragment header: their octets after the first. */
export const options = [60, Uint8Array.of(0, 1, 4, 0, 0, 0, 0)] as const;
export const fragment6 = (at: number, more: boolean) =>
  [44, concat(Uint8Array.of(0), uint(2, (at << 3) | (more ? 1 : 0)), uint(4, 7))] as const;

/** Of an IPv4 header (RFC 1071): 0 when it is right. */
export function checksum(header: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < header.length; i += 2) {
    sum += (header[i] ?? 0) * 256 + (header[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}
