import type { Instant, Mac } from "../ids.ts";

/**
 * ECP receive side (802.1Q clause 43; spec/ecp.md 4): ack every request, deliver what is no repeat of the
 * last. Only the last number is compared: an older one is delivered as new.
 *
 *   first ─request─► wait ─request─► wait        any ─link down─► first
 *
 * A number can be a repeat only while its sender may be repeating it. Later it is a peer's that was started anew
 * without a flap of the link, and counts from 1 again: its request would be acked and lost.
 */
export type EcpRx =
  | { is: "first" }
  | { is: "wait"; lastSeq: number; seenAt: Instant; ackedAt: Instant };

/** `source` only passes through: ECP is point to point and does not look at it. */
export type EcpRxEvent =
  | { on: "request"; seq: number; ulpdu: Uint8Array; source: Mac }
  | { on: "link-down" };

export type EcpRxAction =
  | { do: "ack"; seq: number }
  | { do: "deliver"; ulpdu: Uint8Array; source: Mac };

export const ecpRxStart: EcpRx = { is: "first" };

/**
 * The ack goes first: it says that the ECPDU came, nothing of what becomes of it.
 * @param repeatMs from one copy of an ECPDU to the next that comes through, at most: all the sender's retries
 * @param underWayMs a copy that comes sooner after our ack was sent before it came there, and is not acked again: to
 * lldpad an ack that comes twice is one of the wrong ECPDU, and it sends the next one again and again at once
 */
export function stepEcpRx(
  rx: EcpRx,
  event: EcpRxEvent,
  now: Instant,
  repeatMs: number,
  underWayMs = 0,
): readonly [EcpRx, ...EcpRxAction[]] {
  switch (event.on) {
    case "request": {
      const { seq, ulpdu, source } = event;
      const next: EcpRx = { is: "wait", lastSeq: seq, seenAt: now, ackedAt: now };
      const ack: EcpRxAction = { do: "ack", seq };
      const isRepeat = rx.is === "wait" && rx.lastSeq === seq && now - rx.seenAt < repeatMs;
      if (!isRepeat) return [next, ack, { do: "deliver", ulpdu, source }];
      if (now - rx.ackedAt < underWayMs) return [{ ...rx, seenAt: now }];
      return [next, ack];
    }
    case "link-down":
      return [ecpRxStart]; // the peer starts its numbers again, maybe with the one seen last
  }
}
