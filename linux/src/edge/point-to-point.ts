import {
  evbTlvFor,
  findEvbTlv,
  findExtension,
  GroupAddress,
  type Lldpdu,
  type Mac,
  maxNeighbours,
  type Neighbour,
  sameNeighbour,
} from "@nve/protocol-spec";
import { openEcp } from "./ecp.ts";
import { openEvb } from "./evb.ts";
import { type Heard, type Listener, listen } from "./neighbours.ts";
import type { Shared, Side } from "./side.ts";
import { evbLldpdu, speak } from "./speak.ts";

/** As many other stations of its access network does a station hear, until their bridge has spoken to them. */
const OTHER_STATIONS = 64;

/**
 * One peer: the neighbour whose LLDPDU was the last with an EVB TLV, at the nearest customer bridge address. A bridge
 * that speaks to our own address has several stations on its port: it alone is our peer then, as long as it does
 * that, and we speak to its address alone. @see openAccessNetwork, its other end
 */
export function openPointToPoint(shared: Shared): Side {
  const { options, counters, report } = shared;
  const { role, clock } = options;
  const isStation = role === "station";
  let peer: { lldpdu: Lldpdu; source: Mac; toUs: boolean } | undefined;
  /** ECP is with it alone, also when its LLDPDUs fail to come: to the group all stations would listen. */
  let bridge: Mac | undefined;

  const evb = openEvb(options, {
    onEvb: (agreed) => options.onEvb(agreed, peer?.source),
    onAnew: () => options.onPeerAnew?.(peer?.source),
  });
  const tx = speak(
    options,
    counters.lldp,
    () => (peer?.toUs ? peer.source : customerBridge),
    () => evbLldpdu(options, evb.local()),
  );
  const ecp = openEcp(shared, {
    agreed: evb.agreed,
    to: () => bridge ?? customerBridge,
    lldpdu: () => peer?.lldpdu,
    isOurs: () => peer !== undefined && findExtension(peer.lldpdu.tlvs) !== undefined,
  });
  const max = maxNeighbours + (isStation ? OTHER_STATIONS : 0);
  const toGroup: Listener = listen(clock, (heard) => perform(heard, toGroup), max);
  const toUs: Listener = listen(clock, (heard) => perform(heard, toUs));

  function perform(heard: Heard, by: Listener): void {
    const changed = follow(heard, by === toUs);
    if (heard.do === "neighbour-new" && !isOfOurs(heard.neighbour)) tx({ on: "new-neighbour" });
    else if (changed) tx({ on: "change" });
    report(heard, by);
  }

  /** Another station on the access network: it wants nothing of us. */
  const isOfOurs = ({ lldpdu: { tlvs } }: Neighbour): boolean =>
    findEvbTlv(tlvs) !== undefined && evbTlvFor(role, tlvs) === undefined;

  /** @returns whether the peer must hear from us now */
  function follow({ do: what, neighbour: { lldpdu, source } }: Heard, alone: boolean): boolean {
    const isPeer = peer?.toUs === alone && sameNeighbour(peer.lldpdu, lldpdu);
    const tlv = what === "neighbour-gone" ? undefined : evbTlvFor(role, lldpdu.tlvs);
    if (tlv === undefined) {
      if (!isPeer) return false;
      peer = undefined;
      return evb.hear(undefined);
    }
    // Who speaks to us alone goes before who speaks to all; the same one may have changed its ways.
    if (peer?.toUs && !isPeer && (alone || source !== peer.source)) return false;
    peer = { lldpdu, source, toUs: alone };
    bridge = alone ? source : undefined;
    return evb.hear(tlv);
  }

  /** What is said to us alone counts from our bridge, or one that could be it. */
  function isStranger(lldpdu: Lldpdu, source: Mac): boolean {
    if (peer?.toUs && sameNeighbour(peer.lldpdu, lldpdu)) return source !== peer.source;
    return evbTlvFor(role, lldpdu.tlvs) === undefined && !toUs.knows({ lldpdu });
  }

  return {
    get peers() {
      if (peer === undefined) return [];
      const { source: mac, lldpdu } = peer;
      return [{ mac, lldpdu, evb: evb.agreed(), ecp: ecp.counters() }];
    },
    get evb() {
      return evb.agreed();
    },
    evbOf: evb.agreed,
    lldpdu: (lldpdu, source, alone) => {
      if (!alone || !isStation) toGroup.hear(lldpdu, source);
      else if (isStranger(lldpdu, source)) counters.lldp.strangers += 1;
      else toUs.hear(lldpdu, source);
    },
    ecpdu: (ecpdu, source) => {
      if (bridge !== undefined && source !== bridge) counters.ecp.strangers += 1;
      else ecp.hear(ecpdu, source);
    },
    send: ecp.send,
    neighboursAt: () => undefined,
    listeners: () => [toUs, toGroup],
    linkUp: () => {
      tx({ on: "link-up" });
      ecp.linkUp();
    },
    linkDown: () => {
      tx({ on: "link-down" });
      for (const listener of [toUs, toGroup]) listener.linkDown();
      ecp.linkDown();
    },
    stop: (how) => {
      if (how === undefined) tx({ on: "stop" });
      for (const part of [tx, evb, toUs, toGroup, ecp]) part.stop();
    },
  };
}

const customerBridge = GroupAddress.nearestCustomerBridge;
