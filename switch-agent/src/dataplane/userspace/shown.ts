import type { Sample } from "../../nve/glean.ts";

type Hear = (samples: readonly Sample[]) => void;

const PAUSE_MS = 20;
/** What nobody has taken yet. */
const MOST = 1024;

/** Samples on their way to the agent, a batch at a time. */
export class Shown {
  readonly #waiting: Sample[] = [];
  #hear: Hear | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @returns how many there was no room for */
  add(samples: readonly Sample[]): number {
    const taken = samples.slice(0, MOST - this.#waiting.length);
    this.#waiting.push(...taken);
    this.#soon();
    return samples.length - taken.length;
  }

  listen(hear: Hear): void {
    this.#hear = hear;
    this.#soon();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#hear = undefined;
  }

  #soon(): void {
    if (this.#timer !== undefined || this.#hear === undefined || this.#waiting.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#hear?.(this.#waiting.splice(0));
    }, PAUSE_MS);
    this.#timer.unref();
  }
}
