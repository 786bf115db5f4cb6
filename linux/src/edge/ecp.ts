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
  type Lldpdu,
  type Mac,
  OutOfRange,
  type Reader,
  readEcpdu,
  readVdpdu,
  SEAL_OCTETS,
  stepEcpRx,
  stepEcpTx,
  type Vdpdu,
  vdpduOctets,
  vdpTimes,
} from "@nve/protocol-spec";
import { type Driven, drive } from "../drive.ts";
import type { EcpPeerCounters, EdgePortOptions } from "../edge-port.ts";
import { receive } from "../receive.ts";
import type { Budget } from "./budget.ts";
import { BRIDGE_SHARES, openIntake, openShare } from "./intake.ts";
import { joined, type Outgoing, outgoing, together } from "./outgoing.ts";
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
  /** Its newest. */
  lldpdu(): Lldpdu | undefined;
  /** Where the port's differs from it. */
  firstSequence?: number;
  /** Whether it is an agent of ours: two ECPDUs may go without a distance between them, and in more copies (`ROUNDS`). */
  isOurs(): boolean;
  /** What all peers of the port share. */
  intake?: Budget;
};

/** lldpad sends and takes no longer ones (spec/ecp.md 2). */
const MAX_ULPDU_LENGTH = 1493;
/** Unlike others' ECPDUs, none of ours is lost by lldpad when they keep this distance (spec/ecp.md 5). */
const MIN_GAP_MS = 5;
/** What waits for a peer that acknowledges nothing; a VN of 4096 VSIs is ended in less. */
const MAX_QUEUE_OCTETS = 256 * 1024;
/** In front of its own limits, which are ours: one ULPDU at a time is handed to the machine. */
const MAX_QUEUE = 1;

/**
 * A bridge says what it has to say to a station of ours in so many rounds of R + 1 copies, all of one number: a station that
 * gets no processor time for a second hears it once all the same. Given up, an answer would cost its VNIC the response wait.
 */
const ROUNDS = 4;

export function openEcp(shared: Shared, peer: EcpPeer): Ecp {
  const { clock } = shared.options;
  const counters = ecpNoneYet();
  const count = (what: keyof EcpPeerCounters): void => {
    counters[what] += 1;
    shared.counters.ecp[what] += 1;
  };
  const tx = openSender(shared.options, peer, count);
  const rx = openReceiver(shared, peer, count);
  const share = openShare(shared.options.role === "station" ? BRIDGE_SHARES : 1);
  const intake = openIntake(clock, [share, ...(peer.intake ? [peer.intake] : [])]);

  return {
    send: tx.send,
    hear: ({ op, sequence: seq, ulpdu }, source) => {
      count(op === "request" ? "requestsIn" : "acksIn");
      if (op === "ack") tx.ack(seq);
      else if (!intake.take(() => rx({ on: "request", seq, ulpdu, source }))) count("putOff");
    },
    linkUp: tx.linkUp,
    linkDown: () => {
      intake.clear();
      rx({ on: "link-down" });
      tx.linkDown();
    },
    stop: () => {
      intake.clear();
      tx.stop();
      rx.stop();
    },
    counters: () => ({ ...counters }),
  };
}

type Count = (what: keyof EcpPeerCounters) => void;

