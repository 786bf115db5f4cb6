import { nodeState } from "@nve/lab/labs";
import { VXLAN_PORT } from "@nve/protocol-spec";
import { expect, test, vi } from "vitest";
import { arp } from "../support/frames.ts";
import { until } from "../support/lab.ts";
import { inOrder, isWhole, numbers, useMover } from "../support/migration-lab.ts";
import { threeRacks } from "../support/three-racks.ts";
import { pingFrom, useTwoRacks, type Vm, VNI, vm } from "../support/two-racks.ts";

// One lab for the file. A VM that moves is two namespaces with the same addresses: where it was, and where it is to be.
const lab = useTwoRacks(
  threeRacks("migration: { holdSeconds: 20, forwardSeconds: 1, forwardMostSeconds: 20 }\n"),
);
const red1 = vm("red1");
const peer = { ...vm("red4"), tor: "tor3" };
const mover = useMover(lab, red1);
vi.setConfig({ testTimeout: 180_000 }); // a command takes seconds where many share the machine
const { migration, whenIs, where, placeAt, prepare, say, nodeOf } = mover;
/** red1 as it is on another server. */
let copies: Record<"srv2" | "srv3", Vm>;

const revision = async (): Promise<number> =>
  ((await lab.show("nva", "nva", "status")) as { revision: number }).revision;
const hearing = (...places: Vm[]) => mover.hearing(places);
const hearingAt = (port: string, ...places: Vm[]) => mover.hearing(places, port);
const sending = (first: number, last: number, port?: string) =>
  mover.sending(peer, first, last, port);

test("H24, V2: the same VNIC active behind another ToR is a migration that the NVA takes part in, step by step", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3", "srv4");
  mover.vnic = (await lab.attach(red1)).vnic;
  await lab.attach(peer);
  copies = {
    srv2: await lab.addVm({ ...red1, vm: "red1-srv2", server: "srv2" }),
    srv3: await lab.addVm({ ...red1, vm: "red1-srv3", server: "srv3" }),
  };
  expect(await lab.ping(peer.vm, red1.ip)).toBe(true);
  expect(await lab.show("nva", "nva", "migration", "list")).toEqual([]);
  await lab.attach(copies.srv3, "--vnic", mover.vnic);
  expect(await where()).toBe("tor2"); // when the station is answered
  const under = await migration();
  expect(under).toMatchObject({
    state: "switched-over",
    hinted: false,
    source: { nveId: "tor1" },
    destination: { nveId: "tor2" },
  });
  await until("tor3 to know", async () => (await placeAt("tor3"))?.nveId === "tor2" || undefined);
  expect(await lab.ping(peer.vm, red1.ip)).toBe(true);
});

test("H19: with the source's de-association it is completed, and nothing of it is left at the source", async () => {
  await lab.detach(red1);
  const over = await whenIs("completed");
  const what = over.steps.map((step) => step.what.replace(/ \(port .*?\)/g, ""));
  expect(what).toEqual(
    expect.arrayContaining(["left tor1", "all others know where it is", "tor1 forwards no more"]),
  );
  expect(over.steps.map(({ afterMs }) => afterMs)).toEqual(
    inOrder(over.steps.map(({ afterMs }) => afterMs)),
  );
  await until(
    "tor1 to leave the VN",
    async () => (await lab.fdb("tor1")).length === 0 || undefined,
  );
  expect(await lab.tags("tor1")).toEqual([]);
});

test("H23, H24: prepared at the destination before it arrives: tag, VN and reservation are there, and nothing has moved", async () => {
  const { state, vns } = await prepare(red1);
  expect(state).toBe("associated");
  expect(vns[0]?.tag).toBeGreaterThan(0);
  expect(await migration()).toMatchObject({
    state: "prepared",
    hinted: true,
    source: { nveId: "tor2" },
    destination: { nveId: "tor1", port: "eth1" },
  });
  expect(await where()).toBe("tor2");
  expect((await placeAt("tor1"))?.where).toBe("remote"); // it knows the VN already
  expect(await lab.run("srv1", "hypervisor-agent", "vnic", "list")).toContain("prepared");
  expect(await pingFrom(nodeOf(copies.srv3), peer.ip)).toBe(true);
});

