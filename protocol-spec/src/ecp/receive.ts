import type { Mac } from "../ids.ts";

/**
 * ECP receive side (802.1Q clause 43; spec/ecp.md 4): ack every request, deliver what is no repeat of the
 * last. Only the last number is compared: an older one is delivered as new.
 *
 *   first ─request─► wait ─request─► wait        any ─link down─► first
 */
export type EcpRx = { is: "first" } | { is: "wait"; lastSeq: number };

/** `source` only passes through: ECP is point to point and does not look at it. */
export type EcpRxEvent =
  | { on: "request"; seq: number; ulpdu: Uint8Array; source: Mac }
  | { on: "link-down" };

export type EcpRxAction =
  | { do: "ack"; seq: number }
  | { do: "deliver"; ulpdu: Uint8Array; source: Mac };

export const ecpRxStart: EcpRx = { is: "first" };

/** The ack goes first: it says that the ECPDU came, nothing of what becomes of it. */
export function stepEcpRx(rx: EcpRx, event: EcpRxEvent): readonly [EcpRx, ...EcpRxAction[]] {
  switch (event.on) {
    case "request": {
      const ack: EcpRxAction = { do: "ack", seq: event.seq };
      if (rx.is === "wait" && rx.lastSeq === event.seq) return [rx, ack];
      const { seq, ulpdu, source } = event;
      return [{ is: "wait", lastSeq: seq }, ack, { do: "deliver", ulpdu, source }];
    }
    case "link-down":
      return [ecpRxStart]; // the peer starts its numbers again, maybe with the one seen last
  }
}
