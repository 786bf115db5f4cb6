import type { Instant, Mac } from "../ids.ts";
import type { Lldpdu } from "./lldpdu.ts";

/** LLDP receive side (802.1AB §9.2.7): neighbours by chassis and port ID, each until its TTL runs out. */
export type LldpRx = { is: "listening"; neighbours: readonly Neighbour[]; tooMany: number; deadline?: Instant };

export type Neighbour = { lldpdu: Lldpdu; source: Mac; since: Instant; expires: Instant };

export type LldpRxEvent =
  | { on: "lldpdu"; lldpdu: Lldpdu; source: Mac }
  | { on: "link-down" }
  | { on: "tick" };

export type LldpRxAction =
  | { do: "neighbour-new" | "neighbour-changed" | "neighbour-gone"; neighbour: Neighbour };
