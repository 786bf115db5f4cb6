import type { Instant } from "../ids.ts";

/**
 * LLDP transmit side (802.1AB §9.2.5, Figure 9-…): a LLDPDU every 30 s, at once when something changes
 * (limited by credit: at most 5 in a row, +1 per second), 4 fast ones a second apart for a new neighbour,
 * and a last one with TTL 0.
 */
export type LldpTx =
  | { is: "down" }
  | { is: "up"; credit: number; creditAt: Instant; fast: number; pending: boolean; deadline: Instant };

export type LldpTxEvent =
  | { on: "link-up" | "link-down" | "change" | "new-neighbour" | "stop" }
  | { on: "tick" };

export type LldpTxAction = { do: "transmit" } | { do: "transmit-shutdown" };
