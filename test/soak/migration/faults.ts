import { call } from "@nve/program/rpc";
import type { Random } from "../../model/random.ts";
import { until } from "../../support/lab.ts";
import type { Model } from "./model.ts";
import { type Server, servers, tors } from "./plan.ts";
import type { Rig } from "./rig.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What can happen, and how often. Each ends with all as it was before. */
const kinds = {
  "switch-agent killed": 5,
  "switch-agent paused": 3,
  "hypervisor-agent killed": 4,
  "hypervisor-agent paused": 2,
  "NVA killed": 3,
  "NVA paused": 2,
  "access link flapped": 5,
  "underlay link flapped": 2,
} as const;
export type FaultKind = keyof typeof kinds;

/** Hurts one thing and mends it. Resolves when its program runs again and was told what it had. */
export async function oneFault(
  rig: Rig,
  model: Model,
  random: Random,
  note: (line: string) => void,
): Promise<FaultKind> {
  const kind = random.weighted(kinds);
  const tor = random.pick(tors);
  const server = random.pick(servers);
  const ms = Math.round(50 + 1_950 * random.next() ** 2);
  note(`${kind}: of ${tor.name} or ${server.name}, ${ms} ms`);
  switch (kind) {
    case "switch-agent killed":
      await restarted(rig, tor.name, ms);
      break;
    case "switch-agent paused":
      await paused(rig, tor.name, 3 * ms);
      break;
    case "hypervisor-agent killed":
      await restarted(rig, server.name, ms);
      await answering(rig, server);
      await model.restore(server);
      break;
    case "hypervisor-agent paused":
      await paused(rig, server.name, 3 * ms);
      break;
    case "NVA killed":
      await restarted(rig, "nva", ms);
      break;
    case "NVA paused":
      await paused(rig, "nva", 3 * ms);
      break;
    case "access link flapped":
      await flapped(rig, server.name, "eth1", ms);
      break;
    case "underlay link flapped":
      await flapped(rig, "spine", `eth${tor.n}`, ms);
      break;
  }
  note(`${kind}: mended`);
  return kind;
}

async function restarted(rig: Rig, node: string, ms: number): Promise<void> {
  await rig.kill(node);
  await pause(ms);
  await rig.start(node);
}

const answering = (rig: Rig, { name }: Server) =>
  until(
    `${name} to answer`,
    async () => {
      const client = rig.servers.get(name);
      if (client === undefined) return true;
      return call(client, client.status, {}, 1_000).catch(() => undefined);
    },
    30_000,
  );

async function paused(rig: Rig, node: string, ms: number): Promise<void> {
  rig.signal(node, "SIGSTOP");
  await pause(ms);
  rig.signal(node, "SIGCONT");
}

async function flapped(rig: Rig, node: string, link: string, ms: number): Promise<void> {
  await rig.link(node, link, "down");
  await pause(ms);
  await rig.link(node, link, "up");
}
