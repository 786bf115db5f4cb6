import {
  type Frame,
  GroupAddress,
  type Lldpdu,
  type Neighbour,
  readLldpdu,
  sameNeighbour,
} from "@nve/protocol-spec";
import type { EdgePortOptions, LldpCounters } from "../edge-port.ts";
import { type Drops, receive } from "../receive.ts";
import { budget } from "./budget.ts";
import { type Heard, type Listener, listen } from "./neighbours.ts";
import type { Side } from "./side.ts";
import { plainLldpdu, speak } from "./speak.ts";

/**
 * LLDP of one link: EVB with the nearest customer bridge, which is the side's, and ordinary LLDP with the nearest
 * bridge, where most others listen (spec/lldp-evb.md 2).
 */
export type Lldp = {
  neighbours(): readonly Neighbour[];
  input(frame: Frame): void;
  linkUp(): void;
  linkDown(): void;
  /** A last LLDPDU with TTL 0, unless others are to believe that we are here still, and silence. */
  stop(how?: "keep"): void;
  counters(): LldpCounters;
  /** Tells who is new and who is gone, of whatever listener. */
  report(heard: Heard, by: Listener): void;
};

/**
 * LLDPDUs that are taken in at once, and in a second: 64 stations that start together send no more. Those beyond
 * are not read; they come again within 30 s.
 */
const INTAKE = { burst: 256, perSecond: 128 };

/** @throws OutOfRange when what our LLDPDUs shall carry does not fit */
export function openLldp(
  options: EdgePortOptions,
  counters: LldpCounters,
  drops: Drops,
  side: Side,
): Lldp {
  const { clock, link } = options;
  const intake = budget(INTAKE.burst, INTAKE.perSecond);
  const tx = speak(
    options,
    counters,
    () => GroupAddress.nearestBridge,
    () => plainLldpdu(options),
  );
  const nearestBridge: Listener = listen(clock, (heard) => {
    if (heard.do === "neighbour-new") tx({ on: "new-neighbour" });
    report(heard, nearestBridge);
  });
  const listeners = (): readonly Listener[] => [...side.listeners(), nearestBridge];
  const isAccessNetwork = (options.stations ?? 1) > 1;
  /** Of several stations two may say that they are the same, and are not. */
  const knows = (listener: Listener, { lldpdu, source }: Neighbour): boolean =>
    listener
      .neighbours()
      .some(
        (known) =>
          (!isAccessNetwork || known.source === source) && sameNeighbour(known.lldpdu, lldpdu),
      );

  /** One system may speak to several addresses: it is new once, and gone when it is gone from all. */
  function report({ do: what, neighbour }: Heard, by: Listener): void {
    if (what === "heard") return;
    const elsewhere = listeners().some((other) => other !== by && knows(other, neighbour));
    if (what === "neighbour-changed" || (what === "neighbour-new" && elsewhere)) {
      options.onNeighbour("changed", neighbour);
    } else if (!elsewhere) {
      options.onNeighbour(what === "neighbour-new" ? "new" : "gone", neighbour);
    }
  }

  function input({ destination, source, payload }: Frame): void {
    const toUs = destination === link.mac;
    const plain = destination === GroupAddress.nearestBridge;
    if (!toUs && !plain && destination !== GroupAddress.nearestCustomerBridge) return;
    if (!intake.spend(1, clock.now())) {
      counters.putOff += 1;
      return;
    }
    const deliver = (lldpdu: Lldpdu): void => {
      counters.in += 1;
      if (plain) nearestBridge.hear(lldpdu, source);
      else side.lldpdu(lldpdu, source, toUs);
    };
    receive("lldp", readLldpdu, deliver, drops)(payload);
  }

  return {
    neighbours: () => {
      const all = listeners();
      return all.flatMap((listener, i) =>
        listener
          .neighbours()
          .filter((one) => !all.slice(0, i).some((before) => knows(before, one))),
      );
    },
    input,
    linkUp: () => tx({ on: "link-up" }),
    linkDown: () => {
      tx({ on: "link-down" });
      nearestBridge.linkDown();
    },
    stop: (how) => {
      if (how === undefined) tx({ on: "stop" });
      tx.stop();
      nearestBridge.stop();
    },
    counters: () => {
      const now = listeners().reduce((sum, listener) => sum + listener.tooMany(), 0);
      return { ...counters, tooMany: counters.tooMany + now };
    },
    report,
  };
}
