import {
  bits,
  concat,
  DecodeError,
  decode,
  OutOfRange,
  Reader,
  uint,
  utf8From,
  utf8Octets,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { hex, octets } from "../../../support/octets.ts";

test("a reader goes left to right and says what is left", () => {
  const r = new Reader(octets("01 0203 040506 0708090a 0b0c"));
  expect([r.uint(1), r.uint(2), r.uint(3), r.uint(4)]).toEqual([1, 0x203, 0x40506, 0x708090a]);
  expect(r.left).toBe(2);
  expect(hex(r.rest())).toBe("0b0c");
  expect(r.left).toBe(0);
});

test("32 bits are never negative", () => {
  expect(new Reader(octets("ffffffff")).uint(4)).toBe(0xffffffff);
  expect(hex(uint(4, 0xffffffff))).toBe("ffffffff");
});

test("past the end is short, and left over is trailing", () => {
  expect(() => decode(octets("01"), (r) => r.uint(2))).toThrow(
    expect.objectContaining({ code: "short" }),
  );
  expect(() => decode(octets("0102"), (r) => r.uint(1))).toThrow(
    expect.objectContaining({ code: "trailing" }),
  );
});

test("a value out of range is the peer's fault when it was read, and any other error stays what it is", () => {
  const outOfRange = () => {
    throw new OutOfRange("never");
  };
  expect(() => decode(octets(""), outOfRange)).toThrow(DecodeError);
  expect(() => decode(octets(""), outOfRange)).toThrow(
    expect.objectContaining({ code: "bad-value" }),
  );
  const ours = () => {
    throw new TypeError("a defect");
  };
  expect(() => decode(octets(""), ours)).toThrow(TypeError);
});

test.each([1, 2, 3, 4] as const)("%i octets: written is read", (width) => {
  fc.assert(
    fc.property(fc.nat({ max: 256 ** width - 1 }), (n) => {
      expect(decode(uint(width, n), (r) => r.uint(width))).toBe(n);
    }),
  );
});

test.each([-1, 256, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
  "%d does not fit one octet",
  (n) => {
    expect(() => uint(1, n)).toThrow(OutOfRange);
    expect(() => bits(8, n)).toThrow(OutOfRange);
  },
);

test("concat puts the parts one behind the other", () => {
  expect(hex(concat(octets("01"), octets(""), octets("0203")))).toBe("010203");
});

test("UTF-8 there and back, any text", () => {
  expect(hex(utf8Octets("a%é€😀\n"))).toBe(hex(new Uint8Array(Buffer.from("a%é€😀\n"))));
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(utf8From(utf8Octets(text))).toBe(text);
    }),
  );
});

test.each(["ff", "c0 80", "ed a0 80", "e2 82"])("%s is no UTF-8", (wire) => {
  expect(utf8From(octets(wire))).toBeUndefined();
});

test("half a surrogate pair is no text", () => {
  expect(() => utf8Octets("\ud800")).toThrow(OutOfRange);
});
