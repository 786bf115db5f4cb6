import { few, show, showOne } from "@nve/program";
import { expect, test } from "vitest";

function printed(
  run: (out: { json: boolean; print: (line: string) => void }) => void,
  json = false,
) {
  const lines: string[] = [];
  run({ json, print: (line) => lines.push(line) });
  return lines;
}

const rows = [
  { port: "eth1", tag: 2, seen: 10n, id: Uint8Array.of(0xab, 1) },
  { port: "ethernet2", tag: 4094, seen: 0n, id: Uint8Array.of(0) },
];
const columns = [
  { head: "PORT", of: (row: (typeof rows)[0]) => row.port },
  { head: "TAG", of: (row: (typeof rows)[0]) => row.tag },
];

test("a table is aligned, and says when there is nothing", () => {
  expect(printed((out) => show(rows, columns, out))).toEqual([
    "PORT       TAG",
    "eth1       2",
    "ethernet2  4094",
  ]);
  expect(printed((out) => show([], columns, out, "no ports"))).toEqual(["no ports"]);
});

test("of many texts a cell has the first, and their number", () => {
  expect(few([])).toBe("");
  expect(few(["a", "b", "c", "d"])).toBe("a,b,c,d");
  expect(few(["a", "b", "c", "d", "e"], " ")).toBe("a b c … (5)");
});

test("JSON holds the rows as they are, bigints as numbers, octets as hex", () => {
  expect(JSON.parse(printed((out) => show(rows, columns, out), true).join(""))).toEqual([
    { port: "eth1", tag: 2, seen: 10, id: "ab01" },
    { port: "ethernet2", tag: 4094, seen: 0, id: "00" },
  ]);
  expect(printed((out) => show([], columns, out), true)).toEqual(["[]"]);
});

test("control characters from the wire never reach the terminal", () => {
  const evil = [{ port: "\u001b[2Jeth1\n", tag: 1, seen: 0n, id: Uint8Array.of() }];
  expect(printed((out) => show(evil, columns, out))[1]).toBe("?[2Jeth1?  1");
  expect(printed((out) => showOne({ name: "a\u0007b" }, out))).toEqual(["name: a?b"]);
});

test("one record is `key: value` lines, its keys in words; JSON has them as they are", () => {
  const status = { storeId: "a1", nvesConnected: 2 };
  expect(printed((out) => showOne(status, out))).toEqual([
    "store id:       a1",
    "nves connected: 2",
  ]);
  expect(JSON.parse(printed((out) => showOne(status, out), true).join(""))).toEqual(status);
});
