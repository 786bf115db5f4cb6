import { Instant } from "@nve/protocol-spec";
import type { Clock } from "../clock.ts";
import { type Budget, budget } from "./budget.ts";

/** Work that a peer makes, with as much of our time as it may have. */
export type Intake = {
  /**
   * Does it now, or as soon as there is time for it. One waits at most: a peer that keeps to ECP has one ECPDU under
   * way, so that a later one is in place of one that it gave up.
   * @returns whether nothing was put off for good
   */
  take(work: () => void): boolean;
  /** What waits is not done. */
  clear(): void;
};

/**
 * A peer's share of our processor time, milliseconds of what its ECPDUs cost at once when they come in: 1,000 requests
 * cost some 50 to 100, and about twice that afterwards.
 */
const SHARE = { burst: 150, perSecond: 100 };
/**
 * Of a station's bridge, which is the only one that it listens to: no other waits for its turn, and what is put off too long is
 * given up, an answer among it, so that a VNIC waits for seconds.
 */
export const BRIDGE_SHARES = 4;
/** After work come the others' turns, before the next work of the same peer: as long as it took, by this factor. */
const REST = 1;

export const openShare = (times = 1): Budget =>
  budget(times * SHARE.burst, times * SHARE.perSecond);

/** @param shares all of them are charged, and each must have room */
export function openIntake(clock: Clock, shares: readonly Budget[]): Intake {
  let waiting: (() => void) | undefined;
  let callOff = (): void => {};
  let restUntil = clock.now();

  /** 0: now. */
  function waitMs(now: Instant): number {
    return Math.max(restUntil - now, ...shares.map((share) => share.waitMs(now)), 0);
  }

  /** What other processes take of the processor in between is not the peer's. */
  const used = (): number => clock.used?.() ?? clock.now();

  function run(work: () => void): void {
    const before = used();
    try {
      work();
    } finally {
      const spentMs = used() - before;
      const now = clock.now();
      for (const share of shares) share.spend(spentMs, now);
      restUntil = Instant(now + REST * spentMs);
    }
  }

  function wake(): void {
    const work = waiting;
    if (work === undefined) return;
    const now = clock.now();
    const ms = waitMs(now);
    if (ms > 0) {
      callOff = clock.at(Instant(now + ms), wake);
      return;
    }
    waiting = undefined;
    run(work);
  }

  return {
    take: (work) => {
      const first = waiting === undefined;
      if (first && waitMs(clock.now()) === 0) {
        run(work);
      } else {
        waiting = work;
        if (first) wake();
      }
      return first;
    },
    clear: () => {
      waiting = undefined;
      callOff();
    },
  };
}
