import type { EvbAgreed, EvbPolicy, EvbRole, Mac, Neighbour, OptionalTlv, TypedId, Vdpdu } from "@nve/protocol-spec";
import type { Clock } from "./clock.ts";
import type { Link, LinkState } from "./link.ts";

/**
 * LLDP with EVB, and ECP, on one link, wired: what a station's uplink and a bridge's access port have in
 * common. VDP ULPDUs go in and come out; which VSIs there are is the agents' business.
 */
export interface EdgePort {
  readonly evb: EvbAgreed;
  readonly neighbours: readonly Neighbour[];
  readonly counters: EdgeCounters;
  /** Queues one ULPDU for the peer; `undelivered` is called when ECP gives it up. */
  send(vdpdu: Vdpdu, undelivered: () => void): void;
  /** Sends a LLDPDU with TTL 0 and lets go of the link. */
  close(): void;
}

export type EdgePortOptions = {
  link: Link;
  clock: Clock;
  role: EvbRole;
  policy: EvbPolicy;
  /** Where an ECP sequence starts (spec/ecp.md 4): anything in 0 … 65535, best random. */
  firstSequence: number;
  lldp: { chassisId: TypedId; portId: TypedId; tlvs: readonly OptionalTlv[] };
  onVdpdu(vdpdu: Vdpdu, source: Mac): void;
  onEvb(agreed: EvbAgreed): void;
  onNeighbour(what: "new" | "changed" | "gone", neighbour: Neighbour): void;
  onState(state: LinkState): void;
};

/** Frames since the start; `malformed` by protocol and by the DecodeError's code. */
export type EdgeCounters = {
  lldp: { in: number; out: number };
  ecp: { requestsIn: number; acksIn: number; requestsOut: number; acksOut: number; retransmitted: number; givenUp: number };
  malformed: Record<string, number>;
};
