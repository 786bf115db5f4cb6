import { appendFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { nodeState } from "@nve/lab/labs";
import { beforeAll, expect, test, vi } from "vitest";
import { until } from "../support/lab.ts";
import { onLmdb } from "../support/lmdb-lab.ts";
import { isWhole, useMover } from "../support/migration-lab.ts";
import { labPrograms } from "../support/programs.ts";
import { threeRacks } from "../support/three-racks.ts";
import { pingFrom, useTwoRacks, type Vm, vm } from "../support/two-racks.ts";

vi.setConfig({ testTimeout: 180_000 }); // a command takes seconds where many share the machine

// One lab for the file. In the middle of a move something dies; each test ends with red1 at home again, on srv1.
const topology = threeRacks(
  "migration: { holdSeconds: 20, forwardSeconds: 1, forwardMostSeconds: 60 }\n",
);
const file = (name: string): string => join(dirname(topology), name, "config.yaml");
for (const node of ["tor1", "tor2", "srv1", "srv2", "srv3"])
  appendFileSync(file(node), "evb: { rka: 18 }\n"); // a server that is silent is gone after 6 s
for (const node of ["tor3", "srv4"]) appendFileSync(file(node), "evb: { rka: 23 }\n"); // tor3 stands still for as long as a test takes, and srv4 bears with it
onLmdb(file("nva"));
const lab = useTwoRacks(topology);
const programs = labPrograms(lab);
const home = vm("red1");
const peer = { ...vm("red4"), tor: "tor3" };
const mover = useMover(lab, home);
const { migration, where, placeAt, prepare, say, rests, whenIs, nodeOf } = mover;
/** One that stays. */
const otherMover = useMover(lab, vm("red2"));
/** red1 behind the other ToR. */
let away: Vm;

const vanish = (server: string) => programs.stop(server, "SIGKILL");
const isBack = async (server: string): Promise<void> => {
  await programs.start(server);
  await lab.ready(server);
};
/** Whatever became of the test before: it is at home, and nowhere else. */
async function atHome(): Promise<void> {
  for (const server of ["srv1", "srv3"])
    if ((await lab.exec(server, "hypervisor-agent", "status")).code !== 0) await isBack(server);
  const has = async (one: Vm) =>
    (await lab.vnics(one.server)).some((row) => row.interface === one.interface);
  if (await has(away)) await lab.detach(away);
  if (!(await has(home))) await lab.attach(home, "--vnic", mover.vnic);
}
const sees = (one: Vm) => pingFrom(nodeOf(one), peer.ip);
/** Sends red1 datagrams all the time: none of them is lost, none comes twice. */
async function losesNothing(act: () => Promise<void>): Promise<void> {
  const end = await mover.streaming(peer, [home, away]);
  await act();
  isWhole(await end());
}

/** To the other ToR, and home again. */
async function moved(from: Vm, to: Vm): Promise<void> {
  await prepare(to);
  await say("suspend", from);
  await say("activate", to);
  await lab.detach(from);
  await rests("completed", to, peer);
}

beforeAll(async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3", "srv4");
  mover.vnic = (await lab.attach(home)).vnic;
  await lab.attach(peer);
  away = await lab.addVm({ ...home, vm: "red1-srv3", server: "srv3" });
}, 180_000);

test("V1: the destination server vanishes before the switch-over: rolled back, and nobody notices", async () => {
  await atHome();
  await losesNothing(async () => {
    await prepare(away);
    expect((await migration()).state).toBe("prepared");
    await vanish("srv3");
    await rests("rolled-back", home, peer);
  });
  await isBack("srv3");
});

test("V1: the destination server vanishes after the switch-over: rolled back to the source, which has not left", async () => {
  await atHome();
  await prepare(away);
  await say("suspend", home);
  await say("activate", away);
  expect(await where()).toBe("tor2");
  await vanish("srv3");
  await rests("rolled-back", home, peer);
  await say("activate", home); // its VM runs on there
  expect(await sees(home)).toBe(true);
  await isBack("srv3");
});

test("H21, V1: the source server vanishes before the switch-over: its addresses are held until the VM has arrived", async () => {
  await atHome();
  await prepare(away);
  await vanish("srv1");
  await whenIs("held", 20_000);
  await say("activate", away);
  await rests("completed", away, peer);
  expect(await sees(away)).toBe(true);
  await isBack("srv1");
  await moved(away, home);
});

test("H21, V1: the source server vanishes after the switch-over: completed", async () => {
  await atHome();
  await losesNothing(async () => {
    await prepare(away);
    await say("suspend", home);
    await say("activate", away);
    await vanish("srv1");
    await rests("completed", away, peer);
  });
  await isBack("srv1");
  await moved(away, home);
});

test("H21, V1: both servers vanish: given up, and nothing is left anywhere", async () => {
  await atHome();
  await prepare(away);
  await vanish("srv1");
  await whenIs("held", 20_000);
  await vanish("srv3");
  await rests("given-up", undefined, peer);
  await isBack("srv1");
  await isBack("srv3");
  await lab.attach(home, "--vnic", mover.vnic);
  expect(await sees(home)).toBe(true);
});

test("M5, V1: the source's agent is killed while it forwards: its dataplane forwards on, and so does its next run", async () => {
  await atHome();
  const pid = nodeState(lab.name, "tor3").process?.pid ?? 0;
  await prepare(away);
  await mover.hasHeardOf("tor3", "tor2"); // else it takes no answer of red1's to ARP
  process.kill(pid, "SIGSTOP"); // it does not hear of the move: all of the stream goes by way of tor1
  try {
    await losesNothing(async () => {
      await say("activate", away);
      await lab.detach(home);
      await programs.stop("tor1", "SIGKILL");
      await programs.start("tor1");
      await until("tor1 to forward", async () => (await placeAt("tor1"))?.moved || undefined);
    });
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await rests("completed", away, peer);
  await moved(away, home);
});

test("H23, V1: the destination's agent is killed when the VM is about to arrive: it arrives all the same", async () => {
  await atHome();
  await losesNothing(async () => {
    await prepare(away);
    await programs.stop("tor2", "SIGKILL");
    await programs.start("tor2");
    await lab.ready("srv3");
    await say("activate", away);
    expect(await where()).toBe("tor2");
    await lab.detach(home);
    await rests("completed", away, peer);
  });
  await moved(away, home);
});

test("V1: the destination's agent is killed after the switch-over: nothing is lost", async () => {
  await atHome();
  await losesNothing(async () => {
    await prepare(away);
    await say("suspend", home);
    await say("activate", away);
    await programs.stop("tor2", "SIGKILL");
    await lab.detach(home);
    await programs.start("tor2");
    await rests("completed", away, peer);
  });
  await moved(away, home);
});

test("V2: the NVA is away during the whole move: others are spoken to all the time, and it ends right when it is back", async () => {
  await atHome();
  const other = { ...vm("red2") };
  await lab.attach(other);
  await prepare(away);
  const end = await otherMover.streaming(peer, [other]);
  await programs.stop("nva", "SIGKILL");
  await say("suspend", home);
  await say("activate", away);
  await lab.detach(home);
  await programs.start("nva");
  await rests("completed", away, peer, other);
  isWhole(await end());
  expect(await sees(away)).toBe(true);
  await lab.detach(other);
  await moved(away, home);
});
