import { closeSync, openSync, readSync } from "node:fs";
import { Refused } from "@nve/program/errors";
import { OutOfRange } from "@nve/protocol-spec/errors";

/** More than any VNIC can have. */
const MAX_OCTETS = 4 * 1024 * 1024;
/** Of the faults of a file; there may be as many as lines. */
const MAX_FAULTS = 5;

/**
 * What the lines of a file say, one thing or several each; what follows a `#` and empty lines say nothing.
 * @param path `-` for the standard input
 * @throws Refused that names the file, the lines and what is wrong with them
 */
export function linesOf<T>(path: string, make: (text: string) => readonly T[]): T[] {
  const faults: string[] = [];
  const name = path === "-" ? "standard input" : path;
  const all = textOf(path, name)
    .split(/\r?\n/)
    .flatMap((line, i) => {
      const text = line.replace(/#.*/, "").trim();
      try {
        return text === "" ? [] : make(text);
      } catch (error) {
        if (!(error instanceof OutOfRange)) throw error;
        faults.push(`${name}:${i + 1}: ${error.message}`);
        return [];
      }
    });
  if (faults.length === 0) return all;
  const more = faults.length > MAX_FAULTS ? [`and ${faults.length - MAX_FAULTS} more`] : [];
  throw new Refused([...faults.slice(0, MAX_FAULTS), ...more].join("\n"));
}

function textOf(path: string, name: string): string {
  try {
    return read(path, name);
  } catch (error) {
    if (error instanceof Refused) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new Refused(`cannot read ${name}: ${why}`, { cause: error });
  }
}

function read(path: string, name: string): string {
  const file = path === "-" ? 0 : openSync(path, "r");
  try {
    const octets = Buffer.alloc(MAX_OCTETS + 1);
    let length = 0;
    for (let got = -1; got !== 0 && length < octets.length; length += got) {
      got = readSync(file, octets, length, octets.length - length, null);
    }
    if (length > MAX_OCTETS) throw new Refused(`${name} has more than ${MAX_OCTETS} octets`);
    return octets.toString("utf8", 0, length);
  } finally {
    if (file !== 0) closeSync(file);
  }
}
