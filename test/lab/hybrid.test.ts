import { join } from "node:path";
import { run } from "@nve/lab/shell";
import { namespaceOf } from "@nve/lab/topology";
import { Mac, Vid } from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { testFrame } from "../support/frames.ts";
import { until, useLab } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";
import type { FdbRow, MappingRow, Vnic } from "../support/two-racks.ts";

// One lab for the file; the tests build on each other, in this order.
const lab = useLab("hybrid");
const programs = labPrograms(lab);

const VN = { red: 10001, blue: 10002 };
const SOCKET = "unix:/run/split-nve/hypervisor-agent.sock";
const sender = join(import.meta.dirname, "../support/send-frames.mjs");

type Vm = { vm: string; server: "srv1" | "srv2"; vn: "red" | "blue"; n: number };
const red1: Vm = { vm: "red1", server: "srv1", vn: "red", n: 1 };
const blue1: Vm = { vm: "blue1", server: "srv1", vn: "blue", n: 1 };
const red2: Vm = { vm: "red2", server: "srv2", vn: "red", n: 2 };
const blue2: Vm = { vm: "blue2", server: "srv2", vn: "blue", n: 2 };
const red3: Vm = { vm: "red3", server: "srv2", vn: "red", n: 3 };
const macOf = (n: number) => `02:00:00:00:00:0${n}`;
const ipOf = (n: number) => `10.0.1.2${n}`;

const rows = async <T>(node: string, ...command: string[]) =>
  (await lab.show(node, ...command)) as T[];
const vnic = (server: string, ...words: string[]) =>
  lab.run(server, "hypervisor-agent", "vnic", ...words);
const attach = ({ vm, server, vn, n }: Vm, ...more: string[]) => {
  const words = [`tap-${vm}`, "--vn", String(VN[vn]), "--mac", macOf(n), "--ip", ipOf(n)];
  return vnic(server, "attach", ...words, ...more);
};
const detach = ({ vm, server }: Vm) => vnic(server, "detach", `tap-${vm}`);
const vnics = (server: string) => rows<Vnic>(server, "hypervisor-agent", "vnic", "list");
const vnicOn = async ({ vm, server }: Vm) =>
  (await vnics(server)).find((one) => one.interface === `tap-${vm}`);
/** The NVE on srv2, asked as a switch is. */
const local = (...words: string[]) =>
  lab.show("srv2", "switch-agent", "--socket", SOCKET, ...words);
const mappingOf = async (vn: number, mac: string) =>
  (await rows<MappingRow>("nva", "nva", "mapping", "list")).find(
    (one) => one.vnId === vn && one.mac === mac,
  );
const send = (vm: string, ...frames: Uint8Array[]) =>
  lab.run(
    vm,
    process.execPath,
    sender,
    "eth0",
    ...frames.map((f) => Buffer.from(f).toString("hex")),
  );
const dropped = async (reason: string) => {
  const { drops } = (await local("show", "counters")) as { drops: Record<string, number> };
  return drops[reason] ?? 0;
};

test("A8: a server is its own NVE: the same command, granted with no protocol on any of its interfaces", async () => {
  for (const name of ["red", "blue"] as const) {
    const words = ["--id", String(VN[name]), "--vni", `7${VN[name]}`];
    await lab.run("nva", "nva", "vn", "create", name, ...words);
  }
  const capture = await lab.capture("srv2", "eth1", "ether proto 0x88cc or ether proto 0x8940");
  await attach(red2, "--vm-name", "db2");
  expect(await vnicOn(red2)).toMatchObject({
    uplink: "local",
    state: "associated",
    reason: "",
    vmName: "db2",
    vns: [{ vnId: VN.red, tag: 0, macs: [{ mac: macOf(2), ips: [ipOf(2)] }] }],
  });
  expect(await capture.lines()).toEqual([]);
  const status = (await lab.show("srv2", "hypervisor-agent", "status")) as object;
  expect(status).toMatchObject({
    id: "srv2",
    uplinks: [],
    localNve: { nveId: "srv2", vtep: "10.0.2.12", nvaState: "connected", vnics: 1 },
  });
});

