import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configuredRacks } from "../support/configured-racks.ts";
import { until } from "../support/lab.ts";
import { Libvirt, noLibvirt } from "../support/libvirt.ts";
import { useTwoRacks, VN } from "../support/two-racks.ts";

// Two real libvirtds on two servers behind two ToRs. They start and move domains; the hook and the agents do the rest.
const absent = noLibvirt();
const { copy, topology, folderOf } = configuredRacks(
  (folder) => `libvirt:
  uri: qemu+unix:///system?socket=${folder}/run/libvirt-sock
  vms: ${folder}/vms
`,
);
const VNIC = "5a0b8c1e-0000-4000-8000-0000000000d1";
const MAC = "52:54:00:00:00:d1";
const AGENT = resolve(import.meta.dirname, "../../hypervisor-agent/bin/hypervisor-agent.js");

const domain = (metadata: string, mac = MAC): string => `<domain type='qemu'>
  <name>vm1</name>
  <uuid>c7a5fdbd-cdaf-9455-926a-d65c16db1809</uuid>
  <metadata>${metadata}</metadata>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <interface type='ethernet'>
      <mac address='${mac}'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>`;
const metadata = `<nve:vnics xmlns:nve='urn:split-nve:vnics:1'>
  <nve:vnic mac='${MAC}' name='${VNIC}'><nve:vn id='${VN.red}'><nve:ip>10.0.1.92</nve:ip></nve:vn></nve:vnic>
</nve:vnics>`;

type Shown = {
  vnic: string;
  interface: string;
  state: string;
  reason: string;
  vmName: string;
  drivenBy: string;
  vns: { vnId: number; stage?: string; macs: { mac: string; ips: string[] }[] }[];
};
type Migration = { state: string; hinted: boolean; steps: { what: string }[] };

describe.skipIf(absent)(`libvirt${absent ? ` (${absent})` : ""}`, () => {
  const lab = useTwoRacks(topology);
  const daemons = new Map<string, Libvirt>();
  const at = (server: string): Libvirt => {
    const found = daemons.get(server);
    if (found === undefined) throw new Error(`no libvirtd on ${server}`);
    return found;
  };
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
  const where = async (): Promise<string | undefined> =>
    (await lab.mappings()).find(({ mac }) => mac === MAC)?.locations[0]?.nve;
  const migration = async () =>
    (await lab.show("nva", "nva", "migration", "show", VNIC)) as Migration;

  function write(name: string, text: string): string {
    const path = join(copy, name);
    writeFileSync(path, text);
    return path;
  }

  beforeAll(async () => {
    await lab.createVns();
    await lab.ready("srv1", "srv3");
    for (const [number, server] of ["srv1", "srv3"].entries()) {
      const folder = folderOf(server);
      mkdirSync(join(folder, "vms"));
      const words = `libvirt-hook --vms ${folder}/vms --state ${folder}/state "$@"`;
      const hook = `#!/bin/sh\nexec ${process.execPath} ${AGENT} ${words}\n`;
      daemons.set(server, await Libvirt.start(lab.name, server, folder, number, hook));
    }
  }, 120_000);
  afterAll(async () => {
    for (const daemon of daemons.values()) {
      await daemon.virsh("destroy", "vm1").catch(() => {});
      daemon.close();
    }
    rmSync(copy, { recursive: true });
  });

  test("H1: a domain that starts is connected before it runs, as its metadata says", async () => {
    await at("srv1").virsh("create", write("vm1.xml", domain(metadata)));
    expect(await shown("srv1")).toMatchObject({
      vnic: VNIC,
      interface: "vnet0",
      state: "associated",
      vmName: "vm1",
      drivenBy: "libvirt",
      vns: [{ vnId: VN.red, macs: [{ mac: MAC, ips: ["10.0.1.92"] }] }],
    });
    expect(await where()).toBe("tor1");
  });

  test("a pause is no move", async () => {
    await at("srv1").virsh("suspend", "vm1");
    expect((await whenStage("srv1", "active")).vnic).toBe(VNIC);
    await at("srv1").virsh("resume", "vm1");
    expect(await where()).toBe("tor1");
  });

  test("H19, H23, H24, V1: live migration: prepared before it arrives, active when it runs, and the source lets go of it", async () => {
    const moves = at("srv1").virsh(
      ...["migrate", "--live", "vm1", at("srv3").uri],
      ...["--migrateuri", `unix://${join(copy, "move")}`],
    );
    await moves;
    await whenStage("srv3", "active");
    expect(await where()).toBe("tor2");
    const over = await until(
      "the NVA's migration to be completed",
      async () => {
        const now = await migration();
        return now.state === "completed" ? now : undefined;
      },
      20_000,
    );
    expect(over.hinted).toBe(true);
    const what = over.steps.map((step) => step.what.replace(/ \(port .*?\)/g, ""));
    expect(what).toEqual(expect.arrayContaining(["suspended at tor1", "left tor1"]));
    expect(await shown("srv1")).toBeUndefined();
    expect(await at("srv3").virsh("domstate", "vm1")).toContain("running");
  });

  test("H22: a domain that is destroyed is withdrawn at once", async () => {
    await at("srv3").virsh("destroy", "vm1");
    expect(await shown("srv3")).toBeUndefined();
    await until("the NVA to forget it", async () => (await where()) === undefined || undefined);
  });

  test("a domain that cannot be connected does not start, and libvirt says why", async () => {
    const other = metadata.replace(`id='${VN.red}'`, "id='99'");
    const start = at("srv1").virsh("create", write("other.xml", domain(other)));
    await expect(start).rejects.toThrow(/VN 99/);
    expect(await shown("srv1")).toBeUndefined();
  });

  test("one whose metadata is wrong does not start either", async () => {
    const wrong = metadata.replace(MAC, "52:54:00:00:00:d2");
    const second = at("srv1").virsh("create", write("wrong.xml", domain(wrong)));
    await expect(second).rejects.toThrow(/has no interface with MAC 52:54:00:00:00:d2/);
  });

  test("a domain that nobody describes is left alone", async () => {
    await at("srv1").virsh("create", write("plain.xml", domain("")));
    expect(await shown("srv1")).toBeUndefined();
    await at("srv1").virsh("destroy", "vm1");
  });

  test("a domain without metadata is described by a file", async () => {
    const vnics = [{ vnic: VNIC, mac: MAC, vn: VN.red }];
    writeFileSync(join(folderOf("srv1"), "vms", "vm1.yaml"), JSON.stringify({ vnics }));
    await at("srv1").virsh("create", write("plain.xml", domain("")));
    expect((await whenStage("srv1", "active")).vnic).toBe(VNIC);
  });
});
