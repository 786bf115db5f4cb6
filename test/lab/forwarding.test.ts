import { readFileSync } from "node:fs";
import {
  arpOctets,
  decode,
  EtherType,
  frameOctets,
  IpAddress,
  Mac,
  readFrame,
  readUdpOverIp,
  readVxlan,
  VXLAN_PORT,
} from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { readPcap } from "../support/pcap.ts";
import { useTwoRacks, VN, VNI, vm } from "../support/two-racks.ts";

// One lab for the file, with all eight VMs attached by the first test.
const lab = useTwoRacks();

const all = ["red1", "red2", "red3", "red4", "blue1", "blue2", "blue3", "blue4"];
const broadcast = Mac("ff:ff:ff:ff:ff:ff");
/** A frame's MAC in the filter of a capture: it is the test's own. */
const probe = Mac("02:00:00:00:00:01");

test("P3, P10: VNs span two racks behind a plain IP router, with VNIs beyond 12 bits", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3", "srv4");
  for (const name of all) await lab.attach(name);
  await everybodyKnown();
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  expect(await lab.ping("blue1", vm("blue3").ip)).toBe(true);
  expect(VNI.red).toBeGreaterThan(4095);
});

test("V6: same ToR, same VN: reached, switched locally between two tags", async () => {
  const underlay = await lab.capture("tor1", "eth3", `udp port ${VXLAN_PORT}`);
  const tags = (await lab.tags("tor1")).filter(({ vn }) => vn === VN.red);
  expect(new Set(tags.map(({ tag }) => tag)).size).toBe(2); // eth1's and eth2's own
  expect(await lab.ping("red1", vm("red2").ip)).toBe(true);
  const unicast = (await underlay.lines()).filter((line) => line.includes("ICMP"));
  expect(unicast).toEqual([]);
});

test("V6: other ToR, same VN: reached through the overlay", async () => {
  const underlay = await lab.capture("tor1", "eth3", `udp port ${VXLAN_PORT}`);
  expect(await lab.ping("red2", vm("red3").ip)).toBe(true);
  expect((await underlay.lines()).some((line) => line.includes(`vni ${VNI.red}`))).toBe(true);
});

test("V6: same ToR, other VN: not reached", async () => {
  await nobodyHears("red1", "blue2", ["blue1", "blue2"]);
});

test("V6: other ToR, other VN: not reached", async () => {
  await nobodyHears("red1", "blue4", ["blue1", "blue2", "blue3", "blue4"]);
  expect(await lab.ping("red1", vm("blue4").ip, 1)).toBe(false); // an address that only blue has
});

test("A2: a broadcast reaches every VM of its VN and none of another, and comes back to nobody", async () => {
  const question = arp(vm("red1").mac, "10.0.1.99");
  const seen = await recipients(question, `ether src ${probe} and arp host 10.0.1.99`);
  expect(seen).toEqual(["red1 1", "red2 1", "red3 1", "red4 1"]);
});

test("A2: a multicast frame reaches the VMs of its VN, once each", async () => {
  const group = frameOctets({
    destination: Mac("01:00:5e:01:02:03"),
    source: probe,
    etherType: 0x88b5,
    payload: new Uint8Array(50),
  });
  expect(await recipients(group, "ether proto 0x88b5")).toEqual([
    "red1 1",
    "red2 1",
    "red3 1",
    "red4 1",
  ]);
});

test("A5: ingress finds the egress NVE and encapsulates, egress strips and delivers to the one VM", async () => {
  const underlay = await lab.capture("spine", "eth1", `udp port ${VXLAN_PORT}`);
  const unicast = frameOctets({
    destination: Mac(vm("red3").mac),
    source: probe,
    etherType: 0x88b5,
    payload: new Uint8Array(50).fill(7),
  });
  expect(await recipients(unicast, "ether proto 0x88b5")).toEqual(["red1 1", "red3 1"]);
  await underlay.lines();
  const carried = vxlanOf(underlay.path).filter(({ etherType }) => etherType === 0x88b5);
  expect(carried).toEqual([
    { from: "10.0.1.11", to: "10.0.2.12", vni: VNI.red, etherType: 0x88b5, tagged: false },
  ]);
});

