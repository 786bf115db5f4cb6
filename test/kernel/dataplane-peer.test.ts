import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createLog } from "@nve/program";
import { IpAddress, Mac, Vni } from "@nve/protocol-spec";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import { openEbpfDataplane } from "@nve/switch-agent/dataplane/ebpf/driver";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { datagramsThatArrive, spawnIn, tcpArrives } from "../support/streams.ts";
import { buildBpf, Namespace } from "./bpf-namespace.ts";
import { vteps } from "./dataplane-rig.ts";

const mac = { vm: Mac("02:00:00:00:00:0a"), peer: Mac("02:00:00:00:00:0c") };
/** In each family what two tenants speak with each other. */
const tenant = { 4: { vm: "10.9.0.1", peer: "10.9.0.2" }, 6: { vm: "fd09::1", peer: "fd09::2" } };
const DATAGRAMS = 1000;
const OCTETS = 30_000_000;

let tor: Namespace;
let vm: Namespace;
let peer: Namespace;
let dataplane: Dataplane | undefined;

beforeAll(() => {
  buildBpf();
  tor = new Namespace("peer-tor");
  vm = new Namespace("peer-vm");
  peer = new Namespace("peer-far");
  for (const one of [tor, vm, peer]) one.sysctl("net.ipv6.conf.default.disable_ipv6", 0);
  for (const one of [tor, vm, peer]) one.sysctl("net.ipv6.conf.default.accept_dad", 0);
  tor.ip(
    `link add p1 mtu 1500 type veth peer name eth0 netns ${vm.name} address ${mac.vm}`,
    `link add ul mtu 1600 type veth peer name ul netns ${peer.name}`,
    "link set p1 up",
    "link set ul up",
    `addr add ${vteps[4].vtep}/24 dev ul`,
    `addr add ${vteps[6].vtep}/64 dev ul`,
  );
  vm.ip(
    "link set eth0 up",
    `addr add ${tenant[4].vm}/24 dev eth0`,
    `addr add ${tenant[6].vm}/64 dev eth0`,
  );
  peer.ip(
    "link set ul mtu 1600 up",
    `addr add ${vteps[4].a}/24 dev ul`,
    `addr add ${vteps[6].a}/64 dev ul`,
  );
  tor.enter();
});
afterEach(async () => {
  await dataplane?.close();
  dataplane = undefined;
  peer.ip("link del vx0");
});
afterAll(() => {
  for (const one of [tor, vm, peer]) one?.delete();
});

/** Ours at one end; at the other a vxlan device as anybody makes it. */
async function open(family: 4 | 6, fastPath: "auto" | "off" = "auto", more = ""): Promise<void> {
  const { vtep, a } = vteps[family];
  peer.ip(
    `link add vx0 address ${mac.peer} mtu 1500 type vxlan id 100 local ${a} remote ${vtep} dstport 4789 ${more}`,
    "link set vx0 up",
    `addr add ${tenant[4].peer}/24 dev vx0`,
    `addr add ${tenant[6].peer}/64 dev vx0`,
  );
  const log = createLog("test", "error");
  dataplane = await openEbpfDataplane({ vtep: IpAddress(vtep), fastPath, log });
  await dataplane.portUp("p1");
  const far = { is: "remote", vtep: IpAddress(a) } as const;
  const near = { is: "local", port: "p1", vid: 0 } as const;
  const vni = Vni(100);
  await dataplane.ensure([
    { is: "vn", vni, flood: [near, far], floodUnknown: false },
    { is: "access", port: "p1", vid: 0, vni },
    { is: "mac", vni, mac: mac.vm, at: near },
    { is: "mac", vni, mac: mac.peer, at: far },
  ]);
  vm.run("ping", "-c", "2", "-i", "0.1", "-W", "3", tenant[4].peer); // neighbours are known after that
}

for (const underlay of [4, 6] as const) {
  describe(`a plain vxlan device of the kernel as the other end, IPv${underlay} underlay`, () => {
    for (const family of [4, 6] as const) {
      test(`A24: TCP over IPv${family} gets through whole, both ways`, async () => {
        await open(underlay);
        const before = deviceCounts();
        await tcp(vm, peer, tenant[family].peer);
        await tcp(peer, vm, tenant[family].vm);
        const after = deviceCounts();
        // Super-packets over IPv6 need a checksum of each segment: those the device sends.
        if (underlay === 4) expect(after.sent - before.sent).toBeLessThan(5);
        expect(after.received - before.received).toBeLessThan(5);
      });

      test(`A24: datagrams over IPv${family} that are split late (UDP_SEGMENT, as of QUIC) all arrive, both ways`, async () => {
        await open(underlay);
        await udp(vm, peer, tenant[family].peer);
        await udp(peer, vm, tenant[family].vm);
      });

      test(`A24: the same where the underlay and the access port split nothing themselves (IPv${family})`, async () => {
        await open(underlay);
        const small = (size: number) =>
          tor.ip(`link set ul gso_max_size ${size}`, `link set p1 gso_max_size ${size}`);
        small(2000);
        try {
          await udp(vm, peer, tenant[family].peer);
          await udp(peer, vm, tenant[family].vm);
          await tcp(vm, peer, tenant[family].peer);
          await tcp(peer, vm, tenant[family].vm);
        } finally {
          small(65_536);
        }
      });
    }

    test("A24: with fastPath off the kernel's tunnel device does it all", async () => {
      await open(underlay, "off");
      const before = deviceCounts();
      await tcp(vm, peer, tenant[4].peer);
      expect(deviceCounts().sent - before.sent).toBeGreaterThan(100);
      await udp(vm, peer, tenant[4].peer);
      await udp(peer, vm, tenant[4].vm);
    });
  });
}

