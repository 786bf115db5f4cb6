import type { Clock } from "@nve/linux";
import { Refused } from "@nve/program/errors";
import type { Log } from "@nve/program/log";
import { Instant } from "@nve/protocol-spec";
import { type Stage, stageOf } from "../stations/tree.ts";
import type { VnicDescription } from "../vms/description.ts";
import type { DrivenAgent } from "../vms/driven.ts";
import { readDomain } from "./domain.ts";
import { fileVnics } from "./file.ts";
import { type Lifecycle, stageAfter } from "./lifecycle.ts";
import { vnicsOf } from "./plan.ts";
import type { Domains } from "./virsh.ts";

export type FollowerOptions = {
  agent: DrivenAgent;
  domains: Domains;
  /** Folder with files for domains without metadata of ours. */
  vms: string;
  clock: Clock;
  log: Log;
  /** Of VNICs that the hook has attached. */
  keep(vm: string, vnic: VnicDescription, stage: Stage): void;
  /** Of VNICs that this agent shall have: it was away when the hook ran, or has been started anew. */
  adopt(vm: string, vnic: VnicDescription, stage: Stage): void;
};

/** How often libvirt is asked of domains that are on their way: an event may be lost while libvirtd is started anew. */
const ASK_MS = 2000;

/** What its hook has attached goes the way of its domain. */
export class DomainFollower {
  readonly #options: FollowerOptions;
  #callOff: () => void = () => {};
  #closed = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#later();
  }

  close(): void {
    this.#closed = true;
    this.#callOff();
  }

  hear(event: Lifecycle): void {
    const stage = stageAfter(event);
    if (stage !== undefined) this.#set(event.domain, stage);
  }

  /** Domains that run and have no VNIC here get theirs. */
  async adopt(): Promise<void> {
    const { domains, agent, log } = this.#options;
    const names = await domains.running().catch(() => []); // that it cannot be heard is told already
    for (const name of names) {
      if (this.#closed) return;
      if (agent.vnics().some(({ vm }) => vm === name)) continue;
      try {
        this.#describe(name, await domains.xml(name));
      } catch (error) {
        if (!(error instanceof Refused)) continue; // it has ended meanwhile
        log.error({ vm: name, reason: error.message }, "the domain's VNICs are not understood");
      }
    }
  }

  #describe(name: string, xml: string): void {
    const domain = readDomain(xml);
    const file = domain.vnics === undefined ? fileVnics(this.#options.vms, name) : undefined;
    for (const vnic of vnicsOf(domain, file)) this.#options.adopt(name, vnic, "active");
  }

  #set(domain: string, stage: Stage): void {
    const { agent, keep } = this.#options;
    for (const one of agent.vnics()) {
      if (one.vm !== domain || agent.driverOf(one.vnic) !== "libvirt") continue;
      keep(domain, { vnic: one.vnic, interface: one.interface, tree: one.tree }, stage);
    }
  }

  #later(): void {
    const { clock } = this.#options;
    this.#callOff = clock.at(Instant(clock.now() + ASK_MS), () => void this.#ask());
  }

  async #ask(): Promise<void> {
    const { agent, domains } = this.#options;
    const ours = agent.vnics().filter(({ vnic }) => agent.driverOf(vnic) === "libvirt");
    const onTheirWay = ours.filter(({ tree }) => stageOf(tree) !== "active");
    for (const vm of new Set(onTheirWay.map((one) => one.vm ?? ""))) {
      const runs = await domains.isRunning(vm).catch(() => false);
      if (runs && !this.#closed) this.#set(vm, "active");
    }
    if (!this.#closed) this.#later();
  }
}
