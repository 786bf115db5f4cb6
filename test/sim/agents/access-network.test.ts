import { defaultEvbPolicy, Mac, Uuid, VnId } from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { random } from "../../support/cable.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { type Hub, hub } from "../../support/hub.ts";
import { type Host, host, run, treeOf, within } from "../hypervisor-agent/host.ts";
import { type Tor, tor } from "./tor.ts";

// Our two agents where a bridge stands between: several servers on one port of a ToR (H3, RFC 8394 Req-2). All have the
// same chassis ID here, so that only their addresses tell them apart.

/** Short times: keepalive 1.3 s, keepalive timeout 2.4 s. */
const policy = { ...defaultEvbPolicy, rte: 12, rwd: 16, rka: 17 };
const limit = { timeoutMs: 5000 };
const torMac = Mac("52:54:00:00:00:fe");
const macOf = (n: number) => Mac(`52:54:00:00:00:0${n}`);
const vnicOf = (n: number) => Uuid(`aaaaaaaa-0000-4000-8000-00000000000${n}`);

type World = { clock: FakeClock; net: Hub; nve: Tor; hosts: Host[] };

async function world(count: number, rka: readonly number[] = []): Promise<World> {
  const clock = fakeClock();
  const net = hub(clock);
  const nve = tor(net.link(torMac), clock, policy, random(1), 8);
  const hosts = Array.from({ length: count }, (_, i) =>
    host(net.link(macOf(i + 1)), clock, {
      policy: { ...policy, rka: rka[i] ?? policy.rka },
      firstSequence: 7,
    }),
  );
  await run(clock, 1000, 10);
  return { clock, net, nve, hosts };
}

const attach = ({ clock, hosts }: World, at: number, vnic: number, vn: number, mac: number) => {
  const tree = treeOf(vn, `02:00:00:00:00:0${mac}`);
  const agent = hosts[at - 1]?.agent;
  if (agent === undefined) throw new Error(`no host ${at}`);
  return within(clock, 6000, agent.attach({ vnic: vnicOf(vnic), interface: "tap0", tree }, limit));
};

/** `<station> <vnic's last digit>` of what the NVE has. */
const held = ({ nve }: World): string[] =>
  [...nve.agent.core.vsis.values()]
    .map(({ ask: { station, vnic } }) => `${station?.slice(-1)} ${vnic.slice(-1)}`)
    .sort();
const tagsOf = (hosts: readonly Host[]) =>
  hosts.map(({ agent }) => agent.vnics().flatMap(({ tagged }) => tagged.map(({ vid }) => vid)));
const VN = VnId(5);

test("H3: VNICs of one VN on three stations of a port have one tag, of another VN another one", async () => {
  const all = await world(3);
  await attach(all, 1, 1, 5, 1);
  await attach(all, 2, 2, 5, 2);
  await attach(all, 3, 3, 6, 3);
  const [first, second, third] = tagsOf(all.hosts).flat();
  expect(second).toBe(first);
  expect(third).not.toBe(first);
  expect(all.nve.access()).toEqual([`${first} 10005`, `${third} 10006`].sort());
  expect(held(all)).toEqual(["1 1", "2 2", "3 3"]);
  await run(all.clock, 10_000, 20);
  expect(held(all), "keepalives of each count for its own").toEqual(["1 1", "2 2", "3 3"]);
});

test("Req-2: the same VSI ID from two stations are two VSIs, each with its own end", async () => {
  const all = await world(2);
  await attach(all, 1, 1, 5, 1);
  await attach(all, 2, 1, 5, 2);
  expect(held(all)).toEqual(["1 1", "2 1"]);
  await within(all.clock, 1000, all.hosts[0]?.agent.detach(vnicOf(1)) ?? Promise.reject());
  expect(held(all)).toEqual(["2 1"]);
  expect(all.hosts[1]?.agent.vnics()).toMatchObject([{ state: "associated" }]);
  expect(all.nve.access()).toHaveLength(1);
});

test("Req-2: a station that dies takes its own VSIs with it, and the tag stays with the others", async () => {
  const all = await world(2);
  await attach(all, 1, 1, 5, 1);
  await attach(all, 2, 2, 5, 2);
  const access = all.nve.access();
  all.net.set(macOf(1), "down");
  await run(all.clock, 5000, 20);
  expect(held(all)).toEqual(["2 2"]);
  expect(all.nve.access()).toEqual(access);
  all.net.set(macOf(1), "up");
  await run(all.clock, 2000, 20);
  expect(held(all)).toEqual(["1 1", "2 2"]);
  expect(tagsOf(all.hosts)[0]).toEqual(tagsOf(all.hosts)[1]);
});

test("Req-2: each station has the keepalive timeout that was agreed with it", async () => {
  const all = await world(2, [17, 20]);
  await attach(all, 1, 1, 5, 1);
  await attach(all, 2, 2, 5, 2);
  for (const n of [1, 2]) all.net.set(macOf(n), "down");
  await run(all.clock, 5000, 20);
  expect(held(all)).toEqual(["2 2"]);
  await run(all.clock, 20_000, 20);
  expect(held(all)).toEqual([]);
});

test("Req-2: a VN that is deleted: each station is told to de-associate what is its own", async () => {
  const all = await world(3);
  await attach(all, 1, 1, 5, 1);
  await attach(all, 2, 2, 5, 2);
  await attach(all, 3, 3, 6, 3);
  all.nve.agent.feed({ on: "vn-gone", vn: VN });
  await run(all.clock, 100, 10);
  expect(held(all)).toEqual(["3 3"]);
  const states = all.hosts.map(({ agent }) => agent.vnics().map(({ state }) => state));
  expect(states[2]).toEqual(["associated"]);
  expect(states[0]).not.toContain("associated");
  expect(states[1]).not.toContain("associated");
  expect(all.nve.agent.ports.get("eth1")?.vdp).toMatchObject({ orders: 2, undelivered: 0 });
});

test("H3: the ToR's link flaps: all stations' VSIs are as before, with their tags", async () => {
  const all = await world(3);
  for (const n of [1, 2, 3]) await attach(all, n, n, 5, n);
  const tags = tagsOf(all.hosts);
  all.net.set(torMac, "down");
  await run(all.clock, 1000, 20);
  all.net.set(torMac, "up");
  await run(all.clock, 5000, 20);
  expect(held(all)).toEqual(["1 1", "2 2", "3 3"]);
  expect(tagsOf(all.hosts)).toEqual(tags);
});
