import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  DecodeError,
  decode,
  isAuthentic,
  Mac,
  nonceOf,
  nonceTlv,
  OutOfRange,
  readVdpdu,
  SEAL_OCTETS,
  type SealContext,
  sealed,
  unsealed,
  vdpduOctets,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { hex, octets } from "../../../support/octets.ts";

const key = { id: 7, secret: octets("00112233445566778899aabbccddeeff") };
const nonce = octets("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
const context: SealContext = { from: "station", sender: Mac("02:00:00:00:00:0a"), nonce };
const counter = 1_764_000_000_000_000; // microseconds since 1970, of 2025
const body = vdpduOctets({ manager: new Uint8Array(16), tlvs: [] });

test("a sealed ULPDU is the ULPDU, and behind it the TLV as specified", () => {
  const all = sealed(body, key, counter, context);
  expect(all.length).toBe(body.length + SEAL_OCTETS);
  expect(hex(all.subarray(0, body.length))).toBe(hex(body));
  const said = `07${counter.toString(16).padStart(16, "0")}`;
  const text = octets(`01${hex(nonce)}02000000000a${hex(body)}${said}`);
  const digest = createHmac("sha256", key.secret).update(text).digest("hex").slice(0, 32);
  expect(hex(all.subarray(body.length))).toBe(`fe1d4e564508${said}${digest}`);
});

test("a sealed ULPDU is read by those who know nothing of it", () => {
  const { tlvs } = decode(sealed(body, key, counter, context), readVdpdu);
  expect(tlvs).toMatchObject([{ is: "organizational", subtype: 8 }]);
});

test("what is sealed opens, also with End TLV and padding behind it", () => {
  for (const tail of ["", "0000", "000000000000"]) {
    const opened = unsealed(octets(hex(sealed(body, key, counter, context)) + tail));
    expect(opened?.seal).toMatchObject({ keyId: 7, counter });
    expect(opened && isAuthentic(opened.body, opened.seal, key, context)).toBe(true);
  }
});

const others: [string, Partial<SealContext>, Partial<typeof key>][] = [
  ["another direction", { from: "bridge" }, {}],
  ["another sender", { sender: Mac("02:00:00:00:00:0b") }, {}],
  ["another nonce", { nonce: new Uint8Array(16) }, {}],
  ["another secret", {}, { secret: octets("00112233445566778899aabbccddeefe") }],
  ["another key id", {}, { id: 8 }],
];
test.each(others)("%s is not authentic", (_, differently, otherKey) => {
  const opened = unsealed(sealed(body, key, counter, context));
  if (opened === undefined) throw new Error("not sealed");
  const { seal } = opened;
  expect(
    isAuthentic(opened.body, seal, { ...key, ...otherKey }, { ...context, ...differently }),
  ).toBe(false);
});

test("no octet of a sealed ULPDU can be another", () => {
  const all = sealed(body, key, counter, context);
  fc.assert(
    fc.property(fc.nat(all.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const changed = Uint8Array.from(all);
      changed[at] = (changed[at] ?? 0) ^ by;
      try {
        const opened = unsealed(changed);
        return opened === undefined || !isAuthentic(opened.body, opened.seal, key, context);
      } catch (error) {
        return error instanceof DecodeError;
      }
    }),
  );
});

test("what has no seal has none, and what is no ULPDU is refused", () => {
  expect(unsealed(body)).toBeUndefined();
  expect(unsealed(octets("0000"))).toBeUndefined();
  expect(() => unsealed(octets("fe1d4e564508"))).toThrow(DecodeError);
  const short = octets(`${hex(body)}fe054e56450807`);
  expect(() => unsealed(short)).toThrow(DecodeError);
  const twice = sealed(sealed(body, key, 1, context), key, 2, context);
  expect(() => unsealed(twice)).toThrow(/not the last/);
});

test("a counter is a whole number from 1 that JavaScript can count", () => {
  for (const odd of [0, -1, 1.5, 2 ** 53]) {
    expect(() => sealed(body, key, odd, context)).toThrow(OutOfRange);
  }
  const zero = hex(sealed(body, key, 1, context)).replace(
    "070000000000000001",
    "070000000000000000",
  );
  expect(() => unsealed(octets(zero))).toThrow(DecodeError);
});

test("a nonce goes through LLDP and is 16 octets", () => {
  expect(nonceOf([nonceTlv(nonce)])).toEqual(nonce);
  expect(nonceOf([])).toBeUndefined();
  expect(nonceOf([{ ...nonceTlv(nonce), octets: nonce.subarray(1) }])).toBeUndefined();
  expect(() => nonceTlv(nonce.subarray(1))).toThrow(OutOfRange);
});

test("the example in protocol-spec/README.md is, octet for octet, what is written and read", () => {
  const readme = readFileSync("protocol-spec/README.md", "utf8");
  const [, chapter = ""] = readme.split("### 08: authentication");
  const [, example = ""] = chapter.split("```");
  const lines = example.trim().split(/\n+/);
  const [said, ...ulpdu] = lines.map((line) => octets(line.replace(/ {4,}.*/, "")));
  if (said === undefined) throw new Error("no example");
  const nonce = said.subarray(6);
  const { octets: value } = nonceTlv(nonce);
  expect(hex(said)).toBe(`fe144e564502${hex(value)}`);
  const secret = octets(/key 1: ([0-9A-F]+)/.exec(example)?.[1] ?? "");
  const sender = Mac(/station ([0-9A-F:]{17})/.exec(example)?.[1]?.toLowerCase() ?? "");
  const whole = octets(ulpdu.map(hex).join(""));
  const opened = unsealed(whole);
  if (opened === undefined) throw new Error("not sealed");
  const { body, seal } = opened;
  const key = { id: 1, secret };
  expect(isAuthentic(body, seal, key, { from: "station", sender, nonce })).toBe(true);
  expect(hex(sealed(body, key, seal.counter, { from: "station", sender, nonce }))).toBe(hex(whole));
  expect(decode(body, readVdpdu).tlvs).toMatchObject([{ type: "associate" }]);
});
