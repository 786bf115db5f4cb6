import { Instant } from "../ids.ts";

/**
 * ECP transmit side (802.1Q clause 43; spec/ecp.md 3): one ECPDU in flight, sent again at every ack timeout,
 * R + 1 copies in all. Start at a random `seq`: a peer that outlived us may hold our last one for a repeat.
 * Two ECPDUs start at least `minGapMs` apart: lldpad loses the second otherwise (spec/ecp.md 5). The caller says `sent` once
 * a copy is on the wire, which on a busy machine is milliseconds after it was told to transmit.
 *
 *                            send               ack, or out of retries
 *   down ─link up─► resting ──────► waiting ───────────────────────────► resting, and after the gap
 *                   or idle          └───┘ ack timeout: again            waiting for the next, or idle
 *   any ─link down─► down, all given up: whoever wanted them asks again on link up
 *
 * The numbers go on after a link down (any start is allowed): a peer that did not see it is not misled.
 */
export type EcpTx = Down | Idle | Waiting | Resting;
type Down = { is: "down"; seq: number };
type Idle = { is: "idle"; seq: number };
/** Sent and not yet acknowledged; `sentAt` is the time of the last copy. */
type Waiting = {
  is: "waiting";
  seq: number;
  queue: Queue;
  sent: number;
  sentAt: Instant;
  deadline: Instant;
};
/** The last one is settled, the next must wait for the gap. */
type Resting = { is: "resting"; seq: number; queue: readonly Ulpdu[]; deadline: Instant };
type Queue = readonly [head: Ulpdu, ...rest: Ulpdu[]];

/** `id` is the caller's, given back with the outcome. */
export type Ulpdu = { id: number; payload: Uint8Array };

export type EcpTxEvent =
  | { on: "send"; ulpdu: Ulpdu }
  | { on: "sent" }
  | { on: "ack"; seq: number }
  | { on: "link-up" }
  | { on: "link-down" }
  | { on: "tick" };

export type EcpTxAction =
  | { do: "transmit"; seq: number; payload: Uint8Array }
  | { do: "confirm" | "give-up"; id: number };

export type EcpTiming = {
  readonly ackTimeoutMs: number;
  readonly maxRetries: number;
  readonly minGapMs: number;
  /** ULPDUs unsettled at most, the one in flight included; one more is given up at once. */
  readonly maxQueue: number;
};

type Step = readonly [EcpTx, ...EcpTxAction[]];

/** `seq` is the number before the first one on the wire, 0 … 65535. */
export const ecpTxStart = (seq: number): EcpTx => ({ is: "down", seq });

/** Every ULPDU sent ends in exactly one `confirm` or `give-up`. */
export function stepEcpTx(tx: EcpTx, event: EcpTxEvent, now: Instant, timing: EcpTiming): Step {
  switch (event.on) {
    case "send":
      return enqueue(tx, event.ulpdu, now, timing);
    case "sent":
      if (tx.is !== "waiting") return [tx];
      return [{ ...tx, sentAt: now, deadline: Instant(now + timing.ackTimeoutMs) }];
    case "ack":
      if (tx.is !== "waiting" || event.seq !== tx.seq) return [tx]; // late, or a repeat
      return settle(tx, "confirm", now, timing);
    case "link-up":
      return tx.is === "down" ? [{ is: "idle", seq: tx.seq }] : [tx];
    case "link-down":
      return [{ is: "down", seq: tx.seq }, ...unsettled(tx).map(giveUp)];
    case "tick":
      if (!("deadline" in tx) || now < tx.deadline) return [tx];
      if (tx.is === "resting") return next(tx.seq, tx.queue, now, timing);
      if (tx.sent > timing.maxRetries) return settle(tx, "give-up", now, timing);
      return transmit(tx.seq, tx.queue, tx.sent + 1, now, timing);
  }
}

function enqueue(tx: EcpTx, ulpdu: Ulpdu, now: Instant, timing: EcpTiming): Step {
  if (tx.is === "down" || unsettled(tx).length >= timing.maxQueue) return [tx, giveUp(ulpdu)];
  if (tx.is === "idle") return next(tx.seq, [ulpdu], now, timing);
  if (tx.is === "waiting") return [{ ...tx, queue: [...tx.queue, ulpdu] }];
  return [{ ...tx, queue: [...tx.queue, ulpdu] }];
}

function settle(
  tx: Waiting,
  outcome: "confirm" | "give-up",
  now: Instant,
  timing: EcpTiming,
): Step {
  const [head, ...rest] = tx.queue;
  const settled: EcpTxAction = { do: outcome, id: head.id };
  const deadline = Instant(tx.sentAt + timing.minGapMs);
  if (now < deadline) return [{ is: "resting", seq: tx.seq, queue: rest, deadline }, settled];
  const [after, ...actions] = next(tx.seq, rest, now, timing);
  return [after, settled, ...actions];
}

function next(seq: number, queue: readonly Ulpdu[], now: Instant, timing: EcpTiming): Step {
  const [head, ...rest] = queue;
  if (head === undefined) return [{ is: "idle", seq }];
  return transmit(after(seq), [head, ...rest], 1, now, timing);
}

function transmit(seq: number, queue: Queue, sent: number, now: Instant, timing: EcpTiming): Step {
  const deadline = Instant(now + timing.ackTimeoutMs);
  return [
    { is: "waiting", seq, queue, sent, sentAt: now, deadline },
    { do: "transmit", seq, payload: queue[0].payload },
  ];
}

const after = (seq: number): number => (seq >= 0xffff ? 1 : seq + 1); // 0 is never sent
const unsettled = (tx: EcpTx): readonly Ulpdu[] => ("queue" in tx ? tx.queue : []);
const giveUp = ({ id }: Ulpdu): EcpTxAction => ({ do: "give-up", id });
