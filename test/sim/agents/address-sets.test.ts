import type { Tree } from "@nve/hypervisor-agent/stations/tree";
import { IpPrefix, Mac, Uuid, VnId } from "@nve/protocol-spec";
import { beforeEach, expect, test } from "vitest";
import { type Cable, cable, random } from "../../support/cable.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { type Host, host, run, within } from "../hypervisor-agent/host.ts";
import { type Tor, tor } from "./tor.ts";

// Both agents on a cable: what a VNIC has is more than one VDP message holds.

/** Short times: keepalive 1.3 s, response wait 1.4 s. */
const policy = { groupId: true, reflectiveRelay: false, r: 3, rte: 12, rwd: 16, rka: 17 };
const limit = { timeoutMs: 5000 };
const vnic = Uuid("aaaaaaaa-0000-4000-8000-000000000001");
const vn = VnId(5);
const hex = (n: number): string => n.toString(16).padStart(2, "0");
const macOf = (n: number): Mac => Mac(`02:00:00:01:${hex(n >> 8)}:${hex(n & 255)}`);
/** IPv4 and IPv6 by turns. */
const prefixes = (count: number): IpPrefix[] =>
  Array.from({ length: count }, (_, i) =>
    IpPrefix(i % 2 === 0 ? `10.${i >> 8}.${i & 255}.0/24` : `fd00:${i.toString(16)}::/64`),
  );
const router = (count: number): Tree => [{ vn, macs: [{ mac: macOf(0), ips: prefixes(count) }] }];
const bridge = (count: number): Tree => [
  { vn, macs: Array.from({ length: count }, (_, n) => ({ mac: macOf(n), ips: [] })) },
];

let clock: FakeClock;
let wire: Cable;
let it: Host;
let nve: Tor;
/** Octets of frames that the station sent. */
let sent: number[];

beforeEach(async () => {
  clock = fakeClock();
  wire = cable(clock, { seed: 1 });
  sent = [];
  wire.tap((from, frame) => {
    if (from === "a") sent.push(frame.length);
  });
  nve = tor(wire.b, clock, policy, random(2));
  it = host(wire.a, clock, { policy });
  await run(clock, 1000, 10);
});

const attach = (tree: Tree) =>
  within(clock, 6000, it.agent.attach({ vnic, interface: "tap0", tree }, limit));
/** IPs of the first MAC at the switch. */
const ips = (): string[] => nve.attached()[0]?.split(" ").slice(4) ?? [];
const counters = () => nve.agent.ports.values().next().value?.vdp;

test("H8, H14: 1,000 prefixes of one MAC come over a number of messages, and keepalives stay small", async () => {
  const before = clock.now();
  await attach(router(1000));
  expect(ips()).toEqual([...prefixes(1000)].sort());
  expect(clock.now() - before).toBeLessThan(150);
  expect(Math.max(...sent)).toBeLessThanOrEqual(1511); // 1493 octets of VDP
  sent = [];
  await run(clock, 10_000, 10);
  expect(it.agent.vnics()).toMatchObject([{ state: "associated" }]);
  expect(Math.max(...sent)).toBeLessThanOrEqual(250);
  expect(sent.length).toBeGreaterThan(7);
  expect(counters()).toMatchObject({ setsAsked: 1, setsIncomplete: 0, setPartsSkipped: 0 });
});

test("H6, H8: one less, all others, none at all: the set is always whole", async () => {
  await attach(router(1000));
  const [first] = prefixes(1);
  if (first === undefined) throw new Error("no prefix");
  const node = { vn, mac: macOf(0), ip: first };
  await within(clock, 3000, it.agent.change({ vnic, add: [], remove: [node] }, limit));
  await run(clock, 100);
  expect(ips()).toEqual(prefixes(1000).slice(1).sort());
  const remove = prefixes(1000)
    .slice(1)
    .map((ip) => ({ ...node, ip }));
  await within(clock, 3000, it.agent.change({ vnic, add: [], remove }, limit));
  await run(clock, 100);
  expect(ips()).toEqual([]);
  expect(nve.attached()).toHaveLength(1);
});

test("H12: a tenant bridge with 500 MACs: each has the tag of the VN, in the switch and at the NVE", async () => {
  await attach(bridge(500));
  expect(nve.attached()).toHaveLength(500);
  expect(new Set(nve.attached().map((line) => line.split(" ")[3])).size).toBe(1);
  expect(it.bound()).toHaveLength(500);
  const remove = [{ vn, mac: macOf(499) }];
  await within(clock, 3000, it.agent.change({ vnic, add: [], remove }, limit));
  expect(nve.attached()).toHaveLength(499);
  expect(it.bound()).toHaveLength(499);
  await within(clock, 3000, it.agent.detach(vnic));
  expect([nve.attached(), nve.access(), it.bound()]).toEqual([[], [], []]);
});

test("H4, H12: by the name of the VN, too", async () => {
  const name = Uuid("cccccccc-0000-4000-8000-000000000005");
  await attach(bridge(100).map((node) => ({ ...node, vn: name })));
  expect(nve.attached()).toHaveLength(100);
  await run(clock, 5000, 10);
  expect(nve.attached()).toHaveLength(100);
  expect(it.bound()).toHaveLength(100);
});

test("more than the port takes is refused in its words, and what was before stays", async () => {
  await attach(router(10));
  const add = [{ vn, macs: [{ mac: macOf(0), ips: prefixes(5000) }] }];
  const change = within(clock, 4000, it.agent.change({ vnic, add, remove: [] }, limit));
  await expect(change).rejects.toThrow(/this port takes 4096 \(maxAddresses\)/);
  await run(clock, 3000, 10);
  expect(ips()).toHaveLength(10);
  expect(it.agent.vnics()).toMatchObject([{ state: "associated" }]);
});

test("a lossy cable: the set arrives whole or not at all", async () => {
  wire.faults = { loss: 0.15, delayMs: [0.1, 5], duplicate: 0.1, reorder: 0.1 };
  const outcome = it.agent.attach(
    { vnic, interface: "tap0", tree: router(1000) },
    { timeoutMs: 60_000 },
  );
  await within(clock, 60_000, outcome, 5);
  expect(ips()).toHaveLength(1000);
});

test("many VNICs with many prefixes each, at once: each gets its turn", async () => {
  const attached = [0, 1, 2, 3, 4, 5].map((n) =>
    it.agent.attach(
      {
        vnic: Uuid(`aaaaaaaa-0000-4000-8000-00000000010${n}`),
        interface: `tap${n}`,
        tree: [{ vn, macs: [{ mac: macOf(n), ips: prefixes(500) }] }],
      },
      { timeoutMs: 30_000 },
    ),
  );
  await within(clock, 30_000, Promise.all(attached), 5);
  expect(nve.attached()).toHaveLength(6);
  expect(nve.attached().every((line) => line.split(" ").length === 504)).toBe(true);
});
