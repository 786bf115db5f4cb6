import { NotFound } from "@nve/program/errors";
import { call } from "@nve/program/rpc";
import type { HypervisorAgentClient } from "@nve/protocol-spec/proto/agent";
import { type Moved, type Server, tapOf } from "./plan.ts";
import type { Rig } from "./rig.ts";

export type Stage = "active" | "prepared" | "suspended";

const callMs = 25_000;
/** A VNIC that does not get where it shall in this time is stuck: no fault lasts so long. */
const stuckMs = 240_000;

/**
 * What the orchestrator wants: each VNIC's stage at each server, and how it makes that so. A server that does not answer,
 * or says no, is asked again; one that was started anew is told all that it had.
 */
export class Model {
  readonly vnics: readonly Moved[];
  readonly stages = new Map<Moved, Map<Server, Stage>>();
  /** Calls that failed and were made again. */
  retries = 0;
  readonly #rig: Rig;
  readonly #note: (line: string) => void;
  readonly #turns = new Map<string, Promise<void>>();

  /** @param note a line for each thing done */
  constructor(rig: Rig, vnics: readonly Moved[], note: (line: string) => void) {
    this.#rig = rig;
    this.#note = note;
    this.vnics = vnics;
    for (const vnic of vnics) this.stages.set(vnic, new Map());
  }

  stage(vnic: Moved, at: Server): Stage | undefined {
    return this.stages.get(vnic)?.get(at);
  }

  /** Resolves when its server has done it. @throws Error: it is stuck */
  want(vnic: Moved, at: Server, stage: Stage | undefined): Promise<void> {
    const stages = this.stages.get(vnic);
    if (stage === undefined) stages?.delete(at);
    else stages?.set(at, stage);
    return this.#make(vnic, at);
  }

  /** What a server that was started anew is to have. */
  async restore(at: Server): Promise<void> {
    const there = this.vnics.filter((vnic) => this.stage(vnic, at) !== undefined);
    await Promise.all(there.map((vnic) => this.#make(vnic, at)));
  }

  /** Where each VNIC is, when nobody moves. */
  places(): Map<Moved, Server> {
    const places = new Map<Moved, Server>();
    for (const [vnic, stages] of this.stages) {
      const [[at, stage] = []] = stages;
      if (stages.size !== 1 || at === undefined || stage !== "active")
        throw new Error(`the model itself is wrong: VNIC ${vnic.n} has ${stages.size} places`);
      places.set(vnic, at);
    }
    return places;
  }

  /** One after another for a VNIC at a server: each makes what is wanted when its turn comes. */
  #make(vnic: Moved, at: Server): Promise<void> {
    const key = `${vnic.n} ${at.n}`;
    const before = this.#turns.get(key) ?? Promise.resolve();
    const turn = before.catch(() => {}).then(() => this.#retried(vnic, at));
    this.#turns.set(key, turn);
    return turn;
  }

  async #retried(vnic: Moved, at: Server): Promise<void> {
    const deadline = performance.now() + stuckMs;
    for (let waitMs = 50; ; waitMs = Math.min(2 * waitMs, 1_000)) {
      try {
        await this.#once(vnic, at);
        this.#note(`VNIC ${vnic.n} ${this.stage(vnic, at) ?? "gone"} at ${at.name}`);
        return;
      } catch (error) {
        this.retries += 1;
        this.#note(`VNIC ${vnic.n} at ${at.name}: ${error}`);
        if (performance.now() > deadline) {
          const wanted = this.stage(vnic, at) ?? "gone";
          throw new Error(
            `VNIC ${vnic.n} (${vnic.vnic}) is not ${wanted} at ${at.name} after ${stuckMs} ms: ${error}`,
          );
        }
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }
  }

  async #once(vnic: Moved, at: Server): Promise<void> {
    const client = this.#rig.servers.get(at.name);
    if (client === undefined) throw new Error(`no server ${at.name}`);
    const stage = this.stage(vnic, at);
    if (stage === undefined) return gone(client, vnic);
    const vns = [attachment(vnic, stage)];
    try {
      await call(client, client.changeVnic, { vnic: vnic.vnic, add: vns, remove: [] }, callMs);
    } catch (error) {
      if (!(error instanceof NotFound)) throw error;
      const request = { vnic: vnic.vnic, interface: tapOf(vnic), vns, vmName: "", uplink: "" };
      await call(client, client.attachVnic, request, callMs);
    }
  }
}

async function gone(client: HypervisorAgentClient, { vnic }: Moved): Promise<void> {
  try {
    await call(client, client.detachVnic, { vnic }, 60_000);
  } catch (error) {
    if (!(error instanceof NotFound)) throw error;
  }
}

const attachment = ({ vnId, mac, ip }: Moved, stage: Stage) => ({
  ...{ vnId, vnName: "", guestTag: 0, stage },
  macs: [{ mac, ips: [ip] }],
});