test("P4: underlay switches see NVE addresses only, and learn no tenant address", async () => {
  const underlay = await lab.capture("spine", "eth1", "ip");
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  expect(await lab.ping("blue1", vm("blue3").ip)).toBe(true);
  await underlay.lines();
  const outer = new Set(addressesOf(underlay.path));
  expect([...outer].sort()).toEqual(["10.0.1.11", "10.0.2.12", "198.51.100.1"]);
  const neighbours = await lab.run("spine", "ip", "neigh", "show");
  for (const name of all) {
    expect(neighbours).not.toContain(vm(name).mac);
    if (!underlayAddresses.includes(vm(name).ip))
      expect(neighbours).not.toContain(`${vm(name).ip} `);
  }
});

test("P5: tenants may have the very addresses of the underlay", async () => {
  expect(vm("red4").ip).toBe("10.0.1.11"); // tor1's VTEP
  expect(vm("blue4").ip).toBe("10.0.1.1"); // the router's
  expect(await lab.ping("red1", vm("red4").ip)).toBe(true);
  expect(await lab.ping("blue1", vm("blue4").ip)).toBe(true);
  expect(await lab.ping("tor2", "10.0.1.11")).toBe(true); // the real ones answer as before
  expect(await lab.ping("tor1", "10.0.1.1")).toBe(true);
});

test("V8: the tag maps to the VN on its own port only, and the mapping is shown", async () => {
  for (const tor of ["tor1", "tor2"]) {
    const tags = await lab.tags(tor);
    const vns = (await lab.show(tor, "switch-agent", "show", "vns")) as {
      vnId: number;
      vni: number;
      tags: { port: string; tag: number }[];
    }[];
    expect(tags).toHaveLength(4); // two VNs on two ports
    for (const { port, tag, vn } of tags) {
      const known = vns.find(({ vnId }) => vnId === vn);
      expect(known?.vni).toBe(vn === VN.red ? VNI.red : VNI.blue);
      expect(known?.tags).toContainEqual(expect.objectContaining({ port, tag }));
    }
  }
});

test("P11: no frame of one VN reaches another: foreign tags, double tags, VID 0, no tag, broadcast and all", async () => {
  const tagOf = async (name: string) => (await lab.vnicOf(name)).vns[0]?.tag ?? 0;
  const [redTag, blueTag] = [await tagOf("red1"), await tagOf("blue1")];
  const tags = (await lab.tags("tor1")).map(({ tag }) => tag);
  const foreign = [2, 3, 4, 5, 4094].find((tag) => !tags.includes(tag)) ?? 2;
  const before = await drops();
  const hears = await capturesAt(
    ["blue1", "blue2", "blue3", "blue4", "red1", "red2", "red3", "red4"],
    "ether proto 0x88b5",
  );
  const inner = frameOctets({
    destination: broadcast,
    source: probe,
    tag: { pcp: 0, dei: false, vid: blueTag },
    etherType: 0x88b5,
    payload: new Uint8Array(46),
  }).subarray(12); // a tag and what follows it
  await lab.send(
    "srv1",
    "eth1",
    testFrame(foreign),
    testFrame(undefined),
    testFrame(0),
    frameOctets({
      destination: broadcast,
      source: probe,
      tag: { pcp: 0, dei: false, vid: redTag },
      etherType: EtherType.vlan,
      payload: inner.subarray(2),
    }),
  );
  await until("the switch to count what it dropped", async () => {
    const now = await drops();
    return reasons.every((reason) => (now[reason] ?? 0) > (before[reason] ?? 0)) || undefined;
  });
  expect(await hears()).toEqual([]);

  // The one that is allowed does pass: the test would see the others.
  const passed = await capturesAt(["red2", "red3", "red4", "blue2"], "ether proto 0x88b5");
  await lab.send("srv1", "eth1", testFrame(redTag));
  await heard(passed, ["red2 1", "red3 1", "red4 1"]);
});

test("A17, P4: an NVE is told of VNs in which it has members, and of no others", async () => {
  await lab.run("nva", "nva", "vn", "create", "green", "--id", "10003", "--vni", "70003");
  const green = await lab.addVm({
    vm: "green1",
    server: "srv1",
    vn: "red",
    mac: "02:00:00:00:00:71",
    ip: "10.0.1.71",
  });
  await lab.run(
    "srv1",
    ...["hypervisor-agent", "vnic", "attach", green.interface, "--vn", "10003"],
    ...["--mac", green.mac, "--ip", green.ip],
  );
  await until(
    "the NVA to know it",
    async () => (await lab.mappings()).some(({ vnId }) => vnId === 10003) || undefined,
  );
  const told = async (tor: string) =>
    [...new Set((await lab.fdb(tor)).map(({ vnId }) => vnId))].sort();
  expect(await told("tor1")).toEqual([10001, 10002, 10003]);
  expect(await told("tor2")).toEqual([10001, 10002]);

  // Once it has a member it is told what there is already; with the last one gone it forgets.
  const other = await lab.addVm({
    vm: "green2",
    server: "srv3",
    vn: "red",
    mac: "02:00:00:00:00:72",
    ip: "10.0.1.72",
  });
  await lab.run(
    "srv3",
    "hypervisor-agent",
    "vnic",
    "attach",
    other.interface,
    "--vn",
    "10003",
    "--mac",
    other.mac,
  );
  await until(
    "tor2 to know green1",
    async () => (await lab.fdb("tor2")).some(({ mac }) => mac === green.mac) || undefined,
  );
  await lab.detach(other);
  expect(await told("tor2")).toEqual([10001, 10002]);
});

