import { expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { dissect } from "../support/tshark.ts";
import { useTwoRacks, VN, VNI, vm } from "../support/two-racks.ts";

const lab = useTwoRacks();

test("every frame that we send dissects in tshark, none malformed", async () => {
  const access = await lab.capture("srv1", "eth1");
  const underlay = await lab.capture("tor1", "eth3");
  await lab.createVns();
  await lab.ready("srv1", "srv3");
  const red1 = await lab.attach("red1");
  await lab.attach("red3");
  await lab.run(
    "srv1",
    "hypervisor-agent",
    "vnic",
    "add",
    red1.vnic,
    "--vn",
    String(VN.blue),
    "--mac",
    "02:00:00:00:00:55",
    "--ip",
    "2001:db8::55",
  );
  const refused = await lab.exec(
    "srv1",
    "hypervisor-agent",
    "vnic",
    "attach",
    "tap-blue1",
    "--vn",
    "4242",
    "--mac",
    vm("blue1").mac,
  );
  expect(refused.code).toBe(1);
  await until(
    "tor1 to know red3",
    async () =>
      (await lab.fdb("tor1")).some(({ mac, applied }) => mac === vm("red3").mac && applied) ||
      undefined,
  );
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  await lab.detach("red1");
  await lab.run("srv1", "true");
  await Promise.all([access.lines(), underlay.lines()]);

  const seen = (path: string, filter: string) => dissect(path, filter, "frame.number");
  for (const path of [access.path, underlay.path]) {
    expect(await dissect(path, "_ws.malformed", "frame.number", "frame.protocols")).toEqual([]);
  }
  expect((await seen(access.path, "lldp")).length).toBeGreaterThan(1);
  expect((await seen(access.path, "eth.type == 0x8940")).length).toBeGreaterThan(8);
  expect((await seen(access.path, "vlan && icmp")).length).toBeGreaterThan(0);
  const tags = await dissect(access.path, "vlan && icmp", "vlan.id");
  expect(new Set(tags.flat())).toEqual(new Set([String(red1.vns[0]?.tag)]));
  const carried = await dissect(underlay.path, "vxlan && icmp", "vxlan.vni", "udp.dstport");
  expect(carried.length).toBeGreaterThan(0);
  for (const row of carried) expect(row).toEqual([String(VNI.red), "4789"]);
});

test("our LLDPDUs tell a stranger who we are: chassis, port, system name, description and capabilities", async () => {
  const capture = await lab.capture("srv2", "eth1", "ether proto 0x88cc");
  await lab.run("tor1", "ip", "link", "set", "eth2", "down");
  await lab.run("tor1", "ip", "link", "set", "eth2", "up");
  await lab.ready("srv2");
  await capture.lines();
  const rows = await dissect(
    capture.path,
    "lldp && !(lldp.time_to_live == 0)",
    "lldp.tlv.system.name",
    "lldp.port.id",
    "lldp.tlv.system.desc",
  );
  expect(rows.map(([name]) => name)).toEqual(expect.arrayContaining(["tor1", "srv2"]));
  expect(rows.every(([, , description]) => description?.startsWith("split-nve"))).toBe(true);
});
