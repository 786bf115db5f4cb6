import { IpAddress, Mac, VdpError, Vid, type VnId } from "@nve/protocol-spec";
import { beforeEach, expect, test } from "vitest";
import { a, Bench, b, blue, groups, infoOf, port, red, tor2, vnicOf, vniOf } from "./nve-bench.ts";

const one = IpAddress("10.0.0.1");
let nve: Bench;
beforeEach(() => {
  nve = new Bench(port("swp1"), port("swp2"));
  nve.feed({ on: "nva", connected: true });
});

const remote = (vn: VnId, mac = b) => ({
  vn,
  mappings: [{ mac, ips: [], ...tor2 }],
  withdrawn: [],
  members: [tor2],
  membersLeft: [],
});

test("H1: a station that asks with a null VID is lent a tag, when the dataplane has it", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  expect(nve.granted).toEqual(groups([red, a, Vid(2)]));
  const order = nve.effects.map((effect) => effect.do);
  expect(order.indexOf("intents")).toBeLessThan(order.indexOf("grant"));
  expect(nve.intents).toContainEqual({ is: "access", port: "swp1", vid: 2, vni: vniOf(red) });
  expect(nve.intents).toContainEqual({
    is: "mac",
    vni: vniOf(red),
    mac: a,
    at: { is: "local", port: "swp1", vid: 2 },
    vnic: vnicOf("vm1"),
  });
});

test("H2: with the last attachment gone, the tag and all state of the VN are reclaimed", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm2", "swp1", groups([red, b]));
  expect(nve.tags(), "one tag for the VN on this port").toEqual([2]);
  nve.release("vm1");
  expect(nve.core.ports.get("swp1")?.pool.tagOf(red)).toBe(2);
  nve.release("vm2");
  expect(nve.core.ports.get("swp1")?.pool.tagOf(red)).toBeUndefined();
  expect(nve.intents).toEqual([]);
  expect([nve.claims.size, nve.joined.size, nve.watched.size]).toEqual([0, 0, 0]);
  expect([...nve.core.vsis, ...nve.core.infos, ...nve.core.watched()]).toEqual([]);
});

test("H4: what goes to the station holds the VN ID and the tag, never the VNI", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  expect(JSON.stringify(nve.did("grant"))).not.toContain(String(vniOf(red)));
});

test("H5: the same MAC in two VNs is two addresses, each with its tag and its VNI", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm2", "swp1", groups([blue, a]));
  const macs = nve.intents.filter((intent) => intent.is === "mac");
  expect(macs.map(({ vni, at }) => [vni, at])).toEqual([
    [vniOf(red), { is: "local", port: "swp1", vid: 2 }],
    [vniOf(blue), { is: "local", port: "swp1", vid: 3 }],
  ]);
  nve.release("vm1");
  expect(nve.intents.filter((intent) => intent.is === "mac")).toHaveLength(1);
  expect([...nve.claims.keys()]).toEqual([`${blue} ${a}`]);
});

test("H6: one VSI in two VNs has a tag for each, in the order of its entries", () => {
  nve.ask("vm1", "swp1", groups([blue, a], [red, b], [blue, b]));
  expect(nve.tags()).toEqual([2, 3, 2]);
  expect([...nve.joined]).toEqual([blue, red]);
});

test("H6: entries are added and removed at any time; the tag of a VN left is given back", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm1", "swp1", groups([red, a, Vid(2)], [blue, a]));
  expect(nve.tags()).toEqual([2, 3]);
  nve.ask("vm1", "swp1", groups([blue, a, Vid(3)]));
  expect(nve.core.ports.get("swp1")?.pool.tagOf(red)).toBeUndefined();
  expect([...nve.claims.keys()]).toEqual([`${blue} ${a}`]);
});

test("H7: one message removes a VSI with all its VNs, MACs and IPs", () => {
  nve.ask("vm1", "swp1", groups([red, a], [red, b], [blue, a]), {
    addresses: [{ vn: red, mac: a, ip: one }],
  });
  expect(nve.claims.get(`${red} ${a}`)?.ips).toEqual([one]);
  nve.release("vm1");
  expect(nve.intents).toEqual([]);
  expect(nve.claims.size).toBe(0);
});

