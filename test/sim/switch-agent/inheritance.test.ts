import { IpAddress, Mac, Vid, Vni } from "@nve/protocol-spec";
import type { Intent } from "@nve/switch-agent/nve";
import { expect, test } from "vitest";
import { request } from "./station.ts";
import { pass, type Tor, tor } from "./tor.ts";
import { a, b, group, ok, vm1, vm2 } from "./vsis.ts";

// What an earlier run left in the dataplane, and the stations and the NVA that say what is to be.

const far = { is: "remote", vtep: IpAddress("192.0.2.9") } as const;
const at = (port: string, vid: number) => ({ is: "local", port, vid: Vid(vid) }) as const;
const vn = (vni: number, ...flood: (typeof far | ReturnType<typeof at>)[]): Intent => ({
  ...{ is: "vn", vni: Vni(vni), flood, floodUnknown: false },
});
const left: readonly Intent[] = [
  vn(15001, at("swp1", 30), at("swp2", 31), far),
  { is: "access", port: "swp1", vid: Vid(30), vni: Vni(15001) },
  { is: "access", port: "swp2", vid: Vid(31), vni: Vni(15001) },
  { is: "mac", vni: Vni(15001), mac: a, at: at("swp1", 30) },
  { is: "mac", vni: Vni(15001), mac: b, at: at("swp2", 31) },
];

const PORTS = "[{ name: swp1 }, { name: swp2 }]\ndataplane: { holdSeconds: 3 }";
const keysOf = (it: Tor) => [...it.dataplane.intents.keys()].sort();
const floodOf = (it: Tor) => {
  const intent = it.dataplane.intents.get("vn 15001");
  return intent?.is === "vn" ? intent.flood : undefined;
};

async function start(intents = left, ports = PORTS): Promise<Tor> {
  const it = tor(ports, "up", undefined, intents);
  for (const station of it.stations) station.lldp(true);
  await pass(it.clock, 5);
  return it;
}

test("H2: after a restart a VN has the tag that it had on each port, and what others had stays while they say nothing", async () => {
  const it = await start();
  it.nva.connect();
  const [station] = it.stations;
  station.ask(
    request("associate", vm1, group([5001, a])),
    request("associate", vm2, group([5002, b])),
  );
  await pass(it.clock, 30);
  expect(station.heard.flat()).toEqual([
    { type: "associate", status: ok, filters: group([5001, a, 30]) },
    { type: "associate", status: ok, filters: group([5002, b, 2]) },
  ]);
  expect(floodOf(it)).toEqual([at("swp1", 30), at("swp2", 31), far]);
  expect(keysOf(it)).toContain("access swp2 31");
  expect(it.agent.applier.state).toBe("reconciling");
  expect(it.nva.wholes).toBe(0);
});

test("what nobody has asked for again is gone after the hold time, and the NVA has the whole report then", async () => {
  const it = await start();
  it.nva.connect();
  it.stations[0].ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 2900, 10);
  expect(keysOf(it)).toContain("access swp2 31");
  await pass(it.clock, 1200, 10);
  expect(keysOf(it)).toEqual(["access swp1 30", `mac 15001 ${a}`, "vn 15001"]);
  expect(floodOf(it)).toEqual([at("swp1", 30)]);
  expect([it.nva.wholes, it.agent.applier.state]).toEqual([1, "in sync"]);
});

test("once all of it is asked for again nobody is waited for", async () => {
  const it = await start();
  it.nva.connect();
  it.stations[0].ask(request("associate", vm1, group([5001, a])));
  it.stations[1].ask(request("associate", vm2, group([5001, b])));
  await pass(it.clock, 1100, 10);
  expect([it.nva.wholes, it.agent.applier.state]).toEqual([1, "in sync"]);
  expect(keysOf(it)).toHaveLength(5);
});

test("H25: while the NVA is away nothing is taken away, however long", async () => {
  const it = await start();
  await pass(it.clock, 60_000, 500);
  expect(keysOf(it)).toHaveLength(left.length);
  it.nva.connect();
  await pass(it.clock, 2500, 100);
  it.nva.connect(false);
  await pass(it.clock, 60_000, 500);
  expect(keysOf(it)).toHaveLength(left.length);
});

test("H6: a VSI that goes meanwhile takes its MAC along, and not the tag of those who have said nothing yet", async () => {
  const it = await start();
  it.nva.connect();
  const [station] = it.stations;
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 30);
  station.ask(request("de-associate", vm1, group([5001, a, 30])));
  await pass(it.clock, 30);
  expect(keysOf(it)).toEqual(["access swp1 30", "access swp2 31", `mac 15001 ${b}`, "vn 15001"]);
});

test("H16: a MAC that was learnt at a port without protocol is known again without a frame, and claimed", async () => {
  const here = { is: "local", port: "swp2", vid: 0 } as const;
  const seen = Mac("02:00:00:00:00:0c");
  const intents: Intent[] = [
    { is: "vn", vni: Vni(15001), flood: [here], floodUnknown: false },
    { is: "access", port: "swp2", vid: 0, vni: Vni(15001), glean: true },
    { is: "mac", vni: Vni(15001), mac: seen, at: here },
  ];
  const ports =
    "[{ name: swp1 }, { name: swp2, static: [{ vn: 5001 }] }]\ndataplane: { holdSeconds: 3 }";
  const it = tor(ports, "up", undefined, intents);
  it.nva.connect();
  await pass(it.clock, 4500, 10);
  expect(it.agent.applier.state).toBe("in sync");
  expect(keysOf(it)).toContain(`mac 15001 ${seen}`);
  expect(it.nva.reports.flatMap(({ claims }) => claims)).toMatchObject([
    { mac: seen, gleaned: true },
  ]);
});

test("a dataplane that is new is pruned at once, and the report is whole from the start", async () => {
  const it = tor();
  expect(it.agent.inheritance.isOver).toBe(true);
  expect(it.agent.applier.state).toBe("in sync");
});
