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
  type Mac,
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
import type { EcpPeerCounters, EdgePortOptions } from "../edge-port.ts";
import { receive } from "../receive.ts";
import { type Budget, budget } from "./budget.ts";
import { sendPdu } from "./send.ts";
import type { Shared } from "./side.ts";

/** ECP with one peer, carrying VDP. */
export type Ecp = {
  send(vdpdu: Vdpdu, undelivered: () => void): void;
  hear(ecpdu: Ecpdu, source: Mac): void;
  linkUp(): void;
  linkDown(): void;
  stop(): void;
  counters(): EcpPeerCounters;
};

export type EcpPeer = {
  agreed(): EvbAgreed;
  to(): Mac;
  /** Where the port's differs from it. */
  firstSequence?: number;
  /** What all peers of the port share. */
  intake?: Budget;
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
export const INTAKE = { burst: 32 * 1024, perSecond: 64 * 1024 };

export function openEcp(shared: Shared, peer: EcpPeer): Ecp {
  const { clock } = shared.options;
  const counters = ecpNoneYet();
  const count = (what: keyof EcpPeerCounters): void => {
    counters[what] += 1;
    shared.counters.ecp[what] += 1;
  };
  const tx = openSender(shared.options, peer, count);
  const rx = openReceiver(shared, peer, count);
  const own = budget(INTAKE.burst, INTAKE.perSecond);
  const hasRoom = (octets: number): boolean =>
    own.spend(octets, clock.now()) && (peer.intake?.spend(octets, clock.now()) ?? true);

  return {
    send: tx.send,
    hear: ({ op, sequence: seq, ulpdu }, source) => {
      count(op === "request" ? "requestsIn" : "acksIn");
      if (op === "ack") tx.ack(seq);
      else if (hasRoom(ulpdu.length)) rx({ on: "request", seq, ulpdu, source });
      else count("putOff");
    },
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

type Count = (what: keyof EcpPeerCounters) => void;

function openSender(options: EdgePortOptions, peer: EcpPeer, count: Count) {
  const outcomes = new Map<number, { octets: number; undelivered: () => void }>();
  let waitingOctets = 0;
  let lastId = 0;
  let lastSequence: number | undefined;
  const tx = drive<EcpTx, EcpTxEvent, EcpTxAction>(
    ecpTxStart(peer.firstSequence ?? options.firstSequence),
    (tx, event, now) => stepEcpTx(tx, event, now, timing(peer.agreed())),
    options.clock,
    (action) => {
      if (action.do === "transmit") transmit(action.seq, action.payload);
      else settle(action.id, action.do === "give-up");
    },
  );

  function transmit(sequence: number, ulpdu: Uint8Array): void {
    const what = sequence === lastSequence ? "retransmitted" : "requestsOut";
    lastSequence = sequence;
    const ecpdu: Ecpdu = { op: "request", subtype: EcpSubtype.vdp, sequence, ulpdu };
    if (sendPdu(options.link, "ecp", ecpduOctets(ecpdu), peer.to())) count(what);
  }

  function settle(id: number, givenUp: boolean): void {
    const outcome = outcomes.get(id);
    outcomes.delete(id);
    waitingOctets -= outcome?.octets ?? 0;
    if (givenUp) giveUp(outcome?.undelivered);
  }

  function giveUp(undelivered: (() => void) | undefined): void {
    count("givenUp");
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
  { options, drops }: Shared,
  peer: EcpPeer,
  count: Count,
): Driven<EcpRx, EcpRxEvent> {
  return drive<EcpRx, EcpRxEvent, EcpRxAction>(
    ecpRxStart,
    (rx, event, now) =>
      event.on === "tick" ? [rx] : stepEcpRx(rx, event, now, repeatMs(peer.agreed())),
    options.clock,
    (action) => {
      if (action.do === "ack") acknowledge(action.seq);
      else deliver(action);
    },
  );

  function acknowledge(sequence: number): void {
    const ecpdu: Ecpdu = { op: "ack", subtype: EcpSubtype.vdp, sequence, ulpdu: none };
    if (sendPdu(options.link, "ecp", ecpduOctets(ecpdu), peer.to())) count("acksOut");
  }

  function deliver({ ulpdu, source }: Extract<EcpRxAction, { do: "deliver" }>): void {
    const hand = (vdpdu: Vdpdu): void => options.onVdpdu(vdpdu, source, ulpdu);
    receive("vdp", readVdpdu, hand, drops)(ulpdu);
  }
}

export const ecpNoneYet = (): EcpPeerCounters => ({
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
export function readVdpEcpdu(r: Reader): Ecpdu {
  const ecpdu = readEcpdu(r);
  if (ecpdu.subtype === EcpSubtype.vdp) return ecpdu;
  throw new DecodeError("unsupported", `ECP subtype ${ecpdu.subtype}`);
}

function ulpduOctets(vdpdu: Vdpdu): Uint8Array {
  const octets = vdpduOctets(vdpdu);
  if (octets.length <= MAX_ULPDU_LENGTH) return octets;
  throw new OutOfRange(`a ULPDU has ${MAX_ULPDU_LENGTH} octets at most, not ${octets.length}`);
}