test("H11: addresses told later are claimed, and only the change is told", () => {
  nve.ask("vm1", "swp1", groups([red, a], [red, b]));
  nve.feed({ on: "addresses", vsi: "vm1", addresses: [{ mac: a, ip: one }] });
  expect(nve.did("report").map(({ claims }) => claims.map(({ mac, ips }) => [mac, ips]))).toEqual([
    [[a, [one]]],
  ]);
  nve.feed({ on: "addresses", vsi: "vm1", addresses: [{ mac: a, ip: one }] });
  expect(nve.effects).toEqual([]);
});

test("H18: the NVA is told the VNIC, hypervisor and port of each address", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  expect(nve.claims.get(`${red} ${a}`)).toMatchObject({
    vn: red,
    mac: a,
    hypervisor: "server1",
    port: "swp1",
  });
  expect(nve.core.report()).toEqual({
    claims: [...nve.claims.values()],
    withdrawn: [],
    joined: [red],
    left: [],
  });
});

test("H20: from one port to another of the same NVE, not one message to the NVA", () => {
  nve.ask("vm1@swp1", "swp1", groups([red, a]));
  const vnic = nve.claims.get(`${red} ${a}`)?.vnic;
  const moved = nve.ask("vm1@swp2", "swp2", groups([red, a]), vnic === undefined ? {} : { vnic });
  expect(moved.filter(({ do: what }) => what === "report")).toEqual([]);
  expect(nve.applied.get(`mac ${vniOf(red)} ${a}`)).toMatchObject({ at: { port: "swp2" } });
  nve.release("vm1@swp1");
  expect(nve.did("report")).toEqual([]);
  expect(nve.applied.get(`mac ${vniOf(red)} ${a}`)).toMatchObject({ at: { port: "swp2" } });
});

test("V8: the same VN has its own tag on each port, and one tag means one VN on a port", () => {
  nve.ask("vm1", "swp1", groups([blue, b]));
  nve.ask("vm2", "swp1", groups([red, a]));
  expect(nve.tags()).toEqual([3]);
  nve.ask("vm3", "swp2", groups([red, b]));
  expect(nve.tags()).toEqual([2]);
});

test("V8: a tag that was never lent is refused, and the reason is logged", () => {
  nve.ask("vm1", "swp1", { by: "mac-vid", entries: [{ mac: a, vid: Vid(77) }] });
  expect(nve.refused).toMatchObject({ code: VdpError.invalidVidGroupOrMac });
  expect(nve.did("log")[0]).toMatchObject({ level: "warn", fields: { port: "swp1" } });
  expect(nve.intents).toEqual([]);
});

test("V8: a tag lent to another VN is refused; the VN's own is taken", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm2", "swp1", groups([blue, b, Vid(2)]));
  expect(nve.refused).toMatchObject({ code: VdpError.invalidVidGroupOrMac });
  nve.ask("vm2", "swp1", { by: "mac-vid", entries: [{ mac: b, vid: Vid(2) }] });
  expect(nve.tags()).toEqual([2]);
  expect([...nve.claims.keys()]).toContain(`${red} ${b}`);
});

test("V8: a station that outlived us keeps its tag", () => {
  nve.ask("vm1", "swp1", groups([red, a, Vid(99)]));
  expect(nve.tags()).toEqual([99]);
});

test("V10: an exhausted tag pool refuses with insufficient resources, and holds nothing", () => {
  nve = new Bench(port("swp1", { tags: [Vid(2), Vid(2)] }));
  nve.ask("vm1", "swp1", groups([red, a], [blue, a]));
  expect(nve.refused).toMatchObject({ code: VdpError.insufficientResources });
  expect(nve.core.ports.get("swp1")?.pool.free).toBe(1);
  expect([...nve.core.vsis]).toEqual([]);
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm2", "swp1", groups([blue, a]));
  expect(nve.refused?.reason).toBe("port swp1 has no tag left for VN 5002: all 1 are lent");
});

test("V10: a port takes no more VSIs than it may", () => {
  nve = new Bench(port("swp1", { maxVnics: 1 }));
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm2", "swp1", groups([red, b]));
  expect(nve.refused).toMatchObject({ code: VdpError.insufficientResources });
  nve.ask("vm1", "swp1", groups([red, b, Vid(2)]));
  expect(nve.granted, "one that is there may change").toBeDefined();
});

test("A7: what the NVA denies is refused with its code, and the older state stays", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.verdict = () => ({ is: "denied", code: VdpError.other, hard: true, reason: "not yours" });
  nve.ask("vm1", "swp1", groups([red, a, Vid(2)], [blue, a]));
  expect(nve.refused).toEqual({ code: 4, hard: true, reason: "not yours" });
  expect([...nve.claims.keys()]).toEqual([`${red} ${a}`]);
  expect(nve.core.infos.has(blue)).toBe(false);
});

