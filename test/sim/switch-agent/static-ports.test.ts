import { Refused } from "@nve/program/errors";
import { IpAddress, NveId, Uuid, VdpError, Vid, VnId } from "@nve/protocol-spec";
import { type Binding, vnicNameOf } from "@nve/switch-agent/static/binding";
import { beforeEach, expect, test } from "vitest";
import { request } from "./station.ts";
import { MemoryBindings, pass, settle, type Tor, tor } from "./tor.ts";
import { a, b, group, vm1 } from "./vsis.ts";

const red = VnId(5001);
const blue = VnId(5002);
const redName = Uuid("66571c6d-f315-4e20-ac2f-1c85d8413f03");
const macs = [{ mac: a, ips: [IpAddress("10.0.0.1")] }];

const binding = (more: Partial<Binding> = {}): Binding => ({
  port: "swp2",
  tag: 0,
  vn: red,
  macs: [],
  strict: false,
  ...more,
});

let it: Tor;
let kept: MemoryBindings;

/** A switch agent whose swp1 has a station, and swp2 no protocol. */
async function start(vns = "[]", connected = true): Promise<void> {
  it = tor(`[{ name: swp1 }, { name: swp2, static: ${vns} }]`, "up", kept);
  if (connected) it.nva.connect();
  await pass(it.clock, 5);
}

beforeEach(() => {
  kept = new MemoryBindings();
});

const keysOf = () => [...it.dataplane.intents.keys()].sort();
const states = () => it.agent.statics.list().map(({ state, reason }) => [state, reason]);
const bind = async (one: Binding) => {
  const outcome = it.agent.statics.bind(one);
  outcome.catch(() => {}); // it is looked at later
  await pass(it.clock, 2);
  return outcome;
};

test("A11: the config binds a port and a VLAN of it: forwarded and claimed, and no protocol there", async () => {
  await start(
    "[{ vn: 5001, macs: [{ mac: 02:00:00:00:00:0a, ips: [10.0.0.1] }] }, { vn: 5002, vlan: 20 }]",
  );
  expect(states()).toEqual([
    ["bound", ""],
    ["bound", ""],
  ]);
  expect(keysOf()).toEqual([
    "access swp2 0",
    "access swp2 20",
    `mac 15001 ${a}`,
    "vn 15001",
    "vn 15002",
  ]);
  expect(it.dataplane.intents.get("access swp2 0")).toMatchObject({ vni: 15001, glean: true });
  const [claim] = it.nva.reports.flatMap(({ claims }) => claims);
  expect(claim).toMatchObject({ vn: red, mac: a, ips: ["10.0.0.1"], port: "swp2" });
  expect(claim?.vnic).toBe(vnicNameOf(NveId("tor1"), { port: "swp2", tag: 0 }));
  expect([...it.agent.ports.keys()]).toEqual(["swp1"]);
});

test("A11: strict lets in the MACs that are named, and no others", async () => {
  await start("[{ vn: 5001, macs: [{ mac: 02:00:00:00:00:0a }], strict: true }]");
  const access = it.dataplane.intents.get("access swp2 0");
  expect(access).toMatchObject({ checkSource: true });
  expect(access).not.toHaveProperty("glean");
});

test("A11: a VN may be named by its VN Name", async () => {
  kept.save([binding({ vn: redName })]);
  await start("[]", false);
  it.nva.names.set(redName, red);
  it.nva.connect();
  await pass(it.clock, 5);
  expect(it.agent.statics.list()).toMatchObject([{ state: "bound", vnId: red, vnName: redName }]);
  expect(keysOf()).toEqual(["access swp2 0", "vn 15001"]);
});

test("A11: bound and unbound through the API, and there again after a restart", async () => {
  await start();
  expect(await bind(binding({ macs }))).toMatchObject({ state: "bound", origin: "api" });
  expect(await bind(binding({ tag: Vid(20), vn: blue }))).toMatchObject({ state: "bound" });
  await it.agent.close();

  await start();
  expect(keysOf()).toEqual([
    "access swp2 0",
    "access swp2 20",
    `mac 15001 ${a}`,
    "vn 15001",
    "vn 15002",
  ]);
  it.agent.statics.unbind({ port: "swp2", tag: 0 });
  await pass(it.clock, 1);
  expect(keysOf()).toEqual(["access swp2 20", "vn 15002"]);
  expect(it.nva.reports.at(-1)).toMatchObject({ withdrawn: [{ vn: red, mac: a }], left: [red] });
  expect(kept.load()).toEqual([binding({ tag: Vid(20), vn: blue })]);
});