test("A8: switch-agent's commands show that NVE at the agent's own socket", async () => {
  expect(await local("show", "vnics")).toMatchObject([
    { port: "tap-red2", state: "associated", origin: "local", hypervisor: "srv2", vmName: "db2" },
  ]);
  expect(await local("show", "vns")).toMatchObject([
    { vnId: VN.red, alias: "red", tags: [{ port: "tap-red2", tag: 0 }], localMacs: 1 },
  ]);
  expect(await local("show", "fdb")).toMatchObject([
    { vnId: VN.red, mac: macOf(2), where: "local", port: "tap-red2", applied: true },
  ]);
  expect(await local("show", "ports")).toMatchObject([{ interface: "tap-red2", state: "up" }]);
  expect(await local("status")).toMatchObject({ nveId: "srv2", dataplaneState: "in sync" });
  const bind = ["switch-agent", "--socket", SOCKET, "bind", "tap-red3", "--vn", String(VN.red)];
  expect(await lab.exec("srv2", ...bind)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("hypervisor-agent vnic"),
  });
});

test("V7: one VN over a rack with its NVE on the ToR and a server that is its own", async () => {
  await attach(red1);
  await attach(red3);
  expect(await lab.ping("red1", ipOf(2))).toBe(true);
  expect(await lab.ping("red3", ipOf(1))).toBe(true);
  expect(await lab.ping("red2", ipOf(3)), "both on the server").toBe(true);
  const [fdb] = [await rows<FdbRow>("tor1", "switch-agent", "show", "fdb")];
  expect(fdb.find(({ mac }) => mac === macOf(2))).toMatchObject({
    where: "remote",
    nveId: "srv2",
    vtep: "10.0.2.12",
  });
});

test("V7, A10: what goes to all reaches each VM of the VN once, from either side", async () => {
  const filter = "ether proto 0x88b5";
  for (const [from, n, others] of [
    ["red1", 1, ["red2", "red3"]],
    ["red2", 2, ["red1", "red3"]],
  ] as const) {
    const captures = await Promise.all(others.map((vm) => lab.capture(vm, "eth0", filter)));
    const own = await lab.capture(from, "eth0", `${filter} and inbound`);
    await send(from, testFrame(undefined, Mac("ff:ff:ff:ff:ff:ff"), Mac(macOf(n))));
    const [answer] = others;
    expect(await lab.ping(from, ipOf(Number(answer.slice(3))))).toBe(true); // and so it has arrived
    for (const capture of captures) expect(await capture.lines()).toHaveLength(1);
    expect(await own.lines()).toEqual([]);
  }
});

test("V7, H5, P1: another VN with the very same addresses stays apart on both", async () => {
  await attach(blue1);
  await attach(blue2);
  const seen = await Promise.all(["red1", "red2"].map((vm) => lab.capture(vm, "eth0", "icmp")));
  expect(await lab.ping("blue1", ipOf(2))).toBe(true);
  expect(await lab.ping("blue2", ipOf(1))).toBe(true);
  expect(await lab.ping("blue2", ipOf(3), 1), "red3 is not in blue").toBe(false);
  for (const capture of seen) expect(await capture.lines()).toEqual([]);
});

test("H26: frames from a MAC that the VNIC does not have are dropped and counted; so are unknown guest tags", async () => {
  const seen = await lab.capture("red1", "eth0", "ether proto 0x88b5");
  const [spoofed, tagged] = [await dropped("unknown-source"), await dropped("no-such-tag")];
  const to = Mac(macOf(1));
  await send("red2", testFrame(undefined, to, Mac("02:00:00:00:00:66")));
  await send(
    "red2",
    testFrame(undefined, to, Mac(macOf(3))),
    testFrame(Vid(20), to, Mac(macOf(2))),
  );
  await send("red2", testFrame(undefined, to, Mac(macOf(2))));
  const lines = await seen.lines();
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(macOf(2));
  expect(await dropped("unknown-source")).toBe(spoofed + 2);
  expect(await dropped("no-such-tag")).toBe(tagged + 1);
});

