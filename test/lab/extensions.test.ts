import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";
import { useTwoRacks, VN, vm } from "../support/two-racks.ts";

// One lab for the file: what our own TLVs add to plain VDP (protocol-spec, "Our own TLVs").
const lab = useTwoRacks();

beforeAll(async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3");
});

test("H26: a refusal comes in the NVE's own words", async () => {
  const words = ["vnic", "attach", "tap-red1", "--vn", "4242", "--mac", "02:00:00:00:00:01"];
  const refused = await lab.exec("srv1", "hypervisor-agent", ...words);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(
    "the NVE refused VN 4242: the NVA says no: no VN with VN ID 4242",
  );
  expect(refused.stderr).toContain("(VDP error 5)");
});

test("H26: a VNIC that the NVE disconnects shows why", async () => {
  await lab.attach("blue1");
  await lab.run("nva", "nva", "vn", "delete", "blue", "--force");
  const lost = await until("blue1 to be disconnected", async () => {
    const vnic = await lab.vnicOf("blue1");
    return vnic.state === "associated" ? undefined : vnic;
  });
  expect(lost.reason).toMatch(/VN 10002/);
  await lab.detach("blue1");
  await lab.run("nva", "nva", "vn", "create", "blue", "--id", String(VN.blue), "--vni", "70002");
});

test("H1, H4: a VNIC joins a VN by its name, and the VN ID is known from then on", async () => {
  const [red] = (await lab.show("nva", "nva", "vn", "list")) as { vnId: number; name: string }[];
  expect(red?.vnId).toBe(VN.red);
  const name = red?.name ?? "";
  const attach = (one: "red1" | "red3", server: string) =>
    lab.run(
      server,
      ...["hypervisor-agent", "vnic", "attach", vm(one).interface],
      ...["--vn", name, "--mac", vm(one).mac, "--ip", vm(one).ip],
    );
  await attach("red1", "srv1");
  await attach("red3", "srv3");
  expect((await lab.vnicOf("red1")).vns).toMatchObject([{ vnId: VN.red, vnName: name }]);
  expect((await lab.fdb("tor1")).find(({ where }) => where === "local")).toMatchObject({
    vnId: VN.red,
    mac: vm("red1").mac,
    ips: [vm("red1").ip],
  });
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);

  const nobody = "00000000-0000-4000-8000-000000000000";
  const words = ["vnic", "attach", "tap-blue1", "--vn", nobody, "--mac", "02:00:00:00:00:31"];
  const refused = await lab.exec("srv1", "hypervisor-agent", ...words);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(`the NVE refused VN ${nobody}`);
  expect(refused.stderr).toContain(`no VN with the name ${nobody}`);
  await lab.detach("red1");
  await lab.detach("red3");
});

test("the MTU of a VN is told to the hypervisor, which warns of an interface with a larger one", async () => {
  const small = ["vn", "create", "small", "--id", "10003", "--vni", "70003", "--mtu", "1400"];
  await lab.run("nva", "nva", ...small);
  const words = ["--vn", "10003", "--mac", vm("red1").mac];
  await lab.run("srv1", "hypervisor-agent", "vnic", "attach", vm("red1").interface, ...words);
  const vnic = await lab.vnicOf("red1");
  expect(vnic.vns).toMatchObject([{ vnId: 10_003, mtu: 1400 }]);
  expect(vnic.reason).toContain("VN 10003 takes 1400");
  await lab.run("srv1", "ip", "link", "set", vm("red1").interface, "mtu", "1400");
  await until(
    "the warning to go",
    async () => (await lab.vnicOf("red1")).reason === "" || undefined,
  );
  await lab.run("srv1", "ip", "link", "set", vm("red1").interface, "mtu", "1500");
  await lab.detach("red1");
});

