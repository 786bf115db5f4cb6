import { IpAddress, ipOctets, NveId, OutOfRange } from "@nve/protocol-spec";
import { Locations } from "@nve/switch-agent/nva-client/locations";
import { expect, test } from "vitest";

const self = { nve: NveId("tor1"), vtep: IpAddress("192.0.2.1") };
const at = (nveId: string, ...vteps: string[]) => ({
  nveId,
  vteps: vteps.map((ip) => Buffer.from(ipOctets(ip))),
  encapsulations: [],
});

test("an NVE is where it was said to be last, however often", () => {
  const locations = new Locations(self);
  const there = { nve: "tor2", vtep: "192.0.2.2" };
  expect(locations.memberAt(at("tor2", "192.0.2.2"))).toEqual(there);
  expect(locations.memberAt(at("tor2", "192.0.2.2"))).toEqual(there);
  const moved = locations.memberAt(at("tor2", "192.0.2.3"));
  expect(moved).toEqual({ nve: "tor2", vtep: "192.0.2.3" });
  expect(locations.memberAt(at("tor2", "192.0.2.2"))).toEqual(there);
  expect(locations.memberAt(at("tor2"))).toBeUndefined();
  expect(locations.memberAt(at("tor2", "2001:db8::2", "192.0.2.4"))?.vtep).toBe("192.0.2.4");
});

test("we ourselves are nowhere else, nor is who has our address or none of our family", () => {
  const locations = new Locations(self);
  for (const _ of ["read", "and read again"]) {
    expect(locations.memberAt(at("tor1", "192.0.2.7"))).toBeUndefined();
    expect(locations.memberAt(at("tor3", "192.0.2.1"))).toBeUndefined();
    expect(locations.memberAt(at("tor4", "2001:db8::4"))).toBeUndefined();
  }
});

test("what cannot be read is refused each time", () => {
  const locations = new Locations(self);
  const wrong = { ...at("tor2"), vteps: [Buffer.alloc(5)] };
  for (const _ of ["read", "and read again"]) {
    expect(() => locations.memberAt(wrong)).toThrow(OutOfRange);
    expect(() => locations.memberAt(at("no such name!"))).toThrow(OutOfRange);
  }
});
