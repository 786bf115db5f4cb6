import { IpAddress, Mac, Vid, Vni } from "@nve/protocol-spec";
import { type Intent, IntentTable, intentChange, type Place } from "@nve/switch-agent/nve";
import { expect, test } from "vitest";

const vni = Vni(7001);
const here: Place = { is: "local", port: "swp1", vid: Vid(2) };
const there: Place = { is: "remote", vtep: IpAddress("192.0.2.2") };
const vn: Intent = { is: "vn", vni, flood: [here], floodUnknown: false };
const access: Intent = { is: "access", port: "swp1", vid: Vid(2), vni };
const mac: Intent = { is: "mac", vni, mac: Mac("02:00:00:00:00:0a"), at: here };
const keyed = (...intents: Intent[]): IntentTable<Intent> => {
  const table = new IntentTable<Intent>();
  for (const intent of intents) table.set(intent, intent);
  return table;
};

test("the difference of equal intents is nothing", () => {
  const again: Intent[] = [structuredClone(vn), structuredClone(access), structuredClone(mac)];
  expect(intentChange(keyed(vn, access, mac), keyed(...again))).toEqual({ ensure: [], remove: [] });
});

test("what changes under its key is ensured and not removed first", () => {
  const moved: Intent = { ...mac, at: there };
  expect(intentChange(keyed(vn, mac), keyed(vn, moved))).toEqual({ ensure: [moved], remove: [] });
});

test.each<[string, Intent]>([
  ["a place more in the flood list", { ...vn, flood: [here, there] }],
  ["another place in the flood list", { ...vn, flood: [there] }],
  ["unknown addresses flooded", { ...vn, floodUnknown: true }],
])("a VN differs by %s", (_, changed) => {
  expect(intentChange(keyed(vn), keyed(changed))).toEqual({ ensure: [changed], remove: [] });
});

test("a tag that means another VN differs", () => {
  const other: Intent = { ...access, vni: Vni(7002) };
  expect(intentChange(keyed(access), keyed(other))).toEqual({ ensure: [other], remove: [] });
});

test("what is gone is removed, as it was", () => {
  expect(intentChange(keyed(vn, access, mac), keyed(access))).toEqual({
    ensure: [],
    remove: [vn, mac],
  });
});
