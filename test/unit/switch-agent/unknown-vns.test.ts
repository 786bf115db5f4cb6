import { VnId } from "@nve/protocol-spec";
import { UnknownVns } from "@nve/switch-agent/local/unknown-vns";
import type { Verdict } from "@nve/switch-agent/nve";
import { expect, test } from "vitest";
import { fakeClock } from "../../support/fake-clock.ts";

const no: Verdict = { is: "denied", code: 3, hard: false, reason: "no such VN", unknownVn: true };
const other: Verdict = { is: "denied", code: 3, hard: false, reason: "the MAC is in use" };
const vn = VnId(7);

test("who asks now and then is not answered from memory: the VN may just have been made", () => {
  const unknown = new UnknownVns(fakeClock());
  for (let n = 0; n < 15; n++) unknown.heard("swp1", vn, no);
  expect(unknown.recall("swp1", vn)).toBeUndefined();
});

test("a flood is answered from memory, but for a few each second, at the port that it comes from", () => {
  const clock = fakeClock();
  const unknown = new UnknownVns(clock);
  let asked = 0;
  for (let n = 0; n < 2000; n++, clock.advance(1)) {
    if (unknown.recall("swp1", vn) !== undefined) continue;
    unknown.heard("swp1", vn, no);
    asked += 1;
  }
  expect(asked).toBeLessThanOrEqual(48); // 16 at once, and 16 a second
  unknown.heard("swp1", vn, no);
  expect(unknown.recall("swp1", vn)).toBe(no);
  expect(unknown.recall("swp2", vn)).toBeUndefined();
  clock.advance(1000);
  expect(unknown.recall("swp1", vn)).toBeUndefined();
});

test("what is not known is recalled for a second", () => {
  const clock = fakeClock();
  const unknown = new UnknownVns(clock);
  unknown.heard("swp1", vn, no);
  clock.advance(999);
  for (let n = 1; n <= 100; n++) unknown.heard("swp1", VnId(100 + n), no);
  expect(unknown.recall("swp1", vn)).toBe(no);
  clock.advance(1);
  expect(unknown.recall("swp1", vn)).toBeUndefined();
});

test("any other answer takes its place and is not recalled", () => {
  const unknown = new UnknownVns(fakeClock());
  for (let n = 0; n < 20; n++) unknown.heard("swp1", vn, no);
  expect(unknown.recall("swp1", vn)).toBe(no);
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
