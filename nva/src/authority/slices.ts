import type { Instant, VnId } from "@nve/protocol-spec";
import { Effects, type Step } from "./records.ts";

/** A little of some work that may be much: the change of one row or some. */
export type Piece = (now: Instant, effects: Effects) => void;

/**
 * Pieces that one commit takes of work that may be much, so that everybody else has a turn between. About as many
 * addresses as one message tells to all that watch a VN (../server/delta.ts).
 */
export const perSlice = 200;

/**
 * Does the first pieces now, and leaves the rest to commits of their own (`Step.later`). Whoever makes the pieces sees to it
 * that what others do meanwhile does no harm, and that what a crash leaves undone is done after the next start.
 * @param after each slice
 */
export function inSlices(
  pieces: Iterator<Piece>,
  now: Instant,
  effects: Effects,
  after: (effects: Effects) => void = () => {},
): void {
  let isOver = false;
  for (let n = 0; n < perSlice && !isOver; n++) {
    const next = pieces.next();
    if (next.done) isOver = true;
    else next.value(now, effects);
  }
  after(effects);
  if (isOver) return;
  effects.later.push((then): Step<void> => {
    const own = new Effects();
    inSlices(pieces, then, own, after);
    return own.step(undefined);
  });
}

/** Of many that are looked at and left as they are, so many are one piece. */
const looks = 20;

/** Pieces for those of `all` that have some. */
export function* piecesOf<T>(
  all: Iterable<T>,
  piece: (one: T) => Piece | undefined,
): Generator<Piece> {
  let looked = 0;
  for (const one of all) {
    const found = piece(one);
    looked += 1;
    if (found !== undefined) yield found;
    else if (looked % looks === 0) yield nothing;
  }
}

const nothing: Piece = () => {};

/** Rows that VNs have left which are gone, until they are deleted: a VN that has the same ID later must not find them. */
export class Remains {
  readonly #of = new Map<VnId, Iterator<Piece>>();
  readonly #found = new Map<VnId, Iterator<Piece>>();

  /** All is deleted. */
  get isEmpty(): boolean {
    return this.#of.size === 0 && this.#found.size === 0;
  }

  /** The deletion of these was broken off. */
  brokenOff(vnId: VnId, pieces: Iterator<Piece>): void {
    this.#found.set(vnId, pieces);
  }

  /** Goes on with what was broken off. */
  resume(now: Instant, effects: Effects): void {
    for (const [vnId, pieces] of this.#found) this.leave(vnId, pieces, now, effects);
    this.#found.clear();
  }

  /** Begins to delete them. */
  leave(vnId: VnId, pieces: Iterator<Piece>, now: Instant, effects: Effects): void {
    this.#of.set(vnId, pieces);
    inSlices(this.#rest(vnId, pieces), now, effects);
  }

  /** Deletes what is left of it, at once. */
  clear(vnId: VnId, now: Instant, effects: Effects): void {
    const pieces = this.#of.get(vnId) ?? this.#found.get(vnId);
    if (pieces === undefined) return;
    this.#of.delete(vnId);
    this.#found.delete(vnId);
    for (let next = pieces.next(); !next.done; next = pieces.next()) next.value(now, effects);
  }

  *#rest(vnId: VnId, pieces: Iterator<Piece>): Generator<Piece> {
    for (let next = pieces.next(); !next.done; next = pieces.next()) yield next.value;
    if (this.#of.get(vnId) === pieces) this.#of.delete(vnId);
  }
}
