/** What a line of the trace is about: of VN alone, of one MAC in it, or of all (neither). */
export type About = { vn?: number; mac?: string };
type Line = About & { order: number; ms: number; text: string };

/** The promise of the NVA that was broken, with what happened to the address before. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** Everything that happened, in the order in which this process saw it; `tick` is that order. */
export class Trace {
  readonly #lines: Line[] = [];
  readonly #begin = performance.now();
  readonly #beganAt = Date.now();
  #order = 0;

  get now(): number {
    return this.#order;
  }

  tick(): number {
    this.#order += 1;
    return this.#order;
  }

  say(text: string, about: About = {}): number {
    const order = this.tick();
    this.#lines.push({ ...about, order, ms: Math.round(performance.now() - this.#begin), text });
    if (this.#lines.length > 40_000) this.#lines.splice(0, 20_000);
    return order;
  }

  /** All of it that is kept. */
  get all(): string {
    const about = ({ vn, mac }: Line) => `${vn ?? "-"}/${mac ?? "-"}`;
    const head = `from ${this.#beganAt} on, Unix time in milliseconds: order, after, VN/MAC, what\n`;
    const lines = this.#lines.map(
      (line) => `${line.order} ${line.ms} ms ${about(line)}  ${line.text}\n`,
    );
    return head + lines.join("");
  }

  /** @returns what is thrown: the fault, and the last lines that have to do with it */
  violation(fault: string, about: About = {}): Violation {
    const told = this.#lines
      .filter((line) => concerns(line, about))
      .slice(-70)
      .map(({ order, ms, text }) => `  ${order} ${ms} ms  ${text}`);
    return new Violation([fault, ...told].join("\n"));
  }
}

function concerns(line: Line, { vn, mac }: About): boolean {
  if (line.vn !== undefined && vn !== undefined && line.vn !== vn) return false;
  return line.mac === undefined || mac === undefined || line.mac === mac;
}