test("server and switch show whose a VNIC is", async () => {
  await lab.attach("red1", "--vm-name", "database-1");
  expect(await lab.show("tor1", "switch-agent", "show", "vnics")).toMatchObject([
    { vmName: "database-1", hypervisor: "srv1" },
  ]);
  expect(await lab.run("tor1", "switch-agent", "show", "vnics")).toMatch(/database-1 +srv1/);
  expect(await lab.run("srv1", "hypervisor-agent", "vnic", "list")).toContain("database-1");
  await lab.detach("red1");
});

test("H8, H14: prefixes and ranges of a VNIC are known at the NVA, the longest answers", async () => {
  const words = ["10.8.0.0/16", "10.9.0.5-10.9.0.9", "fd00:8::/64"];
  await lab.attach("red1", "--ip", ...words);
  await lab.attach("red3", "--ip", "10.8.7.0/24");
  const all = ["10.8.0.0/16", "10.9.0.5", "10.9.0.6/31", "10.9.0.8/31", "fd00:8::/64"];
  const ips = async () => (await lab.vnicOf("red1")).vns[0]?.macs[0]?.ips;
  expect(await ips()).toEqual([vm("red1").ip, ...all]);
  const owner = async (ip: string) =>
    ((await lab.show("nva", "nva", "lookup", "red", ip)) as { mac: string }).mac;
  expect(await owner("10.8.7.9")).toBe(vm("red3").mac);
  expect(await owner("10.8.6.9")).toBe(vm("red1").mac);
  expect(await owner("10.9.0.7")).toBe(vm("red1").mac);
  expect(await owner("fd00:8::77")).toBe(vm("red1").mac);
  const [remote] = (await lab.fdb("tor2")).filter(({ mac }) => mac === vm("red1").mac);
  expect(remote?.ips).toContain("10.8.0.0/16");
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);

  const node = ["--vn", String(VN.red), "--mac", vm("red1").mac, "--ip", "10.8.0.0/16"];
  await lab.run("srv1", "hypervisor-agent", "vnic", "remove", vm("red1").interface, ...node);
  expect(await ips()).not.toContain("10.8.0.0/16");
  await until("the NVA to know", async () => {
    const { code } = await lab.exec("nva", "nva", "lookup", "red", "10.8.6.9");
    return code === 1 || undefined;
  });
  await lab.detach("red1");
  await lab.detach("red3");
});

