/** What host and guest say to each other, a line of JSON each; octets as base64. */
export type Call = { id: number; call: string; args: readonly unknown[] };
export type Answer = { id: number; value?: unknown; error?: Failure };
/** An error as it was thrown there, with what it has beside its message. */
export type Failure = { name: string; message: string; rest: Record<string, unknown> };

export const toLine = (value: Call | Answer): string =>
  `${JSON.stringify(value, (_, each: unknown) =>
    each instanceof Uint8Array ? { octets: Buffer.from(each).toString("base64") } : each,
  )}\n`;

export function fromLine(line: string): unknown {
  return JSON.parse(line, (_, each: unknown) => {
    if (typeof each !== "object" || each === null || !("octets" in each)) return each;
    return typeof each.octets === "string"
      ? new Uint8Array(Buffer.from(each.octets, "base64"))
      : each;
  });
}

/** Whole lines of what comes in pieces. */
export function lineReader(hear: (line: string) => void): (piece: Buffer) => void {
  const pieces: Buffer[] = [];
  return (piece) => {
    let rest = piece;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = Buffer.concat([...pieces.splice(0), rest.subarray(0, end)]).toString();
      rest = rest.subarray(end + 1);
      hear(line);
    }
    if (rest.length > 0) pieces.push(Buffer.from(rest));
  };
}

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), rest: {} };
  const {
    name,
    message,
    cause: _cause,
    stack: _stack,
    ...rest
  } = { ...error, name: error.name, message: error.message };
  return { name, message, rest };
}

export const errorOf = ({ name, message, rest }: Failure): Error =>
  Object.assign(new Error(message), rest, { name });
