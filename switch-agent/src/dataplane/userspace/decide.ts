import type { Mac } from "@nve/protocol-spec";
import type { MacIntent, VnIntent } from "../../nve/intents.ts";
import { decapsulate, withMark } from "./decapsulate.ts";
import { Deciding, type Decision, type From, nothing, type Reason } from "./decision.ts";
import { encapsulate } from "./encapsulate.ts";
import { flood } from "./flood.ts";
import { glean, gleanLeases, noteUse, wantIp, wantMac } from "./glean.ts";
import { answerTo, sendBack } from "./neighbours.ts";
import {
  destinationOf,
  ETHERNET,
  etherTypeOf,
  has,
  isGroup,
  isLinkLocal,
  isTagged,
  type Parsed,
  sourceOf,
  typeOf,
  untag,
  withTag,
} from "./parse.ts";
import { byProfile } from "./profile.ts";
import { ownsWhatItSays } from "./sources.ts";
import { toSuspended } from "./suspended.ts";
import { isAt, type Tables } from "./tables.ts";
import { exceeded } from "./too-big.ts";

/** Where a frame came in: an access port, or an interface of the underlay with this MAC. */
export type Ingress = { port: string } | { underlay: Mac };

/**
 * What becomes of a frame, as docs/dataplane.md says it. No input or output: besides the tables it looks at nothing,
 * and of them it changes the clocks alone. @param now nanoseconds of a clock that only goes forward
 */
export function decide(t: Tables, ingress: Ingress, octets: Uint8Array, now: number): Decision {
  return "port" in ingress
    ? fromPort(t, ingress.port, octets, now)
    : fromUnderlay(t, ingress.underlay, octets, now);
}

const dropped = (reason: Reason): Decision => ({ ...nothing(), drops: [reason] });

function fromPort(t: Tables, port: string, octets: Uint8Array, now: number): Decision {
  const parsed = untag(octets);
  if (parsed === undefined) return dropped("malformed");
  const { tag, frame } = parsed;
  // LLDP and ECP of the link are the agent's own.
  if (tag === undefined && isLinkLocal(destinationOf(frame))) return nothing();
  const access = t.access(port, tag?.vid ?? 0);
  if (access === undefined) return noAccess(parsed);
  if (tag !== undefined && tag.type !== typeOf.cTag) return dropped("no-such-tag");
  const vn = t.vn(access.vni);
  if (vn === undefined) return dropped("no-vn");
  const from: From = { vni: vn.vni, at: { is: "local", port, vid: access.vid }, access };
  const d = new Deciding(from, now);
  d.count("accessIn");
  if (untag(frame) === undefined) return d.drop("malformed"); // cut off in a second tag
  return mayEnter(t, d, frame) ? forward(t, d, vn, frame) : d.decision;
}

/** Frames with no tag, and those with a priority tag (802.1Q §9.6), are of the VN that has tag 0 on the port. */
function noAccess({ tag, frame }: Parsed): Decision {
  if (tag !== undefined && tag.vid !== 0) return dropped("no-such-tag");
  const type = etherTypeOf(frame);
  // On an access network stations speak to the port's own address.
  if (type === typeOf.lldp || type === typeOf.ecp) return nothing();
  return dropped(tag === undefined ? "untagged" : "priority-tagged");
}

/** What is checked of a frame's source, and shown of it. */
function mayEnter(t: Tables, d: Deciding, frame: Uint8Array): boolean {
  const { at, access, vni } = d.from;
  if (at === undefined || access === undefined) return true;
  const home = t.home(vni, sourceOf(frame), at.port, at.vid);
  d.vnic = home?.vnic;
  d.cameIn(frame);
  if (home === undefined && access.checkSource) {
    d.drop("unknown-source");
    return false;
  }
  const { frame: behind } = untag(frame) ?? { frame }; // a second tag hides nothing
  if (access.checkIps && home !== undefined && !ownsIps(behind, home)) {
    d.drop("spoofed-ip");
    return false;
  }
  if (access.glean && !isTagged(frame)) glean(t, d, frame, home !== undefined);
  return true;
}

/** Of a MAC with no IPs nobody said them. */
const ownsIps = (frame: Uint8Array, { ips = [] }: MacIntent): boolean =>
  ips.length === 0 || ownsWhatItSays(frame, ips);

