import type { Instant } from "../ids.ts";

/**
 * ECP transmit side (802.1Q clause 43; spec/ecp.md 3): one ECPDU in flight, sent again at every ack timeout,
 * R + 1 copies in all. Start at a random `seq`: a peer that outlived us may hold our last one for a repeat.
 * Two ECPDUs start at least `minGapMs` apart: lldpad loses the second otherwise (spec/ecp.md 5).
 */
export type EcpTx = Idle | Waiting | Resting;
type Idle = { is: "idle"; seq: number };
/** Sent and not yet acknowledged. */
type Waiting = { is: "waiting"; seq: number; queue: Queue; sent: number; startedAt: Instant; deadline: Instant };
/** The last one is settled, the next must wait for the gap. */
type Resting = { is: "resting"; seq: number; queue: readonly Ulpdu[]; deadline: Instant };
type Queue = readonly [head: Ulpdu, ...rest: Ulpdu[]];

/** `id` is the caller's, given back with the outcome. */
export type Ulpdu = { id: number; payload: Uint8Array };

export type EcpTxEvent =
  | { on: "send"; ulpdu: Ulpdu }
  | { on: "ack"; seq: number }
  | { on: "link-down" }
  | { on: "tick" };

export type EcpTxAction =
  | { do: "transmit"; seq: number; payload: Uint8Array }
  | { do: "confirm" | "give-up"; id: number };

export type EcpTiming = {
  readonly ackTimeoutMs: number;
  readonly maxRetries: number;
  readonly minGapMs: number;
  /** ULPDUs waiting at most; one more is given up at once. */
  readonly maxQueue: number;
};
