import type { AttachRequest, VnicView } from "@nve/hypervisor-agent/agent";
import { vnicOf } from "@nve/hypervisor-agent/convert";
import { IpAddress, Mac, Uuid, Vid, VnId } from "@nve/protocol-spec";
import { beforeEach, expect, test } from "vitest";
import { pass } from "../switch-agent/tor.ts";
import { treeOf, within } from "./host.ts";
import { type LocalHost, localHost, on, uuid } from "./local.ts";

const a = "02:00:00:00:00:0a";
const b = "02:00:00:00:00:0b";
const red = VnId(5001);
const redName = Uuid("66571c6d-f315-4e20-ac2f-1c85d8413f03");

let it: LocalHost;
beforeEach(async () => {
  it = localHost();
  it.nva.connect();
  await pass(it.clock, 2);
});

const LIMIT = { timeoutMs: 20_000 };
const attach = (request: AttachRequest, limit = LIMIT): Promise<VnicView> =>
  within(it.clock, limit.timeoutMs + 10, it.agent.attach(request, limit));
const change = (add: AttachRequest["tree"], remove: { vn: VnId; mac?: Mac }[] = [], n = 1) =>
  within(it.clock, 20_010, it.agent.change({ vnic: uuid(n), add, remove }, LIMIT));
const keysOf = () => [...it.dataplane.intents.keys()].sort();
const states = () => it.agent.vnics().map(({ state, reason }) => [state, reason]);

test("A8: a VNIC is granted when the NVA has admitted it and the dataplane has it: untagged, its MACs alone", async () => {
  const view = await attach({ ...on("tap0", treeOf(5001, a, "10.0.0.1")), vm: "db1" });
  expect(vnicOf(view)).toMatchObject({
    vnic: uuid(1),
    interface: "tap0",
    uplink: "local",
    state: "associated",
    reason: "",
    vmName: "db1",
    vns: [
      { vnId: 5001, tag: 0, guestTag: 0, uplink: "local", macs: [{ mac: a, ips: ["10.0.0.1"] }] },
    ],
  });
  expect(keysOf()).toEqual(["access tap0 0", `mac 15001 ${a}`, "vn 15001"]);
  expect(it.dataplane.intents.get("access tap0 0")).toMatchObject({
    checkSource: true,
    checkIps: true,
  });
  expect(it.dataplane.intents.get(`mac 15001 ${a}`)).toMatchObject({ ips: ["10.0.0.1"] });
  expect([...it.dataplane.ports]).toEqual(["tap0"]);
  const [report] = it.nva.reports;
  expect(report?.claims).toMatchObject([
    { vn: red, mac: a, ips: ["10.0.0.1"], vnic: uuid(1), hypervisor: "server1", port: "tap0" },
  ]);
});

test("A8: the interface that carries the VTEP is no VM's: nothing is opened on it", async () => {
  await expect(attach(on("tap-vtep", treeOf(5001, a)))).rejects.toThrow("carries the VTEP");
  expect(it.agent.vnics()).toEqual([]);
  expect([...it.dataplane.ports]).toEqual([]);
});

test("A8, H10: the VNs of a trunk VNIC are told by the guest's tags", async () => {
  const [untagged] = treeOf(5001, a);
  const [tagged] = treeOf(5002, a);
  if (untagged === undefined || tagged === undefined) throw new Error("no tree");
  const view = await attach(on("tap0", [untagged, { ...tagged, guestTag: Vid(20) }]));
  expect(keysOf()).toEqual([
    "access tap0 0",
    "access tap0 20",
    `mac 15001 ${a}`,
    `mac 15002 ${a}`,
    "vn 15001",
    "vn 15002",
  ]);
  expect(vnicOf(view).vns.map(({ vnId, guestTag }) => [vnId, guestTag])).toEqual([
    [5001, 0],
    [5002, 20],
  ]);
});

test("two VNs by untagged frames, or by one guest tag, are refused before anybody is asked", async () => {
  const two = [...treeOf(5001, a), ...treeOf(5002, b)];
  await expect(attach(on("tap0", two))).rejects.toThrow("the untagged frames of a VNIC are of one");
  const tagged = two.map((node) => ({ ...node, guestTag: Vid(20) }));
  await expect(attach(on("tap0", tagged))).rejects.toThrow("guest tag 20 stands for two VNs");
  expect(it.nva.admitted).toEqual([]);
});

