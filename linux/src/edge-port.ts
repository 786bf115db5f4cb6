import {
  DecodeError,
  EtherType,
  type EvbAgreed,
  type EvbPolicy,
  type EvbRole,
  type Frame,
  GroupAddress,
  isGroup,
  type Lldpdu,
  type Mac,
  type Neighbour,
  type OptionalTlv,
  type Reader,
  readFrame,
  type TypedId,
  type Vdpdu,
} from "@nve/protocol-spec";
import type { Clock } from "./clock.ts";
import { openAccessNetwork } from "./edge/access-network.ts";
import { ecpNoneYet, readVdpEcpdu } from "./edge/ecp.ts";
import type { Guard } from "./edge/guard.ts";
import { type Lldp, openLldp } from "./edge/lldp.ts";
import { openPointToPoint } from "./edge/point-to-point.ts";
import type { Shared, Side } from "./edge/side.ts";
import type { Link, LinkState } from "./link.ts";
import { type Drops, receive } from "./receive.ts";

/**
 * LLDP with EVB, and ECP, on one link, wired: what a station's uplink and a bridge's access port have in
 * common. VDP ULPDUs go in and come out; which VSIs there are is the agents' business. On an access network, where a
 * bridge stands between the port and several stations, each station has its own EVB and ECP (H3, RFC 8394 Req-2).
 */
export interface EdgePort {
  readonly state: LinkState;
  /** With the peer; on an access network `peer` and `groupId` say whether they are so with any station. */
  readonly evb: EvbAgreed;
  /** What is in force with one station. Where there is one only, its address makes no difference. */
  evbOf(station: Mac): EvbAgreed;
  /** Who speaks EVB, or on an access network ECP, with us. */
  readonly peers: readonly EdgePeer[];
  readonly neighbours: readonly Neighbour[];
  /** Of them those that may be this station: on an access network those at its address, else all. */
  neighboursAt(station: Mac): readonly Neighbour[];
  /** As of now: a copy. */
  readonly counters: EdgeCounters;
  /**
   * Queues one ULPDU for the peer; `undelivered` is called when ECP gives it up: no ack, link down, queue
   * full. While the link is not up that is at once, before `send` returns.
   * @param to which station, on an access network; one that is not known there is not delivered to
   * @throws OutOfRange when the ULPDU does not fit
   */
  send(vdpdu: Vdpdu, undelivered: () => void, to?: Mac): void;
  /** Sends a LLDPDU with TTL 0, unless all is to be kept, and lets go of the link; no callback is called any more. */
  close(how?: "keep"): void;
}

/** One at the other end. */
export type EdgePeer = {
  mac: Mac;
  evb: EvbAgreed;
  ecp: EcpPeerCounters;
  /** Its newest LLDPDU; absent while there is none. */
  lldpdu?: Lldpdu;
};

/** None of the callbacks is called before `openEdgePort` has returned. */
export type EdgePortOptions = {
  link: Link;
  clock: Clock;
  role: EvbRole;
  policy: EvbPolicy;
  /** The ECP sequence number before the first (spec/ecp.md 4): anything in 0 … 65535, best random. */
  firstSequence: number;
  /** What our LLDPDUs carry besides TTL and EVB TLV. */
  lldp: { chassisId: TypedId; portId: TypedId; tlvs: readonly OptionalTlv[] };
  /**
   * How many stations may share the port of a bridge, 1 … 64. With one, it is reached at the nearest customer bridge
   * address; several are reached at their own.
   */
  stations?: number;
  /** Seals what is sent and opens what comes; without it nothing is sealed, and seals are not looked at. */
  guard?: Guard | undefined;
  /** @param proven whether `guard` has found the sender's seal, and that it is right */
  onVdpdu(vdpdu: Vdpdu, source: Mac, proven: boolean): void;
  /** @param peer with whom; undefined: it is gone, and was the only one */
  onEvb(agreed: EvbAgreed, peer: Mac | undefined): void;
  /** The peer was started anew, though its neighbour entry is the same: it knows nothing of before. */
  onPeerAnew?(peer: Mac | undefined): void;
  /** Of several `stations`, who may be here: one of whom it is not so makes room for one of whom it is. */
  isAllowed?(station: Mac): boolean;
  /** A frame of one station more than `stations` was dropped. */
  onTooMany?(station: Mac): void;
  onNeighbour(what: "new" | "changed" | "gone", neighbour: Neighbour): void;
  /** A change of the link; when it says "up", `send` works. */
  onState(state: LinkState): void;
};

