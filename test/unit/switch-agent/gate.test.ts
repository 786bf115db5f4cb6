import { Gate } from "@nve/switch-agent/gate";
import { expect, test } from "vitest";

test("so many go through at a time, the others in the order in which they came", async () => {
  const gate = new Gate(2);
  const started: number[] = [];
  const ends: (() => void)[] = [];
  const all = [0, 1, 2, 3].map((n) =>
    gate.through(async () => {
      started.push(n);
      await new Promise<void>((end) => ends.push(end));
      return n;
    }),
  );
  await turn();
  expect(started).toEqual([0, 1]);
  ends[1]?.();
  await turn();
  expect(started).toEqual([0, 1, 2]);
  ends[0]?.();
  ends[2]?.();
  await turn();
  ends[3]?.();
  expect(await Promise.all(all)).toEqual([0, 1, 2, 3]);
});

test("what fails makes room, too", async () => {
  const gate = new Gate(1);
  await expect(gate.through(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  await expect(gate.through(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await gate.through(async () => 7)).toBe(7);
});

const turn = () => new Promise(setImmediate);