test("H4: a VN by its VN Name: the VN ID is shown and used from then on", async () => {
  it.nva.names.set(redName, red);
  const tree = [{ vn: redName, macs: [{ mac: Mac(a), ips: [] }] }];
  const view = await attach(on("tap0", tree));
  expect(vnicOf(view).vns).toMatchObject([{ vnId: 5001, vnName: redName, uplink: "local" }]);
  const more = [{ vn: redName, macs: [{ mac: Mac(b), ips: [] }] }];
  expect(vnicOf(await change(more)).vns).toMatchObject([
    { vnId: 5001, macs: [{ mac: a }, { mac: b }] },
  ]);
});

test("A7: what the NVA refuses leaves nothing behind, and says why", async () => {
  await expect(attach(on("tap0", treeOf(6001, a)))).rejects.toThrow(
    "the NVE refused VN 6001: no VN 6001",
  );
  expect([it.agent.vnics(), keysOf(), it.dataplane.ports.size, it.nve.core.ports.size]).toEqual([
    [],
    [],
    0,
    0,
  ]);
});

test("what the dataplane does not take is refused with its reason, and leaves nothing", async () => {
  it.dataplane.fault = () => "the map is full";
  await expect(attach(on("tap0", treeOf(5001, a)))).rejects.toThrow("the map is full");
  expect([it.agent.vnics(), it.nve.core.vsis.size]).toEqual([[], 0]);
});

test.each([
  ["an interface that is not there", on("eth9", treeOf(5001, b), 2), "there is no interface eth9"],
  ["an interface that is taken", on("tap0", treeOf(5001, b), 2), "tap0 is attached already"],
  ["a name that is taken", on("tap1", treeOf(5001, b)), "is attached already, to tap0"],
  [
    "a MAC that another has",
    on("tap1", treeOf(5001, a), 2),
    "MAC 02:00:00:00:00:0a of VN 5001 is on",
  ],
  ["an uplink", { ...on("tap1", treeOf(5001, b), 2), uplink: "eth0" }, "is its own NVE"],
  ["a group address", on("tap1", treeOf(5001, "ff:ff:ff:ff:ff:ff"), 2), "is no address of one VM"],
])("attach: %s is refused at once", async (_, request, why) => {
  await attach(on("tap0", treeOf(5001, a)));
  await expect(it.agent.attach(request, LIMIT)).rejects.toThrow(why);
  expect(it.agent.vnics()).toHaveLength(1);
});

test("H6, H7: a VNIC is changed in place, all or nothing", async () => {
  await attach(on("tap0", treeOf(5001, a)));
  await change(treeOf(5001, b, "10.0.0.2"));
  expect(keysOf()).toEqual(["access tap0 0", `mac 15001 ${a}`, `mac 15001 ${b}`, "vn 15001"]);
  await change([], [{ vn: red, mac: Mac(a) }]);
  expect(keysOf()).toEqual(["access tap0 0", `mac 15001 ${b}`, "vn 15001"]);
  const [tagged] = treeOf(6001, a);
  if (tagged === undefined) throw new Error("no tree");
  await expect(change([{ ...tagged, guestTag: Vid(7) }])).rejects.toThrow("no VN 6001");
  expect(keysOf()).toEqual(["access tap0 0", `mac 15001 ${b}`, "vn 15001"]);
  expect(it.agent.vnics()).toMatchObject([{ state: "associated", tree: [{ vn: red }] }]);
  await expect(change([], [{ vn: red }])).rejects.toThrow("use `vnic detach`");
  await expect(change([], [{ vn: VnId(1) }])).rejects.toThrow("has no VN 1");
});

