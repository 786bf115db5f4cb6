import type { Duplicate } from "@nve/protocol-spec/proto/northbound";
import { type Book, keyOf, partsOf, staticSource } from "./book.ts";
import type { Trace } from "./trace.ts";

/** The VN whose duplicates freeze: no two MACs have an IP there, so that only MACs move. */
export const freezingVn = 3;
/** docs/admission.md, "Duplicate addresses". `migrations`: so many count as a clone. */
export const rule = { moves: 4, windowMs: 5000, freezeMs: 3000, migrations: 16 };

/** Of a MAC with an odd number all claims are of one VNIC: what moves is a migration. */
export const migrates = (key: string): boolean => Number.parseInt(key.slice(-1), 16) % 2 === 1;

/** Order of the trace, and Unix time in milliseconds. */
type Moment = { order: number; at: number };
/** `maybe`: whether it had an effect is not known. */
type Clear = Moment & { ended?: number; maybe?: true };
type Frozen = {
  since: bigint;
  until: bigint;
  asked: number;
  holder?: { source: string; from: number };
};
type Listed = { source: string; best: boolean };
/** Duplicates as they were listed, and when that was asked and told. */
export type Duplicates = { all: readonly Duplicate[]; asked: Moment; told: Moment };

/** The clocks of all that runs here are one, but for how it is rounded and corrected. */
const clockMs = 50;
/** After a pause or a take-over, what is due comes late. */
const lateMs = 10_000;

/** Holds what an NVA says of duplicates against what was claimed, and frozen addresses to where they are. */
export class Freezes {
  readonly #trace: Trace;
  readonly #book: Book;
  /** When claims of an address were sent. */
  readonly #sent = new Map<string, number[]>();
  readonly #clears = new Map<string, Clear[]>();
  readonly #frozen = new Map<string, Frozen>();
  /** When was told what was seen last: what was asked before may be older. */
  #last = 0;
  /** Addresses that were seen to be frozen. */
  seen = 0;

  constructor(trace: Trace, book: Book) {
    this.#trace = trace;
    this.#book = book;
  }

