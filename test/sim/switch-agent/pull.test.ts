import { IpAddress, Mac, NveId, VnId, Vni } from "@nve/protocol-spec";
import type { Found } from "@nve/switch-agent/nva-client/lookup";
import type { Sample } from "@nve/switch-agent/nve";
import type { Wanted } from "@nve/switch-agent/pull/pull";
import { beforeEach, expect, test } from "vitest";
import { settle, type Tor, tor } from "./tor.ts";
import { a } from "./vsis.ts";

const red = VnId(5001);
const blue = VnId(5002);
const far = Mac("02:00:00:00:00:0b");
const vtep = IpAddress("192.0.2.2");
const at = { is: "local", port: "swp2", vid: 0 } as const;
const octetsOf = (mac: Mac): number[] => mac.split(":").map((hex) => Number.parseInt(hex, 16));
/** Somebody at swp2 speaks to `to`. */
const miss = (to = far): Sample => ({
  vni: Vni(15001),
  at,
  octets: Uint8Array.of(...octetsOf(to), ...octetsOf(a), 0x08, 0x00),
});
const found = (mac = far): Found => ({
  is: "found",
  mac,
  change: {
    vn: red,
    mappings: [{ mac, ips: [], nve: NveId("tor2"), vtep }],
    withdrawn: [],
    members: [],
    membersLeft: [],
  },
});

let it: Tor;

async function start(learning = "vns: [{ vn: 5001-5001, learning: pull, unknown: drop }]") {
  const binding = (vn: number, tag: number) => `{ vn: ${vn}, vlan: ${tag}, macs: [{ mac: ${a} }] }`;
  const vns = `[{ vn: 5001, macs: [{ mac: ${a} }] }, ${binding(5002, 20)}]`;
  it = tor(`[{ name: swp1 }, { name: swp2, static: ${vns} }]\n${learning}`);
  it.nva.connect();
  await settle();
  await settle();
}
beforeEach(() => start());

async function want(...samples: Sample[]): Promise<void> {
  it.dataplane.want(...samples);
  await settle();
}
async function pass(ms: number): Promise<void> {
  it.clock.advance(ms);
  await settle();
}
const remote = (mac = far) => it.dataplane.intents.get(`mac 15001 ${mac}`);
const asked = (): Wanted[] => it.nva.asked.map(({ wanted }) => wanted);

test("A18: one NVE has one VN in pull and another in push, each as configured", () => {
  expect([...it.nva.selected.keys()]).toEqual([red]);
  expect([...it.nva.watched]).toEqual([red, blue]);
  expect(it.dataplane.intents.get("vn 15001")).toMatchObject({
    askUnknown: true,
    floodUnknown: false,
  });
  expect(it.dataplane.intents.get("vn 15002")).not.toHaveProperty("askUnknown");
});

test("A18: in pull unknown unicast is flooded if the config does not say to drop it", async () => {
  await start("learning: pull\nvns: [{ vn: 5002, learning: push }]");
  expect([...it.nva.selected.keys()]).toEqual([red]);
  expect(it.dataplane.intents.get("vn 15001")).toMatchObject({
    askUnknown: true,
    floodUnknown: true,
  });
});

test("A18: who is looked for is asked for; what is found goes into the dataplane and is watched", async () => {
  it.nva.answer = () => found();
  await want(miss(), miss());
  expect(asked()).toEqual([{ mac: far }]);
  expect(remote()).toMatchObject({ at: { is: "remote", vtep } });
  expect([...(it.nva.selected.get(red) ?? [])]).toEqual([far]);
});

test("A18: a definite none is counted, and not asked for again within its lifetime", async () => {
  it.nva.answer = () => ({ is: "none", lifetimeMs: 5000 });
  await want(miss());
  await pass(4000);
  await want(miss(), miss());
  expect(asked()).toHaveLength(1);
  expect(it.agent.nvaCounters).toMatchObject({ "pull.none": 1, "pull.known-none": 2 });
  await pass(1000);
  await want(miss());
  expect(asked()).toHaveLength(2);
});

test("what is not spoken to for five minutes is forgotten, here and at the NVA; what is, stays", async () => {
  it.nva.answer = (_, wanted) => found("mac" in wanted ? wanted.mac : far);
  await want(miss());
  it.dataplane.unused = 10_000;
  await pass(300_000);
  expect(remote()).toBeDefined();
  it.dataplane.unused = undefined;
  await pass(310_000);
  expect(remote()).toBeUndefined();
  expect([...(it.nva.selected.get(red) ?? [])]).toEqual([]);
});

test("V10: a flood of unknown MACs makes no flood of questions", async () => {
  it.nva.answer = () => new Promise(() => {});
  const many = Array.from({ length: 1000 }, (_, n) =>
    miss(
      Mac(
        `02:00:00:01:${(n >> 8).toString(16).padStart(2, "0")}:${(n & 255).toString(16).padStart(2, "0")}`,
      ),
    ),
  );
  await want(...many);
  expect(asked()).toHaveLength(32);
  expect(it.agent.nvaCounters).toMatchObject({ "pull.busy": 968 });
});

test("what cannot be read is counted; without the NVA nobody is asked twice at once, and nothing is kept", async () => {
  await want({ vni: Vni(15001), at, octets: Uint8Array.of(1, 2, 3) });
  await want(miss());
  await want(miss());
  expect(remote()).toBeUndefined();
  expect(it.agent.nvaCounters).toMatchObject({ "pull.malformed": 1, "pull.unreachable": 2 });
});
