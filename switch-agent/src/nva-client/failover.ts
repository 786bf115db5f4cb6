/**
 * Which address of the NVA to try next, and when (A15): one after another from a random start; after each
 * round of all of them the pause doubles. Pure: randomness is an argument, time is the caller's.
 */
export class Failover {
  readonly #addresses: readonly string[];
  readonly #random: () => number;
  #at: number;
  #failures = 0;

  /** @param random as Math.random: 0 up to, not including, 1 */
  constructor(addresses: readonly string[], random: () => number) {
    if (addresses.length === 0) throw new Error("an NVA has at least one address");
    this.#addresses = addresses;
    this.#random = random;
    this.#at = Math.floor(random() * addresses.length);
  }

  get address(): string {
    return this.#addresses[this.#at] ?? "";
  }

  /**
   * How long a connection may take to come about, milliseconds: an address whose host is cut off does not answer at all, and
   * another may. Longer with each round, should all of them be far away or busy.
   */
  get patienceMs(): number {
    return Math.min(FIRST_PATIENCE_MS * 2 ** Math.min(this.#rounds, 16), LAST_PAUSE_MS);
  }

  get #rounds(): number {
    return Math.floor(this.#failures / this.#addresses.length);
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** On to the next address. @returns how long to wait before, milliseconds: half of it by chance */
  failed(): number {
    this.#at = (this.#at + 1) % this.#addresses.length;
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(this.#rounds, 16), LAST_PAUSE_MS);
    this.#failures += 1;
    return pause * (0.5 + this.#random() / 2);
  }
}

const FIRST_PATIENCE_MS = 400;
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 5000;
