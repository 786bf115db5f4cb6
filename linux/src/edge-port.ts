import {
  EtherType,
  type EvbAgreed,
  type EvbPolicy,
  type EvbRole,
  type Frame,
  type Mac,
  type Neighbour,
  type OptionalTlv,
  readFrame,
  type TypedId,
  type Vdpdu,
} from "@nve/protocol-spec";
import type { Clock } from "./clock.ts";
import { openEcp } from "./edge/ecp.ts";
import { type LldpCounters, openLldp } from "./edge/lldp.ts";
import type { Link, LinkState } from "./link.ts";
import { type Drops, receive } from "./receive.ts";

/**
 * LLDP with EVB, and ECP, on one link, wired: what a station's uplink and a bridge's access port have in
 * common. VDP ULPDUs go in and come out; which VSIs there are is the agents' business.
 */
export interface EdgePort {
  readonly state: LinkState;
  readonly evb: EvbAgreed;
  readonly neighbours: readonly Neighbour[];
  /** As of now: a copy. */
  readonly counters: EdgeCounters;
  /**
   * Queues one ULPDU for the peer; `undelivered` is called when ECP gives it up: no ack, link down, queue
   * full. While the link is not up that is at once, before `send` returns.
   * @throws OutOfRange when the ULPDU does not fit
   */
  send(vdpdu: Vdpdu, undelivered: () => void): void;
  /** Sends a LLDPDU with TTL 0 and lets go of the link; no callback is called any more. */
  close(): void;
}

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
  onVdpdu(vdpdu: Vdpdu, source: Mac): void;
  onEvb(agreed: EvbAgreed): void;
  /** The peer was started anew, though its neighbour entry is the same: it knows nothing of before. */
  onPeerAnew?(): void;
  onNeighbour(what: "new" | "changed" | "gone", neighbour: Neighbour): void;
  /** A change of the link; when it says "up", `send` works. */
  onState(state: LinkState): void;
};

/** Frames since the start. */
export type EdgeCounters = {
  lldp: LldpCounters;
  /**
   * `requestsOut` without the copies, which are `retransmitted`. Of `requestsIn` those `putOff` came faster than
   * they are taken, and were not acknowledged.
   */
  ecp: {
    requestsIn: number;
    putOff: number;
    acksIn: number;
    requestsOut: number;
    acksOut: number;
    retransmitted: number;
    givenUp: number;
  };
  malformed: Drops;
};

/** @throws OutOfRange when `policy` or `lldp` does not fit a LLDPDU */
export function openEdgePort(options: EdgePortOptions): EdgePort {
  const { link } = options;
  const malformed: Drops = {};
  const lldp = openLldp(options, malformed);
  const ecp = openEcp(options, lldp.agreed, malformed);
  let closed = false;

  function dispatch(frame: Frame): void {
    if (closed || (frame.tag !== undefined && frame.tag.vid !== 0)) return; // S-channels are not ours
    if (frame.etherType === EtherType.lldp) lldp.input(frame);
    else if (frame.etherType === EtherType.ecp) ecp.input(frame);
  }

  function tell(state: LinkState): void {
    for (const side of [lldp, ecp]) {
      if (state === "up") side.linkUp();
      else side.linkDown();
    }
  }

  link.onFrame(receive("ethernet", readFrame, dispatch, malformed));
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
      return lldp.agreed();
    },
    get neighbours() {
      return lldp.neighbours();
    },
    get counters() {
      return { lldp: lldp.counters(), ecp: ecp.counters(), malformed: { ...malformed } };
    },
    send: (vdpdu, undelivered) => {
      if (!closed) ecp.send(vdpdu, undelivered);
    },
    close: () => {
      if (closed) return;
      closed = true;
      lldp.stop();
      ecp.stop();
      link.close();
    },
  };
}
