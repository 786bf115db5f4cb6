import { treeFrom } from "@nve/hypervisor-agent/convert";
import { objection } from "@nve/hypervisor-agent/local-nve/vnic";
import { plus, type Stage, stageOf, type Tree } from "@nve/hypervisor-agent/stations/tree";
import { associateOf } from "@nve/hypervisor-agent/stations/vsi";
import { expect, test } from "vitest";
import { macA, macB, settings, treeOf, vnicA } from "./book.ts";

const staged = (stage: Stage): Tree => treeOf(5).map((node) => ({ ...node, stage }));
const asked = (tree: Tree) => {
  const { type, association } = associateOf(vnicA, tree, new Map(), settings.vdp);
  return { type, status: association.status };
};

test("H23: what is prepared is pre-associated with resource reservation and M bit; active, it is associated without", () => {
  expect(asked(staged("prepared"))).toMatchObject({
    type: "pre-associate-rr",
    status: { migrating: true, suspended: false },
  });
  expect(asked(plus(staged("prepared"), staged("active")))).toMatchObject({
    type: "associate",
    status: { migrating: false, suspended: false },
  });
});

test("H21: what is suspended stays associated, with S bit", () => {
  expect(asked(plus(treeOf(5), staged("suspended")))).toMatchObject({
    type: "associate",
    status: { migrating: false, suspended: true },
  });
});

test("what is added to a VNIC without a word of its stage leaves it in its stage", () => {
  expect(stageOf(plus(staged("suspended"), treeOf(5, macB)))).toBe("suspended");
  expect(stageOf(plus(treeOf(5), treeOf(6)))).toBe("active");
});

test("no such stage is refused, with those that there are", () => {
  const vn = { vnId: 5, vnName: "", guestTag: 0, macs: [{ mac: macA, ips: [] }] };
  expect(stageOf(treeFrom([{ ...vn, stage: "prepared" }]))).toBe("prepared");
  expect(() => treeFrom([{ ...vn, stage: "gone" }])).toThrow("active, prepared, suspended");
});

test.each(["active", "prepared", "suspended"] as const)(
  "a server that is its own NVE takes VNICs that are %s (A8, H21, H23)",
  (stage) => {
    expect(objection(new Map(), vnicA, staged(stage))).toBe(undefined);
  },
);
