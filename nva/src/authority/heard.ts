import type { Instant } from "@nve/protocol-spec";
import type { Claim, Effects } from "./records.ts";
import type { VnState } from "./vn-state.ts";

/** Hears of each claim that is gone: whether it was the one that counted, and which counts now. */
export type Heard = (
  vn: VnState,
  was: Claim,
  which: { best: boolean; after: Claim | undefined },
  now: Instant,
  effects: Effects,
) => void;
