import { IpAddress, Vid, Vni } from "@nve/protocol-spec";
import { portRules, vnRules } from "@nve/switch-agent/dataplane/bridge/rules";
import { unsupported } from "@nve/switch-agent/dataplane/bridge/unsupported";
import type { Intent } from "@nve/switch-agent/nve";
import { expect, test } from "vitest";
import { access, local, mac, remote } from "../../contracts/dataplane-bench.ts";

const vni = Vni(7);
const plain: Intent = { is: "vn", vni, flood: [], floodUnknown: false };
const a = IpAddress("192.0.2.2");

test("what a bridge cannot do is refused where more would pass than may, and else ignored", () => {
  const nothing = { refused: [], ignored: [] };
  expect(unsupported(plain)).toEqual(nothing);
  expect(unsupported(access("p1", 10, 7, { checkSource: true }))).toEqual(nothing);
  expect(unsupported(mac(7, "0a", local("p1", 10)))).toEqual(nothing);
  const limit = { perSecond: 1, burst: 1 };
  expect(
    unsupported({ ...plain, group: IpAddress("239.1.1.1"), answer: true, floodLimit: limit }),
  ).toEqual({ refused: ["group"], ignored: ["answer", "floodLimit"] });
  const rules = { checkSource: true, checkIps: true, glean: true, floodLimit: limit } as const;
  expect(unsupported(access("p1", Vid(10), 7, rules))).toEqual({
    refused: ["checkIps"],
    ignored: ["floodLimit", "glean"],
  });
  const nvgre = { ...remote(a), encapsulation: "nvgre" } as const;
  expect(unsupported(mac(7, "0a", nvgre)).refused).toEqual(["encapsulation"]);
});

test("no two filters of an interface have one priority and handle, and the last one takes all that is left", () => {
  for (const rules of [portRules(false), portRules(true), vnRules]) {
    const keys = rules.map(({ priority, handle }) => `${priority} ${handle}`);
    expect(new Set(keys).size).toBe(rules.length);
    const last = [...rules].sort((one, other) => one.priority - other.priority).at(-1);
    expect(last).toMatchObject({ protocol: "all", match: {} });
  }
  expect(
    portRules(false)
      .filter(({ drop }) => !drop)
      .map(({ protocol }) => protocol),
  ).toEqual(["all", 0x88cc, 0x8940]); // control frames of the link
});
