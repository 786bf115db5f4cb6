import {
  type Association,
  type AssociationType,
  concat,
  defaultEvbPolicy,
  EtherType,
  ecpduOctets,
  evbOptionalTlv,
  evbStart,
  frameOctets,
  GroupAddress,
  type Lldpdu,
  lldpduOctets,
  Mac,
  type OptionalTlv,
  Uuid,
  uint,
  type VdpTlv,
  vdpduOctets,
  vsiIdOf,
} from "@nve/protocol-spec";
import { Change, type Hostile } from "./flood.ts";

/** Where the frames come from. */
export const stranger = Mac("02:ba:00:00:00:01");
const { nearestBridge, nearestCustomerBridge, nearestNonTpmrBridge } = GroupAddress;
const everybody = Mac("ff:ff:ff:ff:ff:ff");
const VNS = { known: 10001, unknown: 4242 };

type Ends = { to?: Mac; from?: Mac; vid?: number };

function frame(
  etherType: number,
  payload: Uint8Array,
  { to = nearestCustomerBridge, from = stranger, vid }: Ends = {},
): Uint8Array {
  const tag = vid === undefined ? {} : { tag: { pcp: 0, dei: false, vid } };
  const padded = concat(payload, new Uint8Array(Math.max(0, 46 - payload.length)));
  return frameOctets({ destination: to, source: from, ...tag, etherType, payload: padded });
}

const plain = (octets: Uint8Array): Hostile => ({ frame: octets, change: Change.none });

/**
 * What a hostile server may send: valid, replayed, half-valid and random LLDP, ECP and VDP, control frames with wrong
 * addresses and tags, and data. Half of it is well-formed.
 * @param port the address of the switch's interface
 * @param tag one that is not lent on this link
 */
export function hostileFrames(port: Mac, tag: number): Hostile[] {
  return [...lldp(port), ...ecp(port), ...strays(port, tag), ...data(tag)];
}

function lldp(port: Mac): Hostile[] {
  const neighbour = (n: number, more: Partial<Lldpdu> = {}): Uint8Array =>
    lldpduOctets({
      chassisId: { subtype: 7, octets: uint(4, n) },
      portId: { subtype: 7, octets: uint(4, n) },
      ttl: 120,
      tlvs: [{ is: "system-name", text: `nobody ${n}` }],
      ...more,
    });
  const evb = (rte: number): OptionalTlv =>
    evbOptionalTlv({ ...evbStart("station", defaultEvbPolicy).local, mode: 2, rte });
  const many: OptionalTlv[] = Array.from({ length: 450 }, (_, i) => ({
    is: "unknown",
    type: 9 + (i % 100),
    octets: new Uint8Array(1),
  }));
  const good = neighbour(0, { tlvs: [evb(14)] });
  const send = (payload: Uint8Array, to = nearestCustomerBridge) =>
    plain(frame(EtherType.lldp, payload, { to }));
  return [
    ...Array.from({ length: 16 }, (_, n) => send(neighbour(n), n % 2 ? nearestBridge : port)),
    ...[5, 9, 14, 20].map((rte) => send(neighbour(0, { tlvs: [evb(rte)] }))),
    send(neighbour(0, { ttl: 0, tlvs: [] })),
    send(neighbour(1, { tlvs: many })),
    send(concat(neighbour(2).subarray(0, -2), uint(2, 0x0a01), Uint8Array.of(65), uint(2, 0))),
    { frame: frame(EtherType.lldp, good), change: Change.someOctets },
    { frame: frame(EtherType.lldp, neighbour(1, { tlvs: many })), change: Change.someOctets },
    { frame: frame(EtherType.lldp, good), change: Change.cut },
    { frame: frame(EtherType.lldp, new Uint8Array(300)), change: Change.noise },
  ];
}

function ecp(port: Mac): Hostile[] {
  const vdpdu = (...tlvs: VdpTlv[]) => vdpduOctets({ manager: new Uint8Array(16), tlvs });
  const request = (ulpdu: Uint8Array, op: "request" | "ack" = "request") =>
    ecpduOctets({ op, subtype: 1, sequence: 7, ulpdu });
  const many = (type: AssociationType, groupId: number, count: number) =>
    vdpdu(...Array.from({ length: count }, (_, n) => association(type, n, groupId)));
  const vdpdus = [
    many("associate", VNS.known, 1),
    many("associate", VNS.unknown, 25),
    many("pre-associate-rr", VNS.unknown, 25),
    many("pre-associate", VNS.known, 10),
    many("de-associate", VNS.known, 25),
  ];
  const frames = vdpdus.map((ulpdu) => frame(EtherType.ecp, request(ulpdu)));
  return [
    ...frames.map((octets) => ({ frame: octets, change: Change.ecpSequence })),
    ...frames.map((octets) => ({ frame: octets, change: Change.someOctets })),
    ...frames.map((octets) => ({ frame: octets, change: Change.cut })),
    ...frames.map(plain),
    ...vdpdus.map((ulpdu) => plain(frame(EtherType.ecp, request(ulpdu), { to: port }))),
    { frame: frame(EtherType.ecp, request(new Uint8Array(), "ack")), change: Change.ecpSequence },
    { frame: frame(EtherType.ecp, new Uint8Array(1400)), change: Change.noise },
    { frame: frame(EtherType.ecp, request(new Uint8Array(1400))), change: Change.someOctets },
  ];
}

function association(type: AssociationType, n: number, groupId: number): VdpTlv {
  const value: Association = {
    status: { is: "request", suspended: false, migrating: false, code: 0 },
    vsiType: { id: 0, version: 0 },
    vsiId: vsiIdOf(Uuid(`bad00000-0000-4000-8000-${String(n).padStart(12, "0")}`)),
    filters: {
      by: "group-mac-vid",
      entries: [{ groupId, mac: Mac(`02:ba:00:00:01:${n.toString(16).padStart(2, "0")}`) }],
    },
  };
  return { is: "association", type, association: value };
}

/** Control frames that are for nobody here. */
function strays(port: Mac, vid: number): Hostile[] {
  const payload = new Uint8Array(46);
  const ends: Ends[] = [
    { to: everybody },
    { to: Mac("52:54:00:00:00:01") },
    { to: port, vid },
    { vid: 4095 },
    { vid },
  ];
  return [
    ...ends.map((to) => plain(frame(EtherType.lldp, payload, to))),
    ...ends.map((to) => plain(frame(EtherType.ecp, payload, to))),
    plain(frame(EtherType.ecp, payload, { to: nearestNonTpmrBridge })),
  ];
}

/** Frames of VMs, untagged and with tags that were not lent. */
function data(vid: number): Hostile[] {
  const payload = new Uint8Array(100);
  const ends: Ends[] = [
    {},
    { to: everybody },
    { to: everybody, vid },
    { to: everybody, vid: 0 },
    { to: Mac("02:00:00:00:00:02"), vid },
  ];
  return ends.flatMap((to) => [
    plain(frame(EtherType.ipv4, payload, to)),
    { frame: frame(EtherType.arp, payload, to), change: Change.noise },
  ]);
}
