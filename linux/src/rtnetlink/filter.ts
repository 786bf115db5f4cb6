import { concat, type IpAddress, ipOctets } from "@nve/protocol-spec";
import {
  type Attributes,
  attribute,
  cString,
  field,
  hostUint,
  nested,
  readAttributes,
} from "./codec.ts";

// Bodies of messages about tc filters at an interface's ingress (linux/pkt_cls.h): what passes and what is dropped.

/** The first that matches, in order of `priority`, decides. `handle` tells those of one priority apart. */
export type Filter = {
  priority: number;
  handle: number;
  /** EtherType as the frame begins: of a tagged one the tag's. "all": any. */
  protocol: number | "all";
  match: Match;
  drop: boolean;
};

/** All of what is said; of nothing: every frame. */
export type Match = {
  /** MAC and mask, 6 octets each. */
  source?: MaskedMac;
  destination?: MaskedMac;
  /** VLAN ID of the tag. */
  vid?: number;
  /** What stands behind the tag. */
  inner?: number;
  /** Of a frame that came out of a VXLAN device: who sent its packet, without IP options. */
  tunnelSource?: IpAddress;
};

type MaskedMac = { octets: Uint8Array; mask: Uint8Array };

/** Body of RTM_NEWQDISC: what filters hang on. */
export const clsactOctets = (index: number): Uint8Array =>
  concat(tcmsg(index, CLSACT_HANDLE, CLSACT, 0), attribute(TCA.kind, cString("clsact")));

/** Body of RTM_NEWTFILTER. */
export function filterOctets(index: number, filter: Filter): Uint8Array {
  const { match, drop } = filter;
  if (match.tunnelSource !== undefined) {
    return concat(
      header(index, filter, HANDLE_BASE),
      attribute(TCA.kind, cString("u32")),
      nested(TCA.options, tunnelSelector(match.tunnelSource), gact(U32.act, drop)),
    );
  }
  return concat(
    header(index, filter),
    attribute(TCA.kind, cString("flower")),
    nested(TCA.options, ...flowerKeys(filter), gact(FLOWER.act, drop)),
  );
}

/** Body of RTM_DELTFILTER. */
export const filterKeyOctets = (index: number, filter: Filter): Uint8Array =>
  filter.match.tunnelSource === undefined
    ? concat(header(index, filter), attribute(TCA.kind, cString("flower")))
    : concat(header(index, filter, HANDLE_BASE), attribute(TCA.kind, cString("u32")));

/** Body of RTM_DELTFILTER: all of a priority. */
export const priorityOctets = (index: number, priority: number): Uint8Array =>
  tcmsg(index, 0, INGRESS, (priority * 0x10000) >>> 0);

/** Body of RTM_GETTFILTER for all of an interface. */
export const filterDumpOctets = (index: number): Uint8Array => tcmsg(index, 0, INGRESS, 0);

/** What the kernel says of one filter, by what it is told apart. */
export type FilterInfo = { index: number; priority: number; handle: number; packets: number };

/** @returns undefined: a part of a filter that is none itself. @throws DecodeError */
export function readFilter(body: Uint8Array): FilterInfo | undefined {
  const attributes = readAttributes(body.subarray(TCMSG));
  const options = attributes.get(TCA.options);
  if (options === undefined) return undefined;
  const inside = readAttributes(options);
  const actions = inside.get(FLOWER.act) ?? inside.get(U32.act);
  if (actions === undefined || actions.length < 8) return undefined;
  return {
    index: field(body, 4, 4),
    priority: field(body, 16, 4) >>> 16,
    handle: field(body, 8, 4) & 0xfff,
    packets: packetsOf(readAttributes(actions)),
  };
}

function packetsOf(actions: Attributes): number {
  const first = actions.get(1);
  const statistics = first && readAttributes(first).get(ACT.statistics);
  const basic = statistics && readAttributes(statistics).get(STATS_BASIC);
  return basic ? field(basic, 8, 4) : 0; // octets 8, packets 4
}

