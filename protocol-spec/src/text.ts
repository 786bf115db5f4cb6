import { utf8Octets } from "./bytes.ts";

/** At most `max` octets of UTF-8: what is longer ends before the first character that does not fit. */
export function cutUtf8(text: string, max: number): Uint8Array {
  const octets = utf8Octets(text.replace(/\p{Cs}/gu, "\ufffd"));
  if (octets.length <= max) return octets;
  let end = max;
  while (end > 0 && ((octets[end] ?? 0) & 0xc0) === 0x80) end -= 1; // inside a character
  return octets.subarray(0, end);
}

/**
 * A peer's text on one line and without what a terminal or a log would obey: controls and line ends become
 * spaces, format characters (such as those that turn the direction of writing) go.
 */
export const printable = (text: string): string =>
  text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ")
    .replace(/\p{Cf}/gu, "")
    .trim();
