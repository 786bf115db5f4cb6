import { openBpfObject } from "@nve/linux/bpf";
import { createLog, type Log } from "@nve/program";
import { decode, EtherType, IpAddress, readFrame, Vid, Vni } from "@nve/protocol-spec";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import { openEbpfDataplane } from "@nve/switch-agent/dataplane/ebpf/driver";
import type { Intent } from "@nve/switch-agent/nve";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { dataplaneContract, tunnelContract } from "../contracts/dataplane.ts";
import { station, testFrame } from "../contracts/wires.ts";
import { hasTcx, withoutRights } from "./bpf-namespace.ts";
import { EbpfRig } from "./dataplane-rig.ts";

dataplaneContract("eBPF dataplane by clsact, IPv4 underlay", async () => new EbpfRig("clsact", 4));
describe.skipIf(!hasTcx)("Linux 6.6 or newer", () => {
  dataplaneContract("eBPF dataplane by TCX, IPv4 underlay", async () => new EbpfRig("tcx", 4));
  dataplaneContract("M1: eBPF dataplane by TCX, IPv6 underlay", async () => new EbpfRig("tcx", 6));
  for (const family of [4, 6] as const) {
    for (const kind of ["nvgre", "mpls-over-gre"] as const) {
      const name = `A24: eBPF dataplane with ${kind}, IPv${family} underlay`;
      tunnelContract(name, async () => new EbpfRig("tcx", family, kind));
    }
  }
});

