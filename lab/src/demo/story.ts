import { join } from "node:path";
import { type Capture, startCapture } from "../capture.ts";
import type { Migrated } from "../vm/migrate.ts";
import { tell } from "./agents.ts";
import { attachAll } from "./attach.ts";
import { detachOne } from "./detach.ts";
import { isolation } from "./isolation.ts";
import { bootGuest, migration } from "./migration.ts";
import type { Report } from "./report.ts";
import { named, ping, type Tenants } from "./vms.ts";
import { readAccessLink, readUnderlay } from "./wire.ts";

export type Story = {
  lab: string;
  tenants: Tenants;
  report: Report;
  /** For captures. */
  folder: string;
  /** When someone wants it to end. */
  signal: AbortSignal;
  /** @throws Refused then */
  stopIf(): void;
};

/** srv1's access link, and the uplink of tor1. */
export type Wires = { access: Capture; underlay: Capture };

/** To be called before the agents start: how they find each other is part of the story. */
export async function watchWires(lab: string, folder: string): Promise<Wires> {
  const [access, underlay] = await Promise.all([
    startCapture(lab, "tor1", "eth1", join(folder, "access.pcap")),
    startCapture(lab, "spine", "eth1", join(folder, "underlay.pcap"), "udp port 4789"),
  ]);
  return { access, underlay };
}

/** What was measured on the way. */
export type Told = {
  attachToFirstPingMs?: number | undefined;
  /** Of a real VM; absent: none could be run here. */
  migration?: Migrated | undefined;
};

/** The main job, told on a lab that is up. @throws Refused when it cannot go on */
export async function tellStory(story: Story, watched: Wires): Promise<Told> {
  const { stopIf } = story;
  await createVns(story);
  stopIf();
  const attachToFirstPingMs = await attachAll(story);
  stopIf();
  const guest = bootGuest(story); // it takes a while, and is needed at the end
  await pings(story);
  await Promise.all([watched.access.stop(), watched.underlay.stop()]);
  stopIf();
  await wires(story, watched);
  stopIf();
  await isolation(story);
  stopIf();
  await detachOne(story);
  stopIf();
  return { attachToFirstPingMs, migration: await migration(story, guest) };
}

async function createVns({ lab, tenants, report }: Story): Promise<void> {
  report.heading("Two virtual networks, made on the NVA; the switches are told nothing");
  const creating = tenants.vns.map(async ({ alias, id, vni }) => {
    const command = ["nva", "vn", "create", alias, "--id", String(id), "--vni", String(vni)];
    await tell(lab, "nva", ...command);
    report.say(`nva$ ${command.join(" ")}`);
  });
  await Promise.all(creating);
}

async function pings({ lab, tenants, report }: Story): Promise<void> {
  report.heading("VMs of a network reach each other");
  const pairs = [
    ["1", "2"],
    ["1", "3"],
    ["2", "4"],
    ["3", "4"],
  ];
  for (const { alias } of tenants.vns) {
    for (const [a, b] of pairs) {
      const from = named(tenants.vms, ({ vm }) => vm === `${alias}${a}`);
      const to = named(tenants.vms, ({ vm }) => vm === `${alias}${b}`);
      const time = await ping(lab, from.vm, to.ip);
      const same = from.tor === to.tor;
      report.check(
        `${from.vm} → ${to.vm} ${same ? "on the same ToR" : "across the racks"}`,
        same ? "A2, A4, V6" : "A2, A5, P3, V6",
        time !== undefined,
        `${to.ip} ${time === undefined ? "does not answer" : `answers in ${time} ms`}`,
      );
    }
  }
}

async function wires({ tenants, report }: Story, { access, underlay }: Wires): Promise<void> {
  report.heading("What the wires have shown: access link srv1–tor1, and tor1's uplink");
  const link = await readAccessLink(access.path);
  const [server] = link.vdp[0]?.split(" ") ?? []; // who asks is heard first
  for (const message of link.vdp) {
    const [source = "", ...said] = message.split(" ");
    const way = source === server ? "srv1 > tor1" : "tor1 > srv1";
    report.say(`VDP  ${way}  ${source}  ${said.join(" ")}`);
  }
  report.check(
    "server and switch talk LLDP, ECP and VDP",
    "A9, H9",
    link.lldp >= 2 && link.vdp.length >= 2,
    `${link.lldp} LLDP frames, ${link.vdp.length} VDP messages`,
  );
  report.say(`tag  ${link.example ?? "no tagged echo request was seen"}`);
  const { mac } = named(tenants.vms, ({ vm }) => vm === "red1");
  const tags = [...(link.tags.get(mac) ?? [])].sort((a, b) => a - b);
  report.check(
    "red1 and blue1, with one MAC, are told apart by their tags",
    "H1, H5, V8",
    tags.length === 2 && link.untagged.length === 0,
    `${mac} in tags ${tags.join(" and ") || "none"}, ${link.untagged.length} frames untagged`,
  );
  const outer = await readUnderlay(underlay.path);
  report.say(`VNI  ${outer.example ?? "no encapsulated echo request was seen"}`);
  const vnis = tenants.vns.map(({ vni }) => vni);
  report.check(
    "the underlay carries VXLAN with the VNIs, between NVEs alone",
    "P4, P5, P10",
    vnis.every((vni) => outer.vnis.has(vni)) &&
      outer.vnis.size === vnis.length &&
      outer.addresses.size === 2,
    `VNIs ${[...outer.vnis].join(", ") || "none"}; outer addresses ${[...outer.addresses].join(", ") || "none"}`,
  );
}