const underlayAddresses = ["10.0.1.11", "10.0.1.1"];
const reasons = ["no-such-tag", "untagged", "priority-tagged", "double-tagged"];

async function drops(): Promise<Record<string, number>> {
  const shown = (await lab.show("tor1", "switch-agent", "show", "counters")) as {
    drops: Record<string, number>;
  };
  return shown.drops;
}

async function everybodyKnown(): Promise<void> {
  for (const tor of ["tor1", "tor2"]) {
    await until(
      `${tor} to know all VMs`,
      async () =>
        (await lab.fdb(tor)).filter(({ applied }) => applied).length === all.length || undefined,
    );
  }
}

const testFrame = (vid: number | undefined): Uint8Array =>
  frameOctets({
    destination: broadcast,
    source: probe,
    ...(vid !== undefined && { tag: { pcp: 0, dei: false, vid } }),
    etherType: 0x88b5,
    payload: new Uint8Array(50),
  });

function arp(from: string, wanted: string): Uint8Array {
  const payload = arpOctets({
    op: "request",
    sender: { mac: Mac(from), ip: IpAddress("10.0.1.21") },
    target: { mac: Mac("00:00:00:00:00:00"), ip: IpAddress(wanted) },
  });
  return frameOctets({
    destination: broadcast,
    source: Mac(from),
    etherType: EtherType.arp,
    payload,
  });
}

/** Captures at VMs. @returns how to end it: "vm frames" of each that has seen any, the sender its own one */
async function capturesAt(names: readonly string[], filter: string) {
  const captures = await Promise.all(
    names.map(async (name) => ({ name, capture: await lab.capture(name, "eth0", filter) })),
  );
  return async () => {
    const counts = await Promise.all(
      captures.map(async ({ name, capture }) => `${name} ${(await capture.lines()).length}`),
    );
    return counts.filter((count) => !count.endsWith(" 0")).sort();
  };
}

/** Sends one frame from red1's own interface. @returns who has seen it, how often */
async function recipients(frame: Uint8Array, filter: string): Promise<string[]> {
  const seen = await capturesAt(all, filter);
  await lab.send("red1", "eth0", frame);
  await lab.ping("red1", vm("red4").ip, 2); // what was sent before has arrived when this has
  return seen();
}

async function heard(seen: () => Promise<string[]>, expected: readonly string[]): Promise<void> {
  await lab.ping("red1", vm("red4").ip, 2);
  expect(await seen()).toEqual(expected);
}

/** red1 calls for an address of blue: its own VN hears it, blue's VMs do not. */
async function nobodyHears(from: string, to: string, others: readonly string[]): Promise<void> {
  const filter = `ether src ${vm(from).mac} and (arp host ${vm(to).ip} or icmp)`;
  const seen = await capturesAt(others, filter);
  await lab.send(from, "eth0", arp(vm(from).mac, vm(to).ip));
  await lab.ping(from, vm("red4").ip, 2);
  expect(await seen()).toEqual([]);
}

/** Source and destination of every IPv4 packet of a capture, as a router reads them. */
const addressesOf = (path: string): string[] =>
  readPcap(readFileSync(path)).flatMap(({ octets }) => {
    const { payload } = decode(octets, readFrame);
    return [payload.subarray(12, 16), payload.subarray(16, 20)].map((ip) => ip.join("."));
  });

function vxlanOf(path: string) {
  return readPcap(readFileSync(path)).map(({ octets }) => {
    const udp = decode(decode(octets, readFrame).payload, readUdpOverIp);
    const { vni, frame } = decode(udp.payload, readVxlan);
    const tagged = frame.tag !== undefined;
    return { from: udp.source, to: udp.destination, vni, etherType: frame.etherType, tagged };
  });
}
