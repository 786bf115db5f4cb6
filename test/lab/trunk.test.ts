import { readFileSync } from "node:fs";
import { join as joined } from "node:path";
import { run } from "@nve/lab/shell";
import { namespaceOf } from "@nve/lab/topology";
import { concat, decode, type Frame, Mac, readFrame } from "@nve/protocol-spec";
import { afterAll, expect, test } from "vitest";
import { broadcast, testFrame } from "../support/frames.ts";
import { until } from "../support/lab.ts";
import { readPcap } from "../support/pcap.ts";
import { type TrunkGuest, trunkGuest, type Vlan } from "../support/trunk-guest.ts";
import { pingFrom, useTwoRacks, type Vm, VN, vm } from "../support/two-racks.ts";

// One lab for the file; the tests build on each other, in this order.
const lab = useTwoRacks();
const guests: TrunkGuest[] = [];
const sender = joined(import.meta.dirname, "../support/send-frames.mjs");
afterAll(() => {
  for (const guest of guests) guest.end();
});

/** One MAC and one IP address in all the VNs of a guest: nothing but the guest tag tells them apart. */
const addresses = {
  t1: ["02:00:00:00:00:41", "10.0.1.41"],
  t3: ["02:00:00:00:00:43", "10.0.1.43"],
};
let t1: Vm;
let t3: Vm;
let guest1: TrunkGuest;
let guest3: TrunkGuest;

type Row = { vnId: number; guestTag: number; tag: number };
const rowsOf = async (one: Vm) => (await lab.vnicOf(one)).vns as unknown as Row[];

async function trunk(name: "t1" | "t3", server: string, ...tags: number[]) {
  const [mac = "", ip = ""] = addresses[name];
  const made = await lab.addVm({ vm: name, server, vn: "red", mac, ip });
  const guest = await trunkGuest(
    lab.name,
    made,
    tags.map((tag): Vlan => ({ tag, ip })),
  );
  guests.push(guest);
  return [made, guest] as const;
}

const vnic = (one: Vm, verb: string, vn: number, ...more: string[]) =>
  lab.exec(
    one.server,
    "hypervisor-agent",
    "vnic",
    verb,
    one.interface,
    "--vn",
    String(vn),
    ...more,
  );

async function join(one: Vm, vn: number, tag: number): Promise<void> {
  const verb = (await lab.vnics(one.server)).some((row) => row.interface === one.interface)
    ? "add"
    : "attach";
  const words = ["--guest-tag", String(tag), "--mac", one.mac, "--ip", one.ip];
  expect(await vnic(one, verb, vn, ...words)).toMatchObject({ code: 0, stderr: "" });
}

test("H10: one VNIC is in several VNs, each by the guest's own tag, and reaches the untagged VMs of each across racks", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3", "srv4");
  for (const name of ["red1", "red3", "blue1", "blue3"]) await lab.attach(name);
  [t1, guest1] = await trunk("t1", "srv1", 10, 20);
  await join(t1, VN.red, 10);
  await join(t1, VN.blue, 20);
  const rows = await rowsOf(t1);
  expect(rows.map(({ vnId, guestTag }) => [vnId, guestTag])).toEqual([
    [VN.red, 10],
    [VN.blue, 20],
  ]);

  const atVm = await lab.capture("srv1", t1.interface, "icmp or (vlan and icmp)");
  const onTheLink = await lab.capture("srv1", "eth1", "vlan and icmp");
  expect(await guest1.ping(10, vm("red3").ip)).toBe(true);
  expect(await guest1.ping(20, vm("blue3").ip)).toBe(true);
  expect(await lab.ping("red3", t1.ip)).toBe(true);
  expect(await lab.ping("blue3", t1.ip)).toBe(true);
  await Promise.all([atVm.lines(), onTheLink.lines()]);
  expect(tagsIn(atVm.path)).toEqual(new Set([10, 20]));
  expect(tagsIn(onTheLink.path)).toEqual(new Set(rows.map(({ tag }) => tag)));
});

test("H10: between a trunk VM and untagged VMs of one server, the virtual switch translates the tags", async () => {
  const onTheLink = await lab.capture("srv1", "eth1", "vlan and icmp");
  expect(await guest1.ping(10, vm("red1").ip)).toBe(true);
  expect(await guest1.ping(20, vm("blue1").ip)).toBe(true);
  expect(await onTheLink.lines()).toEqual([]);
});

