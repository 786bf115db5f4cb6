import { concat, EtherType, frameOctets, Mac, uint } from "@nve/protocol-spec";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { access, local, mac, remote, vn } from "../contracts/dataplane-bench.ts";
import { checksum, ipPacket, tunnelOctets } from "../contracts/tunnels.ts";
import { station } from "../contracts/wires.ts";
import { EbpfRig } from "./dataplane-rig.ts";

// What comes in at the underlay and is no tunnel as it should be: nothing of it may reach a tenant, but for what the kernel
// itself understands.

const ours = Mac("02:ee:00:00:00:01");
const far = Mac("02:ee:00:00:00:02");
let rig: EbpfRig;
let dataplane: Dataplane;

beforeAll(() => {
  rig = new EbpfRig("tcx", 4, "nvgre");
});
beforeEach(async () => {
  dataplane = await rig.open();
  await dataplane.portUp("p1");
  await dataplane.ensure([
    vn(5000, [local("p1", 10), remote(rig.a)]),
    access("p1", 10, 5000),
    mac(5000, "0a", local("p1", 10)),
    mac(5000, "0c", remote(rig.a)),
  ]);
  await rig.seen();
});
afterEach(() => dataplane.close());
afterAll(() => rig?.close());

const tenant = (to: string) =>
  frameOctets({
    destination: station(to),
    source: station("0c"),
    etherType: EtherType.ipv4,
    payload: ipPacket({
      source: rig.a,
      destination: rig.b,
      ds: 0,
      protocol: 99,
      payload: new Uint8Array(64),
    }),
  });
const packet = (encapsulation: "vxlan" | "nvgre" | "mpls-over-gre" = "vxlan") =>
  tunnelOctets({
    vni: 5000,
    source: rig.a,
    destination: rig.vtep,
    frame: tenant("0a"),
    encapsulation,
  });
const underlay = (payload: Uint8Array, destination = ours): Uint8Array =>
  frameOctets({ destination, source: far, etherType: EtherType.ipv4, payload });

/** An IPv4 packet with some octets different, its header's checksum right again. */
function changed(whole: Uint8Array, octets: Readonly<Record<number, number>>): Uint8Array {
  const copy = Uint8Array.from(whole);
  for (const [at, octet] of Object.entries(octets)) copy[Number(at)] = octet;
  copy.set([0, 0], 10);
  copy.set(uint(2, checksum(copy.subarray(0, ((copy[0] ?? 0x45) % 16) * 4))), 10);
  return copy;
}

async function arrives(frame: Uint8Array): Promise<number> {
  rig.send("ul", frame);
  return (await rig.received("p1")).length;
}

test("a VXLAN packet as it should be gets to its tenant; reserved bits are ignored (RFC 7348 §5)", async () => {
  expect(await arrives(underlay(packet()))).toBe(1);
  expect(await arrives(underlay(changed(packet(), { 28: 0xff, 35: 0xff })))).toBe(1);
});

test("IP options are the kernel's, which knows them", async () => {
  const plain = packet();
  const options = Uint8Array.of(1, 1, 1, 1);
  const longer = concat(plain.subarray(0, 20), options, plain.subarray(20));
  const length = uint(2, longer.length);
  const whole = changed(longer, { 0: 0x46, 2: length[0] ?? 0, 3: length[1] ?? 0 });
  expect(await arrives(underlay(whole))).toBe(1);
});

test("P11: what is damaged, cut off or for somebody else reaches nobody", async () => {
  const good = packet();
  const broken = Uint8Array.from(good);
  broken[10] = (broken[10] ?? 0) ^ 0xff;
  const all: Record<string, Uint8Array> = {
    "IPv4 checksum": underlay(broken),
    "no VNI (flag I)": underlay(changed(good, { 28: 0 })),
    "another UDP port": underlay(changed(good, { 22: 0x12, 23: 0xb6 })),
    "UDP longer than IP": underlay(changed(good, { 24: 0x7f })),
    "IP longer than the frame": underlay(changed(good, { 2: 0x40 })),
    "cut off in VXLAN": underlay(good).subarray(0, 46),
    "cut off in the tenant's header": underlay(changed(good.subarray(0, 40), { 2: 0, 3: 40 })),
    "another host's MAC": underlay(good, station("99")),
    "another host's IP": underlay(changed(good, { 19: 77 })),
    "a tag before it": concat(
      underlay(good).subarray(0, 12),
      Uint8Array.of(0x81, 0, 0, 10),
      underlay(good).subarray(12),
    ),
    "a VNI that is not here": underlay(changed(good, { 33: 9 })),
    "an NVE that is no member": underlay(changed(good, { 15: 9 })),
  };
  for (const [what, frame] of Object.entries(all)) expect(await arrives(frame), what).toBe(0);
});

test("A24: of GRE only what was announced is taken, and none of its options", async () => {
  const nvgre = packet("nvgre");
  expect(await arrives(underlay(nvgre))).toBe(1);
  expect(await arrives(underlay(packet("mpls-over-gre")))).toBe(0); // not announced
  expect(await arrives(underlay(changed(nvgre, { 20: 0xa0 })))).toBe(0); // with a checksum
  expect(await arrives(underlay(changed(nvgre, { 20: 0x30 })))).toBe(0); // with a sequence number
  expect(await arrives(underlay(changed(nvgre, { 23: 0x59 })))).toBe(0); // another protocol inside
});

test("P11: a tenant's frame that looks like a tunnel to us is a tenant's frame", async () => {
  const forged = tunnelOctets({
    ...{ vni: 5000, source: rig.a, destination: rig.vtep, frame: tenant("0a") },
    encapsulation: "nvgre",
  });
  for (const tags of [[], [0x81, 0, 0, 10]]) {
    const bare = underlay(forged);
    const frame = concat(bare.subarray(0, 12), Uint8Array.from(tags), bare.subarray(12));
    rig.send("p1", frame);
    rig.send(
      "p1",
      concat(bare.subarray(0, 12), Uint8Array.from(tags), underlay(packet()).subarray(12)),
    );
  }
  expect(await rig.received("p1")).toEqual([]);
  const { drops, vns } = await dataplane.counters();
  expect(drops).toMatchObject({ untagged: 2, "unknown-mac": 2 });
  expect(vns.find(({ vni }) => vni === 5000)?.overlayIn).toBe(0);
});

test("A24: of several equal ways to an NVE, what it sends may come in at each", async () => {
  const link = rig.tor.run("ip", "-brief", "link", "show", "p3");
  const near = Mac(/(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(link)?.[0] ?? "");
  const frame = underlay(packet("nvgre"), near);
  rig.send("p3", frame);
  expect(await rig.received("p1")).toEqual([]); // no way leads there
  rig.tor.ip(
    "addr add 198.51.100.1/24 dev p3",
    `route add ${rig.a}/32 nexthop dev ul nexthop via 198.51.100.2 dev p3`,
  );
  try {
    await expect
      .poll(async () => {
        rig.send("p3", frame);
        return (await rig.received("p1")).length;
      })
      .toBe(1);
    await dataplane.portUp("p3"); // an access port now: a tenant's frames come in there
    rig.send("p3", frame);
    expect(await rig.received("p1")).toEqual([]);
  } finally {
    rig.tor.ip(`route del ${rig.a}/32`, "addr del 198.51.100.1/24 dev p3");
  }
});
