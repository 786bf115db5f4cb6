import { promptPasses, tidier } from "@nve/program/memory";
import { expect, test } from "vitest";

const MIB = 1 << 20;

/** A process of so many MiB that a collection brings down to `live`. */
function world(live = 80) {
  const state = { mib: live, live, busy: 0, collected: 0 };
  const tidy = tidier({
    rss: () => state.mib * MIB,
    busy: () => state.busy,
    collect: () => {
      state.collected += 1;
      state.mib = state.live;
    },
  });
  return { state, tidy };
}

test("V10: what a storm has cost is given back once it is over, and not while it lasts", () => {
  const { state, tidy } = world();
  Object.assign(state, { mib: 120, busy: 0.9 });
  tidy();
  expect(state).toMatchObject({ mib: 120, collected: 0 });
  state.busy = 0.01;
  tidy();
  expect(state).toMatchObject({ mib: 80, collected: 1 });
});

test("what grows a little is left alone", () => {
  const { state, tidy } = world();
  state.mib += 7;
  tidy();
  expect(state.collected).toBe(0);
});

test("what is in use is tried again more and more seldom", () => {
  const { state, tidy } = world();
  Object.assign(state, { mib: 130, live: 125 });
  const after = (calls: number) => {
    for (let i = 0; i < calls; i++) tidy();
    return state.collected;
  };
  expect([after(1), after(5), after(1), after(11), after(1)]).toEqual([1, 1, 2, 2, 3]);
  expect(after(24 + 48 + 96 + 192 + 384 + 719)).toBe(8);
  expect(after(1)).toBe(9); // an hour later
  state.mib += 9;
  expect(after(1)).toBe(10);
});

test("what was in use in a storm that was collected in its midst goes afterwards", () => {
  const { state, tidy } = world();
  Object.assign(state, { mib: 100, live: 98 });
  tidy();
  expect(state).toMatchObject({ mib: 98, collected: 1 });
  state.live = 80;
  for (let i = 0; i < 6; i++) tidy();
  expect(state).toMatchObject({ mib: 80, collected: 2 });
});

test("what has shrunk by itself counts from there", () => {
  const { state, tidy } = world(60);
  Object.assign(state, { mib: 68, live: 68 });
  tidy();
  state.mib = 50;
  tidy();
  state.mib = 59;
  tidy();
  expect(state.collected).toBe(2);
});

test("where nobody may wait a large heap is collected once, a very large one not at all", () => {
  const mb = 1 << 20;
  expect([10 * mb, 200 * mb, 1600 * mb].map(promptPasses)).toEqual([3, 1, 0]);
});
