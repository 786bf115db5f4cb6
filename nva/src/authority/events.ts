import type { Instant } from "@nve/protocol-spec";
import { blocksOf } from "./event-block.ts";
import type { Change, EventRow, Revised } from "./records.ts";

/** What is to be remembered; number and time come when it is written down. */
export type Noted = Omit<EventRow, "id" | "atUnixMs">;
/** What a store holds of events, as far as it is needed at a start. */
export type EventTail = {
  /** The first number of each block, in order. */
  blocks: readonly number[];
  /** The newest, in order. */
  recent: readonly Revised<EventRow>[];
};

/** Events that are kept at least; the oldest blocks go in the commits that bring new ones. */
export const kept = 100_000;
/** The newest, which are in memory also. */
export const recentEvents = 1_000;

/** 16 digits: in the order of their numbers in every store. */
export const eventKey = (id: number): string => String(id).padStart(16, "0");

/** Numbers what happens, and lets go of what is oldest. Numbers count up for ever, over restarts too. */
export class EventLog {
  /** Unix time of `Instant` 0, milliseconds: whoever has the clocks sets it. */
  epochMs = 0;
  #recent: Revised<EventRow>[] = [];
  /** Those of #recent whose commit is under way. */
  #uncommitted: Revised<EventRow>[] = [];
  readonly #keep: number;
  /** First numbers of the blocks; of those, the first `#gone` are deleted. */
  #blocks: number[] = [];
  #gone = 0;
  #last = 0;

  constructor(tail: EventTail = { blocks: [], recent: [] }, keep = kept) {
    this.restore(tail);
    this.#keep = keep;
  }

  /** Goes on from what a store holds. */
  restore(tail: EventTail): void {
    this.#recent = [...tail.recent];
    this.#uncommitted = [];
    this.#blocks = [...tail.blocks];
    this.#last = tail.recent.at(-1)?.row.id ?? 0;
    this.#gone = 0;
  }

  /** Number of the newest; 0: none ever. */
  get last(): number {
    return this.#last;
  }

  get oldest(): number {
    return this.#blocks[this.#gone] ?? this.#last + 1;
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

  /** The rows that write these down, in one commit, and delete what is too old. */
  append(noted: readonly Noted[], now: Instant): Change[] {
    if (noted.length === 0) return [];
    const atUnixMs = this.atUnixMs(now);
    const rows = noted.map((one, i): EventRow => ({ id: this.#last + 1 + i, atUnixMs, ...one }));
    this.#last += rows.length;
    for (const row of rows) {
      const written = { row, revision: 0 };
      this.#recent.push(written);
      this.#uncommitted.push(written);
    }
    const changes: Change[] = [];
    for (const block of blocksOf(rows)) {
      this.#blocks.push(block.id);
      changes.push({ table: "event", key: eventKey(block.id), row: block });
    }
    return [...changes, ...this.#letGo()];
  }

  /** Deletes whole blocks, as long as enough are left. */
  #letGo(): Change[] {
    const changes: Change[] = [];
    for (;;) {
      const [oldest, next] = this.#blocks.slice(this.#gone, this.#gone + 2);
      if (oldest === undefined || next === undefined || this.#last + 1 - next < this.#keep) break;
      changes.push({ table: "event", key: eventKey(oldest) });
      this.#gone += 1;
    }
    if (this.#gone > 1_000 && 2 * this.#gone > this.#blocks.length) {
      this.#blocks = this.#blocks.slice(this.#gone);
      this.#gone = 0;
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
/** Different refusals that are written down in a minute: of one NVE, and of all of them. */
const perNve = 60;
const ofAll = 1_000;
/** Refusals whose repeats are counted. */
const tracked = 10_000;
/** NVEs whose shares are known: who reaches the NVA without TLS may call itself anything. */
const nves = 10_000;
type Repeats = { at: Instant; left: number };
/** Of a minute that began `at`. */
type Share = { at: Instant; noted: number; left: number };

/**
 * Lets through what a flood of refusals may write down: the same one once a minute, of one NVE and of all so many a minute.
 * What was left out is counted, and told with the next.
 */
export class RefusalLimit {
  readonly #repeats = new Map<string, Repeats>();
  readonly #shares = new Map<string, Share>();
  #all: Share | undefined;

  /** @returns the event to write down, or nothing for now */
  pass(noted: Noted, now: Instant): Noted | undefined {
    const key = `${noted.actor} ${noted.action} ${noted.object} ${noted.refused}`;
    const repeats = this.#repeats.get(key);
    if (repeats !== undefined && now - repeats.at < minuteMs) {
      repeats.left += 1;
      return undefined;
    }
    const share = shareAt(this.#shares.get(noted.actor), now);
    this.#all = shareAt(this.#all, now);
    setLast(this.#shares, noted.actor, share, nves);
    if (share.noted >= perNve || this.#all.noted >= ofAll) {
      share.left += 1;
      return undefined;
    }
    const others = share.noted === 0 ? share.left : 0; // of the minute before
    if (share.noted === 0) share.left = 0;
    share.noted += 1;
    this.#all.noted += 1;
    setLast(this.#repeats, key, { at: now, left: 0 }, tracked);
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
}

/** The share of the minute that now is; a new one knows what was left out in the last. */
const shareAt = (share: Share | undefined, now: Instant): Share =>
  share !== undefined && now - share.at < minuteMs
    ? share
    : { at: now, noted: 0, left: share?.left ?? 0 };

/** Puts it at the back; of more than `most` the one at the front goes. */
function setLast<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > most && oldest !== undefined) map.delete(oldest);
}
