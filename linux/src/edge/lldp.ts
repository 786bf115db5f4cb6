import {
  type EvbAgreed,
  type EvbTlv,
  evbOptionalTlv,
  type Frame,
  GroupAddress,
  type Lldpdu,
  type LldpRxAction,
  type LldpTx,
  type LldpTxAction,
  type LldpTxEvent,
  lldpduOctets,
  lldpTiming,
  lldpTxStart,
  type Neighbour,
  readLldpdu,
  stepLldpTx,
} from "@nve/protocol-spec";
import { drive } from "../drive.ts";
import type { EdgePortOptions } from "../edge-port.ts";
import { type Drops, receive } from "../receive.ts";
import { openEvb } from "./evb.ts";
import { listen } from "./neighbours.ts";
import { sendPdu } from "./send.ts";

/** LLDP and EVB of one link. */
export type LldpSide = {
  agreed(): EvbAgreed;
  neighbours(): readonly Neighbour[];
  input(frame: Frame): void;
  linkUp(): void;
  linkDown(): void;
  /** A last LLDPDU with TTL 0, and silence. */
  stop(): void;
  counters(): LldpCounters;
};

/** `tooMany`: LLDPDUs of neighbours beyond those that there is room for, 8 per destination address. */
export type LldpCounters = { in: number; out: number; tooMany: number };

/** @throws OutOfRange when what our LLDPDUs shall carry does not fit */
export function openLldp(options: EdgePortOptions, drops: Drops): LldpSide {
  const { clock } = options;
  const frames = { in: 0, out: 0 };
  const evb = openEvb(options);
  ours(options, evb.local()); // what does not fit is refused now, not when the link comes up
  const transmit = drive<LldpTx, LldpTxEvent, LldpTxAction>(
    lldpTxStart,
    stepLldpTx,
    clock,
    (action) => {
      const octets = action.do === "transmit" ? ours(options, evb.local()) : last(options);
      if (sendPdu(options.link, "lldp", octets)) frames.out += 1;
    },
  );

  // The EVB TLV counts only from the nearest customer bridge; the nearest bridge is heard for display.
  const customerBridge = listen(clock, (action) => {
    const changed = evb.follow(action);
    if (action.do === "neighbour-new") transmit({ on: "new-neighbour" });
    else if (changed) transmit({ on: "change" });
    report(options, action, nearestBridge.knows(action.neighbour));
  });
  const nearestBridge = listen(clock, (action) => {
    report(options, action, customerBridge.knows(action.neighbour));
  });
  const listeners = new Map([
    [GroupAddress.nearestCustomerBridge, customerBridge],
    [GroupAddress.nearestBridge, nearestBridge],
  ]);

  function input({ destination, source, payload }: Frame): void {
    const listener = listeners.get(destination);
    if (listener === undefined) return;
    const deliver = (lldpdu: Lldpdu): void => {
      frames.in += 1;
      listener.hear(lldpdu, source);
    };
    receive("lldp", readLldpdu, deliver, drops)(payload);
  }

  return {
    agreed: evb.agreed,
    neighbours: () => [
      ...customerBridge.neighbours(),
      ...nearestBridge.neighbours().filter((neighbour) => !customerBridge.knows(neighbour)),
    ],
    input,
    linkUp: () => transmit({ on: "link-up" }),
    linkDown: () => {
      transmit({ on: "link-down" });
      for (const listener of listeners.values()) listener.linkDown();
    },
    stop: () => {
      transmit({ on: "stop" });
      for (const part of [transmit, evb, customerBridge, nearestBridge]) part.stop();
    },
    counters: () => ({ ...frames, tooMany: customerBridge.tooMany() + nearestBridge.tooMany() }),
  };
}

/** One system may speak to both addresses: it is new once, and gone when it is gone from both. */
function report(
  options: EdgePortOptions,
  { do: what, neighbour }: LldpRxAction,
  knownElsewhere: boolean,
): void {
  if (what === "neighbour-gone") {
    if (!knownElsewhere) options.onNeighbour("gone", neighbour);
  } else {
    const isNew = what === "neighbour-new" && !knownElsewhere;
    options.onNeighbour(isNew ? "new" : "changed", neighbour);
  }
}

const ours = ({ lldp }: EdgePortOptions, evb: EvbTlv): Uint8Array =>
  lldpduOctets({
    chassisId: lldp.chassisId,
    portId: lldp.portId,
    ttl: lldpTiming.ttlSeconds,
    tlvs: [...lldp.tlvs, evbOptionalTlv(evb)],
  });

/** 802.1AB §9.1.2.2: the mandatory TLVs alone. */
const last = ({ lldp: { chassisId, portId } }: EdgePortOptions): Uint8Array =>
  lldpduOctets({ chassisId, portId, ttl: 0, tlvs: [] });
