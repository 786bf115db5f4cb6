import { concat, ipOctets, isIpv6, isSingle, Mac, macOctets, uint } from "@nve/protocol-spec";
import type { Deciding, Decision } from "./decision.ts";
import {
  ADVERTISEMENT,
  checksumOf,
  ETHERNET,
  etherTypeOf,
  has,
  ICMPV6,
  ipKey,
  readArp,
  readNd,
  SOLICITATION,
  sourceOf,
  sumOf,
  typeOf,
  withTag,
} from "./parse.ts";
import type { Tables } from "./tables.ts";

const ARP = 28;
const RARP_SERVER = Mac("02:4e:56:45:00:00");

/** What was asked of all, answered in place of whom it is asked for (P12, H11). @returns the answer, without a tag */
export function answerTo(t: Tables, d: Deciding, frame: Uint8Array): Uint8Array | undefined {
  switch (etherTypeOf(frame)) {
    case typeOf.arp:
      return arpAnswer(t, d, frame);
    case typeOf.ipv6:
      return ndAnswer(t, d, frame);
    case typeOf.rarp:
      return rarpAnswer(t, d, frame);
    default:
      return undefined;
  }
}

function arpAnswer(t: Tables, d: Deciding, frame: Uint8Array): Uint8Array | undefined {
  const arp = readArp(frame);
  const asker = sourceOf(frame);
  if (arp === undefined || !has(frame, ETHERNET + ARP) || !arp.isEthernet) return undefined;
  if (arp.op !== 1 || arp.mac !== asker) return undefined;
  const asked = frame.subarray(38, 42);
  if (ipKey(asked) === ipKey(arp.ip)) return undefined; // an announcement
  // A probe (RFC 5227) is for whoever has it: what we know may be old, and would keep a host from its address.
  if (arp.ip[0] === 0) return undefined;
  const owner = t.owner(d.from.vni, ipKey(asked));
  // Whoever looks for its own IP wants to hear of others that have it.
  if (owner === undefined || owner === asker) return undefined;
  return arpReply(frame, 2, { mac: owner, ip: asked }, { mac: asker, ip: arp.ip });
}

type Station = { mac: Mac; ip: Uint8Array };

/** Whatever stood behind the question stands behind the answer. */
function arpReply(question: Uint8Array, op: number, from: Station, to: Station): Uint8Array {
  return concat(
    concat(macOctets(to.mac), macOctets(from.mac), question.subarray(12, 20), uint(2, op)),
    concat(macOctets(from.mac), from.ip),
    concat(macOctets(to.mac), to.ip),
    question.subarray(ETHERNET + ARP),
  );
}

function ndAnswer(t: Tables, d: Deciding, frame: Uint8Array): Uint8Array | undefined {
  const nd = readNd(frame);
  if (nd?.type !== SOLICITATION || nd.hops !== 255 || nd.code !== 0) return undefined;
  // Of a link-local address it is not known whether it is a router's (RFC 4861 §7.2.5).
  if ((((nd.target[0] ?? 0) << 8) | ((nd.target[1] ?? 0) & 0xc0)) === 0xfe80) return undefined;
  // A test for duplicates (RFC 4862 §5.4) has no source: as a probe in ARP.
  if (nd.source.every((octet) => octet === 0)) return undefined;
  const owner = t.owner(d.from.vni, ipKey(nd.target));
  const asker = sourceOf(frame);
  if (owner === undefined || owner === asker) return undefined;
  const to = { ip: nd.source, mac: asker };
  const flags = 0x60; // S and O
  const body = (checksum: number): Uint8Array =>
    concat(
      concat(Uint8Array.of(ADVERTISEMENT, 0), uint(2, checksum), Uint8Array.of(flags, 0, 0, 0)),
      nd.target,
      concat(Uint8Array.of(2, 1), macOctets(owner)),
    );
  const ends = concat(nd.target, to.ip);
  const sum = sumOf(ends) + sumOf(body(0)) + body(0).length + ICMPV6;
  return concat(
    concat(macOctets(to.mac), macOctets(owner), frame.subarray(12, 18)),
    concat(Uint8Array.of(0, 32, ICMPV6, 255), ends, body(checksumOf(sum))),
  );
}

/** M4: "which IP have I?" of a MAC that is at home here, answered with its first IPv4 address. */
function rarpAnswer(t: Tables, d: Deciding, frame: Uint8Array): Uint8Array | undefined {
  const { vni, at } = d.from;
  const rarp = readArp(frame);
  const asker = sourceOf(frame);
  if (rarp === undefined || !has(frame, ETHERNET + ARP) || !rarp.isEthernet) return undefined;
  if (rarp.op !== 3 || ipKey(macOctets(asker)) !== ipKey(frame.subarray(32, 38))) return undefined;
  const home = at && t.home(vni, asker, at.port, at.vid);
  const ip = home?.ips?.filter(isSingle).find((one) => !isIpv6(one));
  if (ip === undefined) return undefined;
  const server = { mac: RARP_SERVER, ip: new Uint8Array(4) };
  return arpReply(frame, 4, server, { mac: asker, ip: ipOctets(ip) });
}

/** To the place that asked. */
export function sendBack(d: Deciding, answer: Uint8Array): Decision {
  const { at } = d.from;
  if (at === undefined) return d.decision;
  return d.send({ to: "port", port: at.port, frame: withTag(answer, at.vid) });
}