describe("eBPF dataplane on this kernel", () => {
  let rig: EbpfRig;
  let dataplane: Dataplane | undefined;
  const log = createLog("test", "error");

  beforeAll(() => {
    rig = new EbpfRig("clsact", 4);
    rig.load = openBpfObject;
  });
  afterEach(async () => {
    await dataplane?.close();
    dataplane = undefined;
  });
  afterAll(() => rig?.close());

  const toA = (): Intent[] => [
    { is: "vn", vni: Vni(0xffffff), flood: [], floodUnknown: false },
    { is: "access", port: "p1", vid: Vid(4094), vni: Vni(0xffffff) },
    {
      is: "mac",
      vni: Vni(0xffffff),
      mac: station("0c"),
      at: { is: "remote", vtep: rig.a },
    } as const,
  ];

  test("the outer header has DF, TTL 64, no checksum and a source port per flow (RFC 7348 §4.3, §5)", async () => {
    dataplane = await rig.open();
    await dataplane.portUp("p1");
    await dataplane.ensure(toA());
    await rig.received("ul");
    rig.send("p1", testFrame({ from: "0a", to: "0c", tags: "4094", text: "hello" }));
    const packets = (await rig.received("ul")).map((frame) => decode(frame, readFrame));
    const [packet] = packets.filter(({ etherType }) => etherType === EtherType.ipv4);
    const view = new DataView(Uint8Array.from(packet?.payload ?? []).buffer);
    expect(view.getUint16(6)).toBe(0x4000); // DF, no fragment
    expect(view.getUint8(8)).toBe(64);
    expect(view.getUint32(12)).toBe(0xc0000201); // from our VTEP
    expect(view.getUint16(20)).toBeGreaterThanOrEqual(49152);
    expect(view.getUint16(26)).toBe(0);
    expect(view.getUint32(28)).toBe(0x08000000);
    expect(view.getUint32(32)).toBe(0xffffff00);
  });

  test("the tunnel device follows the MTU of the underlay", async () => {
    dataplane = await rig.open();
    expect([mtu("nve-vxlan"), dataplane?.mtu]).toEqual([1550, 1550]);
    rig.tor.ip("link set ul mtu 1700");
    await expect.poll(() => mtu("nve-vxlan")).toBe(1650);
    expect(dataplane?.mtu).toBe(1650);
    rig.tor.ip("link set ul mtu 1600");
    await expect.poll(() => mtu("nve-vxlan")).toBe(1550);
  });

  test("V1: what the underlay will not let through is warned of at the start", async () => {
    const lines: string[] = [];
    const warn = (_: object, line: string) => lines.push(line);
    const listening = { info: () => {}, error: () => {}, warn } as unknown as Log;
    rig.tor.sysctl("net.ipv4.conf.ul.rp_filter", 1);
    rig.tor.ip("link set ul mtu 1500");
    dataplane = await openEbpfDataplane({ vtep: rig.vtep, log: listening });
    rig.tor.sysctl("net.ipv4.conf.ul.rp_filter", 0);
    rig.tor.ip("link set ul mtu 1600");
    expect(lines.join("\n")).toMatch(/rp_filter is strict on ul/);
    expect(lines.join("\n")).toMatch(/leaves 1450 octets for tenants' packets.*: set 1550/);
    await dataplane.close();
    dataplane = await openEbpfDataplane({ vtep: rig.stranger, log: listening });
    expect(lines.at(-1)).toMatch(`no interface has the VTEP address ${rig.stranger} yet`);
  });

  test("a VTEP without a route is told by the counter of what was not sent", async () => {
    const nowhere = { is: "remote", vtep: IpAddress("203.0.113.9") } as const;
    dataplane = await rig.open();
    await dataplane.portUp("p1");
    await dataplane.ensure([
      ...toA(),
      { is: "mac", vni: Vni(0xffffff), mac: station("0c"), at: nowhere },
    ]);
    rig.send("p1", testFrame({ from: "0a", to: "0c", tags: "4094", text: "hello" }));
    expect(await rig.seen()).toEqual([]);
    expect((await dataplane.counters()).drops).toMatchObject({ "not-sent": 1 });
  });

  test("a user without rights is told what it takes, and nothing is left", async () => {
    const asRoot = withoutRights();
    const opening = rig.open();
    const refused = expect(opening).rejects.toMatchObject({ name: "Refused" });
    await refused.finally(asRoot);
    await expect(opening).rejects.toThrow("not permitted: run as root");
    expect(links()).not.toContain("nve-vxlan");
  });

  test("closed, it leaves no device and no filter behind", async () => {
    const open = await rig.open();
    await open.portUp("p1");
    expect(filters("p1")).toContain("handle 0x4e5601");
    await open.close();
    expect(filters("p1")).toBe("");
    expect(links()).not.toContain("nve-vxlan");
  });

  test("opened again after a crash, it replaces what was left behind", async () => {
    const crashed = await rig.open();
    await crashed.portUp("p1");
    dataplane = await rig.open(); // nobody closed the first
    expect(filters("p1")).toBe("");
    await dataplane.portUp("p1");
    await dataplane.ensure(toA());
    await rig.seen();
    rig.send("p1", testFrame({ from: "0a", to: "0c", tags: "4094", text: "hello" }));
    expect(await rig.seen()).toEqual([`vxlan 16777215 to ${rig.a}: 0a → 0c [] hello`]);
  });

  test("a device of that name that is no vxlan device is left alone", async () => {
    const opening = openEbpfDataplane({ vtep: rig.vtep, device: "p2", log });
    await expect(opening).rejects.toThrow("interface p2 is there already and is no vxlan device");
    expect(links()).toContain("p2");
  });

  test("a UDP port that another vxlan device has is refused, and nothing is left", async () => {
    rig.tor.ip("link add other up type vxlan external dstport 4789");
    const opening = openEbpfDataplane({ vtep: rig.vtep, device: "mine", log });
    const refused = expect(opening).rejects;
    await refused
      .toThrow("UDP port 4789 is taken by another vxlan device")
      .finally(() => rig.tor.ip("link del other"));
    expect(links()).not.toContain("mine");
  });

  test("V10: 20,000 MACs are applied within two seconds and read back", async () => {
    dataplane = await rig.open();
    const macs = Array.from({ length: 20_000 }, (_, n) => ({
      is: "mac" as const,
      vni: Vni(7),
      mac: station(`02:00:00:01:${hex(n >> 8)}:${hex(n & 0xff)}`),
      at: { is: "remote" as const, vtep: rig.a },
    }));
    const start = performance.now();
    await dataplane.ensure(macs);
    expect(performance.now() - start).toBeLessThan(2000);
    expect(await dataplane.applied()).toHaveLength(20_000);
    await dataplane.prune([]);
    expect(await dataplane.applied()).toHaveLength(0);
  });

  const filters = (device: string) =>
    rig.tor.run("tc", "filter", "show", "dev", device, "ingress").trim();
  const links = () => rig.tor.run("ip", "-brief", "link").split("\n").map(firstWord);
  const firstWord = (line: string) => line.split(/[ @]/)[0];
  const mtu = (device: string) =>
    Number(/mtu (\d+)/.exec(rig.tor.run("ip", "link", "show", device))?.[1]);
  const hex = (n: number) => n.toString(16).padStart(2, "0");
});
