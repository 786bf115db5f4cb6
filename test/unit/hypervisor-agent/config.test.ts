import { readFileSync } from "node:fs";
import { configSchema } from "@nve/hypervisor-agent/config";
import { parseConfig } from "@nve/program/config";
import { InterfaceName } from "@nve/program/edge-config";
import { Refused } from "@nve/program/errors";
import { expect, test } from "vitest";

const parse = (text: string) => parseConfig(text, configSchema, "agent.yaml");

test("one uplink is enough, the rest has defaults", () => {
  expect(parse("hypervisor: server1\nuplinks: [{ name: eth0 }]")).toEqual({
    hypervisor: "server1",
    uplinks: [{ name: "eth0", link: "packet" }],
    failbackMs: 30_000,
    evb: { groupId: true, reflectiveRelay: false, r: 3, rte: 14, rwd: 20, rka: 20 },
    lldp: {},
    vdp: { manager: new Uint8Array(16), typeId: 0, typeVersion: 1 },
    virtualSwitch: { driver: "ebpf" },
    socket: "unix:/run/split-nve/hypervisor-agent.sock",
    log: "info",
  });
});

test("every key is taken", () => {
  const config = parse(`
hypervisor: server1
uplinks: [{ name: eth0, link: pcap }, { name: eth1 }]
failback: never
evb: { r: 2, rte: 12, rwd: 18, rka: 16 }
lldp: { managementAddress: "2001:DB8::1" }
vdp: { manager: mgr1, typeId: 7, typeVersion: 2 }
virtualSwitch: { driver: ebpf, attach: clsact }
socket: unix:/tmp/agent.sock
log: debug`);
  expect(config).toMatchObject({
    uplinks: [
      { name: "eth0", link: "pcap" },
      { name: "eth1", link: "packet" },
    ],
    failbackMs: Number.POSITIVE_INFINITY,
    evb: { r: 2, rte: 12, rwd: 18, rka: 16 },
    lldp: { managementAddress: "2001:db8::1" },
    virtualSwitch: { driver: "ebpf", attach: "clsact" },
    socket: "unix:/tmp/agent.sock",
    log: "debug",
  });
  expect(Buffer.from(config.vdp.manager).toString("hex")).toBe("6d677231000000000000000000000000");
});

test("a manager ID may be a UUID", () => {
  const { vdp } = parse(
    "uplinks: [{ name: eth0 }]\nvdp: { manager: 00112233-4455-6677-8899-aabbccddeeff }",
  );
  expect(Buffer.from(vdp.manager).toString("hex")).toBe("00112233445566778899aabbccddeeff");
});

test("all faults are named at once, each with its line and what would be right", () => {
  const text = `
hypervisor: "my server"
uplinks: [{ name: eth0/1, link: magic }]
evb: { r: 9, rte: 28 }
vdp: { manager: "sixteen letters!", typeId: -1 }
virtualSwitch: { driver: ovs }
socket: nowhere
colour: blue
`;
  let message = "";
  try {
    parse(text);
  } catch (error) {
    expect(error).toBeInstanceOf(Refused);
    message = String(error);
  }
  for (const part of [
    "hypervisor id",
    "eth0/1",
    "packet (the default) or pcap",
    "evb.r (ECP retries) is a whole number, 0 to 7",
    "evb.rte",
    "VSI manager ID",
    "vdp.typeId",
    "the only driver is ebpf",
    "unix:/path",
    'unknown key "colour"',
    "line 8",
  ]) {
    expect(message).toContain(part);
  }
});

