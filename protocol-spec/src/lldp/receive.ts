import { sameOctets } from "../bytes.ts";
import { Instant, type Mac } from "../ids.ts";
import { same } from "../same.ts";
import type { Lldpdu, TypedId } from "./lldpdu.ts";

/**
 * LLDP receive side (802.1AB §9.2.7): neighbours by chassis and port ID, each until its TTL runs out, it
 * says TTL 0, or the link goes down. One of these per destination address: an LLDP agent each.
 */
export type LldpRx = {
  is: "listening";
  /** In order of appearance, `max` at most. */
  neighbours: readonly Neighbour[];
  /** LLDPDUs of yet other neighbours, dropped (802.1AB §9.2.7.7.5). */
  tooMany: number;
  deadline?: Instant;
};

export type Neighbour = { lldpdu: Lldpdu; source: Mac; since: Instant; expires: Instant };

export type LldpRxEvent =
  | { on: "lldpdu"; lldpdu: Lldpdu; source: Mac }
  | { on: "link-down" }
  | { on: "tick" };

export type LldpRxAction = {
  do: "neighbour-new" | "neighbour-changed" | "neighbour-gone";
  neighbour: Neighbour;
};

type Step = readonly [LldpRx, ...LldpRxAction[]];

/** Where nobody says otherwise. */
export const maxNeighbours = 8;

export const lldpRxStart: LldpRx = { is: "listening", neighbours: [], tooMany: 0 };

/** @param max neighbours at a time */
export function stepLldpRx(
  rx: LldpRx,
  event: LldpRxEvent,
  now: Instant,
  max: number = maxNeighbours,
): Step {
  switch (event.on) {
    case "lldpdu":
      return hear(rx, event, now, max);
    case "link-down":
      return forget(rx, () => true);
    case "tick":
      return forget(rx, (neighbour) => neighbour.expires <= now);
  }
}

/** Chassis ID and port ID together name a neighbour (802.1AB §8.2: the MSAP identifier). */
export const sameNeighbour = (a: Lldpdu, b: Lldpdu): boolean =>
  sameId(a.chassisId, b.chassisId) && sameId(a.portId, b.portId);

const sameId = (a: TypedId, b: TypedId): boolean =>
  a.subtype === b.subtype && sameOctets(a.octets, b.octets);

function hear(
  rx: LldpRx,
  { lldpdu, source }: LldpRxEvent & { on: "lldpdu" },
  now: Instant,
  max: number,
): Step {
  if (lldpdu.ttl === 0) return forget(rx, (known) => sameNeighbour(known.lldpdu, lldpdu));
  const expires = Instant(now + lldpdu.ttl * 1000);
  const known = rx.neighbours.find((neighbour) => sameNeighbour(neighbour.lldpdu, lldpdu));
  if (known === undefined) {
    if (rx.neighbours.length >= max) return [{ ...rx, tooMany: rx.tooMany + 1 }];
    const neighbour = { lldpdu, source, since: now, expires };
    return [listening(rx, [...rx.neighbours, neighbour]), { do: "neighbour-new", neighbour }];
  }
  const neighbour = { ...known, lldpdu, source, expires };
  const next = listening(
    rx,
    rx.neighbours.map((other) => (other === known ? neighbour : other)),
  );
  return same(known.lldpdu, lldpdu) ? [next] : [next, { do: "neighbour-changed", neighbour }];
}

function forget(rx: LldpRx, which: (neighbour: Neighbour) => boolean): Step {
  const gone = rx.neighbours.filter(which);
  const left = rx.neighbours.filter((neighbour) => !gone.includes(neighbour));
  return [
    listening(rx, left),
    ...gone.map((neighbour): LldpRxAction => ({ do: "neighbour-gone", neighbour })),
  ];
}

function listening({ tooMany }: LldpRx, neighbours: readonly Neighbour[]): LldpRx {
  if (neighbours.length === 0) return { is: "listening", neighbours, tooMany };
  const deadline = Instant(Math.min(...neighbours.map(({ expires }) => expires)));
  return { is: "listening", neighbours, tooMany, deadline };
}