test("A7: without the NVA a known VN is served, and an unknown one is refused", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.verdict = () => ({ is: "unreachable", reason: "connection refused" });
  nve.feed({ on: "nva", connected: false });
  nve.ask("vm2", "swp2", groups([red, b]));
  expect(nve.tags()).toEqual([2]);
  nve.ask("vm3", "swp2", groups([blue, b]));
  expect(nve.refused).toMatchObject({ code: VdpError.managerUnreachable, hard: false });
});

test("A6: without the NVA nothing is flushed, and unknown addresses are flooded", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.feed({ on: "snapshot-end", vn: red });
  nve.feed({ on: "remote", change: remote(red) });
  expect(nve.applied.get(`vn ${vniOf(red)}`)).toMatchObject({ floodUnknown: false });
  nve.feed({ on: "nva", connected: false });
  expect(nve.applied.get(`vn ${vniOf(red)}`)).toMatchObject({ floodUnknown: true });
  expect(nve.applied.get(`mac ${vniOf(red)} ${b}`)).toMatchObject({ at: { vtep: tor2.vtep } });
});

test("A10: who has no MAC of its own is reached by flooding", () => {
  nve.ask("vm1", "swp1", { by: "group-vid", entries: [{ groupId: red }] });
  nve.feed({ on: "snapshot-end", vn: red });
  expect(nve.claims.size).toBe(0);
  expect(nve.joined).toEqual(new Set([red]));
  expect(nve.applied.get(`vn ${vniOf(red)}`)).toMatchObject({ floodUnknown: true });
});

test("P8: broadcast goes to the NVEs that have members, and to each local tag once", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm2", "swp1", groups([red, b]));
  nve.feed({ on: "remote", change: { ...remote(red), mappings: [] } });
  expect(nve.applied.get(`vn ${vniOf(red)}`)).toMatchObject({
    flood: [
      { is: "local", port: "swp1", vid: 2 },
      { is: "remote", vtep: tor2.vtep },
    ],
  });
});

test("A10: a MAC that is here wins over what the NVA says, and the NVA's comes back after it", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.feed({ on: "remote", change: remote(red, a) });
  nve.ask("vm2", "swp1", groups([red, b]));
  expect(nve.applied.get(`mac ${vniOf(red)} ${a}`)).toMatchObject({ at: { is: "local" } });
  nve.release("vm1");
  expect(nve.applied.get(`mac ${vniOf(red)} ${a}`)).toMatchObject({ at: { is: "remote" } });
});

test("P4: with the last member gone, nothing of the VN is kept", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.feed({ on: "remote", change: remote(red) });
  nve.release("vm1");
  expect(nve.did("unwatch")).toEqual([{ do: "unwatch", vns: [red] }]);
  expect([nve.intents.length, nve.core.fdb.remotes(red).size]).toEqual([0, 0]);
});

test("P11: two VNs with one VNI would be one: the second is refused", () => {
  nve.verdict = (vn) => ({ is: "granted", info: { ...infoOf(vn), vni: vniOf(red) } });
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm2", "swp1", groups([blue, b]));
  expect(nve.refused).toMatchObject({ code: VdpError.other });
  expect(nve.refused?.reason, "H4: the station is told").not.toContain(String(vniOf(red)));
  nve.feed({ on: "vn", info: { ...infoOf(red), vni: vniOf(blue) } });
  expect(nve.intents.every(({ vni }) => vni === vniOf(blue))).toBe(true);
});

test.each(["pre-associate", "pre-associate-rr"] as const)(
  "H23: %s has a tag, is in the VN and watches it, but nothing goes to it and nothing is claimed",
  (mode) => {
    nve.ask("vm1", "swp1", groups([red, a]), { mode });
    expect(nve.tags()).toEqual([2]);
    expect([...nve.watched]).toEqual([red]);
    const prepared = [{ is: "vn", vni: vniOf(red), flood: [] }];
    expect(nve.intents).toMatchObject(prepared);
    expect([nve.claims.size, ...nve.joined]).toEqual([0, red]);
    nve.ask("vm1", "swp1", groups([red, a, Vid(2)]));
    expect(nve.intents.map(({ is }) => is)).toEqual(["vn", "access", "mac"]);
    nve.ask("vm1", "swp1", groups([red, a, Vid(2)]), { mode });
    expect(nve.intents).toMatchObject(prepared);
    expect([nve.claims.size, ...nve.joined]).toEqual([0, red]);
    nve.release("vm1");
    expect([nve.intents.length, nve.joined.size]).toEqual([0, 0]);
  },
);