test("H2: detached, nothing is left; the NVA is told", async () => {
  await attach(on("tap0", treeOf(5001, a)));
  await it.agent.detach(uuid(1));
  expect([keysOf(), it.dataplane.ports.size, it.nve.core.ports.size, it.nve.askers.size]).toEqual([
    [],
    0,
    0,
    0,
  ]);
  expect(it.nva.reports.at(-1)).toMatchObject({ withdrawn: [{ vn: red, mac: a }], left: [red] });
  await expect(it.agent.detach(uuid(1))).rejects.toThrow("no VNIC");
  await attach(on("tap0", treeOf(5001, b), 2));
  expect(states()).toEqual([["associated", undefined]]);
});

test("H25: the NVA is away: a known VN is granted from memory, an unknown one waits for it until time is up", async () => {
  await attach(on("tap0", treeOf(5001, a)));
  it.nva.connect(false);
  await attach(on("tap1", treeOf(5001, b), 2));
  expect(states()).toEqual([
    ["associated", undefined],
    ["associated", undefined],
  ]);
  const late = attach(on("tap2", treeOf(5002, a), 3), { timeoutMs: 3000 });
  await expect(late).rejects.toThrow(
    /^not connected in time: the NVE refused VN 5002: .*connection refused/,
  );
  expect(it.agent.vnics()).toHaveLength(2);
});

test("H25: the NVA comes back while somebody waits: it goes at once", async () => {
  it.nva.connect(false);
  const waiting = it.agent.attach(on("tap0", treeOf(5001, a)), LIMIT);
  await pass(it.clock, 4000, 50);
  expect(states()).toMatchObject([["associating", expect.stringContaining("connection refused")]]);
  it.nva.connect();
  await pass(it.clock, 3);
  expect(await waiting).toMatchObject({ state: "associated", reason: undefined });
});

test("nobody waits any more: what was being attached is gone", async () => {
  it.nva.connect(false);
  const gone = new AbortController();
  const waiting = it.agent.attach(on("tap0", treeOf(5001, a)), {
    ...LIMIT,
    cancelled: gone.signal,
  });
  waiting.catch(() => {});
  await pass(it.clock, 100, 10);
  gone.abort();
  await pass(it.clock, 6000, 50);
  await expect(waiting).rejects.toThrow("detached meanwhile");
  it.nva.connect();
  await pass(it.clock, 6000, 50);
  expect([it.agent.vnics(), it.nve.core.vsis.size, it.nve.core.ports.size]).toEqual([[], 0, 0]);
});

test("a change that is late leaves the VNIC as it was", async () => {
  await attach(on("tap0", treeOf(5001, a)));
  it.nva.gate = new Promise(() => {});
  await expect(
    within(
      it.clock,
      1100,
      it.agent.change({ vnic: uuid(1), add: treeOf(5001, b), remove: [] }, { timeoutMs: 1000 }),
    ),
  ).rejects.toThrow("not connected in time");
  expect(keysOf()).toEqual(["access tap0 0", `mac 15001 ${a}`, "vn 15001"]);
  expect(states()).toEqual([["associated", undefined]]);
});

test("one change of a VNIC at a time", async () => {
  await attach(on("tap0", treeOf(5001, a)));
  let open = (): void => {};
  it.nva.gate = new Promise((resolve) => {
    open = resolve;
  });
  const first = it.agent.change({ vnic: uuid(1), add: treeOf(5001, b), remove: [] }, LIMIT);
  await pass(it.clock, 2);
  await expect(change(treeOf(5001, "02:00:00:00:00:0c"))).rejects.toThrow("being changed already");
  open();
  await pass(it.clock, 5);
  expect(await first).toMatchObject({ state: "associated" });
});

test("H25: a VN that is deleted takes the VNIC out, and it is back with the VN", async () => {
  await attach(on("tap0", treeOf(5001, a)));
  it.nva.known.delete(5001);
  it.nva.deleteVn(5001);
  await pass(it.clock, 2);
  expect(states()).toEqual([["refused", "the NVE disconnected it: VN 5001 was deleted"]]);
  expect(keysOf()).toEqual([]);
  expect(vnicOf(it.agent.vnics()[0] as VnicView).uplink).toBe("");
  await pass(it.clock, 5000, 50);
  expect(states()).toEqual([["refused", "the NVE refused VN 5001: no VN 5001"]]);
  it.nva.known.add(5001);
  await pass(it.clock, 10_000, 50);
  expect(states()).toEqual([["associated", undefined]]);
  expect(keysOf()).toEqual(["access tap0 0", `mac 15001 ${a}`, "vn 15001"]);
});

