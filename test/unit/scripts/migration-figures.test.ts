import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const figures = fileURLToPath(new URL("../../bench/migration/figures.mjs", import.meta.url));

type Arrival = { n: number; place: number; atMs: number; sentMs: number };

/** Of a VNIC that moves from place 0 to place 1 at 100 ms, one datagram each millisecond. */
function figuresOf(sent: number, arrivals: readonly Arrival[]): unknown {
  const said = { sent, arrivals, places: { from: 0, to: 1 }, handOverMs: 100 };
  const script = `
    import { figuresOf } from ${JSON.stringify(figures)};
    process.stdout.write(JSON.stringify(figuresOf(${JSON.stringify(said)})));`;
  const words = ["--input-type=module", "-e", script];
  return JSON.parse(execFileSync(process.execPath, words, { encoding: "utf8" }));
}

/** Sent at 90 ms + n. */
const at = (place: number, n: number, lateMs = 0): Arrival => ({
  n,
  place,
  atMs: 90.5 + n + lateMs,
  sentMs: 90 + n,
});
const run = (place: number, first: number, last: number): Arrival[] =>
  Array.from({ length: last - first + 1 }, (_, i) => at(place, first + i));
const clean = { sent: 20, lost: 0, twice: 0, reordered: 0, astray: 0, networkMs: 0, outageMs: 0 };

test("a move that nobody notices costs nothing", () => {
  expect(figuresOf(20, [...run(0, 0, 9), ...run(1, 10, 19)])).toEqual(clean);
});

test("what comes to the old place after the hand-over is astray, and the VM's outage, but not the network's gap", () => {
  const arrivals = [...run(0, 0, 14), ...run(1, 15, 19)];
  expect(figuresOf(20, arrivals)).toEqual({ ...clean, astray: 5, outageMs: 5 });
});

test("what arrives nowhere is lost, and is both", () => {
  const arrivals = [...run(0, 0, 9), ...run(1, 13, 19)];
  expect(figuresOf(20, arrivals)).toEqual({ ...clean, lost: 3, networkMs: 3, outageMs: 3 });
});

test("a sender that was late is no outage", () => {
  const late = run(1, 10, 19).map((one) => ({
    ...one,
    atMs: one.atMs + 7,
    sentMs: one.sentMs + 7,
  }));
  expect(figuresOf(20, [...run(0, 0, 9), ...late])).toEqual(clean);
});

test("a second copy is told, and so is one that was overtaken", () => {
  const arrivals = [...run(0, 0, 8), at(1, 10), at(1, 9, 1.2), at(1, 10, 1.3), ...run(1, 12, 19)];
  expect(figuresOf(20, arrivals)).toMatchObject({ lost: 1, twice: 1, reordered: 1 });
});
