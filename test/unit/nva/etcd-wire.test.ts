import {
  bool,
  bytes,
  enumeration,
  int64,
  many,
  message,
  nested,
  repeated,
  text,
} from "@nve/nva/store/etcd/wire";
import fc from "fast-check";
import { expect, test } from "vitest";

const Inner = message({ key: bytes(1), revision: int64(2) });
const Outer = message({
  name: text(1),
  kind: enumeration(2),
  on: bool(3),
  inner: nested(4, Inner),
  all: repeated(5, Inner),
  large: int64(16),
});

/** As `protoc --encode` writes it. */
const vector = ["0a0165", "1003", "1801", "22060a0161109601", "8001ffffffffffffffffff01"].join("");

test("octets are as Protocol Buffers has them, both ways", () => {
  const value = {
    name: "e",
    kind: 3,
    on: true,
    inner: { key: Buffer.from("a"), revision: 150n },
    all: [],
    large: -1n,
  };
  expect(Outer.encode(value).toString("hex")).toBe(vector);
  expect(Outer.decode(Buffer.from(vector, "hex"))).toEqual(value);
});

test("numbers of 64 bits are whole", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (large) => {
      expect(Outer.decode(Outer.encode({ large })).large).toBe(large);
    }),
  );
});

test("what is absent is its default, what is unknown is read past", () => {
  expect(Inner.decode(Buffer.alloc(0))).toEqual({ key: Buffer.alloc(0), revision: 0n });
  const strange = Buffer.from("39" + "0102030405060708" + "3d01020304" + "1005", "hex"); // 7: fixed64 and fixed32
  expect(Inner.decode(strange)).toMatchObject({ revision: 5n });
});

test("lists that are read twice are apart", () => {
  const List = message({ rows: many(1, Inner) });
  const octets = List.encode({ rows: [{ key: Buffer.from("a"), revision: 1n }] });
  expect(List.decode(octets).rows).toHaveLength(1);
  expect(List.decode(octets).rows).toHaveLength(1);
  expect(List.decode(Buffer.alloc(0)).rows).toEqual([]);
});

test("octets of any kind are a message or a RangeError", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (octets) => {
      try {
        Outer.decode(Buffer.from(octets));
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }),
    { numRuns: 2_000 },
  );
});

test.each(["0a", "0a05", "10", "1080", "10ffffffffffffffffffff", "0b", "0801", "12"])(
  "%s is no message",
  (hex) => {
    expect(() => Inner.decode(Buffer.from(hex, "hex"))).toThrow(RangeError);
  },
);
