/** What is so, by subject, as lines of text: two of them are compared line by line. */
export class Facts {
  readonly #all = new Map<string, string[]>();

  add(subject: string, ...lines: readonly string[]): void {
    this.#all.set(subject, [...(this.#all.get(subject) ?? []), ...lines]);
  }

  /** @returns each line that only one of them has */
  static differences(is: Facts, shall: Facts): string[] {
    const subjects = [...new Set([...is.#all.keys(), ...shall.#all.keys()])].sort();
    return subjects.flatMap((subject) => [
      ...beyond(is.#all.get(subject), shall.#all.get(subject)).map(
        (line) => `${subject}: should not be: ${line}`,
      ),
      ...beyond(shall.#all.get(subject), is.#all.get(subject)).map(
        (line) => `${subject}: is missing: ${line}`,
      ),
    ]);
  }
}

/** What `a` has more of than `b`. */
function beyond(a: readonly string[] = [], b: readonly string[] = []): string[] {
  const left = new Map<string, number>();
  for (const line of b) left.set(line, (left.get(line) ?? 0) + 1);
  return a.filter((line) => {
    const n = left.get(line) ?? 0;
    left.set(line, n - 1);
    return n <= 0;
  });
}
