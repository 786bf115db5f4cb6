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

/** What fails, where, for how long, milliseconds. */
type Fault = { kind: FaultKind; node: string; ms: number };

/** Things that fail, two at a time at the most, never the same one twice at a time. */
export class Faults {
  readonly #rig: Rig;
  readonly #model: Model;
  readonly #random: Random;
  readonly #note: (line: string) => void;
  readonly #failing = new Set<string>();

  /** @param note a line for each that begins and ends */
  constructor(rig: Rig, model: Model, random: Random, note: (line: string) => void) {
    this.#rig = rig;
    this.#model = model;
    this.#random = random;
    this.#note = note;
  }

  /** Hurts one thing and mends it. Resolves when its program runs again and was told what it had. */
  async one(): Promise<FaultKind> {
    const fault = this.#pick();
    const what = `${fault.kind}: ${fault.node}`;
    this.#note(`${what}, for ${fault.ms} ms`);
    this.#failing.add(fault.node);
    try {
      await this.#act(fault);
    } finally {
      this.#failing.delete(fault.node);
    }
    this.#note(`${what}: mended`);
    return fault.kind;
  }

  #pick(): Fault {
    for (;;) {
      const kind = this.#random.weighted(kinds);
      const node = nodeOf(kind, this.#random);
      const ms = Math.round(50 + 1_950 * this.#random.next() ** 2);
      if (!this.#failing.has(node)) return { kind, node, ms };
    }
  }

  async #act({ kind, node, ms }: Fault): Promise<void> {
    const rig = this.#rig;
    switch (kind) {
      case "switch-agent killed":
      case "NVA killed":
        return restarted(rig, node, ms);
      case "hypervisor-agent killed": {
        await restarted(rig, node, ms);
        const server = servers.find(({ name }) => name === node);
        if (server === undefined) return;
        await answering(rig, server);
        return this.#model.restore(server);
      }
      case "switch-agent paused":
      case "hypervisor-agent paused":
      case "NVA paused":
        return paused(rig, node, 3 * ms);
      case "access link flapped":
        return flapped(rig, node, "eth1", ms);
      case "underlay link flapped":
        return flapped(rig, "spine", spinePort(node), ms);
    }
  }
}

function nodeOf(kind: FaultKind, random: Random): string {
  if (kind.startsWith("NVA")) return "nva";
  if (kind.startsWith("hypervisor") || kind.startsWith("access")) return random.pick(servers).name;
  return random.pick(tors).name;
}

const spinePort = (tor: string): string => `eth${tors.find(({ name }) => name === tor)?.n}`;

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
    120_000, // on a busy machine
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
