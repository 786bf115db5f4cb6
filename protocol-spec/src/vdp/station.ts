import type { Instant } from "../ids.ts";
import type { Association } from "./association.ts";

/**
 * VDP station side, one VSI (802.1Q §41.5; spec/vdp.md 5). The request is the TLV that is sent now and in
 * every keepalive; the VIDs that the bridge chose are taken into it.
 *
 *   init ─want─► proc ─success─► up ─keepalive timer─► keepalive ─success─► up
 *                 └─refused, timeout─► end                └─refused, timeout─► end
 *   up ─drop─► leaving ─response or timeout─► end        up ─bridge de-associates─► end
 */
export type Station =
  | { is: "init" }
  | { is: "proc"; request: VsiRequest; granted?: VsiRequest; deadline: Instant }
  | { is: "up"; granted: VsiRequest; deadline: Instant }
  | { is: "keepalive"; granted: VsiRequest; deadline: Instant }
  | { is: "leaving"; request: VsiRequest; deadline: Instant }
  | { is: "end" };

/** What the station asks for; `association.status` is a request's. */
export type VsiRequest = {
  type: "pre-associate" | "pre-associate-rr" | "associate";
  association: Association;
};

export type StationEvent =
  | { on: "want"; request: VsiRequest }
  | { on: "drop" }
  | { on: "response"; type: ResponseType; association: Association }
  /** The bridge's own De-Associate (bit 7 of the status is 0). */
  | { on: "order" }
  /** ECP gave up the PDU that carried our request. */
  | { on: "undelivered" }
  | { on: "link-up" }
  | { on: "tick" };

type ResponseType = VsiRequest["type"] | "de-associate";

export type StationAction =
  | { do: "send"; type: ResponseType; association: Association }
  /** Granted, with the VIDs filled in; also when a change was refused with KEEP and the older state stays. */
  | { do: "granted"; request: VsiRequest }
  | { do: "kept"; granted: VsiRequest; code: number }
  | { do: "ended"; why: StationEnd; code?: number; hard?: boolean };

export type StationEnd = "refused" | "no-answer" | "undelivered" | "mismatch" | "ordered" | "left";
