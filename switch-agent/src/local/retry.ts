import { VdpError } from "@nve/protocol-spec";
import type { Refusal } from "@nve/switch-agent/nve";

/** Until a question is asked again, milliseconds: doubled each time. */
type Pauses = { first: number; last: number };

/** Nobody could decide: it may go as soon as the NVA answers. */
const AWAY: Pauses = { first: 500, last: 5000 };
/** Somebody has said no: VNs come back, policies change. */
const REFUSED: Pauses = { first: 1000, last: 30_000 };

export const isAway = ({ code }: Refusal): boolean => code === VdpError.managerUnreachable;

/** @param failures before, in a row */
export function pauseMs(away: boolean, failures: number): number {
  const { first, last } = away ? AWAY : REFUSED;
  return Math.min(last, first * 2 ** Math.min(failures, 16));
}
