import { downtimeOf, lossOf, pingsIn } from "@nve/lab/vm/timeline";
import { expect, test } from "vitest";

const line = (what: "request" | "reply", number: number, ms: number): string =>
  `${(ms / 1000).toFixed(6)} eth0 Out IP 10.0.1.22 > 10.0.1.21: ICMP echo ${what}, id 7, seq ${number & 0xffff}, length 24`;

/** One each millisecond from 1,000,000 ms, without answers to those in the ranges. */
const pings = (last: number, ...lost: [number, number][]) =>
  pingsIn(
    Array.from({ length: last }, (_, i) => i + 1).flatMap((n) => [
      line("request", n, 1_000_000 + n),
      ...(lost.some(([from, to]) => n >= from && n <= to)
        ? []
        : [line("reply", n, 1_000_000.5 + n)]),
    ]),
  );

const marks = { stoppedMs: 1_000_100, resumedMs: 1_000_130, arrivedMs: 1_000_134 };

test("a ping is told by when it was sent, and whether it was answered", () => {
  const lines = [line("request", 1, 1_000), line("request", 2, 1_001), line("reply", 2, 1_009)];
  const { sent } = pingsIn(["reading from file …", ...lines]);
  expect(sent.map(({ unixMs, isAnswered }) => [Math.round(unixMs), isAnswered])).toEqual([
    [1_000, false],
    [1_001, true],
  ]);
});

test("numbers of 16 bits go on after their end, and some answers come twice", () => {
  const numbers = [65534, 65535, 65536, 65537];
  const both = numbers.flatMap((n) => [line("request", n, n), line("reply", n - 1, n)]);
  const seen = pingsIn([...both, line("reply", 65537, 65538), line("reply", 65535, 65538)]);
  expect(seen.sent.map(({ unixMs }) => Math.round(unixMs))).toEqual(numbers);
  expect(seen.sent.every(({ isAnswered }) => isAnswered)).toBe(true);
  expect(seen.duplicates).toBe(1);
});

test("an answer may stand before its request, captured on another CPU", () => {
  const lines = [line("reply", 1, 1_000), line("request", 1, 1_000)];
  expect(pingsIn(lines)).toMatchObject({ sent: [{ isAnswered: true }], duplicates: 0 });
});

test("what the capture missed is told: as much may not be lost at all", () => {
  const seen = pingsIn([line("request", 1, 1), line("request", 2, 2), line("reply", 2, 2)], 1);
  expect(lossOf(marks, seen)).toMatchObject({ lost: 1, missedByCapture: 1 });
});

test("who is not heard any more is not counted beyond the last answer", () => {
  expect(lossOf(marks, pings(50))).toMatchObject({ sent: 50, lost: 0, answersThere: false });
  expect(lossOf(marks, pingsIn([]))).toMatchObject({ sent: 0, lost: 0 });
});

test("the network has what passes from the VM's first moment to the first frame, the hypervisor what passes before", () => {
  const down = downtimeOf(marks, pings(300, [100, 135]));
  expect(down.hypervisorMs).toBe(30);
  expect(down.networkMs).toBe(4);
  expect(Math.round(down.totalMs)).toBe(37); // 99 to 136
  expect(lossOf(marks, pings(300, [100, 135]))).toMatchObject({
    lost: 36,
    lostInPause: 31,
    lostToNetwork: 4,
    lostOtherwise: 1,
    answersThere: true,
  });
});

test("a network that was there before the VM has no share", () => {
  expect(downtimeOf({ ...marks, arrivedMs: 1_000_110 }).networkMs).toBe(0);
  expect(downtimeOf({ ...marks, arrivedMs: 1_000_110 }).totalMs).toBe(30);
});

test("what the VM had not read when it stopped counts to its pause, and what it lost before that does not", () => {
  expect(lossOf(marks, pings(300, [60, 60], [70, 110]))).toMatchObject({
    lostInPause: 41,
    lostOtherwise: 1,
  });
});

test("a loss at another time is not the move's", () => {
  const seen = pings(400, [300, 360]);
  expect(downtimeOf(marks, seen).totalMs).toBeLessThan(2);
  expect(lossOf(marks, seen)).toMatchObject({
    lostInPause: 0,
    lostToNetwork: 0,
    lostOtherwise: 61,
  });
});
