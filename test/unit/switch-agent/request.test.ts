import { type Filters, IpAddress, Mac, VdpError, Vid, VnId } from "@nve/protocol-spec";
import { contentOf, entriesOf, withVids } from "@nve/switch-agent/nve";
import { expect, test } from "vitest";

const a = Mac("02:00:00:00:00:0a");
const b = Mac("02:00:00:00:00:0b");
const red = VnId(5001);
const blue = VnId(5002);
const one = IpAddress("10.0.0.1");
const lent = (vid: Vid) => (vid === 7 ? red : undefined);

test("H4: a GroupID names the VN, and a null VID asks for a tag", () => {
  const filters: Filters = { by: "group-mac-vid", entries: [{ groupId: 5001, mac: a }] };
  expect(entriesOf(filters, lent)).toEqual([{ vn: red, mac: a }]);
});

test("V8: without a GroupID, a tag that is lent names the VN", () => {
  const filters: Filters = { by: "mac-vid", entries: [{ mac: a, vid: Vid(7) }] };
  expect(entriesOf(filters, lent)).toEqual([{ vn: red, vid: 7, mac: a }]);
});

test.each<[string, Filters]>([
  ["a tag that was never lent", { by: "vid", entries: [{ vid: Vid(8) }] }],
  ["neither tag nor GroupID", { by: "mac-vid", entries: [{ mac: a }] }],
  ["GroupID 0", { by: "group-vid", entries: [{ groupId: 0 }] }],
  ["a GroupID beyond 24 bits", { by: "group-vid", entries: [{ groupId: 0x01000001 }] }],
  [
    "a group address",
    { by: "group-mac-vid", entries: [{ groupId: 5001, mac: Mac("01:00:5e:00:00:01") }] },
  ],
  [
    "the zero address",
    { by: "group-mac-vid", entries: [{ groupId: 5001, mac: Mac("00:00:00:00:00:00") }] },
  ],
])("V8: %s is refused", (_, filters) => {
  expect(entriesOf(filters, lent)).toMatchObject({ code: VdpError.invalidVidGroupOrMac });
});

test("filters with no entry are refused as malformed", () => {
  expect(entriesOf({ by: "vid", entries: [] }, lent)).toMatchObject({
    code: VdpError.invalidFormat,
  });
});

test("H1: the answer has the entries of the request in their order, each with its tag", () => {
  const filters: Filters = {
    by: "group-vid",
    entries: [{ groupId: 5001, pcp: 3 }, { groupId: 5002 }],
  };
  expect(withVids(filters, [Vid(7), Vid(8)])).toEqual({
    by: "group-vid",
    entries: [
      { groupId: 5001, pcp: 3, vid: 7 },
      { groupId: 5002, vid: 8 },
    ],
  });
});

test("H11: an address goes below its VN and MAC, and nowhere else", () => {
  const entries = [
    { vn: red, mac: a },
    { vn: red, mac: b },
    { vn: blue, mac: a },
  ];
  const content = contentOf(entries, [
    { vn: red, mac: a, ip: one },
    { vn: VnId(9), mac: a, ip: one },
    { vn: blue, mac: b, ip: one },
    { ip: one },
  ]);
  expect(content.get(red)?.get(a)).toEqual(new Set([one]));
  expect(content.get(red)?.get(b)).toEqual(new Set());
  expect(content.get(blue)?.get(a)).toEqual(new Set());
  expect(content.has(VnId(9))).toBe(false);
});

test("H11: an address without VN and MAC is of the only ones, as lldpad sends it", () => {
  const content = contentOf([{ vn: red, mac: a }], [{ ip: one }]);
  expect(content.get(red)?.get(a)).toEqual(new Set([one]));
});

test("H6: a VSI without a MAC is in the VN all the same", () => {
  expect(contentOf([{ vn: red }])).toEqual(new Map([[red, new Map()]]));
});

test("an address that names no VN is of every VN that has its MAC", () => {
  const entries = [
    { vn: red, mac: a },
    { vn: blue, mac: b },
  ];
  const content = contentOf(entries, [{ mac: b, ip: one }]);
  expect(content.get(blue)?.get(b)).toEqual(new Set([one]));
  expect(content.get(red)?.get(a)).toEqual(new Set());
});