describe("more addresses than one VDP message holds", () => {
  const programs = labPrograms(lab);
  const folder = mkdtempSync(join(tmpdir(), "split-nve-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string, lines: readonly string[]): string => {
    const path = join(folder, name);
    writeFileSync(path, lines.join("\n"));
    return path;
  };
  const prefixes = Array.from({ length: 1000 }, (_, i) =>
    i % 2 === 0 ? `10.${100 + (i >> 8)}.${i & 255}.0/24` : `fd00:${i.toString(16)}::/64`,
  );
  const node = ["--vn", String(VN.red), "--mac", vm("red1").mac];
  const change = (what: string, ...words: string[]) =>
    lab.run("srv1", "hypervisor-agent", "vnic", what, vm("red1").interface, ...words);
  const ipsAt = async (tor: string) =>
    (await lab.fdb(tor)).find(({ mac }) => mac === vm("red1").mac)?.ips.length;
  const owner = async (ip: string) => {
    const { code, stdout } = await lab.exec("nva", "nva", "lookup", "red", ip, "--json");
    return code === 0 ? (JSON.parse(stdout) as { mac: string }).mac : undefined;
  };
  /** All that a ToR has counted under this name. */
  const counted = async (name: string) => {
    const { ports } = (await lab.show("tor1", "switch-agent", "show", "counters")) as {
      ports: { counters: Record<string, number> }[];
    };
    return ports.reduce((n, { counters }) => n + (counters[name] ?? 0), 0);
  };

  test("H8, H14: 1,000 prefixes of a VNIC are at its ToR, at the NVA and at the other ToR", async () => {
    await lab.attach("red3");
    await lab.attach("red1", "--ip-file", file("prefixes", prefixes));
    expect((await lab.vnicOf("red1")).vns[0]?.macs[0]?.ips).toHaveLength(1001);
    expect(await ipsAt("tor1")).toBe(1001);
    await until("the other ToR to know", async () => (await ipsAt("tor2")) === 1001 || undefined);
    expect(await owner("10.103.230.9")).toBe(vm("red1").mac); // of the last of them
    expect(await owner("fd00:3e7::77")).toBe(vm("red1").mac);
    expect(await owner("10.104.0.1")).toBeUndefined();
    expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
    expect(await lab.run("srv1", "hypervisor-agent", "vnic", "list")).toContain("… (1001)");
    expect(await lab.run("tor1", "switch-agent", "show", "fdb")).toContain("… (1001)");
    expect(await lab.run("nva", "nva", "mapping", "list")).toContain("… (1001)");
  });

  test("H6: one prefix removed is gone at the NVA, the others are not", async () => {
    await change("remove", ...node, "--ip", "10.103.230.0/24");
    await until(
      "the NVA to know",
      async () => (await owner("10.103.230.9")) === undefined || undefined,
    );
    expect(await owner("fd00:3e7::77")).toBe(vm("red1").mac);
    expect(await ipsAt("tor1")).toBe(1000);
  });

  test("H8: a ToR that was started anew asks for the set, once, and has it again", async () => {
    await programs.stop("tor1", "SIGKILL");
    await programs.start("tor1");
    await until(
      "the VNIC to be back",
      async () => (await ipsAt("tor1")) === 1000 || undefined,
      20_000,
    );
    expect(await counted("vdp.sets-asked")).toBe(1);
    expect(await counted("vdp.sets-incomplete")).toBe(0);
    expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
    expect(await owner("fd00:3e7::77")).toBe(vm("red1").mac);
  });

  test("H6: replace gives the MAC these IPs and no others", async () => {
    await change("replace", ...node, "--ip", vm("red1").ip, "10.7.0.0/16");
    expect((await lab.vnicOf("red1")).vns[0]?.macs[0]?.ips).toEqual([vm("red1").ip, "10.7.0.0/16"]);
    await until(
      "the NVA to know",
      async () => (await owner("10.7.1.1")) === vm("red1").mac || undefined,
    );
    expect(await owner("fd00:3e7::77")).toBeUndefined();
    await lab.detach("red1");
  });

  test("H11, H12: a tenant bridge with 500 MACs, no IPs needed: all are known, all have the tag of their VN", async () => {
    const macs = Array.from({ length: 500 }, (_, i) =>
      ["02:00:00:77", i >> 8, i & 255]
        .map((n) => (typeof n === "string" ? n : n.toString(16).padStart(2, "0")))
        .join(":"),
    );
    const all = [...macs, vm("red1").mac];
    const words = ["--vn", String(VN.red), "--mac-file", file("macs", all)];
    await lab.run("srv1", "hypervisor-agent", "vnic", "attach", vm("red1").interface, ...words);
    const [vn] = (await lab.vnicOf("red1")).vns;
    expect(vn?.macs).toHaveLength(501);
    const local = (await lab.fdb("tor1")).filter(({ where }) => where === "local");
    expect(local).toHaveLength(501);
    expect(new Set(local.map(({ tag }) => tag))).toEqual(new Set([vn?.tag]));
    const remote = async () => (await lab.fdb("tor2")).filter(({ where }) => where === "remote");
    await until("the other ToR to know", async () => (await remote()).length === 501 || undefined);
    expect(await lab.ping("red1", vm("red3").ip)).toBe(true); // its own is the last, and in no filter entry
    await change("remove", "--vn", String(VN.red), "--mac", macs[7] ?? "");
    await until("it to be gone", async () => (await remote()).length === 500 || undefined);
    await lab.detach("red1");
    await lab.detach("red3");
    await until("all to be gone", async () => (await lab.mappings()).length === 0 || undefined);
  });
});
