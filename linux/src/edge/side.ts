import type { Ecpdu, EvbAgreed, Lldpdu, Mac, Neighbour, Vdpdu } from "@nve/protocol-spec";
import type { EcpCounters, EdgePeer, EdgePortOptions, LldpCounters } from "../edge-port.ts";
import type { Drops } from "../receive.ts";

import type { Heard, Listener } from "./neighbours.ts";

/**
 * Who speaks EVB and ECP at the other end: one (point-to-point.ts), or, on an access network, many stations apart
 * (access-network.ts).
 */
export type Side = {
  readonly peers: readonly EdgePeer[];
  readonly evb: EvbAgreed;
  evbOf(station: Mac): EvbAgreed;
  /** @param toUs it came to our own address, not to the nearest customer bridge */
  lldpdu(lldpdu: Lldpdu, source: Mac, toUs: boolean): void;
  ecpdu(ecpdu: Ecpdu, source: Mac): void;
  send(vdpdu: Vdpdu, undelivered: () => void, to: Mac | undefined): void;
  /** The neighbours that may be this station; undefined: any of the port's. */
  neighboursAt(station: Mac): readonly Neighbour[] | undefined;
  listeners(): readonly Listener[];
  linkUp(): void;
  linkDown(): void;
  /** A last LLDPDU with TTL 0, unless all is to be kept, and silence. */
  stop(how?: "keep"): void;
};

/** What the sides of one port have in common. */
export type Shared = {
  options: EdgePortOptions;
  counters: { lldp: LldpCounters; ecp: EcpCounters };
  drops: Drops;
  /** For whoever shows neighbours. */
  report(heard: Heard, by: Listener): void;
};
