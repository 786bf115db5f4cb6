import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog, type Log } from "@nve/program";
import { Vid, Vni } from "@nve/protocol-spec";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import { openEbpfDataplane } from "@nve/switch-agent/dataplane/ebpf/driver";
import type { Intent } from "@nve/switch-agent/nve";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { station, testFrame } from "../contracts/wires.ts";
import { hasTcx } from "./bpf-namespace.ts";
import { EbpfRig } from "./dataplane-rig.ts";

// The dataplane without the process that made it, and with the next one.
describe.each(hasTcx ? (["tcx", "clsact"] as const) : (["clsact"] as const))("by %s", (attach) => {
  let rig: EbpfRig;
  let pins: string;
  const open = new Set<Dataplane>();

  beforeAll(() => {
    pins = mkdtempSync(join(tmpdir(), "pins-"));
    rig = new EbpfRig(attach, 4);
  });
  afterEach(async () => {
    for (const dataplane of open) await dataplane.close();
    open.clear();
    await (await run()).close(); // nothing is left for the next test
  });
  afterAll(() => {
    execFileSync("umount", [pins]);
    rmdirSync(pins);
    rig?.close();
  });

  async function run(more: { log?: Log; macs?: number; accesses?: number } = {}) {
    const { log = createLog("test", "error"), ...tables } = more;
    const dataplane = await openEbpfDataplane({ vtep: rig.vtep, attach, pins, tables, log });
    open.add(dataplane);
    return dataplane;
  }

  async function end(dataplane: Dataplane): Promise<void> {
    open.delete(dataplane);
    await dataplane.close("keep");
  }

  const here = (port: string, vid: number) => ({ is: "local", port, vid: Vid(vid) }) as const;
  const vni = Vni(7001);
  const a: Intent = { is: "mac", vni, mac: station("0a"), at: here("p1", 10) };
  const b: Intent = { is: "mac", vni, mac: station("0b"), at: here("p2", 20) };
  const intents = (): Intent[] => [
    {
      is: "vn",
      vni,
      flood: [here("p1", 10), here("p2", 20), { is: "remote", vtep: rig.a }],
      floodUnknown: true,
    },
    { is: "access", port: "p1", vid: Vid(10), vni, checkSource: true },
    { is: "access", port: "p2", vid: Vid(20), vni },
    a,
    b,
    { is: "mac", vni, mac: station("0c"), at: { is: "remote", vtep: rig.a } },
  ];
  const toB = (text: string) => testFrame({ from: "0a", to: "0b", tags: "10", text });
  const toC = (text: string) => testFrame({ from: "0a", to: "0c", tags: "10", text });
  const asText = (all: readonly Intent[]) => all.map((one) => JSON.stringify(one)).sort();

  async function filled(): Promise<Dataplane> {
    const dataplane = await run();
    for (const port of ["p1", "p2"]) await dataplane.portUp(port);
    await dataplane.ensure(intents());
    await rig.seen();
    return dataplane;
  }

  async function passes(): Promise<void> {
    rig.send("p1", toB("here"));
    rig.send("p1", toC("there"));
    expect((await rig.seen()).sort()).toEqual([
      "p2: 0a → 0b [20] here",
      `vxlan 7001 to ${rig.a}: 0a → 0c [] there`,
    ]);
  }

  test("what was forwarded goes on without a process, and is taken over by the next one as it is", async () => {
    const first = await filled();
    const before = asText(await first.applied());
    await end(first);
    await passes();
    const second = await run();
    expect(asText(second.inherited ?? [])).toEqual(before);
    expect(asText(await second.applied())).toEqual(before);
    await passes();
    for (const port of ["p1", "p2"]) await second.portUp(port);
    await second.prune(intents());
    expect(asText(await second.applied())).toEqual(before);
    await passes();
  });

  test("A10: no frame of a stream is lost or comes twice while the process ends and the next begins", async () => {
    await end(await filled());
    const sent = 4000;
    const sending = rig.sendMany("p1", toB("one of many"), sent);
    for (let n = 0; n < 3; n++) {
      const next = await run();
      await next.ensure(intents());
      for (const port of ["p1", "p2"]) await next.portUp(port);
      await next.prune(intents());
      await end(next);
    }
    await sending;
    expect((await rig.seen()).filter((line) => line.includes("one of many"))).toHaveLength(sent);
  });

  test("what is not wanted any more is there until it is pruned, and nothing of it after", async () => {
    await end(await filled());
    const second = await run();
    await second.portUp("p1");
    await second.ensure([a]);
    await passes();
    await second.prune(intents().slice(0, 4));
    expect(asText(await second.applied())).not.toContain(JSON.stringify(b));
    rig.send("p1", toB("unknown now"));
    expect(await rig.seen()).toEqual([`vxlan 7001 to ${rig.a}: 0a → 0b [] unknown now`]);
    await second.prune([]);
    expect(await second.applied()).toEqual([]);
    expect(second.tables?.().filter(({ entries }) => entries > 0)).toEqual([]);
  });

  test("ports stay promiscuous, and are no longer when nothing is to stay", async () => {
    const isPromiscuous = () => rig.tor.run("ip", "link", "show", "p1").includes("PROMISC");
    const first = await filled();
    expect(isPromiscuous()).toBe(true);
    await end(first);
    expect(isPromiscuous()).toBe(true);
    await (await run()).close();
    expect(isPromiscuous()).toBe(false);
    expect(rig.tor.run("ip", "-brief", "link")).not.toContain("nve-vxlan");
    expect(rig.tor.run("tc", "filter", "show", "dev", "p1", "ingress").trim()).toBe("");
  });

  test("a port that was promiscuous before us is so after us", async () => {
    rig.tor.ip("link set p1 promisc on");
    await end(await filled());
    await (await run()).close();
    expect(rig.tor.run("ip", "link", "show", "p1")).toContain("PROMISC");
    rig.tor.ip("link set p1 promisc off");
  });

  test("while one process forwards a second is refused, and disturbs nothing", async () => {
    await filled();
    await expect(run()).rejects.toThrow("an agent forwards in this network namespace");
    await passes();
  });

  test("larger tables are made with what was in the smaller ones, and frames go on", async () => {
    await end(await filled());
    const second = await run({ macs: 300_000, accesses: 100_000 });
    expect(asText(second.inherited ?? [])).toHaveLength(6);
    const sizes = Object.fromEntries((second.tables?.() ?? []).map((one) => [one.name, one.size]));
    expect(sizes).toMatchObject({ accesses: 100_000, macs: 300_000 });
    await passes();
    await end(second);
    await passes();
  });

  test("tables too small for what was there are made empty, and that is said", async () => {
    await end(await filled());
    const lines: object[] = [];
    const warn = (fields: object) => lines.push(fields);
    const log = { info: () => {}, error: () => {}, warn } as unknown as Log;
    const second = await run({ macs: 1, log });
    expect(second.inherited).toBeUndefined();
    expect(lines).toEqual([{ why: expect.stringContaining("fdb") }]);
  });

  test("what is pinned of a namespace that is gone is taken away by the next one, elsewhere; not while it is there", async () => {
    const folders = () => readdirSync(join(pins, "split-nve"));
    const gone = new EbpfRig(attach, 6); // this process is in it now
    const log = createLog("test", "error");
    const there = await openEbpfDataplane({ vtep: gone.vtep, attach, pins, log });
    await there.portUp("p1");
    await there.close("keep");
    const [theirs = "none"] = folders();
    rig.tor.enter();
    await (await run()).close();
    expect(folders()).toEqual([theirs]);
    gone.tor.ip("link del nve-vxlan");
    await (await run()).close();
    expect(folders(), "its port is promiscuous still").toEqual([theirs]);
    gone.close();
    await expect
      .poll(async () => {
        await (await run()).close();
        return folders();
      })
      .toEqual([]);
  });

  test("a tunnel device that is gone is made anew, and that nothing could be taken over is said", async () => {
    await end(await filled());
    rig.tor.ip("link del nve-vxlan");
    const lines: string[] = [];
    const warn = (fields: { why: string }) => lines.push(fields.why);
    const log = { info: () => {}, error: () => {}, warn } as unknown as Log;
    const second = await run({ log });
    expect(lines).toEqual(["its tunnel device nve-vxlan is not there any more"]);
    expect(second.inherited).toBeUndefined();
    for (const port of ["p1", "p2"]) await second.portUp(port);
    await second.ensure(intents());
    await rig.seen();
    await passes();
  });
});
