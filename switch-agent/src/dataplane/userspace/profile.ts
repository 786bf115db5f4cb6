import type { VnIntent } from "../../nve/intents.ts";
import type { Qos } from "../../nve/profile.ts";
import type { Deciding } from "./decision.ts";
import { ETHERNET, etherTypeOf, followChecksum, has, typeOf, u16 } from "./parse.ts";
import { deniedOf } from "./rules.ts";
import type { Tables } from "./tables.ts";

/** What the VN's profile says of a bare frame (H25). @returns the frame as it goes on; undefined: it was dropped */
export function byProfile(
  t: Tables,
  d: Deciding,
  { vni, acl = [], qos = {} }: VnIntent,
  frame: Uint8Array,
): Uint8Array | undefined {
  const { at } = d.from;
  if (acl.length > 0) {
    const { fromVnic, toVnic } = deniedOf(frame, acl);
    d.mayReachVnics = !toVnic;
    if (fromVnic && at !== undefined) return refused(d, "acl");
  }
  if (at === undefined) return frame; // it was policed and marked there
  const bucket = d.vnic === undefined ? `place ${at.port} ${at.vid}` : `vnic ${d.vnic}`;
  if (!t.clocks.mayPass(`${vni} ${bucket}`, policeOf(qos), frame.length, d.now)) {
    return refused(d, "policed");
  }
  return qos.dscp === undefined ? frame : marked(frame, qos.dscp);
}

function refused(d: Deciding, reason: "acl" | "policed"): undefined {
  d.drop(reason);
}

/** Nanoseconds of an octet, and how many of them a burst is. */
export type Police = { cost: number; burst: number };

/** If a profile does not say: a tenth of a second, and 65,536 octets at least. */
function policeOf({ policeKbps, burstOctets }: Qos): Police | undefined {
  if (policeKbps === undefined) return undefined;
  const cost = 8_000_000 / policeKbps;
  return { cost, burst: Math.round((burstOctets || Math.max(65_536, policeKbps * 12.5)) * cost) };
}

/** RFC 2474: the first six bits of the DS field; the last two are ECN's. */
function marked(frame: Uint8Array, dscp: number): Uint8Array {
  const type = etherTypeOf(frame);
  const isIp = type === typeOf.ipv4 || type === typeOf.ipv6;
  if (!isIp || !has(frame, ETHERNET + 20)) return frame;
  const was = u16(frame, ETHERNET);
  const is = type === typeOf.ipv4 ? (was & 0xff03) | (dscp << 2) : (was & 0xf03f) | (dscp << 6);
  if (was === is) return frame;
  const copy = frame.slice();
  copy.set([is >> 8, is & 0xff], ETHERNET);
  if (type === typeOf.ipv4) followChecksum(frame, copy);
  return copy;
}
