import { parseConfig } from "@nve/program/config";
import { Uuid, VnId, Vni } from "@nve/protocol-spec";
import { configSchema } from "@nve/switch-agent/config";
import { pullRule } from "@nve/switch-agent/local/learning";
import { expect, test } from "vitest";

const schema = configSchema(() => []);
const name = Uuid("00000000-0000-4000-8000-000000000007");
const read = (text: string) =>
  parseConfig(
    `vtep: 192.0.2.1\nnva: { addresses: ["nva:7470"], insecure: true }\nports: [{ name: swp1 }]\n${text}`,
    schema,
  );
const rule = (text: string) => {
  const pull = pullRule(read(text));
  return (vn: number, named?: Uuid) =>
    pull({ vn: VnId(vn), vni: Vni(vn), alias: "", ...(named && { name: named }) });
};
function faultsOf(text: string): string {
  try {
    read(text);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "";
}

test("A18: all VNs are in push if nobody says otherwise", () => {
  expect(rule("")(5001)).toBeUndefined();
  expect(read("").digestSeconds).toBe(60);
});

test("A18: by VN ID, range or VN Name; the first entry that a VN is in counts", () => {
  const pull = rule(
    `vns: [{ vn: 7, learning: push }, { vn: 5-9, learning: pull }, { vn: "${name}", learning: pull, unknown: drop }]`,
  );
  expect([4, 5, 7, 9, 10].map((vn) => pull(vn))).toEqual([
    undefined,
    "flood",
    undefined,
    "flood",
    undefined,
  ]);
  expect([pull(100, name), pull(5, name)]).toEqual(["drop", "flood"]);
});

test("A18: an entry says what differs, and the rest is as for all", () => {
  const pull = rule(
    "learning: pull\nunknown: drop\nvns: [{ vn: 7, unknown: flood }, { vn: 8, learning: push }]",
  );
  expect([pull(6), pull(7), pull(8)]).toEqual(["drop", "flood", undefined]);
});

test("what cannot be is refused with its line and what would do", () => {
  expect(faultsOf("learning: both")).toContain("line 4: learning");
  expect(faultsOf("vns: [{ vn: red }]")).toContain(
    'vns.0.vn: "red" is no VN ID (10001), range of them (10001-10099) or VN Name (a UUID)',
  );
  expect(faultsOf("vns: [{ vn: 9-5 }]")).toContain("the first VN ID is greater than the last");
  expect(faultsOf("vns: [{ vn: 0 }, { vn: 16777216 }, { vn: 7, mode: pull }]")).toMatch(
    /vns\.0\.vn: VN ID.*vns\.1\.vn: VN ID.*vns\.2: unknown key "mode"/s,
  );
  expect(faultsOf("digestSeconds: -1")).toContain("digestSeconds");
});
