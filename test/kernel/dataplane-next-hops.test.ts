import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog } from "@nve/program";
import {
  concat,
  decode,
  EtherType,
  frameOctets,
  IpAddress,
  type Mac,
  readFrame,
} from "@nve/protocol-spec";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import { openEbpfDataplane } from "@nve/switch-agent/dataplane/ebpf/driver";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { access, local, mac, remote, vn } from "../contracts/dataplane-bench.ts";
import { readTunnel, tunnelOctets, udpPacket } from "../contracts/tunnels.ts";
import { station } from "../contracts/wires.ts";
import { hasTcx } from "./bpf-namespace.ts";
import { EbpfRig } from "./dataplane-rig.ts";

// Which neighbour of the underlay a frame goes to, without the process that wrote it down, and with the next one.

const neighbour = { a: station("02:ee:00:00:00:0a"), b: station("02:ee:00:00:00:0b") };
let rig: EbpfRig;
let pins: string;
let running: Dataplane | undefined;

beforeAll(() => {
  rig = new EbpfRig(hasTcx ? "tcx" : "clsact", 4);
  pins = mkdtempSync(join(tmpdir(), "hops-"));
});
afterEach(async () => {
  await running?.close();
  running = undefined;
});
afterAll(() => {
  execFileSync("umount", [pins]);
  rmdirSync(pins);
  rig?.close();
});

const open = async (): Promise<Dataplane> => {
  running = await openEbpfDataplane({ vtep: rig.vtep, pins, log: createLog("test", "error") });
  return running;
};

const lives = (ip: IpAddress, at: Mac) =>
  rig.tor.ip(`neigh replace ${ip} lladdr ${at} dev ul nud permanent`);

const toA = () => mac(100, "0c", remote(rig.a));
const toB = () => mac(100, "0d", remote(rig.b));
const rest = () => [
  vn(100, [local("p1", 0)]),
  access("p1", 0, 100),
  mac(100, "0a", local("p1", 0)),
];

/** Where packets to the MACs at `a` and at `b` go: which neighbour, and which VTEP. */
async function ways(): Promise<string[]> {
  const ends = { source: IpAddress("10.0.0.1"), destination: IpAddress("10.0.0.2") };
  const { octets } = udpPacket({ ...ends, ds: 3, payload: new Uint8Array(20) });
  await rig.received("ul");
  for (const to of ["0c", "0d"]) {
    const frame = { destination: station(to), source: station("0a"), etherType: EtherType.ipv4 };
    rig.send("p1", frameOctets({ ...frame, payload: concat(octets) }));
  }
  return (await rig.received("ul")).flatMap((octets) => {
    const { destination, etherType, payload } = decode(octets, readFrame);
    const tunnel = etherType === EtherType.ipv4 ? readTunnel(payload) : undefined;
    // What is marked inside is marked outside by hand only.
    return tunnel ? `${destination} ${tunnel.destination} ${tunnel.ds === 3 ? "by hand" : ""}` : [];
  });
}

test("A10: each VTEP keeps its neighbour over a restart, in whatever order they are told of", async () => {
  lives(rig.a, neighbour.a);
  lives(rig.b, neighbour.b);
  const first = await open();
  await first.portUp("p1");
  await first.ensure([...rest(), toA(), toB()]);
  const right = [`${neighbour.a} ${rig.a} by hand`, `${neighbour.b} ${rig.b} by hand`];
  expect(await ways()).toEqual(right);
  await first.close("keep");
  running = undefined;
  expect(await ways(), "without a process").toEqual(right);
  lives(rig.b, station("02:ee:00:00:00:1b")); // while nobody listens
  const second = await open();
  await second.portUp("p1");
  await second.ensure([toB(), toA(), ...rest()]);
  const now = [right[0], `02:ee:00:00:00:1b ${rig.b} by hand`];
  expect(await ways()).toEqual(now);
  await second.prune([...rest(), toA(), toB()]);
  expect(await ways()).toEqual(now);
});

test("a storm of routes does not disturb frames, and what it leaves holds", async () => {
  lives(rig.a, neighbour.a);
  lives(rig.b, neighbour.b);
  const dataplane = await open();
  await dataplane.portUp("p1");
  await dataplane.ensure([...rest(), toA(), toB()]);
  const all = Array.from({ length: 2000 }, (_, n) => `198.18.${n >> 8}.${n & 0xff}/32`);
  rig.tor.ip(...all.map((to) => `route add ${to} via ${rig.a}`));
  rig.tor.ip(`route add ${rig.a}/32 via ${rig.b}`);
  rig.tor.ip(...all.map((to) => `route del ${to}`));
  const behindB = [`${neighbour.b} ${rig.a} by hand`, `${neighbour.b} ${rig.b} by hand`];
  await expect.poll(ways).toEqual(behindB);
  rig.tor.ip(`route del ${rig.a}/32 via ${rig.b}`);
  const apart = [`${neighbour.a} ${rig.a} by hand`, `${neighbour.b} ${rig.b} by hand`];
  await expect.poll(ways).toEqual(apart);
});

test.skipIf(!hasTcx)(
  "P11: what was of the underlay when a run ended takes no tunnels as an access port",
  async () => {
    rig.tor.ip(`addr add 198.51.100.1/24 dev p3`, `route add ${rig.a}/32 via 198.51.100.2 dev p3`);
    const link = rig.tor.run("ip", "-brief", "link", "show", "p3");
    const near = station(/(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(link)?.[0] ?? "");
    const frame = frameOctets({
      destination: station("0a"),
      source: station("0c"),
      etherType: EtherType.ipv4,
      payload: new Uint8Array(60),
    });
    const payload = tunnelOctets({ vni: 100, source: rig.a, destination: rig.vtep, frame });
    const forged = frameOctets({
      destination: near,
      source: station("0e"),
      etherType: EtherType.ipv4,
      payload,
    });
    const arrives = async () => {
      rig.send("p3", forged);
      return (await rig.received("p1")).length;
    };
    try {
      const first = await open();
      await first.portUp("p1");
      await first.ensure([...rest(), toA()]);
      await expect.poll(arrives).toBe(1);
      await first.close("keep");
      rig.tor.ip(`route del ${rig.a}/32`, "addr del 198.51.100.1/24 dev p3");
      const second = await open();
      await second.portUp("p3");
      expect(await arrives()).toBe(0);
      expect((await second.counters()).drops).toMatchObject({ untagged: 1 });
    } finally {
      rig.tor.ip("addr flush dev p3");
    }
  },
);