const header = (index: number, { priority, handle, protocol }: Filter, base = 0): Uint8Array => {
  const type = protocol === "all" ? ETH_ALL : protocol;
  const swapped = ((type & 0xff) << 8) | (type >> 8); // network order in a number of the host's
  return tcmsg(index, (base | handle) >>> 0, INGRESS, (priority * 0x10000 + swapped) >>> 0);
};

/** tcmsg: family 1, pad 3, index 4, handle 4, parent 4, info 4 (priority 2, protocol 2). */
const tcmsg = (index: number, handle: number, parent: number, info: number): Uint8Array =>
  concat(
    new Uint8Array(4),
    hostUint(4, index),
    hostUint(4, handle),
    concat(hostUint(4, parent), hostUint(4, info)),
  );

function flowerKeys({ protocol, match }: Filter): Uint8Array[] {
  const { source, destination, vid, inner } = match;
  const masked = (type: number, { octets, mask }: MaskedMac): Uint8Array =>
    concat(attribute(type, octets), attribute(type + 1, mask));
  return [
    ...(protocol === "all" ? [] : [attribute(FLOWER.etherType, bigEndian(protocol))]),
    ...(source ? [masked(FLOWER.source, source)] : []),
    ...(destination ? [masked(FLOWER.destination, destination)] : []),
    ...(vid === undefined ? [] : [attribute(FLOWER.vid, hostUint(2, vid))]),
    ...(inner === undefined ? [] : [attribute(FLOWER.innerType, bigEndian(inner))]),
  ];
}

/**
 * The outer header is gone from the frame, and still stands before it: outer IP, UDP 8, VXLAN 8 and Ethernet 14 end
 * where the tenant's packet begins, which offsets count from.
 */
function tunnelSelector(ip: IpAddress): Uint8Array {
  const octets = ipOctets(ip);
  const start = -(14 + 8 + 8) - octets.length * 2; // the source, then the destination, end the IP header
  const words = octets.length / 4;
  const keys = Array.from({ length: words }, (_, n) =>
    concat(
      hostUint(4, 0xffffffff), // mask
      octets.subarray(n * 4, n * 4 + 4),
      hostUint(4, (start + n * 4) >>> 0),
      hostUint(4, 0),
    ),
  );
  // tc_u32_sel: flags 1, offset shift 1, keys 1, pad 1, offset mask 2, offset 2, offset of it 2, hash 2 and 4
  const head = concat(Uint8Array.of(TERMINAL, 0, words, 0), new Uint8Array(12));
  return attribute(U32.selector, concat(head, ...keys));
}

/** tc_gact: index 4, capabilities 4, action 4, references 4, bindings 4. */
const gact = (type: number, drop: boolean): Uint8Array =>
  nested(
    type,
    nested(
      1,
      attribute(ACT.kind, cString("gact")),
      nested(
        ACT.options,
        attribute(
          GACT_PARAMETERS,
          concat(new Uint8Array(8), hostUint(4, drop ? SHOT : OK), new Uint8Array(8)),
        ),
      ),
    ),
  );

const bigEndian = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 0xff);

const TCMSG = 20;
const ETH_ALL = 3;
const CLSACT = 0xfffffff1;
const CLSACT_HANDLE = 0xffff0000;
const INGRESS = 0xfffffff2;
const TCA = { kind: 1, options: 2 };
const ACT = { kind: 1, options: 2, statistics: 4 };
const STATS_BASIC = 1;
const GACT_PARAMETERS = 2;
const OK = 0;
const SHOT = 2;
const FLOWER = { act: 3, destination: 4, source: 6, etherType: 8, vid: 23, innerType: 25 };
const U32 = { selector: 5, act: 7 };
/** Of u32: the first hash table of a priority, whose handles are 12 bits. */
const HANDLE_BASE = 0x80000000;
const TERMINAL = 1;