test("A7: what the dataplane does not take is refused whole", () => {
  nve.fault = "map is full";
  nve.ask("vm1", "swp1", groups([red, a]));
  expect(nve.refused).toMatchObject({
    code: VdpError.insufficientResources,
    reason: "the dataplane did not take it",
    detail: "map is full",
  });
  expect([nve.claims.size, nve.joined.size, nve.core.vsis.size]).toEqual([0, 0, 0]);
  expect(nve.core.ports.get("swp1")?.pool.free).toBe(4093);
});

test("A7: a change that the dataplane does not take leaves the VSI as it was, tags and all", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  const before = nve.intents;
  nve.fault = "map is full";
  nve.ask("vm1", "swp1", groups([blue, b]));
  expect(nve.refused).toBeDefined();
  expect(nve.core.intents()).toEqual(before);
  expect(nve.core.ports.get("swp1")?.pool.tagOf(red)).toBe(2);
  expect(nve.core.ports.get("swp1")?.pool.tagOf(blue)).toBeUndefined();
});

test("a VN that is deleted takes its VSIs with it, and each station is told", () => {
  nve.ask("vm1", "swp1", groups([red, a], [blue, a]));
  nve.ask("vm2", "swp2", groups([red, b]));
  nve.feed({ on: "vn-gone", vn: red });
  expect(nve.did("order-de-associate").map(({ vsi, port: at, why }) => [vsi, at, why])).toEqual([
    ["vm1", "swp1", `VN ${red} was deleted`],
    ["vm2", "swp2", `VN ${red} was deleted`],
  ]);
  expect([nve.intents.length, nve.core.vsis.size]).toEqual([0, 0]);
});

test("P11: of a VN whose ID another VN has now nobody stays, though nobody told that it was deleted", () => {
  const info = { ...infoOf(red), name: vnicOf("the red one") };
  nve.verdict = (vn) => ({ is: "granted", info: vn === red ? info : infoOf(vn) });
  nve.ask("vm1", "swp1", groups([red, a], [blue, a]));
  nve.ask("vm2", "swp2", groups([blue, b]));
  nve.feed({ on: "vn", info: { ...info, alias: "renamed" } });
  expect(nve.did("order-de-associate")).toEqual([]);
  nve.feed({ on: "vn", info: { ...info, name: vnicOf("another one") } });
  expect(nve.did("order-de-associate").map(({ vsi, why }) => [vsi, why])).toEqual([
    ["vm1", `VN ${red} was deleted: another VN has its ID now`],
  ]);
  expect([...nve.core.vsis.keys()]).toEqual(["vm2"]);
});

test("P11: who asks anew for such a VN is disconnected from the old one, and joins the new one when it asks again", () => {
  const named = (name: string) => ({ ...infoOf(red), name: vnicOf(name) });
  nve.verdict = () => ({ is: "granted", info: named("the red one") });
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.verdict = () => ({ is: "granted", info: named("another one") });
  nve.ask("vm1", "swp1", groups([red, a], [red, b]));
  expect(nve.did("order-de-associate")).toHaveLength(1);
  expect([nve.did("grant"), nve.core.vsis.size]).toEqual([[], 0]);
  nve.ask("vm1", "swp1", groups([red, a], [red, b]));
  expect(nve.did("grant")).toHaveLength(1);
});

test("H26: whom the NVA wants to go is let go of with its reason, whole, and nobody else is", () => {
  nve.ask("vm1", "swp1", groups([red, a], [blue, a]));
  nve.ask("vm2", "swp2", groups([red, b]));
  const vnics = [vnicOf("vm1"), vnicOf("nobody")];
  nve.feed({ on: "disconnect", vn: red, vnics, reason: 'policy "no-lab" keeps it out' });
  expect(nve.did("order-de-associate")).toEqual([
    {
      do: "order-de-associate",
      port: "swp1",
      vsi: "vm1",
      why: 'the NVA says no: policy "no-lab" keeps it out',
    },
  ]);
  expect([...nve.core.vsis.keys()]).toEqual(["vm2"]);
  expect([...nve.claims.keys()]).toEqual([`${red} ${b}`]);
  nve.feed({ on: "disconnect", vn: blue, vnics, reason: "late" });
  expect(nve.effects).toEqual([]);
});

