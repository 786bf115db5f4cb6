import { type Filters, IpPrefix, Mac, Uuid, Vid, VnId, type VsiAddress } from "@nve/protocol-spec";
import {
  MacRange,
  mayAttach,
  type PortPolicy,
  refusalBy,
  vnRefusalBy,
} from "@nve/switch-agent/port/policy";
import { Tally } from "@nve/switch-agent/port/tally";
import { expect, test } from "vitest";

const red = VnId(5001);
const blue = VnId(5002);
const redName = Uuid("66571c6d-f315-4e20-ac2f-1c85d8413f03");
const blueName = Uuid("66571c6d-f315-4e20-ac2f-1c85d8413f04");
const PLACEHOLDER = 0xff000001;
const a = Mac("02:00:00:00:00:0a");

const groups = (...entries: [number, Mac][]): Filters => ({
  by: "group-mac-vid",
  entries: entries.map(([groupId, mac]) => ({ groupId, mac })),
});
const named = new Map([[PLACEHOLDER, { placeholder: PLACEHOLDER, name: redName }]]);
const addresses = (...ips: string[]): VsiAddress[] => ips.map((ip) => ({ ip: IpPrefix(ip) }));
const vns = (...all: (VnId | Uuid)[]): PortPolicy => ({ vns: new Set(all) });
const macs = (...all: string[]): PortPolicy => ({ macs: all.map(MacRange) });
const ips = (...all: string[]): PortPolicy => ({ ips: all.map((ip) => IpPrefix(ip)) });

type Row = [what: string, policy: PortPolicy, refused: string, filters?: Filters, ips?: string[]];
const one = groups([red, a]);

test.each<Row>([
  ["nothing is limited", {}, ""],
  ["a VN that is named", vns(red), ""],
  ["one that is not", vns(blue), "vn 5 VN 5001"],
  ["none is", vns(), "vn 5 VN 5001"],
  ["one of two", vns(red), "vn 5 VN 5002", groups([red, a], [blue, a])],
  ["by VN Name, as asked", vns(redName), "", groups([PLACEHOLDER, a])],
  ["another VN Name", vns(blueName), `vn 5 VN ${redName}`, groups([PLACEHOLDER, a])],
  ["asked by Name, allowed by ID: the NVA must say", vns(red), "", groups([PLACEHOLDER, a])],
  ["asked by ID, allowed by Name: the NVA must say", vns(blueName), ""],
  ["a tag that was lent names its VN", vns(blue), "", { by: "vid", entries: [{ vid: Vid(7) }] }],
  ["a MAC that is named", macs("02:00:00:00:00:0a"), ""],
  ["one in a range", macs("04:00:00:00:00:00/8", "02:00:00:00:00:00/24"), ""],
  [
    "at the end of a range",
    macs("02:00:00:00:00:08/45"),
    "",
    groups([red, Mac("02:00:00:00:00:0f")]),
  ],
  [
    "behind a range",
    macs("02:00:00:00:00:08/45"),
    "mac 5 MAC 02:00:00:00:00:10",
    groups([red, a], [red, Mac("02:00:00:00:00:10")]),
  ],
  [
    "no MAC is said",
    macs("02:00:00:00:00:0a"),
    "mac 5",
    { by: "group-vid", entries: [{ groupId: red }] },
  ],
  ["an IP in a prefix", ips("10.0.0.0/24", "fd00::/64"), "", one, ["10.0.0.9", "fd00::1"]],
  ["no IP is said", ips("10.0.0.0/24"), "", one, []],
  ["another IP", ips("10.0.0.0/24"), "ip 4 IP 10.0.1.9", one, ["10.0.0.9", "10.0.1.9"]],
  ["another family", ips("0.0.0.0/0"), "ip 4 IP fd00::1", one, ["fd00::1"]],
  ["a prefix in one", ips("10.0.0.0/24"), "", one, ["10.0.0.128/25", "10.0.0.0/24"]],
  ["a prefix around one", ips("10.0.0.0/24"), "ip 4 IP 10.0.0.0/16", one, ["10.0.0.0/16"]],
])("H26: %s", (_, policy, refused, filters = one, said = []) => {
  const refusal = refusalBy(policy, { filters, names: named, addresses: addresses(...said) });
  const text = refusal && `${refusal.cause} ${refusal.code} ${refusal.reason}`;
  if (refused === "") expect(text).toBeUndefined();
  else expect(text).toContain(refused);
});

test("H26: what the NVA tells of a VN decides where ID and Name are needed", () => {
  expect(vnRefusalBy(vns(blueName), { vn: red, name: redName })).toMatchObject({ code: 5 });
  expect(vnRefusalBy(vns(redName), { vn: red, name: redName })).toBeUndefined();
  expect(vnRefusalBy(vns(red), { vn: red, name: redName })).toBeUndefined();
  expect(vnRefusalBy(vns(redName), { vn: red })).toMatchObject({ code: 5 });
  expect(vnRefusalBy({}, { vn: red })).toBeUndefined();
});

test("H26: stations by their addresses, or any", () => {
  expect(mayAttach({}, a)).toBe(true);
  expect(mayAttach({ stations: new Set([a]) }, a)).toBe(true);
  expect(mayAttach({ stations: new Set() }, a)).toBe(false);
});

test.each([
  "02:00:00:00:00",
  "02:00:00:00:00:0g",
  "02:00:00:00:00:00/0",
  "02:00:00:00:00:00/49",
  "02:00:00:00:00:00/",
  "02:00:00:00:00:00/8/8",
  "02:00:00:00:00:01/40",
  "02-00-00-00-00-01",
])("%s is no range of MACs", (text) => {
  expect(() => MacRange(text)).toThrow(text);
});

test("a tally: what is wanted counts with what is held, until it is settled", () => {
  const tally = new Tally<object>(10);
  const [x, y] = [{}, {}];
  expect(tally.want(x, 6)).toBeUndefined();
  expect(tally.want(y, 5)).toBe(6);
  expect(tally.want(y, 4)).toBeUndefined();
  tally.settle(x, true);
  tally.settle(y, false);
  expect(tally.want(y, 4), "none was granted").toBeUndefined();
  tally.settle(y, true);
  expect(tally.want(x, 2)).toBeUndefined();
  expect(tally.want(y, 5), "x has its six until it is decided").toBe(6);
  tally.settle(x, true);
  expect(tally.want(y, 8)).toBeUndefined();
  tally.settle(y, false);
  tally.drop(x);
  tally.drop(x);
  expect(tally.want(y, 10)).toBeUndefined();
});
