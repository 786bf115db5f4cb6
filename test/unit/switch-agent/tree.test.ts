import { IpAddress, Mac, VnId } from "@nve/protocol-spec";
import { Tree, type VnicContent } from "@nve/switch-agent/nve";
import { expect, test } from "vitest";

const red = VnId(5001);
const blue = VnId(5002);
const a = Mac("02:00:00:00:00:0a");
const b = Mac("02:00:00:00:00:0b");
const one = IpAddress("10.0.0.1");
const two = IpAddress("10.0.0.2");

const content = (...vns: [VnId, [Mac, IpAddress[]][]][]): VnicContent =>
  new Map(vns.map(([vn, macs]) => [vn, new Map(macs.map(([mac, ips]) => [mac, new Set(ips)]))]));

test("H6: a VNIC is in several VNs, has several MACs in each and several IPs at each MAC", () => {
  const tree = new Tree();
  const all = content(
    [
      red,
      [
        [a, [one, two]],
        [b, []],
      ],
    ],
    [blue, [[a, [one]]]],
  );
  expect([...tree.put("vm1", all)]).toEqual([red, blue]);
  expect(tree.content("vm1")).toEqual(all);
  expect([...tree.members(red)]).toEqual(["vm1"]);
});

test("H5: the same MAC and IP in two VNs are two: one goes, the other stays", () => {
  const tree = new Tree();
  tree.put("vm1", content([red, [[a, [one]]]], [blue, [[a, [one]]]]));
  expect([...tree.remove({ vnic: "vm1", vn: red, mac: a })]).toEqual([red]);
  expect(tree.content("vm1")).toEqual(content([red, []], [blue, [[a, [one]]]]));
});

test("H7: removing a node removes what it contains, and nothing beside it", () => {
  const tree = new Tree();
  const all = content(
    [
      red,
      [
        [a, [one, two]],
        [b, []],
      ],
    ],
    [blue, []],
  );
  tree.put("vm1", all);
  tree.put("vm2", content([red, []]));
  tree.remove({ vnic: "vm1", vn: red, mac: a, ip: one });
  expect(tree.content("vm1")).toEqual(
    content(
      [
        red,
        [
          [a, [two]],
          [b, []],
        ],
      ],
      [blue, []],
    ),
  );
  tree.remove({ vnic: "vm1", vn: red });
  expect(tree.content("vm1")).toEqual(content([blue, []]));
  expect([...tree.members(red)]).toEqual(["vm2"]);
  expect([...tree.remove({ vnic: "vm1" })]).toEqual([blue]);
  expect(tree.content("vm1")).toBeUndefined();
  expect([...tree.members(blue)]).toEqual([]);
});

test("H6: a VNIC that leaves one VN and joins another touches both", () => {
  const tree = new Tree();
  tree.put("vm1", content([red, []]));
  expect([...tree.put("vm1", content([blue, []]))]).toEqual([red, blue]);
  expect([...tree.members(red)]).toEqual([]);
  expect([...tree.members(blue)]).toEqual(["vm1"]);
});

test("H7: what is not there can be removed", () => {
  const tree = new Tree();
  expect([...tree.remove({ vnic: "vm1" })]).toEqual([]);
  tree.put("vm1", content([red, []]));
  expect([...tree.remove({ vnic: "vm1", vn: blue })]).toEqual([]);
  expect([...tree.remove({ vnic: "vm1", vn: red, mac: a, ip: one })]).toEqual([]);
});

test("the tree keeps its own copy", () => {
  const tree = new Tree();
  const macs = new Map([[a, new Set<IpAddress>()]]);
  tree.put("vm1", new Map([[red, macs]]));
  macs.clear();
  expect(tree.content("vm1")).toEqual(content([red, [[a, []]]]));
});
