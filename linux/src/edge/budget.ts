import type { Instant } from "@nve/protocol-spec";

/**
 * So much at once, and so much again each second (a token bucket). What comes is taken as long as anything is
 * left, however large it is: so nothing is too large for ever.
 */
export type Budget = {
  /** Whether there is room; if so, it is spent. */
  spend(amount: number, now: Instant): boolean;
  /** Until there is room, milliseconds; 0: there is. */
  waitMs(now: Instant): number;
};

export function budget(burst: number, perSecond: number): Budget {
  let left = burst;
  let at: Instant | undefined;
  function refill(now: Instant): number {
    left = Math.min(burst, left + ((now - (at ?? now)) * perSecond) / 1000);
    at = now;
    return left;
  }
  return {
    spend: (amount, now) => {
      const room = refill(now) > 0;
      if (room) left -= amount;
      return room;
    },
    waitMs: (now) => (refill(now) > 0 ? 0 : 1 - (left * 1000) / perSecond),
  };
}
