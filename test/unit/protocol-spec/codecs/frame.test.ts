import {
  decode,
  EtherType,
  type Frame,
  frameOctets,
  GroupAddress,
  Mac,
  OutOfRange,
  organizationalOctets,
  readFrame,
  readOrganizational,
  readTlv,
  tlvOctets,
} from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import { survivesOrIsRefused } from "../../../support/damaged.ts";
import { hex, octets } from "../../../support/octets.ts";

const ENDS = "0180c2000000 525400aa0001";
const ends = { destination: GroupAddress.nearestCustomerBridge, source: Mac("52:54:00:aa:00:01") };

const vectors: [name: string, wire: string, value: Frame][] = [
  [
    "untagged",
    `${ENDS} 88cc 0102`,
    { ...ends, etherType: EtherType.lldp, payload: octets("0102") },
  ],
  ["empty", `${ENDS} 8940`, { ...ends, etherType: EtherType.ecp, payload: octets("") }],
  [
    "tagged",
    `${ENDS} 8100 b0c8 0800 45`,
    { ...ends, tag: { pcp: 5, dei: true, vid: 200 }, etherType: 0x0800, payload: octets("45") },
  ],
  [
    "with a priority tag",
    `${ENDS} 8100 e000 0806`,
    { ...ends, tag: { pcp: 7, dei: false, vid: 0 }, etherType: 0x0806, payload: octets("") },
  ],
  [
    "with two tags: the second stays in the payload",
    `${ENDS} 8100 0064 8100 0fff 0800`,
    {
      ...ends,
      tag: { pcp: 0, dei: false, vid: 100 },
      etherType: 0x8100,
      payload: octets("0fff0800"),
    },
  ],
  ["of LLC", `${ENDS} 0003 424203`, { ...ends, etherType: 3, payload: octets("424203") }],
];

describe.each(vectors)("a frame %s", (_, wire, value) => {
  test("reads and writes", () => {
    expect(decode(octets(wire), readFrame)).toEqual(value);
    expect(hex(frameOctets(value))).toBe(hex(octets(wire)));
  });
  test("damaged, survives the round trip or is refused", () => {
    survivesOrIsRefused(octets(wire), readFrame, frameOctets);
  });
});

test.each(["", "0180c2000000 525400aa00", `${ENDS} 81`, `${ENDS} 8100 00`, `${ENDS} 8100 0064`])(
  "short: %s",
  (wire) => {
    expect(() => decode(octets(wire), readFrame)).toThrow(
      expect.objectContaining({ code: "short" }),
    );
  },
);

test.each([
  { pcp: 8, dei: false, vid: 1 },
  { pcp: 0, dei: false, vid: 4096 },
  { pcp: 0, dei: false, vid: -1 },
])("a tag %j does not fit", (tag) => {
  const frame = { ...ends, tag, etherType: 0x0800, payload: octets("") };
  expect(() => frameOctets(frame)).toThrow(OutOfRange);
});

test("the three group addresses", () => {
  expect(Object.values(GroupAddress)).toEqual([
    "01:80:c2:00:00:00",
    "01:80:c2:00:00:03",
    "01:80:c2:00:00:0e",
  ]);
});

describe("TLV", () => {
  test("type in 7 bits, length in 9", () => {
    expect(decode(octets("fe02 aabb"), readTlv)).toEqual({ type: 127, value: octets("aabb") });
    expect(hex(tlvOctets(3, octets("00"), octets("78")))).toBe("06020078");
    expect(hex(tlvOctets(1, new Uint8Array(511))).slice(0, 4)).toBe("03ff");
    expect(decode(tlvOctets(1, new Uint8Array(511)), readTlv).value).toHaveLength(511);
  });
  test("short: the length goes past the end", () => {
    expect(() => decode(octets("0203 0102"), readTlv)).toThrow(
      expect.objectContaining({ code: "short" }),
    );
    expect(() => decode(octets("02"), readTlv)).toThrow(expect.objectContaining({ code: "short" }));
  });
  test("ours are never cut off: 512 octets and type 128 are out of range", () => {
    expect(() => tlvOctets(1, new Uint8Array(512))).toThrow(OutOfRange);
    expect(() => tlvOctets(128)).toThrow(OutOfRange);
    expect(() => tlvOctets(-1)).toThrow(OutOfRange);
  });
  test("an organizational one has OUI and subtype, or is short", () => {
    const value = {
      is: "organizational",
      oui: 0x0080c2,
      subtype: 0x0e,
      octets: octets("99"),
    } as const;
    expect(decode(octets("0080c2 0e 99"), readOrganizational)).toEqual(value);
    expect(hex(organizationalOctets(value))).toBe("0080c20e99");
    expect(() => decode(octets("0080c2"), readOrganizational)).toThrow(
      expect.objectContaining({ code: "short" }),
    );
  });
});
