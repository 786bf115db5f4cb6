import {
  DecodeError,
  type Ecpdu,
  type EcpRx,
  type EcpRxAction,
  type EcpRxEvent,
  EcpSubtype,
  type EcpTx,
  type EcpTxAction,
  type EcpTxEvent,
  type EvbAgreed,
  ecpduOctets,
  ecpRxStart,
  ecpTxStart,
  type Frame,
  GroupAddress,
  OutOfRange,
  type Reader,
  readEcpdu,
  readVdpdu,
  stepEcpRx,
  stepEcpTx,
  type Vdpdu,
  vdpduOctets,
  vdpTimes,
} from "@nve/protocol-spec";
import { type Driven, drive } from "../drive.ts";
import type { EdgeCounters, EdgePortOptions } from "../edge-port.ts";
import { type Drops, receive } from "../receive.ts";
import { budget } from "./budget.ts";
import { sendPdu } from "./send.ts";

/** ECP of one link, carrying VDP. */
export type EcpSide = {
  send(vdpdu: Vdpdu, undelivered: () => void): void;
  input(frame: Frame): void;
  linkUp(): void;
  linkDown(): void;
  stop(): void;
  counters(): EcpCounters;
};

/** lldpad sends and takes no longer ones (spec/ecp.md 2). */
const MAX_ULPDU_LENGTH = 1493;
/** Unlike others' ECPDUs, none of ours is lost by lldpad when they keep this distance (spec/ecp.md 5). */
const MIN_GAP_MS = 5;
/** More than a second's worth of them at the least gap. */
const MAX_QUEUE = 2048;
/** What waits for a peer that acknowledges nothing; a VN of 4096 VSIs is ended in less. */
const MAX_QUEUE_OCTETS = 256 * 1024;
/**
 * Octets of ULPDUs that are taken in at once, and in a second: 1,000 of the smallest requests (33 octets), and
 * twice as many each second. Beyond it a request is not acknowledged, so that the peer sends it again (802.1Q
 * clause 43): a flood costs its own link time, and not the other ports.
 */
const INTAKE = { burst: 32 * 1024, perSecond: 64 * 1024 };

export function openEcp(options: EdgePortOptions, agreed: () => EvbAgreed, drops: Drops): EcpSide {
  const { link, clock } = options;
  const counters = noneYet();
  const tx = openSender(options, agreed, counters);
  const rx = openReceiver(options, agreed, counters, drops);
  const intake = budget(INTAKE.burst, INTAKE.perSecond);

  function input({ destination, source, payload }: Frame): void {
    if (destination !== GroupAddress.nearestCustomerBridge && destination !== link.mac) return;
    const heard = ({ op, sequence: seq, ulpdu }: Ecpdu): void => {
      counters[op === "request" ? "requestsIn" : "acksIn"] += 1;
      if (op === "ack") tx.ack(seq);
      else if (intake.spend(ulpdu.length, clock.now())) rx({ on: "request", seq, ulpdu, source });
      else counters.putOff += 1;
    };
    receive("ecp", readVdpEcpdu, heard, drops)(payload);
  }

  return {
    send: tx.send,
    input,
    linkUp: tx.linkUp,
    linkDown: () => {
      rx({ on: "link-down" });
      tx.linkDown();
    },
    stop: () => {
      tx.stop();
      rx.stop();
    },
    counters: () => ({ ...counters }),
  };
}

