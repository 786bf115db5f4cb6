// Sides by turns, so that what else the machine does meets all of them; figures are medians over the rounds, and a ratio is
// taken inside each round before.

/**
 * `measure` of each key in each round, every other round backwards. After `budgetMs` no further round is begun.
 * @returns Map from key to what was measured, one for each round
 */
export async function byTurns(keys, rounds, budgetMs, measure) {
  const all = new Map(keys.map((key) => [key, []]));
  const start = performance.now();
  for (let round = 0; round < rounds; round++) {
    if (round > 0 && performance.now() - start > budgetMs) break;
    for (const key of round % 2 === 0 ? keys : [...keys].reverse())
      all.get(key).push(await measure(key));
  }
  return all;
}

export function median(values) {
  const sorted = values.filter((n) => Number.isFinite(n)).sort((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export const medianOf = (rounds, figure) => median(rounds.map(figure));
/** The median of a figure's ratio to another's in the same round. */
export const ratioOf = (rounds, others, figure) =>
  median(
    rounds.map((one, at) =>
      others?.[at] === undefined ? Number.NaN : figure(one) / figure(others[at]),
    ),
  );

/** A tenth of the rounds had less of it: what it is while nothing else runs. */
export function leastOf(rounds, figure) {
  const sorted = rounds.map(figure).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 10)];
}