test.each([
  ["no uplink", "hypervisor: a", /uplinks: at least the name of one NIC/],
  ["an empty list", "uplinks: []", /name one uplink/],
  [
    "an uplink twice",
    "uplinks: [{ name: a }, { name: b }, { name: a }]",
    /uplink a stands here twice/,
  ],
  [
    "nine uplinks",
    `uplinks: [${"abcdefghi".split("").map((name) => `{ name: ${name} }`)}]`,
    /8 uplinks at most/,
  ],
  ["a failback of no time", "uplinks: [{ name: a }]\nfailback: soon", /0 to 86400, or never/],
  ["a failback below 0", "uplinks: [{ name: a }]\nfailback: -1", /failback/],
  ["an uplink without a name", "uplinks: [{}]", /name of the NIC/],
  ["an empty file", "", /uplinks/],
])("%s is refused", (_, text, why) => {
  expect(() => parse(text)).toThrow(why);
});

test.each(["eth0", "br-lan.100", "veth@1", "x".repeat(15)])("%s is an interface name", (name) => {
  expect(InterfaceName(name)).toBe(name);
});

test.each(["", ".", "..", "a b", "a/b", "x".repeat(16), "a:1"])("%j is none", (name) => {
  expect(() => InterfaceName(name)).toThrow(/not the name of a network interface/);
});

test("the README's config is a good one, and says the defaults", () => {
  const readme = readFileSync(
    new URL("../../../hypervisor-agent/README.md", import.meta.url),
    "utf8",
  );
  const yaml = /```yaml\n(.*?)```/s.exec(readme)?.[1] ?? "";
  expect(parse(yaml)).toEqual({
    ...parse("hypervisor: server1\nuplinks: [{ name: eth0 }]"),
    virtualSwitch: { driver: "ebpf", attach: "auto" },
  });
});

const own = `{ vtep: 192.0.2.21, nva: { addresses: ["nva:7470"], insecure: true } }`;

test("A8: a server that is its own NVE names VTEP and NVA in place of uplinks", () => {
  const config = parse(`{ hypervisor: server1, nve: ${own} }`);
  expect(config).toMatchObject({
    uplinks: [],
    nve: { vtep: "192.0.2.21", nva: { addresses: ["nva:7470"] }, dataplane: { attach: "auto" } },
  });
  expect(config.nve?.id).toBeUndefined();
  const named = own.replace("{ vtep", "{ id: nve7, dataplane: { attach: clsact }, vtep");
  expect(parse(`{ nve: ${named} }`).nve).toMatchObject({
    id: "nve7",
    dataplane: { attach: "clsact" },
  });
});

test("A19: its NVE may talk TLS to the NVA, or say that it does not, and not both", () => {
  const tls = "tls: { certificate: /c.pem, key: /k.pem, ca: /ca.pem }";
  const secure = own.replace("insecure: true", tls);
  expect(parse(`{ nve: ${secure} }`).nve?.nva).toEqual({
    addresses: ["nva:7470"],
    tls: { certificate: "/c.pem", key: "/k.pem", ca: "/ca.pem" },
  });
  const both = own.replace("insecure: true", `insecure: true, ${tls}`);
  for (const text of [both, own.replace(", insecure: true", "")])
    expect(() => parse(`{ nve: ${text} }`)).toThrow(/nve\.nva: say `tls: .*one of them/);
});

test.each([
  [`{ nve: ${own}, uplinks: [{ name: eth0 }] }`, "nve: uplinks or nve"],
  [`{ nve: ${own}, uplinks: [] }`, "nve: uplinks or nve"],
  ["{ hypervisor: server1 }", "or nve, on a server that is its own NVE"],
  [`{ nve: { vtep: 192.0.2.21 } }`, "nve.nva"],
  [`{ nve: ${own.replace("192.0.2.21", "224.0.0.1")} }`, "224.0.0.1 is no address of one host"],
  [`{ nve: ${own.replace("insecure: true", "insecure: false")} }`, "nve.nva.insecure"],
  [`{ nve: ${own.replace("nva:7470", "nva")} }`, '"nva" is no address like'],
  [`{ nve: ${own.replace("{ vtep", "{ ports: [], vtep")} }`, 'unknown key "ports"'],
])("%s is refused: %s", (text, fault) => {
  expect(() => parse(text)).toThrow(fault);
});
