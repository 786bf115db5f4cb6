import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "@nve/lab/shell";
import { namespaceOf } from "@nve/lab/topology";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configuredRacks } from "../support/configured-racks.ts";
import { until } from "../support/lab.ts";
import { Machine, noMachine } from "../support/qemu/machines.ts";
import { useTwoRacks, VN, vm } from "../support/two-racks.ts";

// Real QEMUs on two servers behind two ToRs, and nobody calls the agents: they watch the monitors. No guest runs in the
// machines but their firmware; frames of their own they send when QEMU announces them.
const absent = noMachine();
const { copy, topology, folderOf } = configuredRacks(
  (folder) => `qemu:\n  vms: ${folder}/vms\n  sockets: ${folder}/qmp\n`,
);
const VNIC = "5a0b8c1e-0000-4000-8000-0000000000c1";
const MAC = "02:00:00:00:00:c1";
const IP = "10.0.1.91";
const TAP = "tap-vm1";

type Shown = {
  vnic: string;
  interface: string;
  state: string;
  vmName: string;
  drivenBy: string;
  vns: { vnId: number; stage?: string; macs: { mac: string; ips: string[] }[] }[];
};
type Migration = { state: string; hinted: boolean; steps: { what: string }[] };

describe.skipIf(absent)(`QEMU's monitors are watched${absent ? ` (${absent})` : ""}`, () => {
  const lab = useTwoRacks(topology);
  const machines: Machine[] = [];
  let source: Machine;

  /** A tap, as an administrator makes it, and a QEMU on it. */
  async function start(server: string, more: { incoming?: boolean } = {}) {
    const namespace = namespaceOf(lab.name, server);
    await run("ip", ["-n", namespace, "link", "del", TAP]);
    await lab.run(server, "ip", "tuntap", "add", TAP, "mode", "tap");
    await lab.run(server, "ip", "link", "set", TAP, "up");
    const folder = folderOf(server);
    const watched = join(folder, "qmp", "vm1.qmp");
    const { incoming = false } = more;
    const options = { name: "vm1", namespace, mac: MAC, tap: TAP, watched, folder, incoming };
    const machine = await Machine.start(options);
    machines.push(machine);
    return machine;
  }

  const shown = async (server: string) =>
    ((await lab.show(server, "hypervisor-agent", "vnic", "list")) as Shown[])[0];
  const whenStage = (server: string, stage: "active" | "prepared" | "suspended") =>
    until(
      `${server}'s VNIC to be ${stage}`,
      async () => {
        const one = await shown(server);
        const is = one?.state === "associated" && (one.vns[0]?.stage ?? "active") === stage;
        return is ? one : undefined;
      },
      20_000,
    );
  const whenGone = (server: string) =>
    until(`${server} to have no VNIC`, async () => !(await shown(server)) || undefined, 20_000);
  const where = async (): Promise<string | undefined> =>
    (await lab.mappings()).find(({ mac }) => mac === MAC)?.locations[0]?.nve;
  const migration = async () =>
    (await lab.show("nva", "nva", "migration", "show", VNIC)) as Migration;
  const whenMigration = (state: string) =>
    until(
      `the NVA's migration to be ${state}`,
      async () => {
        const now = await migration();
        return now.state === state ? now : undefined;
      },
      20_000,
    );
  /** Frames of the VM's own, which QEMU sends for it. @returns whether the peer gets them */
  async function isHeard(machine: Machine): Promise<boolean> {
    const seen = await lab.capture("red4", "eth0", `ether src ${MAC}`);
    const rounds = { initial: 20, max: 100, rounds: 10, step: 20 };
    await machine.qmp.execute("announce-self", rounds);
    await new Promise((resolve) => setTimeout(resolve, 500));
    return (await seen.lines()).length > 0;
  }

  beforeAll(async () => {
    for (const server of ["srv1", "srv3"]) {
      mkdirSync(join(folderOf(server), "vms"));
      mkdirSync(join(folderOf(server), "qmp"));
    }
    await lab.createVns();
    await lab.ready("srv1", "srv3", "srv4");
    await lab.attach(vm("red4"));
  });
  afterAll(() => {
    for (const machine of machines) machine.kill();
    rmSync(copy, { recursive: true });
  });

  test("H1: a VM that is described and runs is connected, whichever comes first", async () => {
    source = await start("srv1");
    const vnics = [{ vnic: VNIC, interface: TAP, nic: "nic0", vn: VN.red, ips: [IP] }];
    for (const server of ["srv1", "srv3"]) {
      writeFileSync(join(folderOf(server), "vms", "vm1.yaml"), JSON.stringify({ vnics }));
    }
    expect(await whenStage("srv1", "active")).toMatchObject({
      vnic: VNIC,
      interface: TAP,
      vmName: "vm1",
      drivenBy: "qmp",
      vns: [{ vnId: VN.red, macs: [{ mac: MAC, ips: [IP] }] }],
    });
    expect(await where()).toBe("tor1");
    expect(await isHeard(source)).toBe(true);
    expect(await lab.run("srv1", "hypervisor-agent", "vnic", "show", TAP)).toContain("qmp");
  });

  test("a pause is no move", async () => {
    await source.qmp.execute("stop");
    await source.qmp.execute("query-status");
    expect((await whenStage("srv1", "active")).vnic).toBe(VNIC);
    expect(await where()).toBe("tor1");
    await source.qmp.execute("cont");
  });

  test("H23, H24: a QEMU that waits for a VM has its place prepared, and nothing has moved", async () => {
    machines.push(await start("srv3", { incoming: true }));
    await whenStage("srv3", "prepared");
    expect(await whenMigration("prepared")).toMatchObject({ hinted: true });
    expect(await where()).toBe("tor1");
  });

  test("V1, H19: QEMU's migration moves the VNIC, step by step, and the source lets go of it", async () => {
    const destination = machines.at(-1) ?? source;
    await source.migrateTo(destination, `unix:${join(copy, "move-1")}`);
    await whenStage("srv3", "active");
    await whenGone("srv1");
    expect(await where()).toBe("tor2");
    expect(await isHeard(destination)).toBe(true);
    const { steps } = await whenMigration("completed");
    expect(steps.map(({ what }) => what).join("; ")).toContain("left tor1");
    source.kill();
    source = destination;
  });

  test("V1: a migration that fails after its pause is rolled back: the VM runs on where it was", async () => {
    const destination = await start("srv1", { incoming: true });
    await whenStage("srv1", "prepared");
    const capabilities = [{ capability: "pause-before-switchover", state: true }];
    await source.qmp.execute("migrate-set-capabilities", { capabilities });
    const uri = `unix:${join(copy, "move-2")}`;
    await destination.qmp.execute("migrate-incoming", { uri });
    await source.qmp.execute("migrate", { uri });
    await source.whenMigration("pre-switchover");
    await whenStage("srv3", "suspended");
    destination.kill();
    await source.qmp.execute("migrate_cancel");
    await whenStage("srv3", "active");
    await whenGone("srv1");
    expect(await where()).toBe("tor2");
    await whenMigration("rolled-back");
    expect(await isHeard(source)).toBe(true);
  });

  test("H22: a VM that is shut down is withdrawn at once", async () => {
    await source.qmp.execute("quit").catch(() => {}); // it goes while it answers
    await whenGone("srv3");
    await until("the NVA to forget it", async () => (await where()) === undefined || undefined);
    expect(await lab.tags("tor2")).not.toContainEqual(expect.objectContaining({ port: "eth1" }));
  });

  test("a VM whose tap is not there yet is connected when it is; one that crashes is withdrawn", async () => {
    const vnics = [{ vnic: VNIC, interface: "tap-late", mac: MAC, vn: VN.red }];
    writeFileSync(join(folderOf("srv1"), "vms", "vm1.yaml"), JSON.stringify({ vnics }));
    const machine = await start("srv1");
    const log = () => lab.run("srv1", "hypervisor-agent", "vnic", "list");
    expect(await log()).toContain("no VNICs");
    await lab.run("srv1", "ip", "tuntap", "add", "tap-late", "mode", "tap");
    await whenStage("srv1", "active");
    machine.kill();
    await whenGone("srv1");
    await until("the NVA to forget it", async () => (await where()) === undefined || undefined);
  });
});
