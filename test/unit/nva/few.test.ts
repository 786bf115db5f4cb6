import { Few } from "@nve/nva/authority/few";
import fc from "fast-check";
import { expect, test } from "vitest";

test("few values of a key: as a map of sets, whatever is added and deleted", () => {
  const step = fc.record({
    add: fc.boolean(),
    key: fc.integer({ min: 0, max: 2 }),
    value: fc.constantFrom("a", "b", "c"),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const [few, sets] = [new Few<number, string>(), new Map<number, Set<string>>()];
      for (const { add, key, value } of steps) {
        const set = sets.get(key) ?? new Set();
        sets.set(key, set);
        if (add) {
          few.add(key, value);
          set.add(value);
        } else {
          few.delete(key, value);
          set.delete(value);
        }
        expect([...few.of(key)]).toEqual([...set]);
        for (const one of ["a", "b", "c"]) expect(few.has(key, one)).toBe(set.has(one));
      }
    }),
  );
});