/** Frames since the start. */
export type EdgeCounters = { lldp: LldpCounters; ecp: EcpCounters; malformed: Drops };

/**
 * `tooMany`: LLDPDUs of neighbours beyond those that there is room for, 8 per destination address; `strangers`: of
 * stations beyond `stations`, or on a station, to its address and not from its bridge; `putOff`: not read, for they
 * came faster than they are taken.
 */
export type LldpCounters = {
  in: number;
  out: number;
  tooMany: number;
  strangers: number;
  putOff: number;
};

/**
 * `requestsOut` without the copies, which are `retransmitted`. Of `requestsIn` those `putOff` came faster than
 * they are taken, and were not acknowledged.
 */
export type EcpPeerCounters = {
  requestsIn: number;
  putOff: number;
  acksIn: number;
  requestsOut: number;
  acksOut: number;
  retransmitted: number;
  givenUp: number;
};

/** `strangers`: ECPDUs, not counted among the others, of stations beyond `stations`, or not of the station's bridge. */
export type EcpCounters = EcpPeerCounters & { strangers: number };

/** @throws OutOfRange when `policy` or `lldp` does not fit a LLDPDU */
export function openEdgePort(options: EdgePortOptions): EdgePort {
  const { link } = options;
  const malformed: Drops = {};
  const counters = {
    lldp: { in: 0, out: 0, tooMany: 0, strangers: 0, putOff: 0 },
    ecp: { ...ecpNoneYet(), strangers: 0 },
  };
  const shared: Shared = {
    options,
    counters,
    drops: malformed,
    report: (heard, by) => lldp.report(heard, by),
  };
  const stations = options.role === "bridge" ? (options.stations ?? 1) : 1;
  const side: Side = stations > 1 ? openAccessNetwork(shared, stations) : openPointToPoint(shared);
  const lldp: Lldp = openLldp(options, counters.lldp, malformed, side);
  let closed = false;

  function dispatch(frame: Frame): void {
    if (closed || (frame.tag !== undefined && frame.tag.vid !== 0)) return; // S-channels are not ours
    if (frame.etherType === EtherType.lldp) lldp.input(frame);
    else if (frame.etherType === EtherType.ecp) ecp(frame);
  }

  function ecp({ destination, source, payload }: Frame): void {
    if (destination !== GroupAddress.nearestCustomerBridge && destination !== link.mac) return;
    receive("ecp", readVdpEcpdu, (ecpdu) => side.ecpdu(ecpdu, source), malformed)(payload);
  }

  function tell(state: LinkState): void {
    for (const part of [side, lldp]) {
      if (state === "up") part.linkUp();
      else part.linkDown();
    }
  }

  link.onFrame(receive("ethernet", readFrameOfOne, dispatch, malformed));
  link.onState((state) => {
    if (closed) return;
    tell(state);
    options.onState(state);
  });
  if (link.state === "up") tell("up");

  return {
    get state() {
      return link.state;
    },
    get evb() {
      return side.evb;
    },
    evbOf: side.evbOf,
    get peers() {
      return side.peers;
    },
    get neighbours() {
      return lldp.neighbours();
    },
    neighboursAt: (station) => side.neighboursAt(station) ?? lldp.neighbours(),
    get counters() {
      return { lldp: lldp.counters(), ecp: { ...counters.ecp }, malformed: { ...malformed } };
    },
    send: (vdpdu, undelivered, to) => {
      if (!closed) side.send(vdpdu, undelivered, to);
    },
    close: (how) => {
      if (closed) return;
      closed = true;
      side.stop(how);
      lldp.stop(how);
      link.close();
    },
  };
}

/** From a group nobody sends (802.3 §3.2.3): what answers would be said to all. */
function readFrameOfOne(r: Reader): Frame {
  const frame = readFrame(r);
  if (!isGroup(frame.source)) return frame;
  throw new DecodeError("bad-value", `source ${frame.source} is a group`);
}
