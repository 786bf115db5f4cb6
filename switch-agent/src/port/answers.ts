import type { Clock } from "@nve/linux";
import { Instant, type VdpTlv } from "@nve/protocol-spec";

/**
 * The answers to the requests of one ECPDU: they leave together when the last is there, because a peer loses
 * one of two ECPDUs in quick succession (spec/ecp.md 5). What is there leaves after `patienceMs` in any case,
 * and of the later ones those that are there in one turn.
 */
export class Answers {
  readonly #ready: (readonly VdpTlv[])[] = [];
  readonly #send: (answers: readonly (readonly VdpTlv[])[]) => void;
  #open = 1; // the reader of the ECPDU itself
  #late = false;
  #flushing = false;
  #callOff: () => void;

  /** @param send is given the TLVs of each answer */
  constructor(
    clock: Clock,
    patienceMs: number,
    send: (answers: readonly (readonly VdpTlv[])[]) => void,
  ) {
    this.#send = send;
    this.#callOff = clock.at(Instant(clock.now() + patienceMs), () => {
      this.#late = true;
      this.#flush();
    });
  }

  /** A place for one answer, in the order of the requests. */
  place(): Answer {
    const at = this.#ready.push([]) - 1;
    this.#open += 1;
    let settled = false;
    return (...tlvs) => {
      if (settled) return;
      settled = true;
      this.#ready[at] = tlvs;
      this.#settle();
    };
  }

  /** All requests of the ECPDU have their place. */
  close(): void {
    this.#settle();
  }

  #settle(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#callOff();
    if (this.#open === 0 && !this.#late) this.#flush();
    else if (this.#late && !this.#flushing) this.#flushSoon();
  }

  #flushSoon(): void {
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    const answers = this.#ready.filter(({ length }) => length > 0);
    this.#ready.fill([]);
    if (answers.length > 0) this.#send(answers);
  }
}

/** Gives the TLVs of the answer; none: there will be no answer. Once: later calls do nothing. */
export type Answer = (...tlvs: readonly VdpTlv[]) => void;
