const beatMs = 100;
const rememberedMs = 20_000;

/** How late this process may be to see what has happened: on a busy machine it may stand still for seconds. */
export class Pace {
  readonly #timer: NodeJS.Timeout;
  #last = performance.now();
  #gaps: { at: number; ms: number }[] = [];

  constructor() {
    this.#timer = setInterval(() => this.#beat(), beatMs);
  }

  /** The longest time that it stood still of late, milliseconds. */
  get lagMs(): number {
    const now = performance.now();
    const all = this.#gaps.filter(({ at }) => at > now - rememberedMs).map(({ ms }) => ms);
    return Math.max(0, now - this.#last - beatMs, ...all);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #beat(): void {
    const now = performance.now();
    const ms = now - this.#last - beatMs;
    this.#last = now;
    this.#gaps = this.#gaps.filter(({ at }) => at > now - rememberedMs);
    if (ms > beatMs) this.#gaps.push({ at: now, ms });
  }
}
