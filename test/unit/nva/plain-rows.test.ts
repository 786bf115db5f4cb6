import { plainClaim, plainHistory } from "@nve/nva/store/plain-rows";
import { storedOf } from "@nve/nva/store/rows";
import { expect, test } from "vitest";

const whole = {
  ...{ vnId: 7, mac: "02:00:00:00:00:01", ips: ["10.0.0.1", "fd00::1", "10.1.0.0/16"] },
  ...{ sequence: 3, sticky: false, anycast: true, suspended: false },
  ...{ source: "nve:tor1", nveId: "tor1" },
  ...{ vnic: "00000001-0000-0000-0000-000000000001", hypervisor: "server1", port: "swp1" },
};
const { vnic: _, hypervisor: __, port: ___, ...least } = whole;
const read = (table: "claim" | "history", row: unknown) =>
  storedOf({ table, key: "k", value: JSON.stringify(row) }, 1).row;

test.each([whole, least, { ...least, source: "static" }, { ...whole, ips: [] }])(
  "a claim as it is mostly is read by hand as it was written: %j",
  (row) => {
    expect(plainClaim(row)).toEqual(row);
    expect(read("claim", row)).toEqual(row);
  },
);

test.each([
  { description: "printer" },
  { departed: true },
  { gleaned: true },
  { station: "02:00:00:00:00:09", authenticated: true },
])("what a claim has seldom is read by its schema: %j", (more) => {
  const row = { ...whole, ...more };
  expect(plainClaim(row)).toBeUndefined();
  expect(read("claim", row)).toEqual(row);
});

test("a claim whose every field is something else, or lacks, is no claim either way", () => {
  const others = [null, "x", -1, 1.5, {}, [1], true, 2 ** 60];
  const optional = ["vnic", "hypervisor", "port"];
  for (const key of Object.keys(whole)) {
    const { [key]: own, ...without } = whole as Record<string, unknown>;
    const damaged = others
      .filter((other) => typeof other !== typeof own || other === -1 || other === 1.5)
      .map((other) => ({ ...whole, [key]: other }));
    if (!optional.includes(key)) damaged.push(without as never);
    for (const row of damaged) {
      expect(plainClaim(row), JSON.stringify(row)).toBeUndefined();
      expect(() => read("claim", row), JSON.stringify(row)).toThrow("the store is damaged");
    }
  }
  for (const row of [null, [], 7, "x", { ...whole, colour: "blue" }]) {
    expect(plainClaim(row)).toBeUndefined();
    expect(() => read("claim", row)).toThrow("the store is damaged");
  }
});

test("a history is read by hand, one that is something else by nobody", () => {
  const row = { vnId: 7, mac: "02:00:00:00:00:01", sequence: 3 };
  expect(plainHistory(row)).toEqual(row);
  for (const other of [{}, { ...row, vnId: 0 }, { ...row, sequence: -1 }, { ...row, more: 1 }]) {
    expect(plainHistory(other)).toBeUndefined();
    expect(() => read("history", other)).toThrow("the store is damaged");
  }
});
