/** Text before, between and after the stars; of a pattern without a star the whole. */
type Pattern = { whole: string } | { head: string; middle: readonly string[]; tail: string };

/** Lists of patterns are rows, which never change: each is read once. */
const known = new WeakMap<readonly string[], readonly Pattern[]>();

/** Whether one of the patterns fits; an empty list fits all. What is not said is as an empty text. */
export function isAmong(patterns: readonly string[], text = ""): boolean {
  if (patterns.length === 0) return true;
  let read = known.get(patterns);
  if (read === undefined) {
    read = patterns.map(patternOf);
    known.set(patterns, read);
  }
  return read.some((pattern) => suits(pattern, text));
}

/** Literal but for "*", which is any characters or none. Takes no longer than both lengths multiplied. */
export const fits = (pattern: string, text: string): boolean => suits(patternOf(pattern), text);

function patternOf(pattern: string): Pattern {
  const [head = "", ...rest] = pattern.split("*");
  const tail = rest.pop();
  return tail === undefined ? { whole: head } : { head, middle: rest, tail };
}

function suits(pattern: Pattern, text: string): boolean {
  if ("whole" in pattern) return text === pattern.whole;
  const { head, middle, tail } = pattern;
  if (text.length < head.length + tail.length) return false;
  if (!text.startsWith(head) || !text.endsWith(tail)) return false;
  let at = head.length;
  for (const piece of middle) {
    const found = text.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= text.length - tail.length;
}
