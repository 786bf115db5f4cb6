/** Cuts a stream of octets into lines of text (UTF-8), without their ends. */
export class LineCutter {
  readonly #longest: number;
  #pieces: Buffer[] = [];
  #octets = 0;

  /** @param longest octets of a line, without its end */
  constructor(longest: number) {
    this.#longest = longest;
  }

  /** @returns the lines that this piece ends; undefined when a line is too long: what follows is not readable */
  cut(piece: Buffer): string[] | undefined {
    const lines: string[] = [];
    let from = 0;
    for (let end = piece.indexOf(LF); end >= 0; end = piece.indexOf(LF, from)) {
      if (!this.#keep(piece.subarray(from, end))) return undefined;
      lines.push(Buffer.concat(this.#pieces).toString("utf8"));
      this.#pieces = [];
      this.#octets = 0;
      from = end + 1;
    }
    return this.#keep(piece.subarray(from)) ? lines : undefined;
  }

  #keep(piece: Buffer): boolean {
    this.#octets += piece.length;
    if (this.#octets > this.#longest) return false;
    if (piece.length > 0) this.#pieces.push(piece);
    return true;
  }
}

const LF = 0x0a;