test("H10: equal guest tags on two VNICs are different VNs, different guest tags the same VN", async () => {
  [t3, guest3] = await trunk("t3", "srv3", 10, 20);
  await join(t3, VN.blue, 10);
  await join(t3, VN.red, 20);
  const atT1 = await lab.capture("srv1", t1.interface);
  const atT3 = await lab.capture("srv3", t3.interface);
  expect(await guest1.ping(10, t3.ip)).toBe(true); // red
  expect(await guest3.ping(10, t1.ip)).toBe(true); // blue
  await Promise.all([atT1.lines(), atT3.lines()]);
  const asked = (path: string, from: Vm) => tagsIn(path, ({ source }) => source === from.mac);
  expect(asked(atT1.path, t3)).toEqual(new Set([10, 20]));
  expect(asked(atT3.path, t1)).toEqual(new Set([10, 20]));

  // A test's frame to all from red by t1's guest tag 10: t3 has it once, with its own tag for red.
  const heard = await captures();
  await send(t1, testFrame(10, broadcast, Mac(t1.mac)));
  await guest1.ping(10, t3.ip); // what was sent before has arrived when this has
  await guest1.ping(10, vm("red1").ip);
  expect(await heard()).toEqual({ red1: [0], red3: [0], t3: [20] });
  const others = await captures();
  await send(t3, testFrame(10, broadcast, Mac(t3.mac)));
  await guest3.ping(10, t1.ip);
  await guest3.ping(10, vm("blue3").ip);
  await guest3.ping(10, vm("blue1").ip);
  expect(await others()).toEqual({ blue1: [0], blue3: [0], t1: [20] });
});

test("H10, P11: frames of no VN of the VNIC go nowhere, and are counted by reason", async () => {
  const lent = (await rowsOf(t1)).map(({ tag }) => tag).filter((tag) => tag !== 10 && tag !== 20);
  const source = Mac(t1.mac);
  const heard = await captures("red1", "red3", "blue1", "blue3", "t3");
  const before = await drops();
  const [outer, inner] = [testFrame(10, broadcast, source), testFrame(20, broadcast, source)];
  const double = concat(outer.subarray(0, 16), inner.subarray(12)); // blue's tag within red's
  const unknown = [...new Set([30, 4094, ...lent])];
  await send(t1, ...unknown.map((tag) => testFrame(tag, broadcast, source)));
  await send(t1, testFrame(undefined, broadcast, source), testFrame(0, broadcast, source), double);
  await send(t1, testFrame(10, broadcast, Mac(vm("red1").mac)));
  await until("the virtual switch to have counted them", async () => {
    const now = await drops();
    const more = (why: string) => (now[why] ?? 0) - (before[why] ?? 0);
    const counted = ["unknown-guest-tag", "untagged", "double-tagged", "not-bound"].map(more);
    return counted.every((n, i) => n >= ([unknown.length, 2, 1, 1][i] ?? 0)) || undefined;
  });
  await guest1.ping(10, vm("red3").ip);
  expect(await heard()).toEqual({});
});

test("H10, H6: untagged frames of a trunk VNIC may be a VN, too", async () => {
  await lab.run("nva", "nva", "vn", "create", "green", "--id", "10003", "--vni", "70003");
  const words = ["--mac", t1.mac, "--ip", t1.ip];
  expect(await vnic(t1, "add", 10003, ...words)).toMatchObject({ code: 0 });
  const mac = "02:00:00:00:00:73";
  const far = await lab.addVm({ vm: "green3", server: "srv3", vn: "red", mac, ip: "10.0.1.73" });
  expect(await vnic(far, "attach", 10003, "--mac", mac, "--ip", far.ip)).toMatchObject({ code: 0 });
  expect(await pingFrom(namespaceOf(lab.name, t1.vm), far.ip)).toBe(true);
  expect(await guest1.ping(10, vm("red3").ip)).toBe(true);
  expect((await rowsOf(t1)).map(({ guestTag }) => guestTag)).toEqual([10, 20, 0]);
});

