/** Whether two values of plain data are alike; what is undefined is not there. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((one, i) => same(one, b[i]));
  }
  const [left, right] = [filled(a), filled(b)];
  return left.size === right.size && [...left].every(([key, one]) => same(one, right.get(key)));
}

const filled = (data: object): Map<string, unknown> =>
  new Map(Object.entries(data).filter(([, one]) => one !== undefined));
