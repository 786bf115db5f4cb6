import { fieldLines, valueText } from "../domain/diff.ts";
import type { PlainMap } from "../domain/plain.ts";

/** Prints fields one to a line, named as in a domain file. */
export function showFields(record: PlainMap, print: (line: string) => void): void {
  const lines = fieldLines(record).map(([field, value]) => [safe(field), safe(valueText(value))]);
  const width = Math.max(...lines.map(([field = ""]) => field.length)) + 1;
  for (const [field, value] of lines) print(`${`${field}:`.padEnd(width + 1)}${value}`);
}

/** What came over the wire may hold control characters: a terminal must not obey them. */
export const safe = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]/gu, "?");
