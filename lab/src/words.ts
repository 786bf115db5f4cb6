const part = /\s+|'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\]+|./gsu;

/**
 * Splits a command line into words as `docker exec` and containerlab do: blanks separate, '…' and "…" keep them,
 * a backslash keeps the next character. No shell: no variables, no pipes (`sh -c '…'` has them).
 *
 * @returns the words, or a sentence that says what is wrong with the line
 */
export function words(line: string): readonly string[] | string {
  const found: string[] = [];
  let word: string | undefined;
  for (const [piece] of line.matchAll(part)) {
    if (/^\s/.test(piece)) {
      if (word !== undefined) found.push(word);
      word = undefined;
    } else if (/^['"\\]$/.test(piece)) {
      return `has a ${piece} that nothing follows or closes: ${line}`;
    } else {
      word = (word ?? "") + unquoted(piece);
    }
  }
  if (word !== undefined) found.push(word);
  return found.length > 0 ? found : "is empty";
}

function unquoted(piece: string): string {
  if (piece.startsWith("'")) return piece.slice(1, -1);
  if (piece.startsWith('"')) return piece.slice(1, -1).replace(/\\(["\\])/g, "$1");
  return piece.startsWith("\\") ? piece.slice(1) : piece;
}