test("H26: a claim says which station asked for the VNIC, and that it has proven a key", () => {
  const station = Mac("52:54:00:aa:00:07");
  nve.ask("vm1", "swp1", groups([red, a]), { station });
  expect(nve.claims.get(`${red} ${a}`)).toMatchObject({ station });
  expect(nve.claims.get(`${red} ${a}`)).not.toHaveProperty("authenticated");
  nve.ask("vm1", "swp1", groups([red, a]), { station, authenticated: true });
  expect(nve.claims.get(`${red} ${a}`)).toMatchObject({ station, authenticated: true });
});

test("a verdict that comes after the VSI is gone, or asked anew, does nothing", () => {
  const admitted = new Map([[red, { is: "granted", info: infoOf(red) } as const]]);
  const ask = { ...ofVm1, mode: "associate" as const };
  const [first] = nve.core.step({ on: "ask", ask }, nve.now);
  const serial = first?.do === "admit" ? first.serial : 0;
  nve.core.step({ on: "release", vsi: "vm1", why: "de-associated" }, nve.now);
  const late = nve.core.step({ on: "verdicts", vsi: "vm1", serial, verdicts: admitted }, nve.now);
  expect(late).toEqual([]);
  nve.core.step({ on: "ask", ask }, nve.now);
  expect(
    nve.core.step({ on: "verdicts", vsi: "vm1", serial, verdicts: admitted }, nve.now),
  ).toEqual([]);
  expect(nve.core.watched()).toEqual([]);
});

test("a decision that is taken back while the dataplane works leaves nothing", () => {
  const admitted = new Map([[red, { is: "granted", info: infoOf(red) } as const]]);
  const [first] = nve.core.step({ on: "ask", ask: ofVm1 }, nve.now);
  const serial = first?.do === "admit" ? first.serial : 0;
  nve.core.step({ on: "verdicts", vsi: "vm1", serial, verdicts: admitted }, nve.now);
  nve.core.step({ on: "cancel", vsi: "vm1" }, nve.now);
  expect(nve.core.step({ on: "applied", vsi: "vm1", serial }, nve.now)).toEqual([]);
  expect([nve.core.intents().length, nve.core.vsis.size]).toEqual([0, 0]);
});

test("what happens while more is to follow is given out together, with all who wait for it", () => {
  const admitted = new Map([[red, { is: "granted", info: infoOf(red) } as const]]);
  for (const [vsi, mac] of [
    ["vm1", a],
    ["vm2", b],
  ] as const) {
    const ask = { ...ofVm1, vsi, vnic: vnicOf(vsi), filters: groups([red, mac]) };
    const [first] = nve.core.step({ on: "ask", ask }, nve.now, true);
    const serial = first?.do === "admit" ? first.serial : 0;
    const verdicts = { on: "verdicts", vsi, serial, verdicts: admitted } as const;
    expect(nve.core.step(verdicts, nve.now, true)).toEqual([]);
  }
  const [intents, ...more] = nve.core.settle().filter((effect) => effect.do === "intents");
  expect(more).toEqual([]);
  expect(intents?.owners.map(({ vsi }) => vsi)).toEqual(["vm1", "vm2"]);
  expect(nve.core.settle()).toEqual([]);
});

const ofVm1 = {
  vsi: "vm1",
  port: "swp1",
  vnic: vnicOf("vm1"),
  station: a,
  hypervisor: "server1",
  mode: "associate" as const,
  suspended: false,
  filters: groups([red, a]),
};

test("Req-3: what is behind a dead link goes to the NVE that claims it, and comes back with the link", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm2", "swp2", groups([red, b]));
  const placeOf = (mac: typeof a) => nve.intents.find((one) => one.is === "mac" && one.mac === mac);
  const here = placeOf(a);
  nve.feed({ on: "link", port: "swp1", up: false });
  expect(placeOf(a), "nobody else has it").toEqual(here);
  nve.feed({ on: "remote", change: remote(red, a) });
  expect(placeOf(a)).toMatchObject({ at: { is: "remote", vtep: tor2.vtep } });
  nve.feed({ on: "remote", change: remote(red, b) });
  expect(placeOf(b), "its link is up").toMatchObject({ at: { is: "local", port: "swp2" } });
  nve.feed({ on: "link", port: "swp1", up: true });
  expect(placeOf(a)).toEqual(here);
  expect(nve.claims.size).toBe(2);
});
