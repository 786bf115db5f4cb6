import type { VdpTlv } from "@nve/protocol-spec";
import { Answers } from "@nve/switch-agent/port/answers";
import { expect, test } from "vitest";
import { fakeClock } from "../../support/fake-clock.ts";

const tlv = (type: number): VdpTlv => ({ is: "unknown", type, octets: new Uint8Array() });

function bench() {
  const clock = fakeClock();
  const sent: number[][] = [];
  const answers = new Answers(clock, 50, (all) =>
    sent.push(all.flat().map((one) => (one.is === "unknown" ? one.type : 0))),
  );
  return { clock, sent, answers, places: [answers.place(), answers.place(), answers.place()] };
}

test("answers leave together, in the order of their requests, with the last", () => {
  const { sent, answers, places, clock } = bench();
  answers.close();
  places[2]?.(tlv(12));
  places[0]?.(tlv(10));
  expect(sent).toEqual([]);
  places[1]?.(tlv(11));
  expect(sent).toEqual([[10, 11, 12]]);
  clock.advance(1000);
  expect(sent).toHaveLength(1);
});

test("nothing leaves while the ECPDU is still being read", () => {
  const { sent, answers, places } = bench();
  for (const place of places) place(tlv(10));
  expect(sent).toEqual([]);
  answers.close();
  expect(sent).toHaveLength(1);
});

test("what is there leaves when patience ends, and what is late leaves with what is late in the same turn", async () => {
  const { sent, answers, places, clock } = bench();
  answers.close();
  places[1]?.(tlv(11));
  clock.advance(49);
  expect(sent).toEqual([]);
  clock.advance(1);
  expect(sent).toEqual([[11]]);
  places[2]?.(tlv(12));
  places[0]?.(tlv(10));
  await Promise.resolve();
  expect(sent).toEqual([[11], [10, 12]]);
});

test("a request without an answer holds nobody, and an answer counts once", () => {
  const { sent, answers, places } = bench();
  answers.close();
  places[0]?.();
  places[0]?.(tlv(10));
  places[1]?.(tlv(11));
  expect(sent).toEqual([]);
  places[2]?.();
  expect(sent).toEqual([[11]]);
});
