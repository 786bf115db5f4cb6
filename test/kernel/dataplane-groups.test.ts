import { createLog } from "@nve/program";
import {
  concat,
  EtherType,
  IpAddress,
  ipOctets,
  isIpv6,
  macOctets,
  uint,
} from "@nve/protocol-spec";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import { openEbpfDataplane } from "@nve/switch-agent/dataplane/ebpf/driver";
import type { Intent } from "@nve/switch-agent/nve";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { local, remote, sorted, standard, vn } from "../contracts/dataplane-bench.ts";
import { tunnelOctets } from "../contracts/tunnels.ts";
import { station, testFrame } from "../contracts/wires.ts";
import { EbpfRig } from "./dataplane-rig.ts";

// What goes to all, to a group of the underlay in place of each NVE (A10).

const SETTLE_MS = 300;

describe.each([4, 6] as const)("IPv%i underlay", (family) => {
  const group = IpAddress(family === 4 ? "239.1.1.7" : "ff05::107");
  let rig: EbpfRig;
  let dataplane: Dataplane;

  beforeAll(() => {
    rig = new EbpfRig("clsact", family);
  });
  beforeEach(async () => {
    dataplane = await openEbpfDataplane({
      ...{ vtep: rig.vtep, attach: "clsact", load: rig.load, groupSettleMs: SETTLE_MS },
      log: createLog("test", "error"),
    });
    for (const port of ["p1", "p2", "p3"]) await dataplane.portUp(port);
    await dataplane.ensure(standard(rig));
    await rig.seen();
  });
  afterEach(() => dataplane.close());
  afterAll(() => rig?.close());

  const flood = () => [local("p1", 10), local("p2", 20), remote(rig.a), remote(rig.b)];
  const byGroup = (): Intent => ({ ...vn(100, flood()), group, sendToGroup: true }) as Intent;
  const listening = (): Intent => ({ ...vn(100, flood()), group }) as Intent;
  const toAll = testFrame({ from: "0a", to: "ff", tags: "10", text: "hello" });
  const here = "p2: 0a → ff [20] hello";
  const over = (to: IpAddress) => `vxlan 100 to ${to}: 0a → ff [] hello`;
  const toEach = () => [here, over(rig.a), over(rig.b)].sort();
  const toGroup = () => [here, over(group)].sort();
  const sent = async (): Promise<string[]> => {
    rig.send("p1", toAll);
    return rig.seen();
  };
  const inForce = () => expect.poll(sent, { timeout: 10_000, interval: 50 }).toEqual(toGroup());
  const joined = () => rig.tor.run("ip", "maddr", "show", "dev", "ul").includes(`${group}`);

  /** From the underlay, to the group. */
  function hear(source: IpAddress, vni = 100): void {
    const octets = ipOctets(group);
    const last = isIpv6(group) ? octets.subarray(12) : octets.subarray(1);
    const start = isIpv6(group)
      ? Uint8Array.of(0x33, 0x33)
      : Uint8Array.of(1, 0, 0x5e, (last[0] ?? 0) & 0x7f);
    const to = concat(start, isIpv6(group) ? last : last.subarray(1));
    const frame = testFrame({ from: "0c", to: "ff", tags: "", text: "hello" });
    const type = isIpv6(group) ? EtherType.ipv6 : EtherType.ipv4;
    const packet = tunnelOctets({ vni, source, destination: group, frame });
    rig.send("ul", concat(to, macOctets(station("02:ee:00:00:00:02")), uint(2, type), packet));
  }

  test("A10: each NVE gets its copy until the others had the time to join; then one frame goes to the group", async () => {
    await dataplane.ensure([byGroup()]);
    expect(await sent()).toEqual(toEach());
    await inForce();
    expect(joined()).toBe(true);
    const { vns } = await dataplane.counters();
    expect(vns.find(({ vni }) => vni === 100)?.overlayOut).toBeGreaterThan(2);
  });

  test("A10: where others have a VN's group already, it is sent to at once; and each NVE gets its copy again at once", async () => {
    await dataplane.ensure([listening()]);
    expect(await sent()).toEqual(toEach());
    await expect.poll(joined, { timeout: 10_000 }).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 2 * SETTLE_MS)); // what the others need
    await dataplane.ensure([byGroup()]);
    expect(await sent()).toEqual(toGroup());
    await dataplane.ensure([listening()]);
    expect(await sent()).toEqual(toEach());
    expect(joined()).toBe(true);
    await dataplane.ensure([vn(100, flood())]);
    await expect.poll(joined, { timeout: 10_000 }).toBe(false);
  });

  test("A10: what members send to the group is heard; of strangers, and of VNs that are not here, nothing", async () => {
    await dataplane.ensure([listening()]);
    await expect.poll(joined, { timeout: 10_000 }).toBe(true);
    await rig.seen();
    hear(rig.a);
    hear(rig.stranger);
    hear(rig.a, 300);
    expect(await rig.seen()).toEqual(["p1: 0c → ff [10] hello", "p2: 0c → ff [20] hello"]);
    const { drops } = await dataplane.counters();
    expect(drops).toMatchObject({ "stranger-vtep": 1, "unknown-vni": 1 });
  });

  test("A10: a stream goes on while the VN changes between both: nothing is lost, nothing comes twice", async () => {
    await dataplane.ensure([byGroup()]);
    await inForce();
    await rig.seen();
    const n = 600;
    let over = false;
    const sending = rig.sendMany("p1", toAll, n).finally(() => {
      over = true;
    });
    let changes = 0;
    while (!over) {
      await dataplane.ensure([changes % 2 === 0 ? listening() : byGroup()]);
      changes += 1;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await sending;
    expect(changes).toBeGreaterThan(3);
    const seen = await rig.seen();
    const count = (what: string) => seen.filter((line) => line.includes(what)).length;
    expect(count(`to ${rig.a}:`)).toBe(count(`to ${rig.b}:`));
    expect(count(`to ${rig.a}:`) + count(`to ${group}:`)).toBe(n);
    expect(count("p2:")).toBe(n);
    expect(count(`to ${rig.a}:`)).toBeGreaterThan(0);
    expect(count(`to ${group}:`)).toBeGreaterThan(0);
  });

  test("A10: NVEs in another encapsulation get their own copies beside the group's", async () => {
    const nvgre = { ...remote(rig.b), encapsulation: "nvgre" } as const;
    const places = [local("p1", 10), local("p2", 20), remote(rig.a), nvgre];
    await dataplane.close();
    dataplane = await openEbpfDataplane({
      ...{ vtep: rig.vtep, attach: "clsact", load: rig.load, groupSettleMs: SETTLE_MS },
      ...{ encapsulations: ["vxlan", "nvgre"] as const, log: createLog("test", "error") },
    });
    for (const port of ["p1", "p2", "p3"]) await dataplane.portUp(port);
    await dataplane.ensure([
      ...standard(rig),
      { ...vn(100, places), group, sendToGroup: true } as Intent,
    ]);
    const both = [here, over(group), `nvgre 100 to ${rig.b}: 0a → ff [] hello`].sort();
    await expect.poll(sent, { timeout: 10_000, interval: 50 }).toEqual(both);
  });

  test("A10: what is sent to a group is read back with all whom it is for", async () => {
    await dataplane.ensure([byGroup()]);
    await inForce();
    const back = (await dataplane.applied()).filter(({ is, vni }) => is === "vn" && vni === 100);
    expect(sorted(back)).toEqual(sorted([byGroup()]));
  });

  test("A10: a group that cannot be joined is warned of, and each NVE gets its copy", async () => {
    rig.tor.ip("link set ul multicast off");
    try {
      await dataplane.ensure([byGroup()]);
      await expect.poll(() => dataplane.warnings ?? [], { timeout: 10_000 }).not.toEqual([]);
      expect(dataplane.warnings?.[0]).toContain("is no multicast link");
      expect(await sent()).toEqual(toEach());
    } finally {
      rig.tor.ip("link set ul multicast on");
    }
    await inForce();
    expect(dataplane.warnings).toEqual([]);
  }, 30_000);
});
