import type { Instant } from "../ids.ts";
import type { Association } from "./association.ts";
import type { VsiRequest } from "./station.ts";

/**
 * VDP bridge side, one VSI (802.1Q §41.5; spec/vdp.md 6). Deciding (who may join, which tag) is not its
 * business: it asks, and answers what it is told, or with an error when the resource wait runs out.
 *
 *   none ─request─► process ─grant─► up ─same request─► up (keepalive)
 *                    │  └─refuse, resource wait─► none, or up with KEEP when there was an older state
 *   up ─other request─► process      up ─de-associate, keepalive timeout, withdraw─► none
 */
export type BridgeVsi =
  | { is: "none" }
  | { is: "process"; request: VsiRequest; older?: VsiRequest; deadline: Instant }
  | { is: "up"; granted: VsiRequest; deadline: Instant };

export type BridgeEvent =
  | { on: "request"; request: VsiRequest }
  | { on: "de-associate"; association: Association }
  /** The decision: the request with every VID filled in, in the order asked. */
  | { on: "grant"; association: Association }
  | { on: "refuse"; code: number; hard: boolean }
  | { on: "withdraw" }
  | { on: "tick" };

export type BridgeAction =
  /** A new request, or one that differs from what is granted: decide, then feed `grant` or `refuse`. */
  | { do: "decide"; request: VsiRequest; older?: VsiRequest }
  | { do: "respond"; type: VsiRequest["type"] | "de-associate"; association: Association }
  /** Tell the station to drop it (bit 7 = 0). */
  | { do: "order-de-associate"; association: Association }
  | { do: "release"; why: "de-associated" | "keepalive-timeout" | "withdrawn" | "resource-wait"; was: VsiRequest };
