import type { Instant } from "@nve/protocol-spec";
import type { Change, EventRow, Revised } from "./records.ts";

/** What is to be remembered; number and time come when it is written down. */
export type Noted = Omit<EventRow, "id" | "atUnixMs">;
/** What a store holds of events, as far as it is needed at a start. */
export type EventTail = {
  /** Number of the oldest that is kept. */
  oldest: number;
  /** The newest, in order. */
  recent: readonly Revised<EventRow>[];
};

/** Events kept; the oldest go in the commits that bring new ones. */
export const kept = 100_000;
/** The newest, which are in memory also. */
export const recentEvents = 1_000;

/** 16 digits: in the order of their numbers in every store. */
export const eventKey = (id: number): string => String(id).padStart(16, "0");

/** Numbers what happens, and lets go of what is oldest. Numbers count up for ever, over restarts too. */
export class EventLog {
  /** Unix time of `Instant` 0, milliseconds: whoever has the clocks sets it. */
  epochMs = 0;
  readonly #recent: Revised<EventRow>[];
  /** Those of #recent whose commit is under way. */
  #uncommitted: Revised<EventRow>[] = [];
  readonly #keep: number;
  #oldest: number;
  #last: number;

  constructor(tail: EventTail = { oldest: 1, recent: [] }, keep = kept) {
    this.#recent = [...tail.recent];
    this.#last = tail.recent.at(-1)?.row.id ?? 0;
    this.#oldest = tail.recent.length === 0 ? this.#last + 1 : tail.oldest;
    this.#keep = keep;
  }

  /** Number of the newest; 0: none ever. */
  get last(): number {
    return this.#last;
  }

  get oldest(): number {
    return this.#oldest;
  }

  atUnixMs(now: Instant): number {
    return Math.round(this.epochMs + now);
  }

  /** Those after number `after`; undefined when memory does not reach back so far. */
  since(after: number): readonly Revised<EventRow>[] | undefined {
    const [first] = this.#recent;
    if (after >= this.#last) return [];
    if (first === undefined || after < first.row.id - 1) return undefined;
    return this.#recent.slice(after - first.row.id + 1);
  }

  /** The rows that write these down, and delete what is too old. */
  append(noted: readonly Noted[], now: Instant): Change[] {
    const changes: Change[] = [];
    for (const one of noted) {
      const row: EventRow = { id: this.#last + 1, atUnixMs: this.atUnixMs(now), ...one };
      this.#last = row.id;
      const written = { row, revision: 0 };
      this.#recent.push(written);
      this.#uncommitted.push(written);
      changes.push({ table: "event", key: eventKey(row.id), row });
    }
    while (this.#last - this.#oldest >= this.#keep) {
      changes.push({ table: "event", key: eventKey(this.#oldest) });
      this.#oldest += 1;
    }
    return changes;
  }

  /** What was appended is in the store at this revision. */
  committed(revision: number): void {
    for (const written of this.#uncommitted) written.revision = revision;
    this.#uncommitted = [];
    if (this.#recent.length >= 2 * recentEvents)
      this.#recent.splice(0, this.#recent.length - recentEvents);
  }
}

const minuteMs = 60_000;
/** Different refusals of one NVE that are written down in a minute. */
const perNve = 60;
/** Refusals whose repeats are counted. */
const tracked = 10_000;

type Repeats = { at: Instant; left: number };
type Share = { at: Instant; noted: number; left: number };

/**
 * Lets through what a flood of refusals may write down: the same one once a minute, of one NVE so many a minute.
 * What was left out is counted, and told with the next.
 */
export class RefusalLimit {
  readonly #repeats = new Map<string, Repeats>();
  readonly #shares = new Map<string, Share>();

  /** @returns the event to write down, or nothing for now */
  pass(noted: Noted, now: Instant): Noted | undefined {
    const key = `${noted.actor} ${noted.action} ${noted.object} ${noted.refused}`;
    const repeats = this.#repeats.get(key);
    if (repeats !== undefined && now - repeats.at < minuteMs) {
      repeats.left += 1;
      return undefined;
    }
    const others = this.#share(noted.actor, now);
    if (others === undefined) return undefined;
    this.#repeats.delete(key); // to the back
    this.#repeats.set(key, { at: now, left: 0 });
    const [oldest] = this.#repeats.keys();
    if (this.#repeats.size > tracked && oldest !== undefined) this.#repeats.delete(oldest);
    const repeated = repeats?.left ?? 0;
    return {
      ...noted,
      detail: {
        ...noted.detail,
        ...(repeated > 0 && { repeated }),
        ...(others > 0 && { othersLeftOut: others }),
      },
    };
  }

  /** Refusals of this NVE that were left out since the last one told; undefined: it has had its share. */
  #share(actor: string, now: Instant): number | undefined {
    const share = this.#shares.get(actor);
    if (share === undefined || now - share.at >= minuteMs) {
      this.#shares.set(actor, { at: now, noted: 1, left: 0 });
      return share?.left ?? 0;
    }
    if (share.noted >= perNve) {
      share.left += 1;
      return undefined;
    }
    share.noted += 1;
    return 0;
  }
}
