import type { Random } from "./random.ts";

/** What is done to an authority's processes while it works. Heals by itself, or when asked to. */
export type Fault = {
  readonly name: string;
  /** How often, beside the others. */
  readonly weight: number;
  /** Resolves when it is struck; what is struck may heal later. */
  strike(random: Random): Promise<void>;
};

/** Running authorities over one kind of store, to which NVEs and clients come by any of their addresses. */
export type Authorities = {
  readonly store: string;
  readonly faults: readonly Fault[];
  /** Where somebody may answer. */
  addresses(): readonly string[];
  /** Resolves when nothing is broken any more, and somebody answers. */
  heal(): Promise<void>;
  /** What they have logged of late. */
  logs(): string;
  stop(): Promise<void>;
};

export const holdSeconds = 4;
/** The model knows of no departure for elsewhere: what is withdrawn is withdrawn. */
export const migration = { holdSeconds: 0 };