function fromUnderlay(t: Tables, mac: Mac, octets: Uint8Array, now: number): Decision {
  const tunnelled = decapsulate(t, octets, mac);
  if (tunnelled === undefined) return nothing();
  const { vni, vtep, ds, ttl } = tunnelled;
  const vn = t.vn(vni);
  if (vn === undefined) return dropped("unknown-vni");
  if (!t.isPeer(vni, vtep)) return dropped("stranger-vtep"); // P11, M10
  if (!has(tunnelled.frame, ETHERNET)) return dropped("malformed");
  const frame = withMark(tunnelled.frame, ds);
  if (frame === undefined) return dropped("congested");
  const d = new Deciding({ vni, vtep, ttl }, now);
  d.count("overlayIn");
  d.cameIn(frame);
  return forward(t, d, vn, frame);
}

/** What both directions do once the VN is known and the frame is bare. */
function forward(t: Tables, d: Deciding, vn: VnIntent, bare: Uint8Array): Decision {
  const isOverlay = d.from.at === undefined;
  if (isTagged(bare)) return d.drop(isOverlay ? "inner-tag" : "double-tagged"); // RFC 7348 §6.1
  if (isGroup(sourceOf(bare))) return d.drop("bad-source");
  const to = destinationOf(bare);
  if (isLinkLocal(to)) return d.drop("link-local");
  const frame = byProfile(t, d, vn, bare);
  if (frame === undefined) return d.decision;
  if (t.gleansLeases(vn.vni)) gleanLeases(t, d, frame);
  if (isGroup(to)) return toGroup(t, d, vn, frame);
  const known = t.mac(vn.vni, to);
  if (vn.askUnknown && !isOverlay) {
    if (known === undefined) wantMac(t, d, frame);
    else if (known.at.is === "remote") noteUse(t, d, frame);
  }
  if (known !== undefined) return deliver(t, d, frame, known);
  if (vn.floodUnknown) return flood(t, d, vn, frame);
  return d.drop("unknown-mac");
}

function toGroup(t: Tables, d: Deciding, vn: VnIntent, frame: Uint8Array): Decision {
  if (d.from.at === undefined) return flood(t, d, vn, frame);
  const answer = vn.answer ? answerTo(t, d, frame) : undefined;
  if (answer) sendBack(d, answer);
  if (answer && etherTypeOf(frame) !== typeOf.rarp) return d.decision; // others hear that it is here
  if (vn.askUnknown) wantIp(t, d, frame);
  return flood(t, d, vn, frame);
}

function deliver(t: Tables, d: Deciding, frame: Uint8Array, mac: MacIntent): Decision {
  const { at, vni } = d.from;
  const { at: to, vnic } = mac;
  const suspended = mac.suspended && to.is === "local" ? t.vn(vni)?.suspended : undefined;
  if (suspended !== undefined && d.mayReachVnics) return toSuspended(t, d, frame, suspended);
  if (to.is === "remote") {
    const refused = at === undefined ? refusalToGoOn(t, d, frame, mac) : undefined;
    if (refused !== undefined) return d.drop(refused);
    const { ttl } = d.from;
    encapsulate(t, d, frame, to, ttl && ttl - 1);
    const isSent = d.decision.counts.some(({ what }) => what === "overlayOut");
    if (isSent) d.goesTo({ is: "peer", vtep: to.vtep }, frame);
    return d.decision;
  }
  if (!t.portsThere.has(to.port)) return d.drop("port-absent");
  if (at !== undefined && isAt(to, at)) return d.drop("hairpin");
  if (!d.mayReachVnics) return d.drop("acl");
  if (vnic !== undefined) d.goesTo({ is: "vnic", vni, vnic }, frame);
  d.goesTo({ is: "port", port: to.port }, frame);
  return d.send({ to: "port", port: to.port, frame: withTag(frame, to.vid) });
}

/**
 * From the overlay to the overlay goes what is for a MAC that was here (M5): never back, and for as many hops as its packet
 * had. @returns why not
 */
function refusalToGoOn(
  t: Tables,
  { from: { vtep, ttl = 0 } }: Deciding,
  frame: Uint8Array,
  { at: to, moved }: MacIntent,
): Reason | undefined {
  if (to.is === "local") return undefined;
  if (!moved || vtep === to.vtep) return "split-horizon";
  if (ttl < 2) return "hop-limit";
  const room = exceeded(t, undefined, frame, t.hops.get(to.vtep));
  return room === undefined ? undefined : "oversize";
}
