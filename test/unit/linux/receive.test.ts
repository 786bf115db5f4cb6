import { type Drops, receive } from "@nve/linux";
import { OutOfRange, type Reader } from "@nve/protocol-spec";
import { expect, test } from "vitest";

const readPair = (r: Reader) => ({ a: r.uint(1), b: r.uint(1) });

test("what cannot be read is counted by protocol and code and goes no further", () => {
  const drops: Drops = {};
  const pairs: unknown[] = [];
  const input = receive("pair", readPair, (pair) => pairs.push(pair), drops);
  input(Uint8Array.of(1));
  input(Uint8Array.of(1));
  input(Uint8Array.of(1, 2, 3));
  input(Uint8Array.of(1, 2));
  expect(drops).toEqual({ "pair.short": 2, "pair.trailing": 1 });
  expect(pairs).toEqual([{ a: 1, b: 2 }]);
});

test("our own mistakes are not swallowed", () => {
  const fail = (error: Error) => () => {
    throw error;
  };
  const pair = Uint8Array.of(1, 2);
  expect(() => receive("pair", readPair, fail(new Error("ours")), {})(pair)).toThrow("ours");
  expect(() => receive("pair", readPair, fail(new OutOfRange("ours")), {})(pair)).toThrow("ours");
  expect(() => receive("pair", fail(new Error("ours")), () => {}, {})(pair)).toThrow("ours");
});
