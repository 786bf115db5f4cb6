// Pure: what a stream of numbered datagrams says of one move.

/**
 * @param sent how many, from 0 on
 * @param arrivals by time: number, place, when it came and was sent, milliseconds
 * @param places where the VNIC was, and is to be
 * @param intervalMs between two, as it was meant
 * @param handOverMs from then on the VM is at the new place; the same clock. Absent: nothing moves
 */
export function figuresOf({
  sent,
  arrivals,
  places: { from, to },
  handOverMs = Infinity,
  intervalMs = 1,
}) {
  const sentAt = new Map(arrivals.map(({ n, sentMs }) => [n, sentMs]));
  const seen = new Set();
  let [twice, reordered, highest] = [0, 0, -1];
  for (const { n } of arrivals) {
    if (seen.has(n)) twice += 1;
    else if (n < highest) reordered += 1;
    seen.add(n);
    highest = Math.max(highest, n);
  }
  const isHeard = ({ place, atMs }) => place === (atMs < handOverMs ? from : to);
  const heard = arrivals.filter(isHeard);
  return {
    sent,
    lost: sent - seen.size,
    twice,
    reordered,
    astray: seen.size - new Set(heard.map(({ n }) => n)).size,
    networkMs: longestGapMs(arrivals, sentAt, intervalMs),
    outageMs: longestGapMs(heard, sentAt, intervalMs),
  };
}

/**
 * The longest time between two arrivals, less the time between the second one's sending and that of the one sent before it:
 * a sender that was late is no outage. 0 at least.
 */
function longestGapMs(arrivals, sentAt, intervalMs) {
  let longest = 0;
  for (let i = 1; i < arrivals.length; i++) {
    const [before, after] = [arrivals[i - 1], arrivals[i]];
    const interval = after.sentMs - (sentAt.get(after.n - 1) ?? after.sentMs - intervalMs);
    longest = Math.max(longest, after.atMs - before.atMs - interval);
  }
  return longest;
}

export function quantiles(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q) => round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]);
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

export const round = (n, digits = 2) => (n === undefined ? undefined : Number(n.toFixed(digits)));

/** Of many moves of one kind. */
export function summary(moves) {
  const sum = (of) => moves.reduce((all, move) => all + of(move), 0);
  const times = (of) => {
    const all = moves.map(of).filter((ms) => ms !== undefined);
    return all.length === 0 ? undefined : quantiles(all);
  };
  return {
    moves: moves.length,
    sent: sum(({ sent }) => sent),
    lost: sum(({ lost }) => lost),
    movesWithLoss: moves.filter(({ lost }) => lost > 0).length,
    twice: sum(({ twice }) => twice),
    reordered: sum(({ reordered }) => reordered),
    networkMs: times(({ networkMs }) => networkMs),
    astray: sum(({ astray }) => astray),
    outageMs: times(({ outageMs }) => outageMs),
    prepareMs: times(({ prepareMs }) => prepareMs),
    suspendMs: times(({ suspendMs }) => suspendMs),
    activateMs: times(({ activateMs }) => activateMs),
    unfinished: moves.filter(({ arrived }) => arrived === false).length,
  };
}
