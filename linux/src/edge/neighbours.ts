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
  /** @returns the neighbour whose LLDPDU it is; undefined when it is gone, or there is no room for it */
  hear(lldpdu: Lldpdu, source: Mac): Neighbour | undefined;
  linkDown(): void;
  neighbours(): readonly Neighbour[];
  knows(neighbour: Pick<Neighbour, "lldpdu">): boolean;
  tooMany(): number;
  stop(): void;
};

/**
 * @param perform is told what is new, changed, gone; and `heard` of a LLDPDU like the one before
 * @param max neighbours at a time
 */
export function listen(clock: Clock, perform: (heard: Heard) => void, max?: number): Listener {
  let told = false;
  const rx = drive<LldpRx, LldpRxEvent, LldpRxAction>(
    lldpRxStart,
    (rx, event, now) => stepLldpRx(rx, event, now, max),
    clock,
    (action) => {
      told = true;
      perform(action);
    },
  );
  const find = ({ lldpdu }: Pick<Neighbour, "lldpdu">) =>
    rx.state().neighbours.find((known) => sameNeighbour(known.lldpdu, lldpdu));
  return {
    hear: (lldpdu, source) => {
      told = false;
      rx({ on: "lldpdu", lldpdu, source });
      const neighbour = find({ lldpdu });
      if (!told && neighbour !== undefined) perform({ do: "heard", neighbour });
      return neighbour;
    },
    linkDown: () => rx({ on: "link-down" }),
    neighbours: () => rx.state().neighbours,
    knows: (neighbour) => find(neighbour) !== undefined,
    tooMany: () => rx.state().tooMany,
    stop: rx.stop,
  };
}

export type Heard = LldpRxAction | { do: "heard"; neighbour: Neighbour };
