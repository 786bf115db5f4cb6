import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { agents } from "../fuzz/agents.ts";
import { decoders } from "../fuzz/decoders.ts";
import { findsOf } from "../fuzz/finds.ts";
import { faultOf, fuzz, type Outcome } from "../fuzz/fuzz.ts";
import { hex } from "../support/octets.ts";

const report = ({ finds }: Outcome): string[] =>
  finds.map(({ octets, error }) => `${hex(octets)}: ${error.stack}`);

// A short run of each fuzz target, the same each time; `npm run fuzz` goes on for longer, guided by coverage.

describe("whatever comes from the wire", () => {
  for (const target of decoders) {
    test(`${target.name}: is a value that survives the round trip, or a DecodeError`, async () => {
      expect(report(await fuzz(target, { seed: 1, executions: 2000 }))).toEqual([]);
    }, 60_000);
  }
});

const folder = join(import.meta.dirname, "../fuzz/finds");

test("what fuzzing has found is mended", async () => {
  for (const target of [...decoders, ...agents])
    for (const octets of findsOf(folder, target.name))
      expect(
        (await faultOf(target, octets))?.stack,
        `${target.name} ${hex(octets)}`,
      ).toBeUndefined();
}, 60_000);

describe("whatever comes at one port", () => {
  for (const target of agents) {
    test(`${target.name}: goes on, within its limits`, async () => {
      expect(report(await fuzz(target, { seed: 1, executions: 100 }))).toEqual([]);
    }, 60_000);
  }
});
