import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isOnPath } from "@nve/lab/vm/qemu";
import {
  connectQmp,
  type QmpEvent,
  queryMigrate,
  queryNics,
  queryStatus,
  setMigrationCapabilities,
} from "@nve/linux/qmp/index";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/lab.ts";

const QEMU = "qemu-system-x86_64";
const absent = isOnPath(QEMU) ? undefined : "no QEMU: apt-get install qemu-system-x86";

describe.skipIf(absent)(`QMP of a real QEMU${absent ? ` (${absent})` : ""}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "qmp-"));
  const machines: ChildProcess[] = [];
  const pathOf = (name: string) => join(folder, `${name}.qmp`);

  /** Of a machine without any guest in it: it runs its firmware. */
  async function start(name: string, ...more: string[]): Promise<void> {
    const hardware = ["-accel", "tcg", "-machine", "q35", "-m", "32", "-nodefaults"];
    const nic = ["-netdev", "hubport,id=n0,hubid=0", "-device"];
    const words = [...nic, "virtio-net-pci,id=nic0,netdev=n0,mac=02:00:00:00:00:31"];
    const qmp = ["-display", "none", "-qmp", `unix:${pathOf(name)},server=on,wait=off`];
    machines.push(spawn(QEMU, [...hardware, ...words, ...qmp, ...more], { stdio: "ignore" }));
    await until("the monitor", () => existsSync(pathOf(name)) || undefined, 20_000);
  }

  beforeAll(async () => {
    await start("source");
    await start("destination", "-incoming", "defer");
  });
  afterAll(() => {
    for (const machine of machines) machine.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  });

  test("tells its state, its NICs, and what it refuses", async () => {
    const qmp = await connectQmp({ path: pathOf("source") });
    expect(qmp.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(await queryStatus(qmp)).toEqual({ running: true, status: "running" });
    expect(await queryNics(qmp)).toEqual([{ name: "nic0", mac: "02:00:00:00:00:31" }]);
    expect(await queryMigrate(qmp)).toEqual({ status: "none" });
    await expect(qmp.execute("no-such-thing")).rejects.toThrow(
      "QEMU refuses no-such-thing: The command no-such-thing has not been found",
    );
    qmp.close();
  });

  test("a schema of some 200 kB comes in one piece", async () => {
    const qmp = await connectQmp({ path: pathOf("source") });
    expect(await qmp.execute("query-qmp-schema")).toBeInstanceOf(Array);
    qmp.close();
  });

  test("a second client is not greeted, and told why", async () => {
    const qmp = await connectQmp({ path: pathOf("source") });
    const second = connectQmp({ path: pathOf("source"), timeoutMs: 300 });
    await expect(second).rejects.toThrow("another program holds this monitor");
    qmp.close();
  });

  test("the events of a migration come at both ends, with a pause before the switch-over", async () => {
    const heard = { source: [] as string[], destination: [] as string[] };
    const hear = (who: keyof typeof heard) => (event: QmpEvent) =>
      heard[who].push([event.name, event.data["status"]].filter(Boolean).join(" "));
    const source = await connectQmp({ path: pathOf("source"), onEvent: hear("source") });
    const destination = await connectQmp({
      path: pathOf("destination"),
      onEvent: hear("destination"),
    });
    expect(await queryStatus(destination)).toEqual({ running: false, status: "inmigrate" });
    await setMigrationCapabilities(source, { events: true, "pause-before-switchover": true });
    await setMigrationCapabilities(destination, { events: true });
    const uri = `unix:${join(folder, "move")}`;
    await destination.execute("migrate-incoming", { uri });
    await source.execute("migrate", { uri });
    const has = (who: keyof typeof heard, what: string) =>
      until(`${what} at the ${who}`, () => heard[who].includes(what) || undefined, 30_000);
    await has("source", "MIGRATION pre-switchover");
    expect(heard.source).toContain("STOP");
    await source.execute("migrate-continue", { state: "pre-switchover" });
    await has("source", "MIGRATION completed");
    await has("destination", "RESUME");
    expect(await queryStatus(destination)).toEqual({ running: true, status: "running" });
    expect(await queryMigrate(source)).toMatchObject({ status: "completed" });
    source.close();
    destination.close();
  });
});
