import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  concat,
  EtherType,
  ecpduOctets,
  frameOctets,
  GroupAddress,
  lldpduOctets,
  Mac,
  uint,
} from "@nve/protocol-spec";
import { afterAll, expect, test } from "vitest";
import { broadcast, testFrame } from "../support/frames.ts";
import { until } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";
import { useTwoRacks, VN, vm } from "../support/two-racks.ts";

// One lab for the file. What is wrong is answered in words or counted, and the agents go on.
const lab = useTwoRacks();
const programs = labPrograms(lab);
const folder = mkdtempSync(join(tmpdir(), "bad-input-"));
afterAll(() => rmSync(folder, { recursive: true }));

const VDP_REFUSED_RESOURCES = 2;
const VDP_MANAGER_UNREACHABLE = 3;
const VDP_REFUSED_VN = 5;

test("an NVA that is away at the start: the switch says so, tries again, and serves when it is there", async () => {
  // The lab's NVA is stopped and its port closed before anybody has attached.
  await programs.stop("nva");
  const status = async () =>
    (await lab.show("tor1", "switch-agent", "status")) as { nvaState: string };
  await until("tor1 to notice", async () => (await status()).nvaState !== "connected" || undefined);
  await lab.ready("srv1");

  const refused = await lab.tryAttach("red1", "--timeout", "2");
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/VN 10001|manager|NVA/);
  expect(await lab.refusals("tor1")).toContainEqual(
    expect.objectContaining({ port: "eth1", vnId: VN.red, code: VDP_MANAGER_UNREACHABLE }),
  );

  await startNva();
  await until(
    "tor1 to be connected",
    async () => (await status()).nvaState === "connected" || undefined,
    10_000,
  );
  await lab.createVns();
  const red1 = await lab.attach("red1");
  expect(red1.state).toBe("associated");
});

test("A6: the NVA gives the mappings; while none answers the switch serves what it knows and floods what it does not", async () => {
  await lab.ready("srv2", "srv3");
  await lab.attach("red2");
  await lab.attach("red3");
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  const stray = frameOctets({
    destination: Mac("02:00:00:00:00:5a"), // nobody's
    source: Mac(vm("red1").mac),
    etherType: 0x88b5,
    payload: new Uint8Array(46),
  });
  const before = await lab.dropped("tor1", "unknown-mac");
  const seen = await lab.capture("red2", "eth0", "ether proto 0x88b5");
  await lab.send("red1", "eth0", stray);
  await until(
    "the unknown address to be counted",
    async () => (await lab.dropped("tor1", "unknown-mac")) === before + 1 || undefined,
  );
  expect(await seen.lines()).toEqual([]); // the NVA knows all there is: no flooding

  await programs.stop("nva");
  await until("tor1 to notice", async () => {
    const { nvaState } = (await lab.show("tor1", "switch-agent", "status")) as { nvaState: string };
    return nvaState !== "connected" || undefined;
  });
  const known = (await lab.fdb("tor1")).map(({ mac, where, applied }) => [mac, where, applied]);
  expect(known).toContainEqual([vm("red3").mac, "remote", true]);
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  const extra = await lab.addVm({
    vm: "late",
    server: "srv1",
    vn: "red",
    mac: "02:00:00:00:00:0e",
    ip: "10.0.1.28",
  });
  expect((await lab.attach(extra)).state).toBe("associated");
  expect(await lab.ping("red2", extra.ip)).toBe(true); // on the same ToR
  expect(await lab.ping("red3", extra.ip)).toBe(true); // tor2 was not told of it: it floods
  await startNva();
  await until(
    "the NVA to be told all again",
    async () => {
      const known = (await lab.mappings()).map(({ mac }) => mac);
      return (
        [extra.mac, vm("red1").mac, vm("red2").mac, vm("red3").mac].every((mac) =>
          known.includes(mac),
        ) || undefined
      );
    },
    10_000,
  );
  await lab.detach(extra);
});

test("A7: a VN that does not exist is refused with its number, on the server and on the switch", async () => {
  const refused = await lab.exec(
    "srv1",
    ...[
      "hypervisor-agent",
      "vnic",
      "attach",
      "tap-blue1",
      "--vn",
      "4242",
      "--mac",
      vm("blue1").mac,
    ],
  );
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/4242/);
  expect(await lab.refusals("tor1")).toContainEqual(
    expect.objectContaining({
      vnId: 4242,
      code: VDP_REFUSED_VN,
      reason: expect.stringContaining("4242"),
    }),
  );
  expect((await lab.vnics("srv1")).map((one) => one.interface)).not.toContain("tap-blue1");
});

