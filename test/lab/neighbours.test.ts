import { appendFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findTopology } from "@nve/lab/find";
import { run } from "@nve/lab/shell";
import { namespaceOf } from "@nve/lab/topology";
import { Mac, VXLAN_PORT } from "@nve/protocol-spec";
import { afterAll, beforeAll, expect, test } from "vitest";
import { arp as rarp } from "../contracts/neighbour-frames.ts";
import { broadcast, testFrame } from "../support/frames.ts";
import { until } from "../support/lab.ts";
import { advertisementFrom, arpFrom } from "../support/sighted.ts";
import { useTwoRacks, type Vm, vm } from "../support/two-racks.ts";

// tor1 lets VMs of srv1 and srv2 use what was said of them alone, and takes 40 frames to all at once from each.
const folder = mkdtempSync(join(tmpdir(), "neighbours-"));
cpSync(dirname(findTopology("two-racks")), folder, { recursive: true });
writeFileSync(
  join(folder, "tor1", "config.yaml"),
  `nve: tor1
vtep: 10.0.1.11
nva: { addresses: ["198.51.100.1:7470"], insecure: true }
ports:
  - { name: eth1, checkSource: true }
  - { name: eth2, checkSource: true }
dataplane: { floodLimit: { perSecond: 1, burst: 60 } }
`,
);
appendFileSync(join(folder, "tor2", "config.yaml"), "dataplane: { floodLimit: off }\n");
const lab = useTwoRacks(join(folder, "two-racks.clab.yml"));
afterAll(() => rmSync(folder, { recursive: true }));

const ip6 = { red1: "fd00:1::21", red2: "fd00:1::22", red3: "fd00:1::23" };
const sender = join(import.meta.dirname, "../support/send-frames.mjs");

/** Of VXLAN on the way between the racks, what of it is ARP or neighbour discovery. */
async function questions(act: () => Promise<void>): Promise<string[]> {
  const underlay = await lab.capture("tor1", "eth3", `udp port ${VXLAN_PORT}`);
  await act();
  return (await underlay.lines()).filter((line) => /ARP|neighbor/.test(line));
}
const flush = (...names: string[]) =>
  Promise.all(names.map((name) => lab.run(name, "ip", "neigh", "flush", "all")));
const knows = async (name: string, ip: string) =>
  (await lab.run(name, "ip", "neigh", "show", ip)).match(/lladdr (\S+)/)?.[1];

beforeAll(async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3");
  for (const [name, ip] of Object.entries(ip6)) {
    await lab.run(name, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0");
    await lab.attach(name, "--ip", ip);
    await lab.run(name, "ip", "addr", "add", `${ip}/64`, "dev", "eth0");
  }
  await until("tor1 to have red3's addresses, and tor2 red1's", async () => {
    const [near, far] = [await lab.fdb("tor1"), await lab.fdb("tor2")];
    const has = (rows: typeof near, name: "red1" | "red3") =>
      rows.some(
        ({ mac, ips, applied }) => applied && mac === vm(name).mac && ips.includes(ip6[name]),
      );
    return (has(near, "red3") && has(far, "red1")) || undefined;
  });
  for (const name of Object.keys(ip6)) {
    await until(`${name}'s IPv6 addresses to be tested for duplicates`, async () => {
      const text = await lab.run(name, "ip", "-6", "addr", "show", "dev", "eth0");
      return text.includes("tentative") ? undefined : true;
    });
  }
}, 60_000);

test("P12, V11: the ToR answers ARP for VMs here and in the other rack; the underlay sees none of it", async () => {
  const red3 = vm("red3");
  await flush("red1", "red3");
  const asked = await questions(async () => {
    expect(await lab.ping("red1", red3.ip)).toBe(true);
    expect(await lab.ping("red1", vm("red2").ip)).toBe(true);
  });
  // Whether a neighbour lives is asked of itself.
  expect(asked.filter((line) => line.includes("ff:ff:ff:ff:ff:ff"))).toEqual([]);
  expect(await knows("red1", red3.ip)).toBe(red3.mac);
});