test("binding twice alike is one binding; another VN, or the same VN again, is refused", async () => {
  await start("[{ vn: 5003, vlan: 30 }]");
  await bind(binding());
  expect(await bind(binding())).toMatchObject({ state: "bound" });
  const refused = (one: Binding, why: string) => expect(bind(one)).rejects.toThrow(why);
  await refused(binding({ vn: blue }), "port swp2, untagged, is bound to VN 5001 already: unbind");
  await refused(binding({ tag: Vid(7) }), "port swp2, untagged, is bound to VN 5001 already");
  await refused(binding({ tag: Vid(30) }), "tag 30, is bound to VN 5003 already: the config binds");
  await refused(binding({ port: "swp1" }), "port swp1 is no port without protocol, these are");
  await refused(binding({ port: "swp9" }), "port swp9 is no port without protocol, these are");
  expect(it.agent.statics.list()).toHaveLength(2);
  expect(kept.load()).toHaveLength(1);
});

test("what the config binds cannot be unbound, nor what is not bound", async () => {
  await start("[{ vn: 5001 }]");
  expect(() => it.agent.statics.unbind({ port: "swp2", tag: 0 })).toThrow("by the config file");
  expect(() => it.agent.statics.unbind({ port: "swp2", tag: Vid(9) })).toThrow(
    "port swp2, tag 9: there is no such binding",
  );
  expect(states()).toEqual([["bound", ""]]);
});

test("what cannot be kept is not bound", async () => {
  await start();
  kept.fault = "the disk is full";
  await expect(bind(binding())).rejects.toThrow("the disk is full");
  expect([it.agent.statics.list(), keysOf()]).toEqual([[], []]);
  kept.fault = undefined;
  await bind(binding());
  kept.fault = "the disk is full";
  expect(() => it.agent.statics.unbind({ port: "swp2", tag: 0 })).toThrow("the disk is full");
  expect(states()).toEqual([["bound", ""]]);
});

test("the config wins over what was kept, which comes back with its place", async () => {
  kept.save([binding(), binding({ tag: Vid(20), vn: blue }), binding({ port: "swp1", vn: blue })]);
  await start("[{ vn: 5003 }]");
  expect(it.agent.statics.list()).toMatchObject([
    { tag: 0, vn: 5003, origin: "config", state: "bound" },
    { tag: 20, vn: blue, origin: "api", state: "bound" },
  ]);
  it.agent.statics.unbind({ port: "swp2", tag: Vid(20) });
  expect(kept.load()).toEqual([binding(), binding({ port: "swp1", vn: blue })]);
  await it.agent.close();
  await start();
  expect(it.agent.statics.list()).toMatchObject([{ tag: 0, vn: red, state: "bound" }]);
});

test("H25: the NVA is away at the start: waiting, and bound when it is there", async () => {
  await start("[{ vn: 5001 }]", false);
  await pass(it.clock, 3000, 100);
  expect(states()).toEqual([
    ["waiting", "VN 5001 is not known here and the NVA cannot be asked: connection refused"],
  ]);
  it.nva.connect();
  await pass(it.clock, 5);
  expect(states()).toEqual([["bound", ""]]);
});

test("a VN that is not there yet is asked for again, from 1 s to each 30 s", async () => {
  await start("[{ vn: 6001 }]");
  expect(states()).toEqual([["refused", "no VN 6001"]]);
  await pass(it.clock, 120_000, 500);
  const asked = it.nva.admitted.length;
  expect(asked).toBeGreaterThanOrEqual(7); // after 1, 2, 4, 8, 16, 30, 30 s …
  expect(asked).toBeLessThanOrEqual(9);
  expect(it.agent.refusals.newestFirst, "the same one again and again").toHaveLength(1);
  it.nva.known.add(6001);
  await pass(it.clock, 30_000, 500);
  expect(states()).toEqual([["bound", ""]]);
});

