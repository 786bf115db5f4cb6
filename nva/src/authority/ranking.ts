import type { IpAddress, Uuid } from "@nve/protocol-spec";
import type { Claim, Location, Mapping, Source } from "./records.ts";
import { activeOf, placesOf } from "./standby.ts";

/** A claim with what the authority knows of its NVE's session. */
export type Held = {
  claim: Claim;
  /** Session of the NVE that last named it. */
  generation: number;
  /** Its NVE is lost, or came back and has not named it again yet. */
  stale: boolean;
};

/** All claims of one MAC of a VN. */
export type Entry = {
  held: Held[];
  best: Held;
  /** The highest sequence it ever had. */
  highest: number;
  /** Which MAC of the VN changed after which. */
  order: number;
};

/**
 * The claim that counts: static > sticky > said > gleaned (H17); then highest sequence > lowest VTEP, then the source's name.
 * A static one to an NVE that nobody has heard of comes last. Where it is a VNIC in hot standby, that of its active place (M9).
 * @param holder whose claim counts before all but static ones, as long as there is one: the address is frozen
 */
export function bestOf(
  held: readonly Held[],
  locationOf: LocationOf,
  holder?: Source,
): Held | undefined {
  let best: Held | undefined;
  for (const one of held)
    if (best === undefined || outranks(one.claim, best.claim, locationOf)) best = one;
  if (best?.claim.standby !== undefined) best = activeOf(best, held);
  if (holder === undefined || best?.claim.source === "static") return best;
  return held.find(({ claim }) => claim.source === holder) ?? best;
}

export type LocationOf = (claim: Claim) => Location | undefined;

/** What the claims of one {VN, MAC} come to, `best` being the best of `held`. */
export function mappingOf(best: Held, held: readonly Held[], locationOf: LocationOf): Mapping {
  const { vnId, mac, ips, vnic, sequence, sticky, anycast, suspended, standby } = best.claim;
  const sharing = standby ? placesOf(best, held) : held.filter(({ claim }) => claim.anycast);
  const serving = anycast ? sharing : [best];
  return {
    vnId,
    mac,
    ips,
    locations: serving.flatMap(({ claim }) => locationOf(claim) ?? []),
    sequence,
    ...optional(vnic),
    sticky,
    anycast,
    suspended,
    stale: best.stale,
  };
}

const optional = (vnic: Uuid | undefined): { vnic?: Uuid } => (vnic === undefined ? {} : { vnic });

function outranks(a: Claim, b: Claim, locationOf: LocationOf): boolean {
  const [ranked, against] = [rank(a, locationOf), rank(b, locationOf)];
  if (ranked !== against) return ranked > against;
  if (a.sequence !== b.sequence) return a.sequence > b.sequence;
  const order = compareVteps(locationOf(a)?.vteps[0], locationOf(b)?.vteps[0]);
  return order === 0 ? a.source < b.source : order < 0;
}

function rank(claim: Claim, locationOf: LocationOf): number {
  const { source, sticky, gleaned } = claim;
  if (source === "static") return locationOf(claim) === undefined ? -1 : 3;
  return sticky ? 2 : gleaned ? 0 : 1;
}

/** By value, IPv4 before IPv6, none last (RFC 7432 §7.7: the lowest wins). */
function compareVteps(a: IpAddress | undefined, b: IpAddress | undefined): number {
  if (a === b) return 0;
  if (a === undefined || b === undefined) return a === undefined ? 1 : -1;
  const [x, y] = [sortable(a), sortable(b)];
  return x < y ? -1 : 1;
}

function sortable(ip: IpAddress): string {
  if (!ip.includes(":"))
    return `4${ip
      .split(".")
      .map((n) => n.padStart(3, "0"))
      .join(".")}`;
  const [head = "", tail = ""] = ip.split("::");
  const [front, back] = [words(head), words(tail)];
  const gap = Array.from({ length: 8 - front.length - back.length }, () => "0000");
  return `6${[...front, ...(ip.includes("::") ? gap : []), ...back].join(":")}`;
}

const words = (part: string): string[] =>
  part === "" ? [] : part.split(":").map((word) => word.padStart(4, "0"));

/** Which of two MACs has an IP that both claim: said before gleaned, then the one that changed last. */
export function outranksForIp(a: Entry, b: Entry): boolean {
  const [said, alsoSaid] = [!a.best.claim.gleaned, !b.best.claim.gleaned];
  return said === alsoSaid ? a.order > b.order : said;
}