test("P12: and Neighbour Discovery", async () => {
  await flush("red1", "red3");
  const asked = await questions(async () => {
    expect(await lab.ping("red1", ip6.red3)).toBe(true);
  });
  const multicast = asked.filter((line) => line.includes("> 33:33:") && line.includes(ip6.red3));
  expect(multicast).toEqual([]);
  expect(await knows("red1", ip6.red3)).toBe(vm("red3").mac);
  const checksums = await lab.run("red1", "nstat", "-asz", "Icmp6InCsumErrors");
  expect(checksums).toMatch(/Icmp6InCsumErrors\s+0/);
});

test("P12: a VM that takes an IP which another rack's VM has finds out by its own test for duplicates", async () => {
  await lab.run("red2", "ip", "addr", "add", `${ip6.red3}/64`, "dev", "eth0");
  await until("the duplicate to be found", async () => {
    const text = await lab.run("red2", "ip", "-6", "addr", "show", "dev", "eth0");
    return text.includes("dadfailed") || undefined;
  });
  await lab.run("red2", "ip", "addr", "del", `${ip6.red3}/64`, "dev", "eth0");
});

test("M10: a VM that uses another's IP is heard by nobody, whether it sends packets, ARP or advertisements", async () => {
  const [red1, red2] = [vm("red1"), vm("red2")];
  const before = await lab.dropped("tor1", "spoofed-ip");
  const heard = await lab.capture("red3", "eth0", `ether src ${red1.mac} and not icmp6`);
  await lab.run("red1", "ip", "addr", "add", `${red2.ip}/24`, "dev", "eth0");
  const words = ["ping", "-n", "-c3", "-i0.1", "-W1", "-I", red2.ip, vm("red3").ip];
  expect((await lab.exec("red1", ...words)).code).not.toBe(0);
  await lab.run("red1", "ip", "addr", "del", `${red2.ip}/24`, "dev", "eth0");
  const mac = Mac(red1.mac);
  await lab.send("red1", "eth0", arpFrom(mac, red2.ip), advertisementFrom(mac, ip6.red2));
  await until("tor1 to drop all five", async () => {
    return (await lab.dropped("tor1", "spoofed-ip")) >= before + 5 || undefined;
  });
  expect(await heard.lines()).toEqual([]);
  await flush("red3");
  expect(await lab.ping("red3", red2.ip)).toBe(true);
  expect(await knows("red3", red2.ip)).toBe(red2.mac);
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true); // its own it may use
});

test("M4: a VM that has moved asks by RARP at its new rack which IP it has, and is told the one that it had", async () => {
  const red2 = vm("red2");
  await lab.detach("red2");
  const moved: Vm = await lab.addVm({ ...red2, vm: "moved", server: "srv3" });
  await lab.attach(moved);
  const answers = await lab.capture("srv3", moved.interface, "rarp");
  const question = rarp({
    from: red2.mac,
    tags: "",
    op: 3,
    ip: "0.0.0.0",
    asks: "0.0.0.0",
    of: red2.mac,
  });
  const words = [process.execPath, sender, "eth0", Buffer.from(question).toString("hex")];
  const told = await lab.capture("red3", "eth0", "rarp");
  await run("ip", ["netns", "exec", namespaceOf(lab.name, "moved"), ...words]);
  const elsewhere = await lab.capture("red1", "eth0", "rarp");
  await until("it to be reached from the rack where it was", () =>
    lab.ping("red1", red2.ip, 1).then((there) => there || undefined),
  );
  const lines = await answers.lines();
  expect(lines.join("\n")).toMatch(new RegExp(`${red2.mac} at ${red2.ip.replaceAll(".", "\\.")}`));
  expect([lines.length, (await told.lines()).length]).toEqual([2, 1]);
  await elsewhere.lines();
});

test("V11: what a VM sends to all is limited, and costs neither its unicast nor another VM's broadcasts", async () => {
  const { mac } = vm("red1");
  const before = await lab.dropped("tor1", "flood-limit");
  const heard = await lab.capture("red3", "eth0", `ether src ${mac} and ether proto 0x88b5`);
  const frames = Array.from({ length: 200 }, () => testFrame(undefined, broadcast, Mac(mac)));
  await lab.send("red1", "eth0", ...frames);
  const limited = await until("tor1 to drop what is too much", async () => {
    const dropped = (await lab.dropped("tor1", "flood-limit")) - before;
    return dropped >= 130 ? dropped : undefined;
  });
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  expect((await heard.lines()).length).toBeLessThanOrEqual(200 - limited);
});