test("V1: a reservation that is given up is rolled back: nothing is left of it, and nothing was lost", async () => {
  await lab.detach(red1);
  await whenIs("rolled-back", 5_000);
  expect(await lab.tags("tor1")).toEqual([]);
  expect(await where()).toBe("tor2");
  expect(await pingFrom(nodeOf(copies.srv3), peer.ip)).toBe(true);
});

test("M2, P2: there and back under a stream of 1,000 datagrams a second: none is lost, none comes twice", async () => {
  await prepare(red1);
  const stream = await mover.streaming(peer, [red1, copies.srv3]);
  await say("suspend", copies.srv3);
  await say("activate", red1);
  expect(await where()).toBe("tor1");
  await lab.detach(copies.srv3);
  await prepare(copies.srv3);
  await say("activate", copies.srv3);
  expect(await where()).toBe("tor2");
  const counted = await stream();
  expect(counted.heard[0]?.length).toBeGreaterThan(0);
  isWhole(counted);
  await lab.detach(red1);
  await whenIs("completed");
});

test("M2, M5: a source that hears of it late loses nothing: the destination is answered when the source forwards", async () => {
  const pid = nodeState(lab.name, "tor2").process?.pid ?? 0;
  await prepare(red1);
  const stream = await mover.streaming(peer, [red1, copies.srv3]);
  process.kill(pid, "SIGSTOP");
  const woken = setTimeout(() => process.kill(pid, "SIGCONT"), 600);
  try {
    await say("activate", red1);
    await lab.detach(copies.srv3); // as soon as it may
  } finally {
    clearTimeout(woken);
    process.kill(pid, "SIGCONT");
  }
  isWhole(await stream());
  await whenIs("completed");
  await prepare(copies.srv3);
  await say("activate", copies.srv3);
  await lab.detach(red1);
  await whenIs("completed");
});

