import {
  type Lldpdu,
  type LldpRx,
  type LldpRxAction,
  type LldpRxEvent,
  lldpRxStart,
  type Mac,
  type Neighbour,
  sameNeighbour,
  stepLldpRx,
} from "@nve/protocol-spec";
import type { Clock } from "../clock.ts";
import { drive } from "../drive.ts";

/** The LLDP receive side for one destination address. */
export type Listener = {
  hear(lldpdu: Lldpdu, source: Mac): void;
  linkDown(): void;
  neighbours(): readonly Neighbour[];
  knows(neighbour: Neighbour): boolean;
  tooMany(): number;
  stop(): void;
};

export function listen(clock: Clock, perform: (action: LldpRxAction) => void): Listener {
  const rx = drive<LldpRx, LldpRxEvent, LldpRxAction>(lldpRxStart, stepLldpRx, clock, perform);
  return {
    hear: (lldpdu, source) => rx({ on: "lldpdu", lldpdu, source }),
    linkDown: () => rx({ on: "link-down" }),
    neighbours: () => rx.state().neighbours,
    knows: ({ lldpdu }) =>
      rx.state().neighbours.some((known) => sameNeighbour(known.lldpdu, lldpdu)),
    tooMany: () => rx.state().tooMany,
    stop: rx.stop,
  };
}
