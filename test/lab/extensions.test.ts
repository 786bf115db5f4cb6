import { beforeAll, expect, test } from "vitest";
import { until } from "../support/lab.ts";
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
