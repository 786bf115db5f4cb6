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
  type Mac,
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

/**
 * LLDP and EVB of one link: EVB with the nearest customer bridge, and ordinary LLDP with the nearest bridge, where
 * most others listen (spec/lldp-evb.md 2).
 */
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
  const toCustomerBridge = speak(GroupAddress.nearestCustomerBridge, () =>
    ours(options, evb.local()),
  );
  const toNearestBridge = speak(GroupAddress.nearestBridge, () => plain(options));

  /** An LLDP agent of its own for each destination address (802.1AB §7.1). */
  function speak(destination: Mac, octets: () => Uint8Array) {
    octets(); // what does not fit is refused now, not when the link comes up
    return drive<LldpTx, LldpTxEvent, LldpTxAction>(lldpTxStart, stepLldpTx, clock, (action) => {
      const pdu = action.do === "transmit" ? octets() : last(options);
      if (sendPdu(options.link, "lldp", pdu, destination)) frames.out += 1;
    });
  }

  // The EVB TLV counts only from the nearest customer bridge; the nearest bridge is heard for display.
  const customerBridge = listen(clock, (action) => {
    const changed = evb.follow(action);
    if (action.do === "neighbour-new") toCustomerBridge({ on: "new-neighbour" });
    else if (changed) toCustomerBridge({ on: "change" });
    report(options, action, nearestBridge.knows(action.neighbour));
  });
  const nearestBridge = listen(clock, (action) => {
    if (action.do === "neighbour-new") toNearestBridge({ on: "new-neighbour" });
    report(options, action, customerBridge.knows(action.neighbour));
  });
  const listeners = new Map([
    [GroupAddress.nearestCustomerBridge, customerBridge],
    [GroupAddress.nearestBridge, nearestBridge],
  ]);
  const tell = (event: LldpTxEvent): void => {
    toCustomerBridge(event);
    toNearestBridge(event);
  };

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
    linkUp: () => tell({ on: "link-up" }),
    linkDown: () => {
      tell({ on: "link-down" });
      for (const listener of listeners.values()) listener.linkDown();
    },
    stop: () => {
      tell({ on: "stop" });
      const parts = [toCustomerBridge, toNearestBridge, evb, customerBridge, nearestBridge];
      for (const part of parts) part.stop();
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

/** For ordinary LLDP: what organizations have defined, EVB before all, is said to the nearest customer bridge. */
const plain = ({ lldp: { chassisId, portId, tlvs } }: EdgePortOptions): Uint8Array =>
  lldpduOctets({
    chassisId,
    portId,
    ttl: lldpTiming.ttlSeconds,
    tlvs: tlvs.filter(({ is }) => is !== "organizational"),
  });

/** 802.1AB §9.1.2.2: the mandatory TLVs alone. */
const last = ({ lldp: { chassisId, portId } }: EdgePortOptions): Uint8Array =>
  lldpduOctets({ chassisId, portId, ttl: 0, tlvs: [] });
