import {
  type Association,
  associationOctets,
  decode,
  type Filters,
  filterOctets,
  Mac,
  maxEntries,
  OutOfRange,
  readAssociation,
  readFilters,
  sameVsi,
  Uuid,
  uuidOfVsi,
  VdpError,
  Vid,
  type VsiId,
  vnIdOfGroup,
  vsiIdOf,
  vsiIdText,
} from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import { survivesOrIsRefused } from "../../../support/damaged.ts";
import { hex, octets } from "../../../support/octets.ts";

const VSI = "05 fa9b7fffb0a04893abcdbeef4ff18f13"; // format 5, a UUID
const uuid = Uuid("fa9b7fff-b0a0-4893-abcd-beef4ff18f13");
const vsi = { vsiType: { id: 7, version: 1 }, vsiId: vsiIdOf(uuid) };
const request = { is: "request", suspended: false, migrating: false, code: 0 } as const;
const response = { is: "response", keep: false, hard: false, code: 0 } as const;
const mac = Mac("52:54:00:11:22:33");
const group: Filters = { by: "group-vid", entries: [{ groupId: 5001 }] };
const GROUP = "03 0001 00001389 0000";

const vectors: [name: string, wire: string, value: Association][] = [
  [
    "a request that leaves the VID to the bridge (22-vdp-fmt3-null-vid.pcap)",
    `00 000007 01 ${VSI} ${GROUP}`,
    { status: request, ...vsi, filters: group },
  ],
  [
    "the answer with VID 200 (same)",
    `40 000007 01 ${VSI} 03 0001 00001389 00c8`,
    {
      status: response,
      ...vsi,
      filters: { by: "group-vid", entries: [{ groupId: 5001, vid: Vid(200) }] },
    },
  ],
  [
    "two VIDs, one with a priority",
    `00 ffffff ff ${VSI} 01 0002 a064 0ffe`,
    {
      status: request,
      vsiType: { id: 0xffffff, version: 255 },
      vsiId: vsi.vsiId,
      filters: { by: "vid", entries: [{ pcp: 2, vid: Vid(100) }, { vid: Vid(4094) }] },
    },
  ],
  [
    "a MAC address, to be given a VID, with priority 0",
    `00 000007 01 ${VSI} 02 0001 525400112233 8000`,
    { status: request, ...vsi, filters: { by: "mac-vid", entries: [{ mac, pcp: 0 }] } },
  ],
  [
    "H6: two MAC addresses in two VNs",
    `00 000007 01 ${VSI} 04 0002 00001389 525400112233 0000 ffffffff 525400112233 f001`,
    {
      status: request,
      ...vsi,
      filters: {
        by: "group-mac-vid",
        entries: [
          { groupId: 5001, mac },
          { groupId: 0xffffffff, mac, pcp: 7, vid: Vid(1) },
        ],
      },
    },
  ],
];

describe.each(vectors)("%s", (_, wire, value) => {
  test("reads and writes", () => {
    expect(decode(octets(wire), readAssociation)).toEqual(value);
    expect(hex(associationOctets(value))).toBe(hex(octets(wire)));
  });
  test("damaged, survives the round trip or is refused", () => {
    survivesOrIsRefused(octets(wire), readAssociation, associationOctets);
  });
});

test.each<[string, Association["status"]]>([
  ["10", { ...request, migrating: true }],
  ["20", { ...request, suspended: true }],
  ["0f", { ...request, code: 15 }],
  ["42", { ...response, code: VdpError.insufficientResources }],
  ["55", { ...response, hard: true, code: VdpError.invalidVidGroupOrMac }],
  ["64", { ...response, keep: true, code: VdpError.other }],
])("status %s: bit 7 tells what bits 6 and 5 mean", (octet, status) => {
  const wire = `${octet} 000007 01 ${VSI} ${GROUP}`;
  expect(decode(octets(wire), readAssociation).status).toEqual(status);
  expect(hex(associationOctets({ status, ...vsi, filters: group }))).toBe(hex(octets(wire)));
});

test("bit 8 of the status is read past and written 0; so is a PCP without PS", () => {
  const value = decode(octets(`c0 000007 01 ${VSI} 01 0001 7064`), readAssociation);
  expect(value.status).toEqual(response);
  expect(value.filters.entries).toEqual([{ vid: 100 }]);
  expect(hex(associationOctets(value))).toBe(hex(octets(`40 000007 01 ${VSI} 01 0001 0064`)));
});