  now(): Moment {
    return { order: this.#trace.now, at: Date.now() };
  }

  claimed(key: string): void {
    if (partsOf(key).vn === freezingVn)
      this.#sent.set(key, [...this.sent(key, 60_000), Date.now()]);
  }

  /** Claims of the address that were sent in the last `ms` milliseconds. */
  sent(key: string, ms: number): number[] {
    return (this.#sent.get(key) ?? []).filter((at) => at > Date.now() - ms);
  }

  /** A client clears the address from now on, until `ended`. */
  clears(key: string): Clear {
    const clear: Clear = this.now();
    this.#clears.set(key, [...(this.#clears.get(key) ?? []), clear]);
    return clear;
  }

  /** What was seen to be frozen last. */
  isFrozen(key: string): boolean {
    return this.#frozen.has(key);
  }

  /**
   * Claims were listed after `before` and before `after`.
   * @param free of an address that was not frozen meanwhile: looks whether the best claim by the rules is
   */
  check(
    before: Duplicates,
    listed: ReadonlyMap<string, readonly Listed[]>,
    after: Duplicates,
    free: (key: string) => void,
  ): void {
    for (const told of [before, after]) for (const one of told.all) this.#right(one, told);
    const isNew = before.asked.order >= this.#last;
    if (isNew) this.#last = after.told.order;
    for (const key of this.#book.keys()) {
      if (partsOf(key).vn !== freezingVn) continue;
      const [was, is] = [rowOf(key, before), rowOf(key, after)];
      if (!was?.frozen && !is?.frozen && this.#noneBetween(key, before, after)) free(key);
      if (!isNew) continue;
      for (const told of [before, after]) this.#kept(key, told);
      if (was?.frozen && is?.frozen && was.sinceUnixMs === is.sinceUnixMs)
        this.#held(key, listed.get(key) ?? [], before.asked.order);
      else delete this.#frozen.get(key)?.holder;
    }
  }

  /** It may be a duplicate, and still be one. */
  #right(one: Duplicate, { asked, told }: Duplicates): void {
    const { sinceUnixMs, untilUnixMs, frozen } = one;
    const key = ofKey(one);
    const is = `said to be a duplicate since ${sinceUnixMs}`;
    if (one.ips.length > 0) throw this.#fault(key, "an IP is a duplicate that one MAC has");
    const cleared = (this.#clears.get(key) ?? []).find(
      ({ at, ended = asked.order, maybe }) =>
        !maybe && ended < asked.order && Number(sinceUnixMs) < at - clockMs,
    );
    if (cleared) throw this.#fault(key, `${is}, it was cleared at ${cleared.order}`);
    if (!frozen) return;
    const needed = migrates(key) ? rule.migrations : rule.moves;
    const early = Number(sinceUnixMs) - rule.windowMs - lateMs;
    const claims = (this.#sent.get(key) ?? []).filter((at) => at >= early);
    if (claims.length < needed && told.at - early < 60_000)
      throw this.#fault(key, `${is}, and was claimed only ${claims.length} times`);
    if (untilUnixMs > 0n && asked.at > Number(untilUnixMs) + lateMs)
      throw this.#fault(key, `${is}, its time was over at ${untilUnixMs}`);
  }

  /** Once it is frozen it is until it is cleared, its time is over, or its VN goes. */
  #kept(key: string, duplicates: Duplicates): void {
    const { asked, told } = duplicates;
    const row = rowOf(key, duplicates);
    const known = this.#frozen.get(key);
    if (row?.frozen && row.sinceUnixMs === known?.since) {
      this.#frozen.set(key, { ...known, until: row.untilUnixMs, asked: asked.order });
      return;
    }
    const isOver = known && known.until > 0n && told.at > Number(known.until) - clockMs;
    if (known && !isOver && !this.#mayHaveEnded(key, known.asked, told.order))
      throw this.#fault(key, `it was frozen since ${known.since}, and is no more`);
    this.#frozen.delete(key);
    if (!row?.frozen) return;
    const { sinceUnixMs: since, untilUnixMs: until } = row;
    this.#trace.say(`it is frozen since ${since}, until ${until}`, partsOf(key));
    this.#frozen.set(key, { since, until, asked: asked.order });
    this.seen += 1;
  }

  /** Where it is frozen it stays until that claim is withdrawn; a static one goes before it. */
  #held(key: string, claims: readonly Listed[], from: number): void {
    const known = this.#frozen.get(key);
    if (known === undefined) return;
    const marked = claims.filter(({ best }) => best).map(({ source }) => source);
    const { holder } = known;
    const stays =
      holder !== undefined &&
      !this.#claimOf(holder.source, key)
        .possible(holder.from, this.#trace.now + 1)
        .has(undefined);
    if (!stays) delete known.holder;
    else holder.from = from;
    const [source] = marked;
    if (source === undefined || source === staticSource) return;
    if (!stays) known.holder = { source, from };
    else if (source !== holder.source)
      throw this.#fault(key, `it is frozen at ${holder.source}, its best claim is ${marked}`);
  }

  #claimOf(source: string, key: string) {
    return this.#book.claim(source.replace(/^nve:/, ""), key);
  }

  #mayHaveEnded(key: string, from: number, to: number): boolean {
    const clears = this.#clears.get(key) ?? [];
    const isCleared = clears.some(({ order, ended = to }) => ended >= from && order < to);
    return isCleared || this.#book.deletedSince(freezingVn, from);
  }

  /** Nothing can have been frozen and gone again. */
  #noneBetween(key: string, { asked }: Duplicates, { told }: Duplicates): boolean {
    if (told.at - asked.at > rule.freezeMs - 2 * clockMs) return false;
    return !this.#mayHaveEnded(key, asked.order, told.order);
  }

  #fault(key: string, fault: string): Error {
    return this.#trace.violation(`${key}: ${fault}`, partsOf(key));
  }
}

const ofKey = ({ vnId, mac }: Duplicate): string => keyOf(vnId, mac.toString("hex"));

const rowOf = (key: string, { all }: Duplicates): Duplicate | undefined =>
  all.find((one) => ofKey(one) === key);
