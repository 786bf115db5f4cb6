import { StationMac, VnRef } from "@nve/program/ids";
import { expect, test } from "vitest";

const name = "66571c6d-f315-4e20-ac2f-1c85d8413f03";

test.each([
  [5001, 5001],
  ["5001", 5001],
  [name, name],
  [name.toUpperCase(), name],
])("H4: %s is a VN", (text, vn) => {
  expect(VnRef(text)).toBe(vn);
});

test.each([
  ["red", '"red" is neither a VN ID (a number) nor a VN Name (a UUID)'],
  ["", '"" is neither'],
  ["-1", "UUID"],
  [0, "VN ID"],
  ["16777216", "VN ID"],
  [1.5, "VN ID"],
])("%s is no VN, and it is said why", (text, why) => {
  expect(() => VnRef(text)).toThrow(why);
});

test("a station has neither a group address nor all zeros", () => {
  expect(StationMac("02:00:00:00:00:0A")).toBe("02:00:00:00:00:0a");
  for (const text of ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"])
    expect(() => StationMac(text)).toThrow("is no address of a station");
});