test("a VN that is deleted takes the binding with it, and it is bound again when the VN is back", async () => {
  await start("[{ vn: 5001, macs: [{ mac: 02:00:00:00:00:0a }] }]");
  it.nva.known.delete(5001);
  it.nva.deleteVn(5001);
  await pass(it.clock, 2);
  expect(states()).toEqual([["refused", "VN 5001 was deleted"]]);
  expect(keysOf()).toEqual([]);
  await pass(it.clock, 1500, 100);
  expect(states()).toEqual([["refused", "no VN 5001"]]);
  it.nva.known.add(5001);
  await pass(it.clock, 3000, 100);
  expect(states()).toEqual([["bound", ""]]);
  expect(keysOf()).toEqual(["access swp2 0", `mac 15001 ${a}`, "vn 15001"]);
});

test("unbound while it is being decided, it does not come up after all", async () => {
  await start();
  let open = (): void => {};
  it.nva.gate = new Promise((resolve) => {
    open = resolve;
  });
  const outcome = it.agent.statics.bind(binding());
  await pass(it.clock, 5);
  expect(states()).toEqual([["deciding", ""]]);
  it.agent.statics.unbind({ port: "swp2", tag: 0 });
  open();
  await pass(it.clock, 5000, 100);
  expect([await outcome, it.agent.statics.list(), keysOf()]).toMatchObject([
    { state: "deciding" },
    [],
    [],
  ]);
  expect(it.agent.core.vsis.size).toBe(0);
});

test("unbound while its VN Name is asked for, it is not asked for any more", async () => {
  await start();
  it.nva.names.set(redName, red);
  let open = (): void => {};
  it.nva.gate = new Promise((resolve) => {
    open = resolve;
  });
  void it.agent.statics.bind(binding({ vn: redName }));
  await pass(it.clock, 5);
  it.agent.statics.unbind({ port: "swp2", tag: 0 });
  open();
  await pass(it.clock, 5000, 100);
  expect([it.agent.core.vsis.size, keysOf(), it.nva.admitted.length]).toEqual([0, [], 1]);
});

test("bind answers after 3 s when there is no decision", async () => {
  await start();
  it.nva.gate = new Promise(() => {});
  const outcome = it.agent.statics.bind(binding());
  await pass(it.clock, 3001, 100);
  expect(await outcome).toMatchObject({ state: "deciding", reason: "" });
});

test("A11: a static port and one with VDP are in one VN; a MAC that an administrator has bound is no station's (H26)", async () => {
  await start("[{ vn: 5001, macs: [{ mac: 02:00:00:00:00:0b }] }]");
  const [station] = it.stations;
  station.lldp(true);
  await pass(it.clock, 5);
  station.ask(request("associate", vm1, group([5001, b])));
  await pass(it.clock, 30);
  expect(station.last?.status).toMatchObject({ code: VdpError.invalidVidGroupOrMac, hard: false });
  expect(it.agent.refusals.newestFirst[0]?.reason).toMatch(/in use by another VNIC.* on port swp2/);
  expect(it.dataplane.intents.get(`mac 15001 ${b}`)).toMatchObject({ at: { port: "swp2" } });
  station.ask(request("associate", vm1, group([5001, a])));
  await pass(it.clock, 30);
  expect(it.dataplane.intents.get("vn 15001")).toMatchObject({
    flood: [
      { port: "swp1", vid: 2 },
      { port: "swp2", vid: 0 },
    ],
  });
});

test("the interface of a static port comes and goes", async () => {
  await start("[{ vn: 5001 }]");
  expect([...it.dataplane.ports].sort()).toEqual(["swp1", "swp2"]);
  it.interfaces.set("swp2", "absent");
  await settle();
  expect([...it.dataplane.ports]).toEqual(["swp1"]);
  it.interfaces.set("swp2", "down");
  await settle();
  expect([...it.dataplane.ports].sort()).toEqual(["swp1", "swp2"]);
});

test("a damaged store is refused before anything is opened", async () => {
  kept.load = () => {
    throw new Refused("it is damaged");
  };
  await expect(start()).rejects.toThrow("it is damaged");
});