test("M5: who has not heard of it reaches it all the same: the source forwards, until that one has", async () => {
  const pid = nodeState(lab.name, "tor3").process?.pid ?? 0;
  await prepare(red1);
  process.kill(pid, "SIGSTOP"); // its dataplane goes on, with what it knows
  try {
    await say("activate", red1);
    await lab.detach(copies.srv3); // also when nobody is in the VN at the source any more
    const underlay = await lab.capture("tor2", "eth3", `udp port ${VXLAN_PORT}`);
    const hear = await hearing(red1);
    await sending(1, 200);
    expect((await hear())[0]).toEqual(numbers(1, 200));
    const lines = (await underlay.lines()).filter((line) => line.includes(`vni ${VNI.red}`));
    expect(lines.some((line) => /10\.0\.3\.13\.\d+ > 10\.0\.2\.12/.test(line))).toBe(true);
    expect(lines.some((line) => /10\.0\.2\.12\.\d+ > 10\.0\.1\.11/.test(line))).toBe(true);
    const { departures } = await migration();
    expect(departures).toMatchObject([{ nveId: "tor2", forwarding: true, known: false }]);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await whenIs("completed");
  expect((await placeAt("tor3"))?.nveId).toBe("tor1");
  const after = await lab.capture("tor2", "eth3", `udp port ${VXLAN_PORT}`);
  expect(await lab.ping(peer.vm, red1.ip)).toBe(true);
  expect((await after.lines()).filter((line) => line.includes("ICMP"))).toEqual([]); // M2: no triangle
});

test("M3, M6: who is in the VN hears of the arrival, and its NVE has been told; M10: one who says so falsely is not believed", async () => {
  await prepare(copies.srv3);
  const seen = await lab.capture(peer.vm, "eth0", `arp and ether src ${red1.mac}`);
  await say("activate", copies.srv3);
  await until("tor3 to know", async () => (await placeAt("tor3"))?.nveId === "tor2" || undefined);
  expect((await seen.lines()).join("\n")).toContain(`who-has ${red1.ip} tell ${red1.ip}`);
  await lab.send(peer.vm, "eth0", arp(red1.mac, red1.ip));
  expect(await where()).toBe("tor2");
  expect((await placeAt("tor3"))?.nveId).toBe("tor2");
  await lab.detach(red1);
  await whenIs("completed");
});

test("V5: the policy is in force all the way: nothing forbidden passes, nothing allowed is cut", async () => {
  const rule = "deny: both, protocol: udp, destinationPorts: 7001";
  await lab.run("nva", "nva", "profile", "create", "strict", "--acl", rule);
  await lab.run("nva", "nva", "vn", "update", "red", "--profile", "strict");
  await until("the rule to be in force", async () => {
    const hear = await hearingAt("7001", copies.srv3);
    await sending(1, 5, "7001");
    return (await hear())[0]?.length === 0 || undefined;
  });
  await prepare(red1);
  const allowed = await mover.streaming(peer, [red1, copies.srv3]);
  const forbidden = await mover.streaming(peer, [red1, copies.srv3], "7001");
  await say("suspend", copies.srv3);
  await say("activate", red1);
  await lab.detach(copies.srv3);
  isWhole(await allowed());
  expect((await forbidden()).heard.flat()).toEqual([]);
  await whenIs("completed");
});

test("V1: the destination goes after the switch-over: rolled back, and what still comes there goes on to the source", async () => {
  await prepare(copies.srv3);
  const stream = await mover.streaming(peer, [red1, copies.srv3]);
  await say("suspend", red1);
  await say("activate", copies.srv3);
  expect(await where()).toBe("tor2");
  await say("activate", red1); // its VM runs on where it was
  expect(await where()).toBe("tor1");
  await lab.detach(copies.srv3);
  isWhole(await stream());
  const { steps } = await whenIs("rolled-back");
  expect(steps.map(({ what }) => what).join("; ")).toContain("rolling back from tor2");
});

test("H21: one that leaves for elsewhere is held for its arrival; nobody else gets its addresses meanwhile", async () => {
  await say("suspend", red1);
  await lab.detach(red1);
  expect((await migration()).state).toBe("held");
  expect(await where()).toBe("tor1");
  const thief = { ...copies.srv3 };
  await lab.attach(thief); // another VNIC with its MAC
  expect(await where()).toBe("tor1");
  await lab.detach(thief);
  await lab.attach(copies.srv3, "--vnic", mover.vnic);
  expect(await where()).toBe("tor2");
  await whenIs("completed");
});

test("H21, H22: without any word of a migration it is a shutdown, and withdrawn at once", async () => {
  await lab.detach(copies.srv3);
  await until(
    "the NVA to forget it",
    async () => (await where()) === undefined || undefined,
    2_000,
  );
  expect((await migration()).state).toBe("completed"); // the one before
});

test("H20: between two ports of one ToR only {port, tag} changes: the NVA stores nothing, and nothing is lost", async () => {
  await lab.attach(red1, "--vnic", mover.vnic);
  const before = await revision();
  const stream = await mover.streaming(peer, [red1, copies.srv2]);
  await prepare(copies.srv2);
  await say("activate", copies.srv2);
  expect(await placeAt("tor1")).toMatchObject({ where: "local", port: "eth2" });
  await lab.detach(red1);
  isWhole(await stream());
  expect(await revision()).toBe(before);
  expect(await where()).toBe("tor1");
  expect(await pingFrom(nodeOf(copies.srv2), peer.ip)).toBe(true);
  expect(await lab.tags("tor1")).toMatchObject([{ port: "eth2" }]);
});
