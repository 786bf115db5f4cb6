import {
  IpAddress,
  IpPrefix,
  ipFrom,
  ipOctets,
  isSingle,
  networkOf,
  OutOfRange,
  prefixesIn,
  prefixFrom,
  prefixFromOctets,
  prefixParts,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";

test("a prefix has a network and a length; a single address has no length", () => {
  expect(IpPrefix("10.0.0.0/28")).toBe("10.0.0.0/28");
  expect(IpPrefix("FD00:0::/16")).toBe("fd00::/16");
  expect([IpPrefix("10.0.0.1/32"), IpPrefix("10.0.0.1"), IpPrefix("::1/128")]).toEqual([
    "10.0.0.1",
    "10.0.0.1",
    "::1",
  ]);
  expect(IpPrefix("0.0.0.0/0")).toBe("0.0.0.0/0");
  expect([isSingle(IpPrefix("10.0.0.1")), isSingle(IpPrefix("10.0.0.0/31"))]).toEqual([
    true,
    false,
  ]);
  expect(prefixParts(IpPrefix("fd00::/16"))).toEqual({ ip: "fd00::", length: 16 });
  expect(prefixParts(IpPrefix("10.0.0.1"))).toEqual({ ip: "10.0.0.1", length: 32 });
  expect(networkOf(IpAddress("10.1.2.3"), 12)).toBe("10.0.0.0");
  expect(networkOf(IpAddress("fd00:1:2::9"), 33)).toBe("fd00:1::");
  expect(prefixFrom(IpAddress("10.0.0.4"), 30)).toBe("10.0.0.4/30");
});

test.each([
  "10.0.0.0/33",
  "::/129",
  "10.0.0.0/",
  "10.0.0.0/-1",
  "10.0.0.0/8/8",
  "10.0.0/8",
  "/8",
  "x",
])("%s is no prefix", (text) => {
  expect(() => IpPrefix(text)).toThrow(OutOfRange);
  expect(() => prefixesIn(text)).toThrow(OutOfRange);
});

test("bits behind the length are a mistake, and what may be meant is said", () => {
  expect(() => IpPrefix("10.0.0.5/28")).toThrow("is 10.0.0.0/28 meant?");
});

test("from octets as from its text, whatever they are", () => {
  const some = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  const outcome = (make: () => IpPrefix): string => {
    try {
      return make();
    } catch (error) {
      return String(error);
    }
  };
  fc.assert(
    fc.property(some, fc.integer({ min: -1, max: 130 }), fc.boolean(), (octets, length, isFit) => {
      const width = 8 * octets.length;
      const network = networkOf(ipFrom(octets), Math.min(Math.max(length, 0), width));
      const given = isFit ? ipOctets(network) : octets;
      expect(outcome(() => prefixFromOctets(given, length))).toBe(
        outcome(() => IpPrefix(`${ipFrom(given)}/${length}`)),
      );
    }),
  );
});

test.each([
  ["10.0.0.5-10.0.0.9", ["10.0.0.5", "10.0.0.6/31", "10.0.0.8/31"]],
  ["10.0.0.0-10.0.0.255", ["10.0.0.0/24"]],
  ["0.0.0.0-255.255.255.255", ["0.0.0.0/0"]],
  ["10.0.0.7-10.0.0.7", ["10.0.0.7"]],
  ["fd00::1-fd00::2", ["fd00::1", "fd00::2"]],
  ["10.0.0.0/28", ["10.0.0.0/28"]],
])("H8: %s in prefixes", (text, prefixes) => {
  expect(prefixesIn(text)).toEqual(prefixes);
});

test.each(["10.0.0.9-10.0.0.5", "10.0.0.1-fd00::1", "10.0.0.1-", "1.1.1.1-1.1.1.2-1.1.1.3"])(
  "%s is no range",
  (text) => {
    expect(() => prefixesIn(text)).toThrow(OutOfRange);
  },
);

test("a range is covered once, by at most 2 prefixes for each bit", () => {
  const u32 = fc.integer({ min: 0, max: 0xffffffff });
  const text = (n: number) => [24, 16, 8, 0].map((by) => (n >>> by) & 255).join(".");
  fc.assert(
    fc.property(u32, u32, (a, b) => {
      const [low, high] = [Math.min(a, b), Math.max(a, b)];
      const prefixes = prefixesIn(`${text(low)}-${text(high)}`);
      expect(prefixes.length).toBeLessThanOrEqual(64);
      let at = low;
      for (const prefix of prefixes) {
        const { ip, length } = prefixParts(prefix);
        expect(ip).toBe(text(at));
        expect(IpPrefix(prefix)).toBe(prefix);
        at += 2 ** (32 - length);
      }
      expect(at).toBe(high + 1);
    }),
  );
});
