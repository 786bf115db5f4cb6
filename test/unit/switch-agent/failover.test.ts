import { Failover } from "@nve/switch-agent/nva-client/failover";
import fc from "fast-check";
import { expect, test } from "vitest";

const three = ["a:1", "b:1", "c:1"];

test("A15: begins at a random address and tries one after another", () => {
  const nva = new Failover(three, () => 0.5);
  const tried = [nva.address];
  for (let i = 0; i < 3; i++) {
    nva.failed();
    tried.push(nva.address);
  }
  expect(tried).toEqual(["b:1", "c:1", "a:1", "b:1"]);
});

test("A15: the pause doubles with each round of all addresses, and ends at 5 s", () => {
  const nva = new Failover(["a:1", "b:1"], () => 0.999999);
  const pauses = Array.from({ length: 16 }, () => Math.round(nva.failed()));
  expect(pauses.slice(0, 6)).toEqual([100, 100, 200, 200, 400, 400]);
  expect(pauses.at(-1)).toBe(5000);
});

test("A15: an address that does not answer is waited for briefly, and longer in each round", () => {
  const nva = new Failover(["a:1", "b:1"], () => 0);
  const patience = Array.from({ length: 12 }, () => {
    const { patienceMs } = nva;
    nva.failed();
    return patienceMs;
  });
  expect(patience.slice(0, 6)).toEqual([400, 400, 800, 800, 1600, 1600]);
  expect(patience.at(-1)).toBe(5000);
});

test("A15: after a session it begins with short pauses again", () => {
  const nva = new Failover(["a:1"], () => 0);
  for (let i = 0; i < 5; i++) nva.failed();
  nva.succeeded();
  expect(nva.failed()).toBe(50);
});

test("A15: at least half of the pause is kept, whatever chance says, for ever", () => {
  const chance = fc.double({ min: 0, max: 0.999999, noNaN: true });
  fc.assert(
    fc.property(chance, fc.nat({ max: 5000 }), (random, failures) => {
      const nva = new Failover(three, () => random);
      let pause = 0;
      for (let i = 0; i <= failures; i++) pause = nva.failed();
      return pause >= 50 && pause <= 5000 && three.includes(nva.address);
    }),
    { numRuns: 50 },
  );
});
