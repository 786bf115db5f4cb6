import { readFileSync } from "node:fs";
import {
  decode,
  EtherType,
  frameOctets,
  Mac,
  readFrame,
  Vni,
  VXLAN_PORT,
  vxlanOctets,
} from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { addressesOf, arp, broadcast, probe, testFrame, vxlanOf } from "../support/frames.ts";
import { until } from "../support/lab.ts";
import { readPcap } from "../support/pcap.ts";
import { type CountRow, useTwoRacks, type Vm, VN, VNI, vm } from "../support/two-racks.ts";

// One lab for the file, with all eight VMs attached by the first test.
const lab = useTwoRacks();

const all = ["red1", "red2", "red3", "red4", "blue1", "blue2", "blue3", "blue4"];

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
  outer.delete("198.51.100.1"); // the NVA, with whom the NVEs speak now and then
  expect([...outer].sort()).toEqual(["10.0.1.11", "10.0.2.12"]);
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

  // What eth2 has lent means nothing on eth1.
  const lent = await lab.tags("tor1");
  const at = (name: string) => lent.filter(({ port }) => port === name).map(({ tag }) => tag);
  const others = at("eth2").filter((tag) => !at("eth1").includes(tag));
  expect(others).not.toEqual([]);
  const hears = await capturesAt(all, "ether proto 0x88b5");
  await dropped({ "no-such-tag": others.length }, () =>
    lab.send("srv1", "eth1", ...others.map((tag) => testFrame(tag))),
  );
  expect(await hears()).toEqual([]);
});

test("P11: no frame of one VN reaches another: foreign tags, double tags, VID 0, no tag, broadcast and all", async () => {
  const tagOf = async (name: string) => (await lab.vnicOf(name)).vns[0]?.tag ?? 0;
  const [redTag, blueTag] = [await tagOf("red1"), await tagOf("blue1")];
  const tags = (await lab.tags("tor1")).map(({ tag }) => tag);
  const foreign = [2, 3, 4, 5, 4094].find((tag) => !tags.includes(tag)) ?? 2;
  const hears = await capturesAt(all, "ether proto 0x88b5");
  const toServer = await lab.capture("srv2", "eth1", `ether src ${probe}`);
  const inner = testFrame(blueTag).subarray(12); // a tag and what follows it
  const reasons = { "no-such-tag": 1, untagged: 1, "priority-tagged": 1, "double-tagged": 1 };
  await dropped(reasons, () =>
    lab.send(
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
    ),
  );
  expect(await hears()).toEqual([]);
  expect((await toServer.lines()).filter((line) => line.includes("0x88b5"))).toEqual([]);

  // The one that is allowed does pass: the test would see the others.
  const passed = await capturesAt(["red2", "red3", "red4", "blue2"], "ether proto 0x88b5");
  await lab.send("srv1", "eth1", testFrame(redTag));
  await heard(passed, ["red2 1", "red3 1", "red4 1"]);
});

test("P11: a MAC that only another VN has is unknown, on the same ToR and behind another", async () => {
  const change = (what: "add" | "remove", name: string, mac: string) => {
    const words = ["vnic", what, vm(name).interface, "--vn", String(VN.blue), "--mac", mac];
    return lab.run(vm(name).server, "hypervisor-agent", ...words);
  };
  const bluesOwn = [
    ["blue2", "02:00:00:00:00:82"],
    ["blue3", "02:00:00:00:00:83"],
  ] as const;
  for (const [name, mac] of bluesOwn) await change("add", name, mac);
  await until("tor1 to know both", async () => {
    const known = (await lab.fdb("tor1")).filter(({ applied }) => applied).map(({ mac }) => mac);
    return bluesOwn.every(([, mac]) => known.includes(mac)) || undefined;
  });
  const hears = await capturesAt(all, "ether proto 0x88b5");
  const frames = bluesOwn.map(([, mac]) => testFrame(undefined, Mac(mac)));
  await dropped({ "unknown-mac": 2 }, () => lab.send("red1", "eth0", ...frames));
  expect(await hears()).toEqual(["red1 2"]); // its own
  for (const [name, mac] of bluesOwn) await change("remove", name, mac);
});

test("P11: a VM sends from the MACs attached for it and from no other", async () => {
  const notBound = async () => {
    const rows = (await lab.show("srv1", "hypervisor-agent", "show", "counters")) as CountRow[];
    return rows.find(({ counter }) => counter === "dropped.not-bound")?.value ?? 0;
  };
  const before = await notBound();
  const hears = await capturesAt(all, "ether proto 0x88b5");
  await lab.send("red1", "eth0", testFrame(undefined, broadcast, Mac("02:00:00:00:00:99")));
  await until("srv1 to drop it", async () => (await notBound()) > before || undefined);
  expect(await hears()).toEqual(["red1 1"]);
});

