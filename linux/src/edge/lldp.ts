import {
  type Evb,
  type EvbAction,
  type EvbAgreed,
  type EvbEvent,
  evbAgreed,
  evbOptionalTlv,
  evbStart,
  type Frame,
  findEvbTlv,
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
  sameNeighbour,
  stepEvb,
  stepLldpTx,
} from "@nve/protocol-spec";
import { drive } from "../drive.ts";
import type { EdgePortOptions } from "../edge-port.ts";
import { type Drops, receive } from "../receive.ts";
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
  readonly counters: LldpCounters;
};

/** `tooMany`: LLDPDUs of neighbours beyond the 8 that are kept. */
export type LldpCounters = { readonly in: number; readonly out: number; readonly tooMany: number };

export function openLldp(options: EdgePortOptions, malformed: Drops): LldpSide {
  const { clock } = options;
  let inbound = 0;
  let outbound = 0;

  const transmit = drive<LldpTx, LldpTxEvent, LldpTxAction>(
    lldpTxStart,
    stepLldpTx,
    clock,
    (action) => {
      const lldpdu = action.do === "transmit" ? ours(options, evb.state()) : lastOnes(options);
      if (sendPdu(options.link, "lldp", lldpduOctets(lldpdu))) outbound += 1;
    },
  );
  let announce = false;
  const evb = drive<Evb, EvbEvent, EvbAction>(
    evbStart(options.role, options.policy),
    (evb, event) => (event.on === "tick" ? [evb] : stepEvb(evb, event)),
    clock,
    (action) => {
      if (action.do === "announce") announce = true;
      else options.onEvb(action.agreed);
    },
  );

  let evbPeer: Lldpdu | undefined;
  function followPeer({ do: what, neighbour: { lldpdu } }: LldpRxAction): void {
    const tlv = what === "neighbour-gone" ? undefined : findEvbTlv(lldpdu.tlvs);
    const isPeer = evbPeer !== undefined && sameNeighbour(evbPeer, lldpdu);
    if (tlv === undefined && !isPeer) return;
    evbPeer = tlv && lldpdu;
    evb(tlv === undefined ? { on: "peer-gone" } : { on: "peer", tlv });
  }

  // The EVB TLV counts only from the nearest customer bridge; the nearest bridge is heard for display.
  const customerBridge = listen(clock, (action) => {
    announce = false;
    followPeer(action);
    if (action.do === "neighbour-new") transmit({ on: "new-neighbour" });
    else if (announce) transmit({ on: "change" });
    report(action, nearestBridge.knows(action.neighbour));
  });
  const nearestBridge = listen(clock, (action) => {
    report(action, customerBridge.knows(action.neighbour));
  });

  /** One system may speak to both addresses: it is new once, and gone when it is gone from both. */
  function report({ do: what, neighbour }: LldpRxAction, knownElsewhere: boolean): void {
    if (what === "neighbour-gone" && knownElsewhere) return;
    if (what === "neighbour-gone") options.onNeighbour("gone", neighbour);
    else if (what === "neighbour-new" && !knownElsewhere) options.onNeighbour("new", neighbour);
    else options.onNeighbour("changed", neighbour);
  }

  function input({ destination, source, payload }: Frame): void {
    const heard =
      destination === GroupAddress.nearestCustomerBridge
        ? customerBridge
        : destination === GroupAddress.nearestBridge
          ? nearestBridge
          : undefined;
    if (heard === undefined) return;
    const deliver = (lldpdu: Lldpdu): void => {
      inbound += 1;
      heard.hear(lldpdu, source);
    };
    receive("lldp", readLldpdu, deliver, malformed)(payload);
  }

  return {
    agreed: () => evbAgreed(evb.state()),
    neighbours: () => [
      ...customerBridge.neighbours(),
      ...nearestBridge.neighbours().filter((neighbour) => !customerBridge.knows(neighbour)),
    ],
    input,
    linkUp: () => transmit({ on: "link-up" }),
    linkDown: () => {
      transmit({ on: "link-down" });
      customerBridge.linkDown();
      nearestBridge.linkDown();
    },
    stop: () => {
      transmit({ on: "stop" });
      for (const part of [transmit, evb, customerBridge, nearestBridge]) part.stop();
    },
    counters: {
      get in() {
        return inbound;
      },
      get out() {
        return outbound;
      },
      get tooMany() {
        return customerBridge.tooMany() + nearestBridge.tooMany();
      },
    },
  };
}

const ours = ({ lldp }: EdgePortOptions, evb: Evb): Lldpdu => ({
  chassisId: lldp.chassisId,
  portId: lldp.portId,
  ttl: lldpTiming.ttlSeconds,
  tlvs: [...lldp.tlvs, evbOptionalTlv(evb.local)],
});

/** 802.1AB §9.1.2.2: the mandatory TLVs alone. */
const lastOnes = ({ lldp: { chassisId, portId } }: EdgePortOptions): Lldpdu => ({
  chassisId,
  portId,
  ttl: 0,
  tlvs: [],
});
