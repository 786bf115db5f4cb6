import {
  HypervisorId,
  IpAddress,
  ipFrom,
  ipOctets,
  isGroup,
  isIpv6,
  isUnicast,
  Mac,
  macFrom,
  macOctets,
  NveId,
  OutOfRange,
  Uuid,
  uuidFrom,
  uuidOctets,
  Vid,
  VnId,
  Vni,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { hex, octets } from "../../../support/octets.ts";

test.each([
  ["VN ID", VnId, 1, 0xffffff],
  ["VNI", Vni, 0, 0xffffff],
  ["VID", Vid, 1, 4094],
] as const)("H4: a %s is in its range and no other number", (_, make, min, max) => {
  expect([make(min), make(max)]).toEqual([min, max]);
  for (const wrong of [min - 1, max + 1, min + 0.5, Number.NaN]) {
    expect(() => make(wrong)).toThrow(OutOfRange);
  }
});

test("a MAC address has one way to be written", () => {
  expect(Mac("02-00-00-AB-cd-0A")).toBe("02:00:00:ab:cd:0a");
  expect(hex(macOctets(Mac("02:00:00:ab:cd:0a")))).toBe("020000abcd0a");
  expect(macFrom(octets("020000abcd0a"))).toBe("02:00:00:ab:cd:0a");
});

test.each(["", "02:00:00:00:00", "02:00:00:00:00:0g", "020000000000", "02:00:00:00:00:00:00"])(
  '"%s" is no MAC address',
  (text) => {
    expect(() => Mac(text)).toThrow(OutOfRange);
  },
);

test("a MAC address has six octets", () => {
  expect(() => macFrom(octets("0200000000"))).toThrow(OutOfRange);
});

test("group addresses have the lowest bit of the first octet set", () => {
  expect(
    ["ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:00", "02:00:00:00:00:01"].map(Mac).map(isGroup),
  ).toEqual([true, true, false]);
});

test("H5: a UUID is as printed, in lower case", () => {
  const uuid = Uuid("FA9B7FFF-B0A0-4893-abcd-beef4ff18f13");
  expect(uuid).toBe("fa9b7fff-b0a0-4893-abcd-beef4ff18f13");
  expect(hex(uuidOctets(uuid))).toBe("fa9b7fffb0a04893abcdbeef4ff18f13");
  expect(uuidFrom(uuidOctets(uuid))).toBe(uuid);
  expect(() => Uuid("fa9b7fffb0a04893abcdbeef4ff18f13")).toThrow(OutOfRange);
  expect(() => uuidFrom(octets("fa9b"))).toThrow(OutOfRange);
});

test.each([NveId, HypervisorId])("a name is 1 to 64 plain characters", (make) => {
  expect(make("tor-1.rack_2")).toBe("tor-1.rack_2");
  for (const wrong of ["", "a b", "a/b", "é", "x".repeat(65), "a\n"]) {
    expect(() => make(wrong), wrong).toThrow(OutOfRange);
  }
});

test.each([
  ["10.0.0.1", "0a000001"],
  ["255.255.255.255", "ffffffff"],
  ["::", "00000000000000000000000000000000"],
  ["::1", "00000000000000000000000000000001"],
  ["2001:db8::1", "20010db8000000000000000000000001"],
  ["2001:db8:0:1:1:1:1:1", "20010db8000000010001000100010001"],
  ["2001:0:0:1::1", "20010000000000010000000000000001"],
  ["1:0:0:2::", "00010000000000020000000000000000"],
])("%s is %s", (text, wire) => {
  expect(hex(ipOctets(text))).toBe(wire);
  expect(ipFrom(octets(wire))).toBe(text);
});

test("RFC 5952: one address, one text", () => {
  expect(IpAddress("2001:DB8:0:0:0:0:0:1")).toBe("2001:db8::1");
  expect(IpAddress("2001:db8:0:0:1:0:0:1")).toBe("2001:db8::1:0:0:1");
  expect(IpAddress("::ffff:10.0.0.1")).toBe("::ffff:a00:1");
  expect([isIpv6(IpAddress("::1")), isIpv6(IpAddress("1.1.1.1"))]).toEqual([true, false]);
});

test("an address of one host is not unspecified, loopback, multicast or broadcast", () => {
  const hosts = ["10.0.0.1", "223.255.255.255", "169.254.0.1", "2001:db8::1", "fe80::1", "::2"];
  const others = ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"];
  const mapped = ["::ffff:127.0.0.1", "::ffff:224.0.0.1"];
  expect(hosts.filter((ip) => !isUnicast(IpAddress(ip)))).toEqual([]);
  expect([...others, ...mapped].filter((ip) => isUnicast(IpAddress(ip)))).toEqual([]);
});

test.each([
  ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "a.b.c.d"],
  [
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "12345::",
    "g::",
  ],
  ["::1.2.3", "::1.2.3.4:5", "1.2.3.4::", "fe80::1%eth0", "::/0"],
])("%j is no IP address", (...texts) => {
  for (const text of texts) expect(() => IpAddress(text), text).toThrow(OutOfRange);
});

test("any octets of an address are read from their own text", () => {
  const wire = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc
      .array(fc.constantFrom(0, 0, 0, 1), { minLength: 16, maxLength: 16 })
      .map((a) => Uint8Array.from(a)),
  );
  fc.assert(
    fc.property(wire, (octets) => {
      expect(hex(ipOctets(ipFrom(octets)))).toBe(hex(octets));
    }),
  );
});

test("any text is an address or out of range", () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(..."0123456789abf:.") }));
  fc.assert(
    fc.property(text, (text) => {
      try {
        IpAddress(text);
      } catch (error) {
        expect(error).toBeInstanceOf(OutOfRange);
      }
    }),
  );
});