test("P11: from the underlay nothing comes in of a stranger, of an unknown VNI, tagged inside, or to go out again", async () => {
  const tunnel = (vni: number, vid?: number, to = broadcast) =>
    vxlanOctets({ vni: Vni(vni), frame: decode(testFrame(vid, to), readFrame) });
  const send = (from: string, ...datagrams: Uint8Array[]) =>
    lab.sendUdp(from, "10.0.1.11", VXLAN_PORT, ...datagrams);
  const hears = await capturesAt(all, "ether proto 0x88b5");
  await dropped({ "stranger-vtep": 1 }, () => send("spine", tunnel(VNI.red)));
  await dropped({ "unknown-vni": 1, "inner-tag": 1, "split-horizon": 1 }, () =>
    send(
      "tor2",
      tunnel(70999),
      tunnel(VNI.red, 100),
      tunnel(VNI.red, undefined, Mac(vm("red3").mac)),
    ),
  );
  expect(await hears()).toEqual([]);

  // A peer's frames as they should be do come in, and none goes back to where the peer's own VMs are.
  const passed = await capturesAt(all, "ether proto 0x88b5");
  await send("tor2", tunnel(VNI.red));
  await heard(passed, ["red1 1", "red2 1"]);
});

test("A17, P4: an NVE is sent what concerns VNs in which it has members, and nothing of others", async () => {
  await lab.run("nva", "nva", "vn", "create", "green", "--id", "10003", "--vni", "70003");
  const [green1, green2] = [
    await addGreen("green1", "srv1", "71"),
    await addGreen("green2", "srv3", "72"),
  ];
  const told = async (tor: string) =>
    [...new Set((await lab.fdb(tor)).map(({ vnId }) => vnId))].sort();
  await attachGreen(green1);
  expect(await sentToTor2(green1.interface, "b1")).toBe(false);
  expect(await told("tor1")).toEqual([10001, 10002, 10003]);
  expect(await told("tor2")).toEqual([10001, 10002]);

  // What is flooded in green goes where green has members: nowhere.
  const tag = (await lab.vnicOf(green1)).vns[0]?.tag ?? 0;
  await lab.send("srv1", "eth1", testFrame(tag));
  const flooded = await until("tor1 to have flooded it", async () => {
    const { vns } = await countersOf("tor1");
    return vns.find(({ vni, flooded }) => vni === 70003 && flooded > 0);
  });
  expect(flooded).toMatchObject({ accessOut: 0, overlayOut: 0 });

  // Once it has a member it is told what there is already; with the last one gone it forgets.
  await attachGreen(green2);
  await until(
    "tor2 to know green1",
    async () => (await lab.fdb("tor2")).some(({ mac }) => mac === green1.mac) || undefined,
  );
  await lab.detach(green2);
  expect(await told("tor2")).toEqual([10001, 10002]);
  expect(await sentToTor2(green1.interface, "b2")).toBe(false);
});

function addGreen(name: string, server: string, last: string) {
  const [mac, ip] = [`02:00:00:00:00:${last}`, `10.0.1.${last}`];
  return lab.addVm({ vm: name, server, vn: "red", mac, ip });
}

async function attachGreen({ server, interface: name, mac, ip }: Vm): Promise<void> {
  const where = ["attach", name, "--vn", "10003", "--mac", mac, "--ip", ip];
  await lab.run(server, "hypervisor-agent", "vnic", ...where);
}

/** Whether the NVA sends tor2 a new MAC of green on srv1: one of red, which it must send, comes after it. */
async function sentToTor2(interfaceOfGreen: string, last: string): Promise<boolean> {
  const capture = await lab.capture("tor2", "eth3", "tcp port 7470");
  const [green, red] = [`02:00:00:00:0a:${last}`, `02:00:00:00:0c:${last}`];
  const add = (name: string, vn: number, mac: string) =>
    lab.run("srv1", "hypervisor-agent", "vnic", "add", name, "--vn", String(vn), "--mac", mac);
  await add(interfaceOfGreen, 10003, green);
  await until(
    "the NVA to know what is green",
    async () => (await lab.mappings()).some(({ mac }) => mac === green) || undefined,
  );
  await add(vm("red1").interface, VN.red, red);
  await until(
    "tor2 to know what is red",
    async () => (await lab.fdb("tor2")).some(({ mac }) => mac === red) || undefined,
  );
  await capture.lines();
  const packets = readPcap(readFileSync(capture.path)).map(({ octets }) => Buffer.from(octets));
  const sent = (mac: string) =>
    packets.some((packet) => packet.includes(Buffer.from(mac.replaceAll(":", ""), "hex")));
  expect(sent(red)).toBe(true);
  return sent(green);
}

const underlayAddresses = ["10.0.1.11", "10.0.1.1"];

type Counters = {
  drops: Record<string, number>;
  vns: { vni: number; accessOut: number; overlayOut: number; flooded: number }[];
};

const countersOf = async (tor: string) =>
  (await lab.show(tor, "switch-agent", "show", "counters")) as Counters;

/** Does something of which tor1 has to drop so many frames for these reasons. */
async function dropped(more: Record<string, number>, act: () => Promise<void>): Promise<void> {
  const { drops: before } = await countersOf("tor1");
  await act();
  await until("the switch to count what it dropped", async () => {
    const { drops } = await countersOf("tor1");
    const so = ([why, n]: [string, number]) => (drops[why] ?? 0) >= (before[why] ?? 0) + n;
    return Object.entries(more).every(so) || undefined;
  });
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
