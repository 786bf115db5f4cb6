import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { namespaceOf } from "@nve/lab/topology";
import { afterEach, expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { linesOf, spawnIn } from "../support/streams.ts";
import { threeRacks } from "../support/three-racks.ts";
import { useTwoRacks, type Vm, VNI, vm } from "../support/two-racks.ts";

// One lab for the file: red1 is suspended behind tor1, and spoken to from behind tor3.
const lab = useTwoRacks(threeRacks("migration: { holdSeconds: 20, suspended: drop }\n"));
const script = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

const red1 = vm("red1");
const peer = vm("red4");
const beside: Vm = vm("red2");
let vnic = "";
let copy: Vm;

const nodeOf = (one: Vm): string => namespaceOf(lab.name, one.vm);
const say = (verb: "activate" | "suspend", one: Vm) =>
  lab.run(one.server, "hypervisor-agent", "vnic", verb, one.interface);

/** What the kernel tells a sender of datagrams to red1. */
async function errorsOf(sender: Vm, amount = 5): Promise<{ sent: number; errors: object }> {
  const words = [script("udp-errors.mjs"), red1.ip, "7000", String(amount)];
  const child = spawnIn(nodeOf(sender), process.execPath, ...words);
  children.push(child);
  return JSON.parse((await linesOf(child).next()) ?? "{}");
}

/** One TCP connection from the peer to red1. @returns how to end it: what was sent and what came */
async function dripping(port: string) {
  const begin = async (one: Vm, what: "serve" | "send") => {
    const child = spawnIn(
      nodeOf(one),
      process.execPath,
      script("tcp-drip.mjs"),
      what,
      red1.ip,
      port,
    );
    children.push(child);
    const lines = linesOf(child);
    expect(await lines.next()).toBe("ready");
    return { child, last: async () => JSON.parse((await lines.next()) ?? "{}") };
  };
  const server = await begin(red1, "serve");
  const sender = await begin(peer, "send");
  return async () => {
    sender.child.kill("SIGTERM");
    return { sent: await sender.last(), came: await server.last() };
  };
}

/** Makes the VN say so, and sees that tor1 has it. */
async function mode(is: string): Promise<void> {
  await lab.run("nva", "nva", "vn", "update", "red", "--suspended", is);
  const revision = ((await lab.show("nva", "nva", "status")) as { revision: number }).revision;
  await until("tor1 to have it", async () => {
    const nves = (await lab.show("nva", "nva", "nve", "list")) as {
      nve: string;
      appliedRevision: number;
    }[];
    return nves.some((one) => one.nve === "tor1" && one.appliedRevision >= revision) || undefined;
  });
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("M8: with `suspended: drop` packets to one that is suspended are dropped and counted, and nobody is told", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3", "srv4");
  vnic = (await lab.attach(red1)).vnic;
  await lab.attach(peer);
  await lab.attach(beside);
  copy = await lab.addVm({ ...red1, vm: "red1-srv3", server: "srv3" });
  expect(await lab.ping(peer.vm, red1.ip)).toBe(true);
  await say("suspend", red1);
  const before = await lab.dropped("tor1", "suspended");
  expect(await errorsOf(peer)).toEqual({ sent: 5, errors: {} });
  expect(await lab.ping(beside.vm, red1.ip)).toBe(false);
  expect(await lab.dropped("tor1", "suspended")).toBeGreaterThanOrEqual(before + 5 + 3);
  await say("activate", red1);
  expect(await lab.ping(peer.vm, red1.ip)).toBe(true);
});

test("M8: a VN may say otherwise: with `deliver` they are delivered as ever", async () => {
  await mode("deliver");
  await say("suspend", red1);
  expect(await lab.ping(peer.vm, red1.ip)).toBe(true);
});

test("M8: with `unreachable` its senders are told EHOSTUNREACH, behind another NVE and beside it; its ARP is answered", async () => {
  await mode("unreachable");
  for (const sender of [peer, beside]) {
    await lab.run(sender.vm, "ip", "neigh", "flush", "dev", "eth0");
    const { errors } = await errorsOf(sender);
    expect(errors).toMatchObject({ EHOSTUNREACH: expect.any(Number) });
  }
  const { stdout } = await lab.exec(peer.vm, "ping", "-n", "-c1", "-W1", red1.ip);
  expect(stdout).toContain(`From ${red1.ip} icmp_seq=1 Destination Host Unreachable`);
  expect(await lab.dropped("tor1", "suspended-told")).toBeGreaterThan(0);
});

test("M8: `trace` tells it", async () => {
  const frame = ["--from", peer.mac, "--to", red1.mac, "--src-ip", peer.ip, "--dst-ip", red1.ip];
  const overlay = ["--from-overlay", "--vtep", "10.0.3.13", "--vni", String(VNI.red)];
  const words = [...frame, "--proto", "udp", "--dst-port", "7000"];
  const told = await lab.run("tor1", "switch-agent", "trace", ...overlay, ...words);
  expect(told).toContain(`${red1.mac} is suspended`);
  expect(told).toMatch(/told +to 10\.0\.3\.13 in vxlan/);
  await say("activate", red1);
});

for (const [is, port] of [
  ["drop", "7101"],
  ["unreachable", "7102"],
] as const)
  test(`M8: a TCP connection outlives a suspension of 2 s with \`${is}\`, and all that was sent arrives`, async () => {
    await mode(is);
    const end = await dripping(port);
    await pause(200);
    await say("suspend", red1);
    await pause(2_000);
    await say("activate", red1);
    await pause(1_000);
    const { sent, came } = await end();
    expect(sent).toEqual({ octets: expect.any(Number), digest: expect.any(String) });
    expect(sent.octets).toBeGreaterThan(100_000);
    expect(came).toEqual(sent);
  });

test("M8, H21: of one that has left and has arrived nowhere yet they are told by the NVE that it has left, until it arrives", async () => {
  await say("suspend", red1);
  await lab.detach(red1);
  await lab.detach(beside); // nobody is in the VN there any more
  await until("tor1 to hold it", async () => {
    const { errors } = await errorsOf(peer, 3);
    return "EHOSTUNREACH" in errors || undefined;
  });
  await lab.attach(copy, "--vnic", vnic);
  await until("it to be reached", async () => (await lab.ping(peer.vm, red1.ip, 1)) || undefined);
  await until(
    "tor1 to leave the VN",
    async () => (await lab.fdb("tor1")).length === 0 || undefined,
  );
});
