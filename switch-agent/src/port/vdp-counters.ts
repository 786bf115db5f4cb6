import type { SetCounters } from "./sets.ts";

/** Frames and requests since the start. */
export type VdpCounters = {
  requestsIn: number;
  responsesOut: number;
  refused: number;
  orders: number;
  undelivered: number;
  /** Responses, which only a station gets. */
  unexpected: number;
} & SetCounters;

export const noneYet = () => ({
  requestsIn: 0,
  responsesOut: 0,
  refused: 0,
  orders: 0,
  undelivered: 0,
  unexpected: 0,
});
