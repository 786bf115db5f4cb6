import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  addressTlvs,
  DecodeError,
  decode,
  hashOfSet,
  IpAddress,
  IpPrefix,
  MAX_SET_PARTS,
  Mac,
  macsOf,
  macTlvs,
  membersOfSet,
  type Organizational,
  OutOfRange,
  organizationalOctets,
  partsOfSet,
  prefixesOf,
  prefixTlvs,
  type Reader,
  readMacs,
  readOrganizational,
  readSet,
  readVdpdu,
  setOf,
  setTlv,
  tlvOctets,
  VnId,
  type VsiMacs,
  vdpduOctets,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { survivesOrIsRefused } from "../../../support/damaged.ts";
import { hex, octets } from "../../../support/octets.ts";

const VSI = "05 fa9b7fffb0a04893abcdbeef4ff18f13";
const vsiId = { format: 5, octets: octets("fa9b7fffb0a04893abcdbeef4ff18f13") };
const other = { format: 4, octets: vsiId.octets };
const manager = new Uint8Array(16);
const hash = octets("40389dd875bbe20b");
const vn = VnId(5001);
const mac = Mac("52:54:00:11:22:33");
const prefixes = prefixTlvs({ vsiId, entries: [{ vn, mac, ip: IpPrefix("10.0.0.16/28") }] });
const macs = macTlvs({ vsiId, entries: [{ groupId: vn, mac: Mac("52:54:00:11:22:34") }] });

const asTlv = (wire: string): Organizational => decode(octets(wire), readOrganizational);
const withHeader = (tlv: Organizational): Uint8Array => tlvOctets(127, organizationalOctets(tlv));

/** A ULPDU with one malformed TLV of ours is refused whole, with this code. */
function refuses(wire: string, code: string): void {
  const ulpdu = vdpduOctets({ manager, tlvs: [asTlv(wire)] });
  expect(() => decode(ulpdu, readVdpdu)).toThrow(expect.objectContaining({ code }));
}

function damagedIsRefused<T>(
  wire: string,
  read: (tlv: Organizational) => T | undefined,
  write: (value: T) => Organizational | undefined,
): void {
  const whole = (r: Reader): T => {
    const value = read(readOrganizational(r));
    if (value === undefined) throw new DecodeError("unsupported", "not of this kind");
    return value;
  };
  survivesOrIsRefused(octets(wire), whole, (value) => {
    const tlv = write(value);
    if (tlv === undefined) throw new Error("no TLV");
    return organizationalOctets(tlv);
  });
}

test("the set in protocol-spec/README.md is, octet for octet, what is written and read", () => {
  const readme = readFileSync("protocol-spec/README.md", "utf8");
  const [, chapter = ""] = readme.split("### 07: set of a VSI");
  const [, example = ""] = chapter.split("```");
  const lines = example.trim().split(/\n+/);
  const wire = lines.map((line) => octets(line.replace(/ {3}(part|its).*/, "")));
  const [first, second, ...more] = partsOfSet([...prefixes, ...macs], 40);
  expect([first, second, more]).toEqual([prefixes, macs, []]);
  expect(hex(hashOfSet([prefixes, macs]))).toBe(hex(hash));
  const digest = createHash("sha256");
  for (const tlv of [...prefixes, ...macs]) digest.update(withHeader(tlv));
  expect(digest.digest("hex").slice(0, 16)).toBe(hex(hash));
  const said = [
    setTlv({ vsiId, hash, part: 1, parts: 2 }),
    ...prefixes,
    setTlv({ vsiId, hash, part: 2, parts: 2 }),
    ...macs,
    setTlv({ vsiId, hash, part: 0, parts: 2 }),
  ];
  expect(said.map((tlv) => hex(withHeader(tlv)))).toEqual(wire.map(hex));
});