test("a frame with a tag never lent goes nowhere and is counted", async () => {
  const lent = (await lab.tags("tor1")).map(({ tag }) => tag);
  const foreign = lent.includes(77) ? 78 : 77;
  const before = await lab.dropped("tor1", "no-such-tag");
  const seen = await lab.capture("red2", "eth0", "ether proto 0x88b5");
  const frame = frameOctets({
    destination: Mac("ff:ff:ff:ff:ff:ff"),
    source: Mac(vm("red1").mac),
    tag: { pcp: 0, dei: false, vid: foreign },
    etherType: 0x88b5,
    payload: new Uint8Array(46),
  });
  await lab.send("srv1", "eth1", frame, frame, frame);
  await until(
    "three drops",
    async () => (await lab.dropped("tor1", "no-such-tag")) === before + 3 || undefined,
  );
  expect(await seen.lines()).toEqual([]);
});

test("malformed LLDP, ECP and VDP are counted by protocol and reason, what is too short as stray, and the port goes on", async () => {
  const frame = (etherType: number, payload: Uint8Array) =>
    frameOctets({
      destination: GroupAddress.nearestCustomerBridge,
      source: Mac("02:00:00:00:00:99"),
      etherType,
      payload,
    });
  const vdp = (ulpdu: Uint8Array, sequence: number) =>
    frame(EtherType.ecp, ecpduOctets({ op: "request", subtype: 1, sequence, ulpdu }));
  const manager = concat(uint(2, 0x0a10), new Uint8Array(16));
  const noEntries = concat(uint(2, 0x0619), new Uint8Array(25));
  const lldp = lldpduOctets({
    chassisId: { subtype: 7, octets: Uint8Array.of(1) },
    portId: { subtype: 7, octets: Uint8Array.of(1) },
    ttl: 120,
    tlvs: [],
  });
  const counters = async () => {
    const ports = (await lab.show("tor1", "switch-agent", "show", "ports")) as {
      interface: string;
      counters: Record<string, number>;
    }[];
    return ports.find((port) => port.interface === "eth1")?.counters ?? {};
  };
  const before = await counters();
  await lab.send(
    "srv1",
    "eth1",
    frame(EtherType.lldp, lldp.subarray(0, 5)), // shorter than any LLDPDU
    frame(EtherType.lldp, concat(lldp.subarray(0, 8), uint(2, 0x07ff), new Uint8Array(2))), // cut off
    frame(EtherType.lldp, concat(lldp.subarray(3), lldp)), // no chassis ID first
    frame(EtherType.ecp, Uint8Array.of(0x20, 0x01, 0, 1)), // version 2
    frame(EtherType.ecp, Uint8Array.of(0x10)), // half a header
    frame(EtherType.ecp, Uint8Array.of(0x1c, 0x01, 0, 1)), // neither request nor ack
  );
  const malformed = (of: Record<string, number>, protocol: string) =>
    Object.entries(of)
      .filter(([name]) => name.startsWith(`malformed.${protocol}.`))
      .reduce((sum, [, n]) => sum + n, 0);
  const more = async (protocol: string) =>
    malformed(await counters(), protocol) - malformed(before, protocol);
  await until("LLDP and ECP to be counted", async () => {
    return ((await more("lldp")) === 2 && (await more("ecp")) === 2) || undefined;
  });
  const ulpdus = [
    new Uint8Array(4).fill(0xff), // no manager
    concat(manager, noEntries),
    concat(manager, uint(2, 0x07ff)), // says 511 octets, has none
    concat(manager, manager),
  ];
  // One at a time, as ECP does: of a burst that awaits no acks some are put off.
  for (const [n, ulpdu] of ulpdus.entries()) {
    await lab.send("srv1", "eth1", vdp(ulpdu, 1000 + n));
    await until("VDP to be counted", async () => (await more("vdp")) === n + 1 || undefined);
  }
  const stray = async () => (await counters())["link.stray"] ?? 0;
  expect((await stray()) - (before["link.stray"] ?? 0)).toBe(2); // too short: the kernel lets none of them in
  await lab.attach("blue1");
  expect(await lab.ping("red1", vm("red2").ip)).toBe(true);
});

test("with the tags of a port all lent the station is refused for lack of resources, and everybody is told why", async () => {
  // The switch is started anew with one tag on eth1.
  const config = join(folder, "one-tag.yaml");
  writeFileSync(
    config,
    [
      "nve: tor1",
      "vtep: 10.0.1.11",
      'nva: { addresses: ["198.51.100.1:7470"], insecure: true }',
      "ports: [{ name: eth1, tags: [100, 100], checkSource: true }, { name: eth2 }, { name: eth9 }]",
      "",
    ].join("\n"),
  );
  await programs.stop("tor1");
  await programs.start("tor1", "switch-agent", "run", "--config", config);
  // red1 and blue1 come again by themselves: two VNs, one tag.
  const refusal = await until(
    "one of two VNs to be refused",
    async () => (await lab.refusals("tor1")).find(({ code }) => code === VDP_REFUSED_RESOURCES),
    30_000,
  );
  expect(refusal).toMatchObject({ port: "eth1", code: VDP_REFUSED_RESOURCES });
  expect(refusal.reason).toMatch(/eth1 has no tag left/);
  await until(
    "one VN to have the tag",
    async () =>
      (await lab.tags("tor1")).some(({ port, tag }) => port === "eth1" && tag === 100) || undefined,
  );
});

