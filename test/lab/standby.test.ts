import { nodeState } from "@nve/lab/labs";
import { expect, test, vi } from "vitest";
import { until } from "../support/lab.ts";
import { useMover } from "../support/migration-lab.ts";
import { threeRacks } from "../support/three-racks.ts";
import { useTwoRacks, type Vm, VN, vm } from "../support/two-racks.ts";

// One lab for the file: red1 runs on srv1 behind tor1 and on srv3 behind tor2 at once, and is spoken to from behind tor3.
const lab = useTwoRacks(threeRacks("nve: { holdSeconds: 600 }\n"));
const VNIC = "2b9f1c1e-7f5e-4c7a-9a54-1f0d6c1f2a09";
const red1 = vm("red1");
const peer = { ...vm("red4"), tor: "tor3" };
const mover = useMover(lab, red1);
mover.vnic = VNIC;
vi.setConfig({ testTimeout: 180_000 }); // a command takes seconds where many share the machine
/** red1 as it is on the other server. */
let there: Vm;

const attach = (at: Vm) => lab.attach(at, "--vnic", VNIC);

/** The places that the NVA tells of, the active one first. */
async function places(): Promise<string[]> {
  const all = await lab.mappings();
  const found = all.find(({ vnId, mac }) => vnId === VN.red && mac === red1.mac);
  return found?.locations.map(({ nve }) => nve) ?? [];
}

/** Where tor3 sends. */
const sentTo = (tor: string) =>
  until(`tor3 to send to ${tor}`, async () => {
    const place = await mover.placeAt("tor3");
    return (place?.nveId === tor && place.applied) || undefined;
  });

/** Which of the two hears all of it, in order. */
async function heardBy(one: Vm, other: Vm): Promise<void> {
  const hear = await mover.hearing([one, other]);
  await mover.sending(peer, 1, 50);
  expect(await hear()).toEqual([Array.from({ length: 50 }, (_, i) => i + 1), []]);
}

test("M9: hot standby: of two active places of one address the first gets all traffic, and nobody takes it for a move or a duplicate", async () => {
  await lab.createVns();
  const vnic = ["vnic", "create", VNIC, "--vn", `default/red=${red1.mac},${red1.ip}`];
  await lab.run("nva", "nva", ...vnic, "--standby", "srv1", "tor2");
  await lab.ready("srv1", "srv3", "srv4");
  await lab.attach(peer);
  await attach(red1);
  there = await lab.addVm({ ...red1, vm: "red1-srv3", server: "srv3" });
  await attach(there);
  expect(await places()).toEqual(["tor1", "tor2"]);
  await sentTo("tor1");
  expect(await lab.ping(peer.vm, red1.ip)).toBe(true);
  await heardBy(red1, there);
  const claims = (await lab.show("nva", "nva", "claim", "list")) as { mac: string }[];
  expect(claims.filter(({ mac }) => mac === red1.mac)).toMatchObject([
    { source: "nve:tor1", best: true, standby: { place: 1, active: true, lost: false } },
    { source: "nve:tor2", best: false, standby: { place: 2, active: false, lost: false } },
  ]);
  expect(await lab.show("nva", "nva", "migration", "list")).toEqual([]);
  expect(await lab.show("nva", "nva", "duplicate", "list")).toEqual([]);
});

test("M9: both places send, and what they send arrives", async () => {
  for (const one of [red1, there]) {
    const hear = await lab.capture(peer.vm, "eth0", `icmp[icmptype] == icmp-echo`);
    await lab.exec(one.vm, "true").catch(() => undefined);
    await mover.pingOnce(one, peer.ip);
    expect((await hear.lines()).join("\n")).toContain(`${red1.ip} > ${peer.ip}`);
  }
});

test("M9: the active place is detached: all traffic moves to the other, and stays there when it is back", async () => {
  await lab.detach(red1);
  await sentTo("tor2");
  await heardBy(there, red1);
  await attach(red1);
  expect(await places()).toEqual(["tor2", "tor1"]);
  await heardBy(there, red1);
});

test("M9: with revert the better place gets it back", async () => {
  await lab.run("nva", "nva", "vnic", "update", VNIC, "--revert");
  await sentTo("tor1");
  expect(await places()).toEqual(["tor1", "tor2"]);
  await heardBy(red1, there);
  await lab.detach(red1);
  await sentTo("tor2");
  await attach(red1);
  await sentTo("tor1");
  await heardBy(red1, there);
});

test("M9, M8: the active place is suspended: all traffic moves to the other until it is active again", async () => {
  await mover.say("suspend", red1);
  await sentTo("tor2");
  await heardBy(there, red1);
  await mover.say("activate", red1);
  await sentTo("tor1");
});

test("M9: a restart of the NVA moves nothing", async () => {
  await lab.run("nva", "nva", "vnic", "update", VNIC, "--clear", "revert");
  await lab.detach(red1);
  await attach(red1);
  expect(await places()).toEqual(["tor2", "tor1"]);
  await lab.stopNode("nva");
  await lab.startNode("nva");
  await until("the NVA to answer", async () => (await places()).length === 2 || undefined);
  expect(await places()).toEqual(["tor2", "tor1"]);
  expect((await mover.placeAt("tor3"))?.nveId).toBe("tor2");
});

test("M9: the ToR of the active place dies: all traffic moves to the other at once, long before its claims are given up", async () => {
  const pid = nodeState(lab.name, "tor2").process?.pid ?? 0;
  process.kill(pid, "SIGKILL");
  await sentTo("tor1");
  await heardBy(red1, there);
});
