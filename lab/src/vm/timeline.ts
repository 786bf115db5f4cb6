/** What has happened in a migration. `where`: a server, an NVE, the NVA, or the VM. */
export type Moment = { unixMs: number; where: string; what: string };

/** Unix time in milliseconds, with a fraction. */
export const now = (): number => performance.timeOrigin + performance.now();

/** An echo request, and whether it was answered. */
type Ping = { unixMs: number; isAnswered: boolean };

/** Echo requests once a millisecond from another VM, as they pass its interface. */
export type Pings = {
  /** In the order of sending, until the last that was answered. */
  sent: readonly Ping[];
  duplicates: number;
  /** Frames that the capture missed: as many pings may have been answered that are not known to be. */
  missed: number;
};

/** A TCP connection from another VM that says again what it is told. */
export type StreamSeen = {
  /** That came back. */
  octets: number;
  /** Each came back as it was sent, in its place. */
  intact: boolean;
  /** Why it ended; empty: it has not. */
  broken: string;
  longestSilenceMs: number;
};

/** What a migration was measured by, in Unix milliseconds. */
export type Marks = {
  /** The VM stands still at the source, as QEMU says. */
  stoppedMs: number;
  /** It runs at the destination, as QEMU says. */
  resumedMs: number;
  /** The first echo request at the destination's tap; without pings when the destination's switch has said that frames flow. */
  arrivedMs: number;
};

/** Whose the downtime is, in milliseconds. */
export type Downtime = {
  /**
   * Between the last answered ping before and the first after, by when they were sent: one that waits at the new place for
   * the VM is answered, too. Without pings: what the two parts come to.
   */
  totalMs: number;
  /** The VM ran nowhere. */
  hypervisorMs: number;
  /** It ran, and frames did not come to it. */
  networkMs: number;
};

export type PingsLost = {
  sent: number;
  lost: number;
  duplicates: number;
  /** Requests and answers that passed and were not captured, as the machine was busy: not known of, or counted as lost. */
  missedByCapture: number;
  /** Sent while the VM stood still, or before and not read by it yet. */
  lostInPause: number;
  /** Sent after it ran again and before the network brought frames to it. */
  lostToNetwork: number;
  /** All others: nothing explains them. */
  lostOtherwise: number;
  /** When those were sent, since the VM stood still; the first 20. */
  otherwiseAtMs: readonly number[];
  /** The VM has answered at the new place. If not, what was sent after the last answer is counted nowhere. */
  answersThere: boolean;
};

export function downtimeOf(marks: Marks, pings?: Pings): Downtime {
  const hypervisorMs = marks.resumedMs - marks.stoppedMs;
  const networkMs = Math.max(0, marks.arrivedMs - marks.resumedMs);
  return {
    totalMs: pings === undefined ? hypervisorMs + networkMs : gapAround(marks, pings),
    hypervisorMs,
    networkMs,
  };
}

/** Between the last answered ping that was sent before the VM stopped and the first that was sent after. */
function gapAround({ stoppedMs }: Marks, { sent }: Pings): number {
  const answered = sent.filter(({ isAnswered }) => isAnswered);
  const before = answered.findLast(({ unixMs }) => unixMs <= stoppedMs);
  const after = answered.find(({ unixMs }) => unixMs > stoppedMs);
  return before === undefined || after === undefined ? 0 : after.unixMs - before.unixMs;
}

export function lossOf(marks: Marks, { sent, duplicates, missed }: Pings): PingsLost {
  const { stoppedMs, resumedMs, arrivedMs } = marks;
  const there = Math.max(resumedMs, arrivedMs);
  const answered = sent.filter(({ isAnswered }) => isAnswered);
  // What the VM had not read when it stopped is lost with its old tap: all that was sent after the last that it answered.
  const lastHere = answered.findLast(({ unixMs }) => unixMs <= stoppedMs)?.unixMs ?? 0;
  const counts = { lostInPause: 0, lostToNetwork: 0, lostOtherwise: 0 };
  const otherwiseAtMs: number[] = [];
  const lost = sent.filter(({ isAnswered }) => !isAnswered);
  for (const { unixMs } of lost) {
    if (unixMs > lastHere && unixMs <= resumedMs) counts.lostInPause += 1;
    else if (unixMs > resumedMs && unixMs <= there) counts.lostToNetwork += 1;
    else {
      counts.lostOtherwise += 1;
      if (otherwiseAtMs.length < 20) otherwiseAtMs.push(Math.round(unixMs - stoppedMs));
    }
  }
  const answersThere = answered.some(({ unixMs }) => unixMs > there);
  return {
    sent: sent.length,
    lost: lost.length,
    duplicates,
    missedByCapture: missed,
    ...counts,
    otherwiseAtMs,
    answersThere,
  };
}

/** Of tcpdump with -tt, its lines: `1700000000.123456 IP 10.0.1.22 > 10.0.1.21: ICMP echo request, id 1, seq 5, length 24`. */
export function pingsIn(lines: readonly string[], missed = 0): Pings {
  const requests = new Map<number, number>();
  const replies = new Map<number, number>();
  let last = 0;
  for (const line of lines) {
    const found = /^([\d.]+) .* echo (request|reply), id \d+, seq (\d+)/.exec(line);
    if (found === null) continue;
    const number = unwrapped(Number(found[3]), last);
    last = Math.max(last, number);
    // A reply may stand before its request: nothing relies on the order.
    if (found[2] === "request") requests.set(number, Number(found[1]) * 1000);
    else replies.set(number, (replies.get(number) ?? 0) + 1);
  }
  const answered = [...requests.keys()].filter((number) => replies.has(number));
  const lastAnswered = answered.reduce((most, number) => Math.max(most, number), -1);
  const sent = [...requests]
    .filter(([number]) => number <= lastAnswered)
    .map(([number, unixMs]) => ({ unixMs, isAnswered: replies.has(number) }));
  const duplicates = [...replies.values()].reduce((sum, times) => sum + times - 1, 0);
  return { sent, duplicates, missed };
}

/** The number of 16 bits nearest to another. */
function unwrapped(sequence: number, near: number): number {
  const number = near - (near % 0x10000) + sequence;
  if (number < near - 0x8000) return number + 0x10000;
  return number > near + 0x8000 && number >= 0x10000 ? number - 0x10000 : number;
}