test("a VNIC that lost its VN can be moved to another one meanwhile", async () => {
  await attach(on("tap0", treeOf(5001, a)));
  it.nva.known.delete(5001);
  it.nva.deleteVn(5001);
  await pass(it.clock, 2);
  await change(treeOf(5002, b), [{ vn: red }]);
  expect(states()).toEqual([["associated", undefined]]);
  expect(keysOf()).toEqual(["access tap0 0", `mac 15002 ${b}`, "vn 15002"]);
  const asked = it.nva.admitted.length;
  await pass(it.clock, 60_000, 100);
  expect(it.nva.admitted, "nothing is tried any more").toHaveLength(asked);
});

test("the VM's interface is deleted and made again: what belongs to it waits for it", async () => {
  await attach(on("tap0", treeOf(5001, a)));
  it.watched.set("tap0", "absent");
  await pass(it.clock, 2);
  expect(it.dataplane.ports.size).toBe(0);
  it.watched.set("tap0", "up");
  await pass(it.clock, 2);
  expect([...it.dataplane.ports]).toEqual(["tap0"]);
  expect(states()).toEqual([["associated", undefined]]);
});

test("an interface that is longer than its VN is told of, as with a switch", async () => {
  it.mtu = 9000;
  it.nva.mtus.set(5001, 1400);
  expect(await attach(on("tap0", treeOf(5001, a)))).toMatchObject({
    reason:
      "tap0 has MTU 9000 and VN 5001 takes 1400: longer packets are dropped, set 1400 in the VM",
    mtus: new Map([[red, 1400]]),
  });
});

test("H2: the agent ends: all is withdrawn, and the NVA has stored it or the time is over", async () => {
  await attach(on("tap0", treeOf(5001, a, "10.0.0.1")));
  let stored = (): void => {};
  it.nva.stored = new Promise((resolve) => {
    stored = resolve;
  });
  let stopped = false;
  const stopping = it.agent.stop(1000).then(() => {
    stopped = true;
  });
  await pass(it.clock, 5);
  expect([it.nva.reports.at(-1)?.withdrawn.length, stopped]).toEqual([1, false]);
  stored();
  await stopping;
  expect(it.dataplane.intents.size).toBe(0);
});

test("H20: an IP may move from one VNIC to the next; the claim goes with it", async () => {
  await attach(on("tap0", treeOf(5001, a, "10.0.0.1")));
  await attach(on("tap1", treeOf(5001, b), 2));
  await change([{ vn: red, macs: [{ mac: Mac(b), ips: [IpAddress("10.0.0.1")] }] }], [], 2);
  expect(it.nva.reports.at(-1)?.claims).toMatchObject([{ mac: b, ips: ["10.0.0.1"] }]);
});

test("H21, H23: prepared on a server that is its own NVE: in the VN, and nothing goes to it until it is active", async () => {
  const inStage = (stage: "prepared" | "suspended" | "active") =>
    treeOf(5001, a, "10.0.0.1").map((vn) => ({ ...vn, stage }));
  const view = await attach(on("tap0", inStage("prepared")));
  expect(vnicOf(view)).toMatchObject({ state: "associated" });
  expect(keysOf()).toEqual(["vn 15001"]);
  expect(it.nva.reports.at(-1)).toMatchObject({
    claims: [],
    joined: [red],
    prepared: [{ vnic: uuid(1), migrating: true, addresses: [{ vn: red, mac: a }] }],
  });
  await change(inStage("active"));
  expect(keysOf()).toEqual(["access tap0 0", `mac 15001 ${a}`, "vn 15001"]);
  expect(it.nva.reports.at(-1)).toMatchObject({ claims: [{ mac: a }], unprepared: [uuid(1)] });
  await change(inStage("suspended"));
  expect(it.nva.reports.at(-1)).toMatchObject({ claims: [{ mac: a, suspended: true }] });
});
