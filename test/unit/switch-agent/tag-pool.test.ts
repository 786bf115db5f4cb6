import { Vid, VnId, Vni } from "@nve/protocol-spec";
import { allTags, TagPool } from "@nve/switch-agent/nve";
import { expect, test } from "vitest";

const red = VnId(5001);
const blue = VnId(5002);
const green = VnId(5003);
const range = (first: number, last: number) => [Vid(first), Vid(last)] as const;

test("H2: a VN keeps its tag while any VNIC holds it", () => {
  const pool = new TagPool(range(2, 9));
  expect(pool.lend(red, "vm1")).toBe(2);
  expect(pool.lend(red, "vm2")).toBe(2);
  pool.giveBack(red, "vm1");
  expect(pool.tagOf(red)).toBe(2);
  pool.giveBack(red, "vm2");
  expect(pool.tagOf(red)).toBeUndefined();
  expect(pool.vnOf(Vid(2))).toBeUndefined();
});

test("H2: a freed tag rests: all others are lent before it", () => {
  const pool = new TagPool(range(2, 4));
  pool.lend(red, "vm1");
  pool.giveBack(red, "vm1");
  expect([blue, green, red].map((vn) => pool.lend(vn, "vm1"))).toEqual([3, 4, 2]);
});

test("H2: asking twice is holding once", () => {
  const pool = new TagPool(range(2, 3));
  pool.lend(red, "vm1");
  pool.lend(red, "vm1");
  pool.giveBack(red, "vm1");
  pool.giveBack(red, "vm1");
  pool.giveBack(blue, "vm1");
  expect(pool.free).toBe(2);
});

test("V8: an exhausted pool lends nothing, and lends again when a tag comes back", () => {
  const pool = new TagPool(range(2, 2));
  expect(pool.lend(red, "vm1")).toBe(2);
  expect(pool.has(blue)).toBe(false);
  expect(pool.lend(blue, "vm2")).toBeUndefined();
  pool.giveBack(red, "vm1");
  expect(pool.lend(blue, "vm2")).toBe(2);
});

test("V8: a station that names the tag it still uses gets just that, if it is free or the VN's own", () => {
  const pool = new TagPool(range(2, 9));
  expect(pool.lend(red, "vm1", Vid(7))).toBe(7);
  expect(pool.lend(red, "vm2", Vid(7))).toBe(7);
  expect(pool.lend(red, "vm2", Vid(6))).toBeUndefined();
  expect(pool.lend(blue, "vm3", Vid(7))).toBeUndefined();
  expect(pool.lend(blue, "vm3", Vid(10))).toBeUndefined();
  expect(pool.vnOf(Vid(7))).toBe(red);
});

test("lending begins where it is told, and goes round", () => {
  const pool = new TagPool(range(2, 4), Vid(4));
  expect([red, blue, green].map((vn) => pool.lend(vn, "vm1"))).toEqual([4, 2, 3]);
});

test("V8: 2 to 4094 is what one link has", () => {
  expect(new TagPool(allTags).free).toBe(4093);
});

test("H2: a tag that an earlier run had lent goes to the VN with that VNI, and to no other, until it is forgotten", () => {
  const pool = new TagPool(range(2, 4));
  pool.keep(Vid(3), Vni(70001));
  expect(pool.free).toBe(3);
  expect(pool.lend(blue, "vm1", undefined, false, Vni(70002))).toBe(2);
  expect(pool.lend(green, "vm1", Vid(3), false, Vni(70003))).toBeUndefined();
  expect(pool.has(red, Vid(3))).toBe(true); // which VN it is turns out later
  expect(pool.lend(red, "vm1", undefined, false, Vni(70001))).toBe(3);
  pool.giveBack(red, "vm1");
  expect(pool.lend(green, "vm1", Vid(3), false, Vni(70003))).toBe(3); // it was asked for
});

test("V8: what nobody asks for again is lent to others once it is forgotten", () => {
  const pool = new TagPool(range(2, 2));
  pool.keep(Vid(2), Vni(70001));
  expect(pool.lend(blue, "vm1", undefined, false, Vni(70002))).toBeUndefined();
  pool.forget();
  expect(pool.lend(blue, "vm1", undefined, false, Vni(70002))).toBe(2);
  pool.keep(Vid(2), Vni(70001)); // it means another VN already
  expect(pool.lend(red, "vm1", undefined, false, Vni(70001))).toBeUndefined();
});
