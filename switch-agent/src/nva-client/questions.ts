import type { Clock } from "@nve/linux";
import { Instant, OutOfRange } from "@nve/protocol-spec";
import type { Verdict } from "@nve/switch-agent/nve";
import { type AdmitRequest, type AdmitResponse, type Verdicts, verdictOf } from "./convert.ts";

type Question = {
  request: AdmitRequest;
  deadline: Instant;
  answer: (verdict: Verdict) => void;
};

/** Questions in one message (nve.proto). */
const SIZE = 256;

/**
 * Admissions of one session: what is asked in one turn goes in one message, and what comes back is given out in one
 * turn too. Each is answered once: by the NVA, when its time is over, or when the session is.
 */
export class Questions {
  readonly #clock: Clock;
  readonly #send: (serial: bigint, requests: AdmitRequest[]) => void;
  readonly #asked = new Map<bigint, { questions: readonly Question[]; callOff: () => void }>();
  #collected: Question[] = [];
  #serial = 0n;

  constructor(clock: Clock, send: (serial: bigint, requests: AdmitRequest[]) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** "unreachable" after `timeoutMs`; never rejects. */
  ask(request: AdmitRequest, timeoutMs: number): Promise<Verdict> {
    const deadline = Instant(this.#clock.now() + timeoutMs);
    return new Promise((answer) => {
      if (this.#collected.length === 0) queueMicrotask(() => this.#flush());
      this.#collected.push({ request, deadline, answer });
    });
  }

  heard({ serial, responses }: Verdicts): void {
    this.#settle(serial, (at) => readVerdict(responses[at]));
  }

  close(reason: string): void {
    for (const serial of [...this.#asked.keys()]) this.#settle(serial, () => unreachable(reason));
    for (const { answer } of this.#collected) answer(unreachable(reason));
    this.#collected = [];
  }

  #flush(): void {
    for (let all = this.#collected; all.length > 0; all = all.slice(SIZE)) {
      this.#serial += 1n;
      const serial = this.#serial;
      const questions = all.slice(0, SIZE);
      const deadline = Instant(Math.min(...questions.map((question) => question.deadline)));
      const late = () => this.#settle(serial, () => unreachable("no answer in time"));
      this.#asked.set(serial, { questions, callOff: this.#clock.at(deadline, late) });
      this.#send(
        serial,
        questions.map(({ request }) => request),
      );
    }
    this.#collected = [];
  }

  #settle(serial: bigint, verdict: (at: number) => Verdict): void {
    const asked = this.#asked.get(serial);
    if (asked === undefined) return; // its time was over
    this.#asked.delete(serial);
    asked.callOff();
    for (const [at, { answer }] of asked.questions.entries()) answer(verdict(at));
  }
}

const unreachable = (reason: string): Verdict => ({ is: "unreachable", reason });

/** What the NVA says may be anything. */
export function readVerdict(response: AdmitResponse | undefined): Verdict {
  try {
    return verdictOf(response ?? { verdict: undefined });
  } catch (error) {
    if (!(error instanceof OutOfRange)) throw error;
    return unreachable(`the NVA said what cannot be: ${error.message}`);
  }
}
