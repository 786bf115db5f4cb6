import { words } from "@nve/lab/words";
import { expect, test } from "vitest";

test.each([
  ["ip addr  add\t10.0.0.1/24", ["ip", "addr", "add", "10.0.0.1/24"]],
  ["sh -c 'echo \"a b\" | wc'", ["sh", "-c", 'echo "a b" | wc']],
  ['echo "say \\"hi\\" \\n"', ["echo", 'say "hi" \\n']],
  ["one\\ word pre'fix'ed", ["one word", "prefixed"]],
  ["an '' empty", ["an", "", "empty"]],
  ["$HOME stays", ["$HOME", "stays"]],
])("%s", (line, expected) => {
  expect(words(line)).toEqual(expected);
});

test.each([["'open"], ['"open'], ["ends\\"], ["  "]])("%s is refused", (line) => {
  expect(words(line)).toBeTypeOf("string");
});
