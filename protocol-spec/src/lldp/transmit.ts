import { Instant } from "../ids.ts";

/**
 * LLDP transmit side (802.1AB §9.2.5, transmit timer machine): a LLDPDU every 30 s, at once when something
 * changes (limited by credit: at most 5 in a row, +1 per second), 4 fast ones a second apart for a new
 * neighbour, and a last one with TTL 0. After link up there are 4 fast ones too, beyond the standard: the first is
 * lost where a bridge between does not forward yet, and whoever knows us already takes us for no new neighbour.
 *
 *   down ─link up─► up ─timer, change, new neighbour─► up        up ─link down, stop─► down
 */
export type LldpTx =
  | { is: "down" }
  | {
      is: "up";
      credit: number;
      creditAt: Instant;
      /** Fast ones still to come. */
      fast: number;
      /** Wanted, but without credit; `deadline` is when there is some. */
      pending: boolean;
      deadline: Instant;
    };
type Up = Extract<LldpTx, { is: "up" }>;

export type LldpTxEvent =
  | { on: "link-up" | "link-down" | "change" | "new-neighbour" | "stop" }
  | { on: "tick" };

export type LldpTxAction = { do: "transmit" } | { do: "transmit-shutdown" };

type Step = readonly [LldpTx, ...LldpTxAction[]];

/** 802.1AB §9.2.5: msgTxInterval, msgFastTx, txFastInit, txCreditMax; the TTL is msgTxHold 4 × 30 s. */
export const lldpTiming = {
  intervalMs: 30_000,
  fastIntervalMs: 1000,
  fastCount: 4,
  creditMax: 5,
  creditMs: 1000,
  ttlSeconds: 120,
} as const;

export const lldpTxStart: LldpTx = { is: "down" };

export function stepLldpTx(tx: LldpTx, event: LldpTxEvent, now: Instant): Step {
  if (tx.is === "down") {
    if (event.on !== "link-up") return [tx];
    return transmit(countFast({ ...fresh, is: "up", creditAt: now, deadline: now }), now);
  }
  switch (event.on) {
    case "link-up":
      return [tx];
    case "link-down":
      return [lldpTxStart];
    case "stop":
      return [lldpTxStart, { do: "transmit-shutdown" }];
    case "change":
      return transmit(tx, now);
    case "new-neighbour":
      return transmit(countFast({ ...tx, fast: tx.fast || lldpTiming.fastCount }), now);
    case "tick":
      if (now < tx.deadline) return [tx];
      return transmit(tx.pending ? tx : countFast(tx), now);
  }
}

const fresh = { credit: lldpTiming.creditMax, fast: lldpTiming.fastCount, pending: false };
const countFast = (tx: Up): Up => ({ ...tx, fast: Math.max(0, tx.fast - 1) });

function transmit(before: Up, now: Instant): Step {
  const tx = replenish(before, now);
  if (tx.credit === 0) {
    return [{ ...tx, pending: true, deadline: Instant(tx.creditAt + lldpTiming.creditMs) }];
  }
  const interval = tx.fast > 0 ? lldpTiming.fastIntervalMs : lldpTiming.intervalMs;
  const deadline = Instant(now + interval);
  return [{ ...tx, credit: tx.credit - 1, pending: false, deadline }, { do: "transmit" }];
}

/** `creditAt` is when the credit in hand was last counted. */
function replenish(tx: Up, now: Instant): Up {
  const gained = Math.floor((now - tx.creditAt) / lldpTiming.creditMs);
  const credit = Math.min(lldpTiming.creditMax, tx.credit + gained);
  if (credit === lldpTiming.creditMax) return { ...tx, credit, creditAt: now };
  return { ...tx, credit, creditAt: Instant(tx.creditAt + gained * lldpTiming.creditMs) };
}