describe("sets", () => {
  const wire = `4e5645 07 ${VSI} 40389dd875bbe20b 0001 0002`;

  test("are named, and their parts numbered", () => {
    expect(readSet(asTlv(wire))).toEqual({ vsiId, hash, part: 1, parts: 2 });
    const tlvs = [setTlv({ vsiId: other, hash, part: 2, parts: 2 }), asTlv(wire)];
    expect(setOf(vsiId, tlvs)?.part).toBe(1);
    expect(setOf(vsiId, [])).toBeUndefined();
  });

  test.each([
    ["short", `4e5645 07 ${VSI} 40389dd875bbe20b 0001 00`],
    ["trailing", `4e5645 07 ${VSI} 40389dd875bbe20b 0001 0002 00`],
    ["bad-value", `4e5645 07 ${VSI} 40389dd875bbe20b 0003 0002`],
    ["bad-value", `4e5645 07 ${VSI} 40389dd875bbe20b 0000 0000`],
    ["bad-value", `4e5645 07 ${VSI} 40389dd875bbe20b 0001 0401`],
  ])("%s: %s", (code, wrong) => refuses(wrong, code));

  test("a writer says no more parts than there may be, and a whole hash", () => {
    const many = MAX_SET_PARTS + 1;
    expect(() => setTlv({ vsiId, hash, part: 0, parts: many })).toThrow(OutOfRange);
    expect(() => setTlv({ vsiId, hash: hash.subarray(1), part: 0, parts: 1 })).toThrow(OutOfRange);
    const tlvs = Array.from({ length: many }, () => prefixes).flat();
    expect(() => partsOfSet(tlvs, 40)).toThrow(OutOfRange);
  });

  test("damaged, survive the round trip or are refused", () => {
    damagedIsRefused(wire, readSet, setTlv);
  });

  test("consist of our TLVs of addresses, prefixes and MACs of their VSI", () => {
    const address = { mac, ip: IpAddress("10.0.0.1") };
    const ours = addressTlvs({ vsiId, entries: [address] });
    const theirs = addressTlvs({ vsiId: other, entries: [address] });
    const name = setTlv({ vsiId, hash, part: 0, parts: 1 });
    const foreign = { is: "organizational", oui: 0x00000c, subtype: 1, octets: hash } as const;
    const tlvs = [...theirs, ...ours, foreign, name, ...prefixes, ...macs];
    expect(membersOfSet(vsiId, tlvs)).toEqual([...ours, ...prefixes, ...macs]);
  });

  test("are cut into parts that fit, and together say all", () => {
    const octet = fc.integer({ min: 0, max: 255 });
    const one = fc.tuple(octet, octet, fc.integer({ min: 1, max: 32 }));
    const room = fc.integer({ min: 513, max: 1439 });
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 400 }), room, (all, room) => {
        const entries = all.map(([a, b, length]) => ({
          vn,
          mac,
          ip: IpPrefix(`10.${a}.${b}.0/${Math.max(length, 24)}`),
        }));
        const parts = partsOfSet(prefixTlvs({ vsiId, entries }), room);
        for (const part of parts) {
          const size = part.reduce((n, tlv) => n + withHeader(tlv).length, 0);
          expect(size).toBeLessThanOrEqual(room);
        }
        expect(parts.flatMap((part) => prefixesOf(vsiId, part))).toEqual(entries);
      }),
      { numRuns: 50 },
    );
  });
});

describe("H12: MACs", () => {
  const wire = `4e5645 09 ${VSI} 02 00001389 525400112234 ff000001 525400112235`;
  const value: VsiMacs = {
    vsiId,
    entries: [
      { groupId: 5001, mac: Mac("52:54:00:11:22:34") },
      { groupId: 0xff000001, mac: Mac("52:54:00:11:22:35") },
    ],
  };

  test("read and write", () => {
    expect(macTlvs(value).map(organizationalOctets).map(hex)).toEqual([hex(octets(wire))]);
    expect(readMacs(asTlv(wire))).toEqual(value);
    expect(macTlvs({ vsiId, entries: [] })).toEqual([]);
  });

  test("48 go into one TLV, and more into the next", () => {
    const entries = Array.from({ length: 49 }, () => ({ groupId: 5001, mac }));
    const tlvs = macTlvs({ vsiId, entries });
    expect(tlvs.map((tlv) => readMacs(tlv)?.entries.length)).toEqual([48, 1]);
    expect(macsOf(vsiId, tlvs)).toEqual(entries);
    expect(macsOf(other, tlvs)).toEqual([]);
  });

  test.each([
    ["short", `4e5645 09 ${VSI} 01 00001389 5254001122`],
    ["trailing", `4e5645 09 ${VSI} 00 00001389 525400112234`],
  ])("%s: %s", (code, wrong) => refuses(wrong, code));

  test("damaged, survive the round trip or are refused", () => {
    // A TLV without any entry is read, and need not be written.
    damagedIsRefused(wire, readMacs, (said) => {
      const empty = asTlv(`4e5645 09 ${VSI} 00`);
      const { vsiId } = said;
      const none = { ...empty, octets: Uint8Array.of(vsiId.format, ...vsiId.octets, 0) };
      return macTlvs(said)[0] ?? none;
    });
  });
});
