import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline/promises";
import { Refused } from "@nve/program/errors";

/** More than a file of 10,000 things has. */
const MAX_OCTETS = 32 * 1024 * 1024;

/** The whole of a file, or of the standard input: `-`. @throws Refused */
export async function readWhole(path: string): Promise<string> {
  const name = path === "-" ? "the standard input" : path;
  const chunks: Buffer[] = [];
  let octets = 0;
  try {
    for await (const chunk of path === "-" ? process.stdin : createReadStream(path)) {
      chunks.push(Buffer.from(chunk));
      octets += chunk.length;
      if (octets > MAX_OCTETS) throw new Refused(`${name} has more than ${MAX_OCTETS} octets`);
    }
  } catch (error) {
    if (error instanceof Refused) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new Refused(`cannot read ${name}: ${why}`, { cause: error });
  }
  const whole = Buffer.concat(chunks);
  if (!isUtf8(whole)) throw new Refused(`${name} is not text in UTF-8`);
  return whole.toString("utf8");
}

/** Whether whoever sits at the terminal says yes; undefined when nobody sits there. */
export async function confirm(question: string): Promise<boolean | undefined> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    // Its end (Ctrl-D, Ctrl-C) is no answer: nothing is done.
    const ended = new Promise<string>((resolve) => lines.once("close", () => resolve("\n")));
    const answer = await Promise.race([lines.question(`${question} [y/N] `), ended]);
    if (answer === "\n") process.stderr.write(answer);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}
