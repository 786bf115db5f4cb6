import { namespaceOf } from "@nve/lab/topology";
import { expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { datagramsThatArrive, tcpArrives } from "../support/streams.ts";
import { useTwoRacks, VN, VNI, vm } from "../support/two-racks.ts";

// VMs have MTU 1500, the VN red 1400: what their stacks do when the switch tells them.
const lab = useTwoRacks();
const small = 1400;

const ipv6 = { red1: "fd00::1", red3: "fd00::3" };
const routes = async (to: string) => (await lab.run("red1", "ip", "route", "get", to)).trim();
const pingLong = (to: string, octets: number) =>
  lab.exec("red1", "ping", "-n", "-M", "do", "-c2", "-i0.2", "-W1", "-s", String(octets), to);

test("A10: a ping that is too long is told the MTU of the VN, and one of just that length passes", async () => {
  const red = ["--id", String(VN.red), "--vni", String(VNI.red), "--mtu", String(small)];
  await lab.run("nva", "nva", "vn", "create", "red", ...red);
  await lab.ready("srv1", "srv3");
  for (const name of ["red1", "red3"] as const) {
    await lab.attach(name);
    await lab.run(name, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0");
    await lab.run(name, "ip", "addr", "add", `${ipv6[name]}/64`, "dev", "eth0", "nodad");
  }
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  const refused = await pingLong(vm("red3").ip, small - 28 + 1);
  expect(refused.code).not.toBe(0);
  expect(refused.stdout + refused.stderr).toMatch(
    new RegExp(`From ${vm("red3").ip} icmp_seq=1 Frag needed and DF set \\(mtu = ${small}\\)`),
  );
  expect(refused.stdout + refused.stderr).toContain(`message too long, mtu=${small}`);
  expect(await routes(vm("red3").ip)).toContain(`mtu ${small}`);
  expect((await pingLong(vm("red3").ip, small - 28)).code).toBe(0);
  expect(await lab.dropped("tor1", "too-big-told")).toBe(1);
});

test("A10: the same over IPv6", async () => {
  expect(await lab.ping("red1", ipv6.red3)).toBe(true);
  const refused = await pingLong(ipv6.red3, small - 48 + 1);
  expect(refused.stdout + refused.stderr).toMatch(
    new RegExp(`From ${ipv6.red3} icmp_seq=1 Packet too big: mtu=${small}`),
  );
  expect(await routes(ipv6.red3)).toContain(`mtu ${small}`);
  expect((await pingLong(ipv6.red3, small - 48)).code).toBe(0);
});

test("A10: TCP and datagrams of a sender that did not know flow when it was told, with segments that the NIC makes", async () => {
  const octets = 4_000_000;
  const [from, to] = ["red1", "red3"].map((name) => namespaceOf(lab.name, name)) as [
    string,
    string,
  ];
  for (const address of [vm("red3").ip, ipv6.red3]) {
    await lab.run("red1", "ip", "route", "flush", "cache");
    await lab.run("red1", "ip", "-6", "route", "flush", "cache");
    const before = await lab.dropped("tor1", "too-big-told");
    expect(await tcpArrives(from, to, address, octets)).toBe(true);
    expect(await lab.dropped("tor1", "too-big-told")).toBeGreaterThan(before);
    expect(await routes(address)).toContain(`mtu ${small}`);
  }
  expect(await datagramsThatArrive(from, to, vm("red3").ip, 200)).toBe(200);
  expect(await lab.dropped("tor1", "oversize")).toBe(0);
});

test("A10: the MTU that the NVA changes holds from then on, and the hypervisor hears of it", async () => {
  await lab.run("nva", "nva", "vn", "update", "red", "--mtu", "1300");
  await until("the switch to have the new MTU", async () => {
    const { stdout, stderr } = await pingLong(vm("red3").ip, 1300);
    return /mtu ?= ?1300/.test(stdout + stderr) || undefined;
  });
  expect(await routes(vm("red3").ip)).toContain("mtu 1300");
  await until(
    "the hypervisor to be told",
    async () => {
      const { vns } = await lab.vnicOf("red1");
      return vns.some((one) => "mtu" in one && one.mtu === 1300) || undefined;
    },
    30_000,
  );
}, 60_000);
