import { OutOfRange } from "@nve/protocol-spec";

/** Gathers what is wrong with a message, so that all of it is told at once. */
export class Faults {
  readonly all: string[] = [];

  /** What `read` gives; where it throws OutOfRange, that is a fault of `field`. */
  take<T>(field: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof OutOfRange)) throw error;
      this.add(field, error.message);
      return undefined;
    }
  }

  /** @param instead of what is faulty, so that the others keep their places; without it they close up */
  each<A, B>(
    field: string,
    all: readonly A[],
    read: (one: A, faults: Faults) => B,
    instead?: B,
  ): B[] {
    return all.flatMap((one, i) => {
      const inner = new Faults();
      const taken = inner.take("", () => read(one, inner));
      for (const what of inner.all) this.add(`${field}[${i}]`, what);
      const found = taken ?? instead;
      return found === undefined ? [] : [found];
    });
  }

  add(field: string, what: string): void {
    // Conversions name their field themselves, some of them.
    this.all.push(field === "" || what.startsWith(`${field}:`) ? what : `${field}: ${what}`);
  }
}
