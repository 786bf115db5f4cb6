import { createLog } from "@nve/program";
import { IpAddress, Vid, Vni } from "@nve/protocol-spec";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import { openEbpfDataplane } from "@nve/switch-agent/dataplane/ebpf/driver";
import { DataplaneError } from "@nve/switch-agent/dataplane/error";
import type { Intent, MacIntent, Place } from "@nve/switch-agent/nve";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { arp, neighbourText } from "../contracts/neighbour-frames.ts";
import { station, testFrame } from "../contracts/wires.ts";
import { EbpfRig } from "./dataplane-rig.ts";

/** Whatever else the machine does: milliseconds of our own, user and system. */
async function costMs(act: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

describe("V10: how much one switch holds", () => {
  let rig: EbpfRig;
  let dataplane: Dataplane | undefined;

  beforeAll(() => {
    rig = new EbpfRig("clsact", 4);
  });
  afterEach(async () => {
    await dataplane?.close();
    dataplane = undefined;
  });
  afterAll(() => rig?.close());

  async function open(tables = {}): Promise<Dataplane> {
    dataplane = await openEbpfDataplane({
      vtep: rig.vtep,
      attach: "clsact",
      tables,
      log: createLog("test", "error"),
    });
    for (const port of ["p1", "p2"]) await dataplane.portUp(port);
    return dataplane;
  }

  const hex = (n: number) => n.toString(16).padStart(2, "0");
  const macOf = (n: number, group = 1) =>
    station(`02:00:${hex(group)}:${hex(n >> 16)}:${hex((n >> 8) & 0xff)}:${hex(n & 0xff)}`);
  const tags = Array.from({ length: 4093 }, (_, n) => Vid(n + 2));
  const vniOf = (vid: number) => Vni(100_000 + vid);
  const entriesOf = (name: string) =>
    dataplane?.tables?.().find((table) => table.name === name)?.entries;
  /** VN 7 between p1, p2 and the underlay. */
  const small = (): Intent[] => [
    { is: "vn", vni: Vni(7), flood: [], floodUnknown: false },
    { is: "access", port: "p1", vid: Vid(10), vni: Vni(7) },
    { is: "access", port: "p2", vid: Vid(20), vni: Vni(7) },
    { is: "mac", vni: Vni(7), mac: station("0b"), at: { is: "local", port: "p2", vid: Vid(20) } },
  ];
  const remote = (n: number, vtep = rig.a): MacIntent => ({
    ...{ is: "mac", vni: Vni(7), mac: macOf(n) },
    at: { is: "remote", vtep },
  });

  test("V10: 4,093 tags on one port, each of a VN of its own, and frames of each get there", async () => {
    await open();
    const intents = tags.flatMap((vid): Intent[] => [
      { is: "vn", vni: vniOf(vid), flood: [], floodUnknown: false },
      { is: "access", port: "p1", vid, vni: vniOf(vid) },
      { is: "mac", vni: vniOf(vid), mac: station("0c"), at: { is: "remote", vtep: rig.a } },
    ]);
    expect(await costMs(async () => dataplane?.ensure(intents))).toBeLessThan(10_000);
    expect([entriesOf("accesses"), entriesOf("vns")]).toEqual([4093, 4093]);
    await rig.seen();
    const some = [2, 3, 100, 4093, 4094];
    for (const vid of some)
      rig.send("p1", testFrame({ from: "0a", to: "0c", tags: String(vid), text: `tag ${vid}` }));
    expect(await rig.seen()).toEqual(
      some.map((vid) => `vxlan ${vniOf(vid)} to ${rig.a}: 0a → 0c [] tag ${vid}`),
    );
  });

  test("V10: 16,384 VNICs on one switch, each with its IP", async () => {
    await open();
    const n = 16_384;
    const accesses = tags.slice(0, 2048).flatMap((vid): Intent[] => [
      { is: "vn", vni: vniOf(vid), flood: [{ is: "local", port: "p1", vid }], floodUnknown: false },
      { is: "access", port: "p1", vid, vni: vniOf(vid), checkSource: true, checkIps: true },
    ]);
    const vnics = Array.from({ length: n }, (_, at): Intent => {
      const vid = tags[at % 2048] ?? Vid(2);
      const ips = [IpAddress(`10.0.${at >> 8}.${at & 0xff}`)];
      const here = { is: "local", port: "p1", vid } as const;
      return { is: "mac", vni: vniOf(vid), mac: macOf(at), at: here, ips };
    });
    expect(await costMs(async () => dataplane?.ensure([...accesses, ...vnics]))).toBeLessThan(
      10_000,
    );
    expect([entriesOf("macs"), entriesOf("accesses")]).toEqual([n, 2048]);
    await rig.seen();
    const [from, to] = [macOf(5), macOf(5 + 2048)];
    await dataplane?.ensure([
      { is: "access", port: "p2", vid: Vid(9), vni: vniOf(7) },
      { is: "mac", vni: vniOf(7), mac: to, at: { is: "local", port: "p2", vid: Vid(9) } },
    ]);
    rig.send("p1", testFrame({ from, to, tags: "7", text: "one of many" }));
    expect((await rig.seen()).map((line) => line.slice(0, 3))).toEqual(["p2:"]);
  });

  test("V10: 256,000 MACs behind the overlay, each with its place", async () => {
    await open();
    const macs = Array.from({ length: 256_000 }, (_, n) => remote(n, n % 2 === 0 ? rig.a : rig.b));
    const cost = await costMs(async () => dataplane?.ensure([...small(), ...macs]));
    expect(cost).toBeLessThan(5000);
    expect(entriesOf("macs")).toBe(256_001);
    await rig.seen();
    for (const n of [0, 255_999])
      rig.send("p1", testFrame({ from: "0a", to: macOf(n), tags: "10", text: "far" }));
    expect((await rig.seen()).map((line) => line.split(":")[0])).toEqual([
      `vxlan 7 to ${rig.a}`,
      `vxlan 7 to ${rig.b}`,
    ]);
  });

  test("V10: 100,000 MACs change their place while frames pass, and no frame is lost or comes twice", async () => {
    await open();
    const at = (vtep = rig.a) => Array.from({ length: 100_000 }, (_, n) => remote(n, vtep));
    await dataplane?.ensure([...small(), ...at()]);
    await rig.seen();
    const sent = 2000;
    const sending = rig.sendMany(
      "p1",
      testFrame({ from: "0a", to: "0b", tags: "10", text: "passes" }),
      sent,
    );
    await dataplane?.ensure(at(rig.b));
    await dataplane?.ensure(at(rig.a));
    await sending;
    expect((await rig.seen()).filter((line) => line.includes("passes"))).toHaveLength(sent);
  });

  test("V10: a full table takes what fits, says of the rest that it is full, counts it, and has room again", async () => {
    await open({ macs: 3 });
    const error = await dataplane
      ?.ensure([...small(), remote(1), remote(2), remote(3), remote(4)])
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(DataplaneError);
    const { failed } = error as DataplaneError;
    expect(failed.map(({ full }) => full)).toEqual(failed.map(() => ({ table: "macs", size: 3 })));
    expect(failed).toHaveLength(2);
    const macs = dataplane?.tables?.().find(({ name }) => name === "macs");
    expect(macs).toMatchObject({ entries: 3, size: 3 });
    expect(macs?.refused).toBeGreaterThanOrEqual(2);
    await dataplane?.remove([remote(1)]);
    await dataplane?.ensure([remote(4)]);
    expect(entriesOf("macs")).toBe(3);
  });

  test("V10, P12: a MAC whose IPs there is no room to answer for is there all the same, and is asked itself", async () => {
    await open({ ips: 3 });
    const { vni } = remote(1);
    const known = [1, 2, 3, 4].map((n) => ({ ...remote(n), ips: [IpAddress(`10.0.0.${n}`)] }));
    const flood: Place[] = [{ is: "local", port: "p2", vid: Vid(20) }];
    await dataplane?.ensure([
      ...small(),
      { is: "vn", vni, flood, floodUnknown: false, answer: true },
      ...known,
    ]);
    expect(entriesOf("macs")).toBe(5);
    const ips = dataplane?.tables?.().find(({ name }) => name === "ips");
    expect(ips).toMatchObject({ size: 3 });
    expect(ips?.refused).toBeGreaterThan(0);
    await rig.seen();
    for (const n of [1, 2, 3, 4]) {
      rig.send("p1", arp({ from: "0a", ip: "10.0.0.99", asks: `10.0.0.${n}` }));
    }
    const ports = (await rig.seen(neighbourText)).map((line) => line.split(":")[0]);
    expect(ports).toEqual(["p1", "p1", "p1", "p2"]);
  });

  test("V10, M10: a MAC here whose IPs could not be checked is refused, and says of which table", async () => {
    await open({ sources: 1 });
    const at = { is: "local", port: "p1", vid: Vid(10) } as const;
    const mac = (name: string, ip: string): MacIntent => ({
      ...{ is: "mac", vni: Vni(7), mac: station(name), at },
      ips: [IpAddress(ip)],
    });
    await dataplane?.ensure([...small(), mac("0a", "10.0.0.1")]);
    const error = await dataplane
      ?.ensure([mac("0e", "10.0.0.2")])
      .catch((caught: unknown) => caught);
    expect((error as DataplaneError).failed[0]?.full).toEqual({ table: "sources", size: 1 });
    expect([entriesOf("macs"), entriesOf("sources"), entriesOf("ips")]).toEqual([2, 1, 1]);
  });
});
