import type { Book } from "./book.ts";
import type { Doubts } from "./doubts.ts";
import type { Freezes } from "./freezes.ts";
import type { Pace } from "./pace.ts";
import type { Random } from "./random.ts";
import type { Trace } from "./trace.ts";

/** What NVEs, watchers and clients of a history share. */
export type World = {
  trace: Trace;
  book: Book;
  freezes: Freezes;
  doubts: Doubts;
  random: Random;
  /** Where an NVA may answer now; empty: not to be connected. */
  addresses: () => readonly string[];
  holdMs: number;
  pace: Pace;
  /** Sessions and watches that ended. */
  drops: number;
  /** Claims whose hold time may be over may be gone: called before anything that was told is looked at. */
  expire: () => void;
  /** Runs what may find a Violation, and keeps that for who runs the history. */
  watchful: (work: () => void) => void;
};