test("H6, H7, H10: a VNIC gets a MAC, and a VN by a guest tag, and gives them back", async () => {
  const blue = ["--vn", String(VN.blue), "--mac", macOf(3), "--guest-tag", "20"];
  await vnic("srv2", "add", "tap-red3", ...blue);
  const seen = await lab.capture("blue1", "eth0", "ether proto 0x88b5");
  await send("red3", testFrame(Vid(20), Mac(macOf(1)), Mac(macOf(3))));
  const back = await lab.capture("red3", "eth0", "vlan 20 and ether proto 0x88b5");
  await send("blue1", testFrame(undefined, Mac(macOf(3)), Mac(macOf(1))));
  expect(await lab.ping("red3", ipOf(1)), "untagged it is in red").toBe(true);
  expect(await seen.lines()).toHaveLength(2); // one came in, one went out
  expect(await back.lines()).toHaveLength(1);
  await vnic("srv2", "remove", "tap-red3", "--vn", String(VN.blue));
  const gone = await lab.capture("blue1", "eth0", "ether proto 0x88b5");
  await send("red3", testFrame(Vid(20), Mac(macOf(1)), Mac(macOf(3))));
  expect(await lab.ping("red3", ipOf(1))).toBe(true);
  expect(await gone.lines()).toEqual([]);

  const extra = "02:00:00:00:00:0f";
  await vnic("srv2", "add", "tap-red3", "--vn", String(VN.red), "--mac", extra);
  expect(await mappingOf(VN.red, extra)).toMatchObject({ locations: [{ nve: "srv2" }] });
  await vnic("srv2", "remove", "tap-red3", "--vn", String(VN.red), "--mac", extra);
  await until("the NVA to forget it", async () => !(await mappingOf(VN.red, extra)) || undefined);
});

test("A7: what is refused says why, as behind a switch, and leaves nothing", async () => {
  await detach(blue2);
  const wrong = ["vnic", "attach", "tap-blue2", "--vn", "7777", "--mac", macOf(2)];
  expect(await lab.exec("srv2", "hypervisor-agent", ...wrong)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("no VN with VN ID 7777"),
  });
  expect(await vnicOn(blue2)).toBeUndefined();
  expect(await lab.ping("blue1", ipOf(2), 1)).toBe(false);
  expect(await local("show", "refusals")).toMatchObject([{ port: "tap-blue2", vnId: 7777 }]);
});

test("A8: the NIC that carries the VTEP, and loopback, are no VM's: the server would cut itself off", async () => {
  for (const [name, why] of [
    ["eth1", "carries the VTEP 10.0.2.12"],
    ["lo", "is the loopback interface"],
  ] as const) {
    const words = ["vnic", "attach", name, "--vn", String(VN.red), "--mac", macOf(9)];
    expect(await lab.exec("srv2", "hypervisor-agent", ...words)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(why),
    });
  }
});

test("H2, A7: with the last VNIC of a VN all of it is gone from the server", async () => {
  expect(JSON.stringify(await local("show", "vns"))).not.toContain(String(VN.blue));
  await attach(blue2);
  expect(await lab.ping("blue2", ipOf(1))).toBe(true);
});

test("H25: the NVA is restarted meanwhile: nothing is lost, and what comes in a known VN is granted and told afterwards", async () => {
  await detach(red3);
  await programs.stop("nva", "SIGKILL");
  await until("the server to miss it", async () => {
    const { nvaState } = (await local("status")) as { nvaState: string };
    return nvaState === "lost" || undefined;
  });
  expect(await lab.ping("red1", ipOf(2))).toBe(true);
  await attach(red3); // its VN is known here
  expect(await lab.ping("red2", ipOf(3))).toBe(true);
  await programs.start("nva");
  await until("the NVA to know it", () => mappingOf(VN.red, macOf(3)), 10_000);
  expect(await lab.ping("red1", ipOf(3))).toBe(true);
});

