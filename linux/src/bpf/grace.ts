/** A program runs for microseconds: after that long none sees what a map had before. */
const GRACE_MS = 50;

/** What is done when no program can see any more what has been replaced. */
export class Grace {
  readonly #timers = new Set<NodeJS.Timeout>();

  after(task: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      task();
    }, GRACE_MS);
    timer.unref();
    this.#timers.add(timer);
  }

  /** What has not been done yet is not. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}
