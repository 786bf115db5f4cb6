import { Instant } from "@nve/protocol-spec";

/** Monotonic time in milliseconds and one-shot alarms. Tests bring their own. */
export interface Clock {
  now(): Instant;
  /** Calls `wake` once, at `deadline` or as soon after it as it can; returns how to call it off. */
  at(deadline: Instant, wake: () => void): () => void;
  /** Processor time that this process has used, milliseconds; absent: as `now`. */
  used?(): number;
}

export const systemClock: Clock = {
  now: () => Instant(performance.now()),
  at: (deadline, wake) => {
    const timer = setTimeout(wake, Math.max(0, deadline - performance.now()));
    return () => clearTimeout(timer);
  },
  used: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
};