describe("the way to another NVE", () => {
  test("what comes in fragments is the kernel's, which puts it together", async () => {
    await open(4, "auto", "df unset");
    peer.ip(`route add ${vteps[4].vtep}/32 dev ul mtu 1000`);
    try {
      const before = deviceCounts();
      await expect.poll(() => ping(1400)).toBe(true);
      expect(deviceCounts().received).toBeGreaterThan(before.received);
    } finally {
      peer.ip(`route del ${vteps[4].vtep}/32 dev ul`);
    }
  });

  test("a neighbour with a new MAC is followed, and one that is gone is looked for again", async () => {
    await open(4);
    peer.ip("link set ul address 02:ee:00:00:00:77");
    tor.ip(`neigh replace ${vteps[4].a} lladdr 02:ee:00:00:00:77 dev ul nud reachable`);
    await expect.poll(() => ping(56)).toBe(true);
    await expect.poll(sentByHand).toBe(true);
    tor.ip(`neigh del ${vteps[4].a} dev ul`);
    await expect.poll(() => ping(56)).toBe(true);
    await expect.poll(sentByHand).toBe(true);
  });

  test("a route over a gateway is followed, and its MTU holds", async () => {
    tor.ip("addr add 198.51.100.1/24 dev ul");
    peer.ip("addr add 198.51.100.2/24 dev ul");
    await open(4);
    tor.ip(`route add ${vteps[4].a}/32 via 198.51.100.2 mtu 1300`);
    try {
      await expect.poll(() => ping(1400)).toBe(false);
      await expect.poll(sentByHand).toBe(true);
    } finally {
      tor.ip(`route del ${vteps[4].a}/32`, "addr del 198.51.100.1/24 dev ul");
      peer.ip("addr del 198.51.100.2/24 dev ul");
    }
    await expect.poll(() => ping(1400)).toBe(true);
    await expect.poll(sentByHand).toBe(true);
  });

  test("a route that goes away, and an interface that is down, leave no way", async () => {
    await open(4);
    tor.ip("link set ul down");
    await expect.poll(() => ping(56)).toBe(false);
    tor.ip("link set ul up");
    await expect.poll(() => ping(56), { timeout: 10_000 }).toBe(true);
    await expect.poll(sentByHand).toBe(true);
    tor.ip(`route add blackhole ${vteps[4].a}/32`);
    await expect.poll(() => ping(56)).toBe(false);
    tor.ip(`route del blackhole ${vteps[4].a}/32`);
    await expect.poll(() => ping(56)).toBe(true);
  });
});

/** Leaves time for what rtnetlink tells. */
async function ping(size: number): Promise<boolean> {
  const options = ["-c", "1", "-W", "1", "-s", String(size)];
  const [code] = await once(spawnIn(vm.name, "ping", ...options, tenant[4].peer), "exit");
  return code === 0;
}

async function sentByHand(): Promise<boolean> {
  const { sent } = deviceCounts();
  return (await ping(56)) && deviceCounts().sent === sent;
}

const tcp = async (from: Namespace, to: Namespace, address: string): Promise<void> =>
  expect(await tcpArrives(from.name, to.name, address, OCTETS)).toBe(true);

const udp = async (from: Namespace, to: Namespace, address: string): Promise<void> =>
  expect(await datagramsThatArrive(from.name, to.name, address, DATAGRAMS)).toBe(DATAGRAMS);

/** Packets that the tunnel device has had. */
function deviceCounts(): { received: number; sent: number } {
  const line = readFileSync("/proc/thread-self/net/dev", "utf8")
    .split("\n")
    .find((text) => text.includes("nve-vxlan"));
  const columns = (line ?? "").split(":")[1]?.trim().split(/\s+/).map(Number) ?? [];
  return { received: columns[1] ?? 0, sent: columns[9] ?? 0 };
}