function openSender(options: EdgePortOptions, peer: EcpPeer, count: Count) {
  const waiting: Outgoing[] = [];
  let underWay: readonly Outgoing[] = [];
  let waitingOctets = 0;
  let lastSequence: number | undefined;
  let lastOctets: Uint8Array = none;
  const isBridge = options.role === "bridge";
  const maxLength = MAX_ULPDU_LENGTH - (options.guard === undefined ? 0 : SEAL_OCTETS);
  const tx = drive<EcpTx, EcpTxEvent, EcpTxAction>(
    ecpTxStart(peer.firstSequence ?? options.firstSequence),
    (tx, event, now) => stepEcpTx(tx, event, now, timing(peer, isBridge)),
    options.clock,
    (action) => {
      if (action.do === "transmit") transmit(action.seq, action.payload);
      else settle(action.do === "give-up");
    },
  );

  function transmit(sequence: number, ulpdu: Uint8Array): void {
    const what = sequence === lastSequence ? "retransmitted" : "requestsOut";
    // Sealed once, when its turn has come: so counters rise, and the peer's nonce is the newest.
    if (sequence !== lastSequence) {
      lastOctets = options.guard?.seal(ulpdu, peer.to(), peer.lldpdu()) ?? ulpdu;
    }
    lastSequence = sequence;
    const { vdp: subtype } = EcpSubtype;
    const ecpdu: Ecpdu = { op: "request", subtype, sequence, ulpdu: lastOctets };
    if (sendPdu(options.link, "ecp", ecpduOctets(ecpdu), peer.to())) count(what);
    tx({ on: "sent" });
  }

  function settle(givenUp: boolean): void {
    const settled = underWay;
    underWay = [];
    for (const { octets, undelivered } of settled) {
      waitingOctets -= octets.length;
      if (givenUp) giveUp(undelivered);
    }
    next();
  }

  function giveUp(undelivered: () => void): void {
    count("givenUp");
    undelivered();
  }

  function next(): void {
    if (underWay.length > 0) return;
    underWay = together(waiting, maxLength);
    const [first, ...others] = underWay;
    if (first === undefined) return;
    waiting.splice(0, underWay.length);
    const payload = joined([first, ...others]);
    tx({ on: "send", ulpdu: { id: 0, payload } });
  }

  return {
    send: (vdpdu: Vdpdu, undelivered: () => void) => {
      const octets = ulpduOctets(vdpdu, maxLength);
      if (waitingOctets + octets.length > MAX_QUEUE_OCTETS) return giveUp(undelivered);
      waitingOctets += octets.length;
      waiting.push(outgoing(vdpdu, octets, undelivered));
      next();
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
  const isStation = options.role === "station";
  return drive<EcpRx, EcpRxEvent, EcpRxAction>(
    ecpRxStart,
    (rx, event, now) =>
      event.on === "tick"
        ? [rx]
        : stepEcpRx(rx, event, now, repeatMs(peer, isStation), underWayMs(peer.agreed())),
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
    const { guard } = options;
    const opened = guard === undefined ? { body: ulpdu, proven: false } : guard.open(ulpdu, source);
    if (opened === undefined) return;
    const { body, proven } = opened;
    const hand = (vdpdu: Vdpdu): void => options.onVdpdu(vdpdu, source, proven);
    receive("vdp", readVdpdu, hand, drops)(body);
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

const timing = (peer: EcpPeer, isBridge: boolean) => {
  const agreed = peer.agreed();
  return {
    ackTimeoutMs: vdpTimes(agreed).ackTimeoutMs,
    maxRetries: copies(peer, isBridge) - 1,
    minGapMs: peer.isOurs() ? 0 : MIN_GAP_MS,
    maxQueue: MAX_QUEUE,
  };
};

/** @param fromBridge whether a bridge says it to its station */
const copies = (peer: EcpPeer, fromBridge: boolean): number =>
  (fromBridge && peer.isOurs() ? ROUNDS : 1) * (peer.agreed().r + 1);

/** One ack timeout more than those between the first copy and the last. */
const repeatMs = (peer: EcpPeer, fromBridge: boolean): number =>
  copies(peer, fromBridge) * vdpTimes(peer.agreed()).ackTimeoutMs;

/**
 * The sender's next copy comes an ack timeout after the last one. If our ack was lost the copy after that is acked,
 * which is the third.
 */
const underWayMs = (agreed: EvbAgreed): number =>
  agreed.r < 2 ? 0 : vdpTimes(agreed).ackTimeoutMs;

const none = new Uint8Array();

/** Other users of ECP are none of ours, and an ack would tell them that they were heard. */
export function readVdpEcpdu(r: Reader): Ecpdu {
  const ecpdu = readEcpdu(r);
  if (ecpdu.subtype === EcpSubtype.vdp) return ecpdu;
  throw new DecodeError("unsupported", `ECP subtype ${ecpdu.subtype}`);
}

function ulpduOctets(vdpdu: Vdpdu, max: number): Uint8Array {
  const octets = vdpduOctets(vdpdu);
  if (octets.length <= max) return octets;
  throw new OutOfRange(`a ULPDU has ${max} octets at most, not ${octets.length}`);
}
