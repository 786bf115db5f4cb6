import { appendFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test, vi } from "vitest";
import { until } from "../support/lab.ts";
import { onLmdb } from "../support/lmdb-lab.ts";
import { numbers, useMover } from "../support/migration-lab.ts";
import { labPrograms } from "../support/programs.ts";
import { threeRacks } from "../support/three-racks.ts";
import { pingFrom, useTwoRacks, type Vm, VN, vm } from "../support/two-racks.ts";

// One lab for the file: red1 runs on srv1 behind tor1 and on srv3 behind tor2 at once, and is spoken to from behind tor3.
const topology = threeRacks("holdSeconds: 600\n");
const file = (name: string): string => join(dirname(topology), name, "config.yaml");
for (const node of ["tor1", "tor2", "srv1", "srv3"])
  appendFileSync(file(node), "evb: { rka: 18 }\n"); // a server that is silent is gone after 6 s
onLmdb(file("nva"));
const lab = useTwoRacks(topology);
const programs = labPrograms(lab);
const VNIC = "2b9f1c1e-7f5e-4c7a-9a54-1f0d6c1f2a09";
const red1 = vm("red1");
const peer = { ...vm("red4"), tor: "tor3" };
const mover = useMover(lab, red1);
mover.vnic = VNIC;
vi.setConfig({ testTimeout: 180_000 }); // a command takes seconds where many share the machine
/** red1 as it is on the other server. */
let there: Vm;

const attach = (at: Vm) => lab.attach(at, "--vnic", VNIC);

type ClaimRow = { mac: string; standby?: { place: number; active: boolean; lost: boolean } };

/** The places that the NVA tells of, the active one first. */
async function places(): Promise<string[]> {
  const all = await lab.mappings();
  const found = all.find(({ vnId, mac }) => vnId === VN.red && mac === red1.mac);
  return found?.locations.map(({ nve }) => nve) ?? [];
}

/** Where tor3 sends. */
const sentTo = (tor: string, ms = 5_000) =>
  until(
    `tor3 to send to ${tor}`,
    async () => {
      const place = await mover.placeAt("tor3");
      return (place?.nveId === tor && place.applied) || undefined;
    },
    ms,
  );

/** All of it, in order, and the other place hears nothing. */
async function isHeardBy(one: Vm, other: Vm): Promise<void> {
  const hear = await mover.hearing([one, other]);
  await mover.sending(peer, 1, 50);
  expect(await hear()).toEqual([numbers(1, 50), []]);
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
  await isHeardBy(red1, there);
  const claims = (await lab.show("nva", "nva", "claim", "list")) as ClaimRow[];
  expect(claims.filter(({ mac }) => mac === red1.mac)).toMatchObject([
    { source: "nve:tor1", best: true, standby: { place: 1, active: true, lost: false } },
    { source: "nve:tor2", best: false, standby: { place: 2, active: false, lost: false } },
  ]);
  expect(await lab.show("nva", "nva", "migration", "list")).toEqual([]);
  expect(await lab.show("nva", "nva", "duplicates", "list")).toEqual([]);
});

test("M9: both places send, and what they send arrives", async () => {
  for (const one of [red1, there]) {
    const seen = await lab.capture(peer.vm, "eth0", "icmp[icmptype] == icmp-echo");
    const isAnswered = await pingFrom(mover.nodeOf(one), peer.ip, 1);
    expect(isAnswered).toBe(one === red1); // answers are for the active one
    expect((await seen.lines()).join("\n")).toContain(`${red1.ip} > ${peer.ip}`);
  }
});

test("M9: the active place is detached: all traffic moves to the other, and stays there when it is back", async () => {
  await lab.detach(red1);
  await sentTo("tor2");
  await isHeardBy(there, red1);
  await attach(red1);
  expect(await places()).toEqual(["tor2", "tor1"]);
  await isHeardBy(there, red1);
});

test("M9: with revert the better place gets it back", async () => {
  await lab.run("nva", "nva", "vnic", "update", VNIC, "--revert");
  await sentTo("tor1");
  expect(await places()).toEqual(["tor1", "tor2"]);
  await isHeardBy(red1, there);
  await lab.detach(red1);
  await sentTo("tor2");
  await attach(red1);
  await sentTo("tor1");
  await isHeardBy(red1, there);
});

test("M9, M8: the active place is suspended: all traffic moves to the other until it is active again", async () => {
  await mover.say("suspend", red1);
  await sentTo("tor2");
  await isHeardBy(there, red1);
  await mover.say("activate", red1);
  await sentTo("tor1");
});

test.each(["SIGTERM", "SIGKILL"] as const)(
  "M9: a restart of the NVA moves nothing (%s)",
  async (signal) => {
    await lab.run("nva", "nva", "vnic", "update", VNIC, "--clear", "revert");
    await lab.detach(red1);
    await attach(red1);
    expect(await places()).toEqual(["tor2", "tor1"]);
    await programs.stop("nva", signal);
    await programs.start("nva");
    expect(await places()).toEqual(["tor2", "tor1"]);
    await until("both to have named it again", async () => {
      const nves = (await lab.show("nva", "nva", "nve", "list")) as { state: string }[];
      return nves.every(({ state }) => state === "connected") || undefined;
    });
    expect(await places()).toEqual(["tor2", "tor1"]);
    expect((await mover.placeAt("tor3"))?.nveId).toBe("tor2");
  },
);

test("M9: the server of the active place dies: all traffic moves to the other when its switch has noticed", async () => {
  await programs.stop("srv3", "SIGKILL");
  await sentTo("tor1", 20_000);
  await isHeardBy(red1, there);
  await programs.start("srv3");
  await lab.ready("srv3");
  await attach(there);
  expect(await places()).toEqual(["tor1", "tor2"]);
});

test("M9: the ToR of the active place dies: all traffic moves to the other at once, long before its claims are given up", async () => {
  await lab.run("tor1", "ip", "link", "set", "eth3", "down"); // it cannot say that it goes
  await programs.stop("tor1", "SIGKILL");
  await sentTo("tor2", 15_000);
  await isHeardBy(there, red1);
  expect(await places()).toEqual(["tor2", "tor1"]); // for ten minutes
});

test("M9: it is back: without revert nothing moves, with it the better place gets the traffic back", async () => {
  await lab.run("tor1", "ip", "link", "set", "eth3", "up");
  await lab.run("tor1", "ip", "route", "add", "default", "via", "10.0.1.1");
  await programs.start("tor1");
  await until(
    "the NVA to hear that it is there",
    async () => {
      const claims = (await lab.show("nva", "nva", "claim", "list")) as ClaimRow[];
      return claims.some(({ standby }) => standby?.place === 1 && !standby.lost) || undefined;
    },
    30_000,
  );
  expect(await places()).toEqual(["tor2", "tor1"]);
  await lab.run("nva", "nva", "vnic", "update", VNIC, "--revert");
  await sentTo("tor1");
  await isHeardBy(red1, there);
});