test("V8, H2: where a link has fewer tags than there are VNs, a tag serves one after another", async () => {
  const holder = async () => (await lab.tags("tor1")).find(({ port }) => port === "eth1")?.vn;
  const [first, second] =
    (await holder()) === VN.red ? (["red1", "blue1"] as const) : (["blue1", "red1"] as const);
  await lab.detach(second);
  await lab.detach(first);
  expect(await holder()).toBeUndefined();
  expect((await lab.attach(second)).vns[0]?.tag).toBe(100);
  expect(await holder()).toBe(VN[vm(second).vn]);
});

test("H26: on a port that checks sources a frame passes only from a MAC that was said there", async () => {
  const [attached] = (await lab.tags("tor1")).filter(({ port }) => port === "eth1");
  const who = vm(attached?.vn === VN.red ? "red1" : "blue1");
  const count = () => lab.dropped("tor1", "unknown-source");
  const before = await count();
  await lab.send("srv1", "eth1", testFrame(100, broadcast, Mac(who.mac)));
  await lab.send("srv1", "eth1", testFrame(100, broadcast, Mac("02:00:00:00:00:77")));
  await until(
    "the one that nobody said to be counted",
    async () => (await count()) === before + 1 || undefined,
  );
});

test("a port that does not exist is waited for, and works when it comes", async () => {
  const eth9 = async () => {
    const ports = (await lab.show("tor1", "switch-agent", "show", "ports")) as {
      interface: string;
      state: string;
      counters: Record<string, number>;
    }[];
    return ports.find((port) => port.interface === "eth9");
  };
  const becomes = (state: string) =>
    until(`eth9 to be ${state}`, async () => (await eth9())?.state === state || undefined);
  expect((await eth9())?.state).toBe("absent");
  for (const time of [1, 2]) {
    await lab.run("tor1", "ip", "link", "add", "eth9", "type", "veth", "peer", "name", "peer9");
    await lab.run("tor1", "ip", "link", "set", "peer9", "up");
    await lab.run("tor1", "ip", "link", "set", "eth9", "up");
    await becomes("up");
    await until(`LLDP on eth9 for the ${time}. time`, async () => {
      const sent = (await eth9())?.counters["lldp.out"] ?? 0;
      return sent >= time || undefined;
    });
    await lab.run("tor1", "ip", "link", "del", "eth9");
    await becomes("absent");
  }
});

test("each program refuses a config with unknown keys, and names all faults at once", async () => {
  const faulty = join(folder, "faulty.yaml");
  writeFileSync(faulty, "vtep: 10.0.0.300\nportz: []\nuplink: x\nlisten: nowhere\n");
  for (const program of ["switch-agent", "hypervisor-agent", "nva"]) {
    const { code, stderr } = await lab.exec("spine", program, "run", "--config", faulty);
    expect(code, program).toBe(1);
    expect(stderr, program).toMatch(/faulty\.yaml:/);
    expect(stderr, program).toMatch(/unknown key "?.*portz/);
    expect(stderr.split("\n").length, program).toBeGreaterThan(2);
    const missing = await lab.exec("spine", program, "run", "--config", join(folder, "none.yaml"));
    expect(missing.code, program).toBe(1);
    expect(missing.stderr, program).toMatch(/cannot read the config file/);
  }
});

test("usage errors end with 2, refusals with 1, and both say what to do", async () => {
  const cases: [number, RegExp, string, ...string[]][] = [
    [2, /--vn/, "srv1", "hypervisor-agent", "vnic", "attach", "tap-red1"],
    [
      2,
      /not in 1\.\./,
      "srv1",
      "hypervisor-agent",
      "vnic",
      "attach",
      "tap-red1",
      "--vn",
      "0",
      "--mac",
      vm("red1").mac,
    ],
    [
      1,
      /does not exist|no interface/i,
      "srv1",
      "hypervisor-agent",
      "vnic",
      "attach",
      "tap9",
      "--vn",
      "10001",
      "--mac",
      vm("red1").mac,
    ],
    [1, /is it running/, "spine", "switch-agent", "status"],
    [2, /show/, "tor1", "switch-agent", "shwo"],
    [1, /no VN|does not exist/i, "nva", "nva", "vn", "show", "purple"],
  ];
  for (const [code, says, node, ...command] of cases) {
    const outcome = await lab.exec(node, ...command);
    expect(outcome.code, command.join(" ")).toBe(code);
    expect(outcome.stderr, command.join(" ")).toMatch(says);
  }
});

const nvaConfig = join(folder, "nva.yaml");
writeFileSync(
  nvaConfig,
  `listen: { address: "0.0.0.0:7470", insecure: true }\nstore: { use: lmdb, path: ${join(folder, "store")} }\n`,
);
const startNva = () => programs.start("nva", "nva", "run", "--config", nvaConfig);