function openSender(options: EdgePortOptions, agreed: () => EvbAgreed, counters: EcpCounters) {
  const outcomes = new Map<number, { octets: number; undelivered: () => void }>();
  let waitingOctets = 0;
  let lastId = 0;
  let lastSequence: number | undefined;
  const tx = drive<EcpTx, EcpTxEvent, EcpTxAction>(
    ecpTxStart(options.firstSequence),
    (tx, event, now) => stepEcpTx(tx, event, now, timing(agreed())),
    options.clock,
    (action) => {
      if (action.do === "transmit") transmit(action.seq, action.payload);
      else settle(action.id, action.do === "give-up");
    },
  );

  function transmit(sequence: number, ulpdu: Uint8Array): void {
    const counter = sequence === lastSequence ? "retransmitted" : "requestsOut";
    lastSequence = sequence;
    const ecpdu: Ecpdu = { op: "request", subtype: EcpSubtype.vdp, sequence, ulpdu };
    if (sendPdu(options.link, "ecp", ecpduOctets(ecpdu))) counters[counter] += 1;
  }

  function settle(id: number, givenUp: boolean): void {
    const outcome = outcomes.get(id);
    outcomes.delete(id);
    waitingOctets -= outcome?.octets ?? 0;
    if (givenUp) giveUp(outcome?.undelivered);
  }

  function giveUp(undelivered: (() => void) | undefined): void {
    counters.givenUp += 1;
    undelivered?.();
  }

  return {
    send: (vdpdu: Vdpdu, undelivered: () => void) => {
      const payload = ulpduOctets(vdpdu);
      const octets = payload.length;
      if (waitingOctets + octets > MAX_QUEUE_OCTETS) return giveUp(undelivered);
      waitingOctets += octets;
      lastId += 1;
      outcomes.set(lastId, { octets, undelivered });
      tx({ on: "send", ulpdu: { id: lastId, payload } });
    },
    ack: (seq: number) => tx({ on: "ack", seq }),
    linkUp: () => tx({ on: "link-up" }),
    linkDown: () => tx({ on: "link-down" }),
    stop: tx.stop,
  };
}

function openReceiver(
  options: EdgePortOptions,
  agreed: () => EvbAgreed,
  counters: EcpCounters,
  drops: Drops,
): Driven<EcpRx, EcpRxEvent> {
  return drive<EcpRx, EcpRxEvent, EcpRxAction>(
    ecpRxStart,
    (rx, event, now) =>
      event.on === "tick" ? [rx] : stepEcpRx(rx, event, now, repeatMs(agreed())),
    options.clock,
    (action) => {
      if (action.do === "ack") acknowledge(action.seq);
      else deliver(action);
    },
  );

  function acknowledge(sequence: number): void {
    const ecpdu: Ecpdu = { op: "ack", subtype: EcpSubtype.vdp, sequence, ulpdu: none };
    if (sendPdu(options.link, "ecp", ecpduOctets(ecpdu))) counters.acksOut += 1;
  }

  function deliver({ ulpdu, source }: Extract<EcpRxAction, { do: "deliver" }>): void {
    receive("vdp", readVdpdu, (vdpdu) => options.onVdpdu(vdpdu, source), drops)(ulpdu);
  }
}

type EcpCounters = EdgeCounters["ecp"];

const noneYet = (): EcpCounters => ({
  requestsIn: 0,
  putOff: 0,
  acksIn: 0,
  requestsOut: 0,
  acksOut: 0,
  retransmitted: 0,
  givenUp: 0,
});

const timing = (agreed: EvbAgreed) => ({
  ackTimeoutMs: vdpTimes(agreed).ackTimeoutMs,
  maxRetries: agreed.r,
  minGapMs: MIN_GAP_MS,
  maxQueue: MAX_QUEUE,
});

/** One ack timeout more than the R between the first copy and the last. */
const repeatMs = (agreed: EvbAgreed): number => (agreed.r + 1) * vdpTimes(agreed).ackTimeoutMs;

const none = new Uint8Array();

/** Other users of ECP are none of ours, and an ack would tell them that they were heard. */
function readVdpEcpdu(r: Reader): Ecpdu {
  const ecpdu = readEcpdu(r);
  if (ecpdu.subtype === EcpSubtype.vdp) return ecpdu;
  throw new DecodeError("unsupported", `ECP subtype ${ecpdu.subtype}`);
}

function ulpduOctets(vdpdu: Vdpdu): Uint8Array {
  const octets = vdpduOctets(vdpdu);
  if (octets.length <= MAX_ULPDU_LENGTH) return octets;
  throw new OutOfRange(`a ULPDU has ${MAX_ULPDU_LENGTH} octets at most, not ${octets.length}`);
}
