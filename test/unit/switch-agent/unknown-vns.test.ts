import { VnId } from "@nve/protocol-spec";
import { UnknownVns } from "@nve/switch-agent/local/unknown-vns";
import type { Verdict } from "@nve/switch-agent/nve";
import { expect, test } from "vitest";
import { fakeClock } from "../../support/fake-clock.ts";

const no: Verdict = { is: "denied", code: 3, hard: false, reason: "no such VN", unknownVn: true };
const other: Verdict = { is: "denied", code: 3, hard: false, reason: "the MAC is in use" };
const vn = VnId(7);

test("what is not known is recalled for a second, at the port that asked", () => {
  const clock = fakeClock();
  const unknown = new UnknownVns(clock);
  unknown.heard("swp1", vn, no);
  clock.advance(999);
  expect(unknown.recall("swp1", vn)).toBe(no);
  expect(unknown.recall("swp2", vn)).toBeUndefined();
  clock.advance(1);
  expect(unknown.recall("swp1", vn)).toBeUndefined();
});

test("any other answer takes its place and is not recalled", () => {
  const unknown = new UnknownVns(fakeClock());
  unknown.heard("swp1", vn, no);
  unknown.heard("swp1", vn, other);
  expect(unknown.recall("swp1", vn)).toBeUndefined();
});

test("V10: of very many the last are recalled", () => {
  const unknown = new UnknownVns(fakeClock());
  for (let n = 1; n <= 5000; n++) unknown.heard("swp1", VnId(n), no);
  const recalled = Array.from({ length: 5000 }, (_, n) => unknown.recall("swp1", VnId(n + 1)));
  expect(recalled.filter((one) => one !== undefined)).toHaveLength(1024);
  expect(unknown.recall("swp1", VnId(5000))).toBe(no);
});