test.each([
  ["short", "", "nothing"],
  ["short", `00 000007 01 05 fa9b7fff`, "an end within the VSI ID"],
  ["short", `00 000007 01 ${VSI} 03 00`, "an end within the count"],
  ["bad-value", `00 000007 01 ${VSI} 03 0000`, "no entries"],
  ["bad-value", `00 000007 01 ${VSI} 03 0001 0001`, "less than the count says"],
  ["bad-value", `00 000007 01 ${VSI} 03 0001 00001389 0000 00`, "more than the count says"],
  ["bad-value", `00 000007 01 ${VSI} 01 ffff 0001`, "a count of 65535"],
  ["bad-value", `00 000007 01 ${VSI} 01 0001 0fff`, "VID 4095"],
  [
    "bad-value",
    `00 000007 01 ${VSI} 04 0001 00001389 525400112233 8fff`,
    "VID 4095 with a priority",
  ],
  ["unsupported", `00 000007 01 ${VSI} 00 0001 0000`, "filter info format 0"],
  ["unsupported", `00 000007 01 ${VSI} 05 0001 0000`, "filter info format 5"],
])("%s: %s (%s)", (code, wire) => {
  expect(() => decode(octets(wire), readAssociation)).toThrow(expect.objectContaining({ code }));
});

test.each<[Filters["by"], number, Filters]>([
  ["vid", 243, { by: "vid", entries: Array(243).fill({}) }],
  ["mac-vid", 60, { by: "mac-vid", entries: Array(60).fill({ mac }) }],
  ["group-vid", 81, { by: "group-vid", entries: Array(81).fill({ groupId: 1 }) }],
  ["group-mac-vid", 40, { by: "group-mac-vid", entries: Array(40).fill({ groupId: 1, mac }) }],
])("%s: %i entries fit a TLV, one more does not", (by, max, filters) => {
  expect(maxEntries(by)).toBe(max);
  const wire = associationOctets({ status: request, ...vsi, filters });
  expect(wire.length).toBeLessThanOrEqual(511);
  expect(decode(wire, readAssociation).filters).toEqual(filters);
  const more = { by, entries: [...filters.entries, filters.entries[0]] } as Filters;
  expect(() => filterOctets(more)).toThrow(OutOfRange);
});

test.each<[string, Partial<Association>]>([
  ["no entries", { filters: { by: "vid", entries: [] } }],
  ["PCP 8", { filters: { by: "vid", entries: [{ pcp: 8 }] } }],
  ["a GroupID of 33 bits", { filters: { by: "group-vid", entries: [{ groupId: 2 ** 32 }] } }],
  ["code 16", { status: { ...response, code: 16 } }],
  ["a VSI type of 25 bits", { vsiType: { id: 2 ** 24, version: 0 } }],
  ["a VSI ID of 15 octets", { vsiId: { format: 4, octets: new Uint8Array(15) } }],
])("%s is out of range for a writer", (_, wrong) => {
  const value = { status: request, ...vsi, filters: group, ...wrong };
  expect(() => associationOctets(value)).toThrow(OutOfRange);
});

test("filters alone read as they are written", () => {
  expect(decode(filterOctets(group), readFilters)).toEqual(group);
});

test("H4: a GroupID is a VN ID when its top octet is 0, and 0 names no VN", () => {
  expect([1, 5001, 0xffffff].map(vnIdOfGroup)).toEqual([1, 5001, 0xffffff]);
  expect([0, 0x1000000, 0xffffffff].map(vnIdOfGroup)).toEqual([undefined, undefined, undefined]);
});

const id = (format: number, hex: string): VsiId => ({ format, octets: octets(hex) });

test("H5: a VNIC Name is a VSI ID of format 5 and back", () => {
  expect(vsiIdOf(uuid)).toEqual(id(5, "fa9b7fffb0a04893abcdbeef4ff18f13"));
  expect(uuidOfVsi(vsiIdOf(uuid))).toBe(uuid);
  expect(uuidOfVsi({ ...vsiIdOf(uuid), format: 4 })).toBeUndefined();
});

test.each([
  [id(1, "00000000000000000000ffff0a000001"), "10.0.0.1"],
  [id(1, "000000000000000000000000 0a000001"), "1:0000000000000000000000000a000001"],
  [id(2, "20010db8000000000000000000000001"), "2001:db8::1"],
  [id(3, "00000000000000000000525400112233"), "52:54:00:11:22:33"],
  [id(3, "01000000000000000000525400112233"), "3:01000000000000000000525400112233"],
  [id(4, "00000000000000000000525400112233"), "4:00000000000000000000525400112233"],
  [vsiIdOf(uuid), "fa9b7fff-b0a0-4893-abcd-beef4ff18f13"],
  [id(9, "00000000000000000000000000000000"), "9:00000000000000000000000000000000"],
])("a VSI ID as text: %#", (vsiId, text) => {
  expect(vsiIdText(vsiId)).toBe(text);
});

test("VSI IDs are the same when format and octets are", () => {
  expect(sameVsi(vsiIdOf(uuid), vsiIdOf(uuid))).toBe(true);
  expect(sameVsi(vsiIdOf(uuid), { ...vsiIdOf(uuid), format: 4 })).toBe(false);
  expect(sameVsi(vsiIdOf(uuid), vsiIdOf(Uuid("fa9b7fff-b0a0-4893-abcd-beef4ff18f14")))).toBe(false);
});
