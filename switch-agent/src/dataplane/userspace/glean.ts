import type { Sample } from "../../nve/glean.ts";
import type { Deciding } from "./decision.ts";
import {
  ADVERTISEMENT,
  destinationOf,
  ETHERNET,
  etherTypeOf,
  has,
  ipKey,
  isGroup,
  readArp,
  readNd,
  SOLICITATION,
  sourceOf,
  typeOf,
  u8,
  u16,
} from "./parse.ts";
import type { Tables } from "./tables.ts";

/** Of a frame, so many octets are shown. */
const SAMPLE = 384;
const SECOND = 1e9;

type Kind = "seen" | "wanted";

/** The place where a MAC was heard, or whose VN it is spoken to from, and what of it was. */
export const sightKey = (...parts: readonly (string | number)[]): string => parts.join(" ");

/** @returns whether the agent will see it; what is too much is counted */
function show(t: Tables, d: Deciding, frame: Uint8Array, kind: Kind): boolean {
  const { at, vni } = d.from;
  if (!t.clocks.mayShow(`${kind} ${at?.port ?? ""}`, d.now)) {
    d.drop(kind === "seen" ? "glean-overrun" : "pull-overrun");
    return false;
  }
  const sample: Sample = { vni, ...(at && { at }), octets: frame.slice(0, SAMPLE) };
  d.decision[kind].push(sample);
  return true;
}

type News = { key: string; isKnown?: boolean; kind?: Kind };

/** Notes the time, and shows it if it is news: once a second, and what is known is none. */
function sight(t: Tables, d: Deciding, frame: Uint8Array, news: News): void {
  const { key, isKnown = false, kind = "seen" } = news;
  const { seen, shown } = t.clocks.sight(key) ?? {};
  const isFresh = shown === undefined || d.now - shown >= SECOND;
  const isShown = !isKnown && isFresh && show(t, d, frame, kind);
  const when = isShown ? d.now : shown;
  t.clocks.see(key, {
    seen: seen !== undefined && d.now - seen <= SECOND ? seen : d.now,
    ...(when !== undefined && { shown: when }),
  });
}

/** A frame of a gleaning place: its source, and what ARP and ND say in it (H16). */
export function glean(t: Tables, d: Deciding, frame: Uint8Array, isKnown: boolean): void {
  const mac = sourceOf(frame);
  const { vni, at } = d.from;
  if (at === undefined || isGroup(mac)) return;
  const key = sightKey("mac", vni, at.port, at.vid, mac);
  sight(t, d, frame, { key, isKnown });
  if (etherTypeOf(frame) === typeOf.arp) {
    const arp = readArp(frame);
    if (arp) sight(t, d, frame, { key: sightKey(key, "arp", ipKey(arp.ip)) });
    return;
  }
  const nd = readNd(frame);
  if (nd === undefined || (nd.type !== SOLICITATION && nd.type !== ADVERTISEMENT)) return;
  sight(t, d, frame, { key: sightKey(key, "nd", ipKey(nd.source), ipKey(nd.target)) });
}

/** What a DHCP server says (RFC 2131, RFC 8415), from wherever in the VN: seldom, so all of it is shown. */
export function gleanLeases(t: Tables, d: Deciding, frame: Uint8Array): void {
  const at = udpOf(frame);
  if (at === undefined || !has(frame, at + 4)) return;
  const [source, destination] = [u16(frame, at), u16(frame, at + 2)];
  const isLease = (source === 67 && destination === 68) || (source === 547 && destination === 546);
  if (isLease) show(t, d, frame, "seen");
}

function udpOf(frame: Uint8Array): number | undefined {
  const type = etherTypeOf(frame);
  if (type === typeOf.ipv4 && has(frame, ETHERNET + 10) && u8(frame, 23) === 17) {
    const isFragment = (u16(frame, 20) & 0x3fff) !== 0;
    return isFragment ? undefined : ETHERNET + (u8(frame, 14) & 15) * 4;
  }
  if (type === typeOf.ipv6 && has(frame, ETHERNET + 7) && u8(frame, 20) === 17)
    return ETHERNET + 40;
  return undefined;
}

/** A18: a unicast frame of a place, for a MAC that is not known here. */
export function wantMac(t: Tables, d: Deciding, frame: Uint8Array): void {
  const { vni, at } = d.from;
  if (at === undefined) return;
  const key = sightKey("wanted", vni, at.port, at.vid, destinationOf(frame));
  sight(t, d, frame, { key, kind: "wanted" });
}

/** A18: ARP and ND of a place to a group ask for an IP, soon to be spoken to. */
export function wantIp(t: Tables, d: Deciding, frame: Uint8Array): void {
  const { vni, at } = d.from;
  const asked = askedFor(frame);
  if (at === undefined || asked === undefined) return;
  const key = sightKey("wanted-ip", vni, at.port, at.vid, ipKey(asked));
  sight(t, d, frame, { key, kind: "wanted" });
}

function askedFor(frame: Uint8Array): Uint8Array | undefined {
  if (etherTypeOf(frame) === typeOf.arp) {
    const isAsked = has(frame, ETHERNET + 28) && readArp(frame)?.op === 1;
    return isAsked ? frame.subarray(38, 42) : undefined;
  }
  const nd = readNd(frame);
  return nd?.type === SOLICITATION ? nd.target : undefined;
}

/** A18: a frame of a place for a MAC behind the overlay. */
export function noteUse(t: Tables, d: Deciding, frame: Uint8Array): void {
  const key = sightKey("used", d.from.vni, destinationOf(frame));
  sight(t, d, frame, { key, isKnown: true });
}
