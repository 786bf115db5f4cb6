import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { nodeState } from "@nve/lab/labs";
import { spawnIn } from "@nve/lab/namespaces";
import { Mac, Vid } from "@nve/protocol-spec";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testFrame } from "../support/frames.ts";
import { until, useLab } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";
import type { FdbRow, MappingRow } from "../support/two-racks.ts";

// One lab for the file; the tests build on each other, in this order.
const lab = useLab("static-ports");
const programs = labPrograms(lab);

const VN = { red: 10001, blue: 10002 };
/** Of bare1 and bare2, and of red3 and blue3. */
const bare = { mac: "02:00:00:00:00:01", ip: "10.0.1.21" };
const vm = { mac: "02:00:00:00:00:03", ip: "10.0.1.23" };
const bare3 = { mac: "02:00:00:00:00:05", ip: "10.0.1.25" };

type BindingRow = { port: string; tag: number; vnId: number; state: string; reason: string };

const rows = async <T>(node: string, ...command: string[]) =>
  (await lab.show(node, ...command)) as T[];
const bindings = () => rows<BindingRow>("tor1", "switch-agent", "show", "bindings");
const bindingOf = async (port: string) => (await bindings()).find((one) => one.port === port);
const fdb = () => rows<FdbRow>("tor1", "switch-agent", "show", "fdb");
const mappings = () => rows<MappingRow>("nva", "nva", "mapping", "list");
const createVn = (name: "red" | "blue") =>
  lab.run("nva", "nva", "vn", "create", name, "--id", String(VN[name]), "--vni", `7${VN[name]}`);
const attach = (name: "red" | "blue") => {
  const words = ["vnic", "attach", `tap-${name}3`, "--vn", String(VN[name]), "--mac", vm.mac];
  return lab.run("srv2", "hypervisor-agent", ...words, "--ip", vm.ip);
};
const isBound = (port: string) =>
  until(
    `${port} to be bound`,
    async () => (await bindingOf(port))?.state === "bound" || undefined,
    10_000,
  );
/** A MAC that is learnt by its first frame is known at the far rack a moment later. */
const reaches = (from: string, to: string) =>
  until(`${from} to reach ${to}`, async () => (await lab.ping(from, to)) || undefined, 8000);

let tagger: ChildProcess;
beforeAll(async () => {
  const words = [join(import.meta.dirname, "../support/tag-frames.mjs"), "vlan20", bare.mac, "nic"];
  tagger = spawnIn(nodeState(lab.name, "bare2"), [process.execPath, ...words], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  tagger.stdin?.write("20\n");
  if (tagger.stdout !== null) await once(tagger.stdout, "data");
});
afterAll(async () => {
  tagger.stdin?.end();
  if (tagger.exitCode === null) await once(tagger, "exit");
});

test("A11: what the config binds waits for its VN, and is bound when the VN is made", async () => {
  await until(
    "the NVA's no",
    async () => (await bindings()).every(({ state }) => state === "refused") || undefined,
  );
  expect(await bindings()).toMatchObject([
    { port: "eth1", tag: 0, vnId: VN.red, reason: expect.stringContaining("no VN with VN ID") },
    { port: "eth2", tag: 20, vnId: VN.blue },
  ]);
  await createVn("red");
  await createVn("blue");
  await isBound("eth1");
  await isBound("eth2");
});

test("A11, H16: a bare-metal host on an untagged port talks to a VM behind VDP on the other rack; its MAC is learnt", async () => {
  await attach("red");
  await reaches("bare1", vm.ip);
  const learnt = await until("its MAC to be learnt", async () =>
    (await fdb()).find(({ vnId, mac }) => vnId === VN.red && mac === bare.mac),
  );
  expect(learnt).toMatchObject({ port: "eth1", tag: 0, where: "local" });
  const known = await until("the NVA to know it", async () =>
    (await mappings()).find(({ vnId, mac }) => vnId === VN.red && mac === bare.mac),
  );
  expect(known).toMatchObject({ locations: [{ nve: "tor1" }] });
  expect(await lab.ping("red3", bare.ip)).toBe(true);
});

test("A11, H5: another on a VLAN of its port, with the very same addresses, talks to the VM of its own VN alone", async () => {
  await attach("blue");
  const seen = await lab.capture("red3", "eth0", "icmp");
  await reaches("bare2", vm.ip);
  expect(await seen.lines()).toEqual([]);
  expect(await lab.ping("blue3", bare.ip)).toBe(true);
  expect(await mappings()).toContainEqual(
    expect.objectContaining({ vnId: VN.blue, mac: bare.mac, ips: [bare.ip] }),
  );
});

test("no protocol is on a static port: nothing is sent there, and LLDP that comes in is not heard", async () => {
  const words = ["switch-agent", "show", "ports"];
  const ports = await rows<{ interface: string; state: string; evb: boolean }>("tor1", ...words);
  expect(ports).toMatchObject(
    ["eth1", "eth2", "eth3"].map((port) => ({ interface: port, state: "up", evb: false })),
  );
  const counted = ports.flatMap((port) =>
    Object.keys((port as unknown as { counters: object }).counters),
  );
  expect(counted.filter((name) => !name.startsWith("glean."))).toEqual([]);
  const quiet = await lab.capture("bare3", "eth0", "ether proto 0x88cc or ether proto 0x8940");
  const sockets = async (tor: string) =>
    (await lab.run(tor, "ss", "-0", "-n")).split("\n").filter((line) => /:eth1\b/.test(line))
      .length;
  expect(await sockets("tor2"), "LLDP and ECP").toBeGreaterThan(0);
  expect(await sockets("tor1"), "none but for promiscuity").toBe(0);
  expect(await quiet.lines()).toEqual([]);
});

test("A11, H26: strict lets no other MAC in; frames with another tag, or none, are nobody's", async () => {
  const sender = join(import.meta.dirname, "../support/send-frames.mjs");
  const send = (source: string, vid?: number) => {
    const frame = testFrame(vid === undefined ? undefined : Vid(vid), Mac(vm.mac), Mac(source));
    return lab.run("bare2", process.execPath, sender, "nic", Buffer.from(frame).toString("hex"));
  };
  const seen = await lab.capture("blue3", "eth0", "ether proto 0x88b5");
  await send("02:00:00:00:00:66", 20);
  await send(bare.mac);
  await send(bare.mac, 21);
  await send(bare.mac, 20);
  const lines = await seen.lines();
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(bare.mac);
});

test("A11: bound through the control API, and it is there at once; unbound, frames stop at once", async () => {
  expect(await lab.ping("bare3", vm.ip, 1)).toBe(false);
  const words = ["bind", "eth3", "--vn", String(VN.red), "--mac", `${bare3.mac}=${bare3.ip}`];
  const bound = await lab.show("tor1", "switch-agent", ...words);
  expect(bound).toMatchObject({ port: "eth3", tag: 0, state: "bound", origin: "api" });
  expect(await lab.ping("red3", bare3.ip)).toBe(true);
  expect(await lab.ping("bare3", bare.ip), "beside it, on the same switch").toBe(true);

  await lab.run("tor1", "switch-agent", "unbind", "eth3");
  expect(await lab.ping("bare3", vm.ip, 1)).toBe(false);
  await until(
    "the NVA to forget it",
    async () => (await mappings()).every(({ mac }) => mac !== bare3.mac) || undefined,
  );
  expect(await lab.exec("tor1", "switch-agent", "unbind", "eth3")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("there is no such binding"),
  });
});