test("H10: a guest tag of a VN that is there stays: another is refused, with what to do", async () => {
  const before = await rowsOf(t1);
  const other = await vnic(t1, "add", VN.red, "--guest-tag", "11", "--mac", t1.mac);
  expect(other).toMatchObject({ code: 1 });
  expect(other.stderr).toMatch(
    /^error: VN 10001 is on this VNIC with guest tag 10 and cannot be there with guest tag 11 too: remove the VN first/,
  );
  const twice = await vnic(t1, "add", 4711, "--guest-tag", "10", "--mac", t1.mac);
  expect(twice).toMatchObject({ code: 1 });
  expect(twice.stderr).toMatch(/frames with guest tag 10 could not be told apart/);
  expect(await rowsOf(t1)).toEqual(before);
  expect(await guest1.ping(10, vm("red3").ip)).toBe(true);

  const list = await lab.run("srv1", "hypervisor-agent", "vnic", "list");
  expect(list).toMatch(/VN +GUEST-TAG +TAG/);
  expect(list).toMatch(new RegExp(`${t1.interface} +associated +${VN.blue} +20 +\\d+ `));
});

test("H10, H7: a VN that is removed takes its guest tag with it, and the others stay", async () => {
  expect(await vnic(t1, "remove", VN.red)).toMatchObject({ code: 0 });
  const before = await drops();
  expect(await guest1.ping(10, vm("red3").ip, 1)).toBe(false);
  expect((await drops())["unknown-guest-tag"]).toBeGreaterThan(before["unknown-guest-tag"] ?? 0);
  expect(await guest1.ping(20, vm("blue3").ip)).toBe(true);

  // The guest tag is free for another VN, and the VN for another guest tag.
  await join(t1, VN.red, 30);
  expect((await rowsOf(t1)).map(({ vnId, guestTag }) => [vnId, guestTag])).toEqual([
    [VN.blue, 20],
    [10003, 0],
    [VN.red, 30],
  ]);
});

test("H10: the guest tags are of the server alone: the switch shows the lent ones", async () => {
  const rows = await rowsOf(t1);
  const tags = await lab.tags("tor1");
  for (const { vnId, tag } of rows) {
    expect(tags).toContainEqual(expect.objectContaining({ port: "eth1", vn: vnId, tag }));
  }
});

/** Out of the eth0 of a VM that is no node of the topology. */
async function send(from: Vm, ...frames: Uint8Array[]): Promise<void> {
  const words = frames.map((frame) => Buffer.from(frame).toString("hex"));
  const inside = ["netns", "exec", namespaceOf(lab.name, from.vm), process.execPath];
  const { code, stderr } = await run("ip", [...inside, sender, "eth0", ...words]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
}

const drops = async () =>
  ((await lab.show("srv1", "hypervisor-agent", "status")) as { drops: Record<string, number> })
    .drops;

const framesIn = (path: string): Frame[] =>
  readPcap(readFileSync(path)).map(({ octets }) => decode(octets, readFrame));

/** The tags of the frames in a capture; 0: none. */
const tagsIn = (path: string, wanted: (frame: Frame) => boolean = () => true) =>
  new Set(
    framesIn(path)
      .filter(wanted)
      .map(({ tag }) => tag?.vid ?? 0),
  );

/** Captures what comes to VMs. @returns how to end it: the tags of the tests' frames that each has seen */
async function captures(...names: string[]) {
  const places = new Map([
    ...["red1", "red3", "blue1", "blue3"].map((name) => [name, [name, "eth0", ""]] as const),
    ...[t1, t3].map((one) => [one.vm, [one.server, one.interface, one.mac]] as const),
  ]);
  const wanted = [...places].filter(([name]) => names.length === 0 || names.includes(name));
  const all = await Promise.all(
    wanted.map(async ([name, [node, port, own]]) => {
      return { name, own, capture: await lab.capture(node, port) };
    }),
  );
  return async () => {
    await Promise.all(all.map(({ capture }) => capture.lines()));
    const seen = all.map(({ name, own, capture }) => {
      const frames = framesIn(capture.path).filter(
        ({ etherType, source }) => etherType === 0x88b5 && source !== own,
      );
      return [name, frames.map(({ tag }) => tag?.vid ?? 0)] as const;
    });
    return Object.fromEntries(seen.filter(([, tags]) => tags.length > 0));
  };
}
