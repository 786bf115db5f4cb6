import type { Instant } from "@nve/protocol-spec";

/**
 * So much at once, and so much again each second (a token bucket). What comes is taken as long as anything is
 * left, however large it is: so nothing is too large for ever.
 */
export type Budget = {
  /** Whether there is room; if so, it is spent. */
  spend(amount: number, now: Instant): boolean;
};

export function budget(burst: number, perSecond: number): Budget {
  let left = burst;
  let at: Instant | undefined;
  return {
    spend: (amount, now) => {
      left = Math.min(burst, left + ((now - (at ?? now)) * perSecond) / 1000);
      at = now;
      if (left <= 0) return false;
      left -= amount;
      return true;
    },
  };
}
