import { type Place, placeKey, type VnIntent } from "../../nve/intents.ts";
import type { Deciding, Decision } from "./decision.ts";
import { encapsulate } from "./encapsulate.ts";
import { withTag } from "./parse.ts";
import type { Tables } from "./tables.ts";
import { isAt } from "./tables.ts";
import { exceeded, tooBig } from "./too-big.ts";

/** One copy for each other place of the VN's list (A10), from a place no more than it may send (P12, V11). */
export function flood(t: Tables, d: Deciding, vn: VnIntent, frame: Uint8Array): Decision {
  if (!mayFlood(t, d, vn)) return d.drop("flood-limit");
  d.count("flooded");
  const places = new Map(vn.flood.map((place) => [placeKey(place), place]));
  const room = d.from.at === undefined ? undefined : exceeded(t, vn, frame);
  const sorted = [...places.values()].sort(localFirst);
  for (const place of sorted) {
    if (room === undefined || place.is === "local") copy(t, d, frame, place);
  }
  const isRefused = room !== undefined && sorted.some(({ is }) => is === "remote");
  return isRefused ? tooBig(t, d, frame, room) : d.decision;
}

function copy(t: Tables, d: Deciding, frame: Uint8Array, to: Place): void {
  const { at } = d.from;
  if (to.is === "remote") {
    if (at === undefined) return; // split horizon
    d.goesTo({ is: "peer", vtep: to.vtep }, frame);
    encapsulate(t, d, frame, to);
    return;
  }
  if (!t.portsThere.has(to.port) || (at !== undefined && isAt(to, at))) return;
  if (!d.mayReachVnics) {
    d.drop("acl");
    return;
  }
  d.goesTo({ is: "port", port: to.port }, frame);
  d.send({ to: "port", port: to.port, frame: withTag(frame, to.vid) });
}

/** Of the VN's limit each place has its own part, of a port's all its places together; both hold. */
function mayFlood(t: Tables, d: Deciding, { floodLimit: ofVn }: VnIntent): boolean {
  const { at, access } = d.from;
  if (at === undefined) return true; // it was limited there
  if (ofVn && !t.clocks.hasToken(`vn ${at.port} ${at.vid}`, ofVn, d.now)) return false;
  const ofPort = access?.floodLimit;
  return ofPort === undefined || t.clocks.hasToken(`port ${at.port}`, ofPort, d.now);
}

const localFirst = (a: Place, b: Place): number =>
  (a.is === "local" ? 0 : 1) - (b.is === "local" ? 0 : 1);
