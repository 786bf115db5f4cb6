import { Instant, type Mac, macFrom } from "@nve/protocol-spec";
import { type ControlFrames, etherTypeOf, isControlFrame, lossesOf } from "./control-frames.ts";
import { budget } from "./edge/budget.ts";
import { sumOf } from "./following-link.ts";
import type { Losses } from "./link.ts";

/** What a packet link has the kernel do, for drivers that have everything delivered. */
export type Sieve = {
  /** Whether the frame is one that is wanted now. Never for one of our own. */
  pass(frame: Uint8Array): boolean;
  /** What was not let through since the last call. */
  losses(): Losses;
};

/** @param now milliseconds, monotonic */
export function sieve(
  plain: readonly number[],
  control: readonly ControlFrames[],
  ownMac: () => Mac | undefined,
  now: () => number = () => performance.now(),
): Sieve {
  const protocols = new Map(control.map((frames) => [frames.etherType, limited(frames, now)]));
  let losses: Losses = { in: 0 };
  const lose = (more: Losses): false => {
    losses = sumOf(losses, more);
    return false;
  };
  return {
    pass: (frame) => {
      const etherType = etherTypeOf(frame);
      if (etherType === undefined || macFrom(frame.subarray(6, 12)) === ownMac()) return false;
      const known = protocols.get(etherType);
      if (known === undefined) return plain.includes(etherType);
      if (!isControlFrame(known.frames, frame, ownMac())) return lose({ in: 0, stray: 1 });
      return known.room(frame.length) || lose(lossesOf(known.frames.protocol, 1));
    },
    losses: () => {
      const since = losses;
      losses = { in: 0 };
      return since;
    },
  };
}

function limited(frames: ControlFrames, now: () => number) {
  const { intake } = frames;
  const count = budget(intake.frames.burst, intake.frames.perSecond);
  const octets = budget(intake.octets.burst, intake.octets.perSecond);
  return {
    frames,
    room: (length: number): boolean => {
      const at = Instant(now());
      return count.spend(1, at) && octets.spend(length, at);
    },
  };
}