test("A11: a binding that the NVA refuses is an error of the command, and kept", async () => {
  const words = ["switch-agent", "bind", "eth3", "--vn", "10009", "--vlan", "9"];
  expect(await lab.exec("tor1", ...words)).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^eth3 +9 +10009 +refused/m),
    stderr: expect.stringMatching(/^error: eth3, tag 9: refused: .*no VN.*10009.*It is kept/),
  });
  expect(await lab.exec("tor1", ...words, "--no-wait")).toMatchObject({ code: 0, stderr: "" });
  await lab.run("tor1", "switch-agent", "unbind", "eth3", "--vlan", "9");
});

test("A11: what the API bound outlives the agent, whichever way it ended", async () => {
  await lab.run("tor1", "switch-agent", "bind", "eth3", "--vn", String(VN.red));
  const { vnic } = (await bindingOf("eth3")) as unknown as { vnic: string };
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    await programs.stop("tor1", signal);
    await programs.start("tor1");
    await isBound("eth3");
    await isBound("eth1");
    expect(await bindingOf("eth3")).toMatchObject({ vnic });
    await reaches("bare3", vm.ip);
  }
  expect(await lab.exec("tor1", "switch-agent", "unbind", "eth1")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("bound by the config file"),
  });
});

test("A11: with its VN a binding goes, with its reason, and comes back with the VN", async () => {
  await lab.run("srv2", "hypervisor-agent", "vnic", "detach", "tap-blue3");
  await lab.run("nva", "nva", "vn", "delete", "blue", "--force");
  const gone = await until("the binding to go", async () => {
    const binding = await bindingOf("eth2");
    return binding?.state === "refused" ? binding : undefined;
  });
  expect(gone.reason).toMatch(/deleted|no VN/);
  expect((await fdb()).filter(({ vnId }) => vnId === VN.blue)).toEqual([]);
  expect(await lab.ping("bare2", vm.ip, 1)).toBe(false);
  await createVn("blue");
  await isBound("eth2");
  await attach("blue");
  await reaches("bare2", vm.ip);
});

test("H25: the NVA is away: what is bound stays, a new binding of a known VN is made, another waits for it", async () => {
  await lab.run("tor1", "switch-agent", "unbind", "eth3");
  await programs.stop("nva");
  await until("tor1 to miss it", async () => {
    const { nvaState } = (await lab.show("tor1", "switch-agent", "status")) as { nvaState: string };
    return nvaState === "lost" || undefined;
  });
  expect(await lab.ping("bare1", vm.ip)).toBe(true);
  await lab.run("tor1", "switch-agent", "bind", "eth3", "--vn", String(VN.red));
  expect(await bindingOf("eth3")).toMatchObject({ state: "bound" });
  expect(await lab.ping("bare3", bare.ip)).toBe(true);
  const words = ["bind", "eth3", "--vn", "10003", "--vlan", "30"];
  expect(await lab.show("tor1", "switch-agent", ...words, "--no-wait")).toMatchObject({
    state: "waiting",
    reason: expect.stringContaining("the NVA cannot be asked"),
  });
  await programs.start("nva");
});