test("H25: the VM's interface is deleted and made again", async () => {
  const server = namespaceOf(lab.name, "srv2");
  const guest = namespaceOf(lab.name, "red3");
  const ip = async (...words: string[]) => {
    const { code, stderr } = await run("ip", words);
    if (code !== 0) throw new Error(`ip ${words.join(" ")}: ${stderr}`);
  };
  await ip("-n", server, "link", "del", "tap-red3");
  await until("it to be missed", async () => {
    const ports = (await local("show", "ports")) as { interface: string; state: string }[];
    return ports.find((port) => port.interface === "tap-red3")?.state === "absent" || undefined;
  });
  const pair = ["type", "veth", "peer", "name", "eth0", "netns", guest];
  await ip("link", "add", "tap-red3", "netns", server, ...pair);
  await ip("-n", guest, "link", "set", "eth0", "address", macOf(3));
  await ip("-n", guest, "addr", "add", `${ipOf(3)}/24`, "dev", "eth0");
  await ip("-n", guest, "link", "set", "eth0", "up");
  await ip("-n", server, "link", "set", "tap-red3", "up");
  await until(
    "red3 to be there again",
    async () => (await lab.ping("red3", ipOf(1), 1)) || undefined,
  );
});

test("H20, A16: a MAC goes from the rack to the server: the newest association has it, and the late withdrawal takes nothing", async () => {
  const words = ["--vn", String(VN.red), "--mac", macOf(1), "--ip", ipOf(1)];
  await vnic("srv2", "detach", "tap-red3");
  const guest = namespaceOf(lab.name, "red3");
  // red3 is the VM red1 now, which was copied: its addresses are those.
  for (const line of [
    ["link", "set", "eth0", "down"],
    ["link", "set", "eth0", "address", macOf(1)],
    ["addr", "flush", "dev", "eth0"],
    ["addr", "add", `${ipOf(1)}/24`, "dev", "eth0"],
    ["link", "set", "eth0", "up"],
  ]) {
    await run("ip", ["-n", guest, ...line]);
  }
  await vnic("srv2", "attach", "tap-red3", ...words);
  await until("the NVA to have it at the server", async () => {
    const [first] = (await mappingOf(VN.red, macOf(1)))?.locations ?? [];
    return first?.nve === "srv2" || undefined;
  });
  await detach(red1);
  const seen = await lab.capture("red3", "eth0", "icmp");
  expect(await lab.ping("red2", ipOf(1))).toBe(true);
  expect((await seen.lines()).length).toBeGreaterThan(0);
  expect(await mappingOf(VN.red, macOf(1))).toMatchObject({ locations: [{ nve: "srv2" }] });
  await vnic("srv2", "detach", "tap-red3");
  await attach(red1); // and back
  await until(
    "red2 to reach it there",
    async () => (await lab.ping("red2", ipOf(1), 1)) || undefined,
  );
});

test("the agent ends and is there again: nothing is left behind, and what is attached anew is as before", async () => {
  await programs.stop("srv2");
  await until(
    "the NVA to forget all of it",
    async () => !(await mappingOf(VN.red, macOf(2))) || undefined,
  );
  expect(await lab.ping("red1", ipOf(2), 1)).toBe(false);
  const links = await lab.run("srv2", "ip", "-br", "link");
  expect(links).not.toContain("nve-vxlan");
  for (const signal of ["SIGKILL", undefined] as const) {
    await programs.start("srv2");
    expect(await vnics("srv2")).toEqual([]);
    await attach(red2);
    await until("red1 to reach it", async () => (await lab.ping("red1", ipOf(2), 1)) || undefined);
    if (signal !== undefined) await programs.stop("srv2", signal);
  }
});

test("an interface that is longer than its VN: the operator is told", async () => {
  await vnic("srv2", "attach", "tap-blue2", "--vn", String(VN.blue), "--mac", macOf(2));
  expect((await vnicOn(blue2))?.reason).toBe("");
  await lab.run("srv2", "ip", "link", "set", "tap-blue2", "mtu", "9000");
  const warned = await until("the warning", async () => (await vnicOn(blue2))?.reason || undefined);
  expect(warned).toBe(
    "tap-blue2 has MTU 9000 and VN 10002 takes 1550: longer packets are dropped, set 1550 in the VM",
  );
});
