import { isDeepStrictEqual } from "node:util";
import type { Clock } from "@nve/linux";
import { NotFound, Refused } from "@nve/program/errors";
import type { Log } from "@nve/program/log";
import { Instant, type Uuid } from "@nve/protocol-spec";
import type { Agent } from "../agent.ts";
import { type NodePath, type Stage, stageOf, type Tree } from "../stations/tree.ts";
import { inStage, type VnicDescription } from "./description.ts";
import type { Driver } from "./driven.ts";

/** What the agent's machine has to tell. */
export type Interfaces = {
  interfaceExists(name: string): boolean;
  /** Calls `changed` at every change of that interface, until the returned function is called. */
  watch(name: string, changed: () => void): () => void;
};

export type KeeperOptions = {
  agent: Agent;
  by: Driver;
  clock: Clock;
  log: Log;
  interfaces: Interfaces;
  /** VNICs that others attach and detach: only their stage is kept. */
  stagesOnly?: boolean;
};

/** A VNIC as it shall be; without a stage: gone. */
type Wish = VnicDescription & { vm: string; stage: Stage | undefined };

const ATTACH_MS = 20_000;
/** Between tries that were refused, doubled each time. */
const RETRY_MS = { first: 500, max: 10_000 };

/**
 * Makes the agent's VNICs what VMs need, one step at a time for each, the latest wish first, until it is so: what is refused
 * is tried again, and an interface that is not there yet is waited for.
 */
export class VnicKeeper {
  readonly #options: KeeperOptions;
  readonly #keeps = new Map<Uuid, Keep>();
  #closed = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  want(vm: string, description: VnicDescription, stage: Stage | undefined): void {
    if (this.#closed) return;
    const keep = this.#keeps.get(description.vnic) ?? new Keep(this.#options);
    this.#keeps.set(description.vnic, keep);
    void keep.want({ ...description, vm, stage }).then(() => {
      if (keep.isDone && this.#keeps.get(description.vnic) === keep)
        this.#keeps.delete(description.vnic);
    });
  }

  /** Nothing is begun any more; the VNICs stay as they are. */
  close(): void {
    this.#closed = true;
    for (const keep of this.#keeps.values()) keep.close();
  }
}

class Keep {
  readonly #options: KeeperOptions;
  #wish: Wish | undefined;
  #working: Promise<void> | undefined;
  #closed = false;
  #wake: () => void = () => {};
  #abort: AbortController | undefined;
  #said = "";
  /** As it was described when it was attached, or changed, last; what somebody has added by hand stays. */
  #tree: Tree | undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** There is nothing to remember. */
  get isDone(): boolean {
    const { stagesOnly = false } = this.#options;
    return this.#working === undefined && (stagesOnly || this.#wish?.stage === undefined);
  }

  /** Resolves when there is nothing to do any more. */
  want(wish: Wish): Promise<void> {
    this.#wish = wish;
    if (wish.stage === undefined) this.#abort?.abort();
    this.#wake();
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
    return this.#working;
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  async #work(): Promise<void> {
    let failures = 0;
    for (let made: Wish | undefined; made !== this.#wish && !this.#closed; ) {
      const wish = this.#wish;
      if (wish === undefined) return;
      try {
        await this.#make(wish);
        made = wish;
        failures = 0;
        this.#said = "";
      } catch (error) {
        this.#tell(wish, error);
        if (wish === this.#wish) await this.#pause(wish, failures);
        failures += 1;
      }
    }
  }

  async #make({ vnic, interface: of, vm, uplink, tree, stage }: Wish): Promise<void> {
    const { agent, by, interfaces, stagesOnly = false } = this.#options;
    const now = agent.vnics().find((one) => one.vnic === vnic);
    if (stagesOnly && now === undefined) return;
    if (now !== undefined && (stage === undefined || now.interface !== of)) {
      await agent.detach(vnic);
    }
    if (stage === undefined) return;
    if (now === undefined || now.interface !== of) {
      if (!interfaces.interfaceExists(of)) throw new Refused(`there is no interface ${of} yet`);
      const pinned = uplink === undefined ? {} : { uplink };
      const request = { vnic, interface: of, vm, ...pinned, by, tree: inStage(tree, stage) };
      this.#abort = new AbortController();
      const limit = { timeoutMs: ATTACH_MS, cancelled: this.#abort.signal };
      await agent.attach(request, limit).finally(() => {
        this.#abort = undefined;
      });
    } else {
      const said = this.#tree;
      const remove = said === undefined ? [] : lost(said, tree);
      const add = inStage(said === undefined ? now.tree : tree, stage);
      if (stageOf(now.tree) === stage && isDeepStrictEqual(said ?? tree, tree)) return;
      await agent.change({ vnic, add, remove }, { timeoutMs: ATTACH_MS });
    }
    this.#tree = tree;
    this.#options.log.info({ vm, vnic, interface: of, stage, by }, "VNIC follows its VM");
  }

  /** Once for each reason. */
  #tell({ vm, vnic, stage: wished }: Wish, error: unknown): void {
    const { log } = this.#options;
    const stage = wished ?? "gone";
    const reason = error instanceof Error ? error.message : String(error);
    if (reason === this.#said) return;
    this.#said = reason;
    const expected = error instanceof Refused || error instanceof NotFound;
    if (expected) log.warn({ vm, vnic, stage, reason }, "VNIC cannot follow its VM yet");
    else log.error({ vm, vnic, stage, err: error }, "VNIC cannot follow its VM");
  }

  /** Until it is time to try again, its interface changes, or something else is wished. */
  #pause({ interface: of }: Wish, failures: number): Promise<void> {
    const { clock, interfaces } = this.#options;
    const ms = Math.min(RETRY_MS.first * 2 ** failures, RETRY_MS.max);
    return new Promise((resolve) => {
      const wake = (): void => {
        callOff();
        unwatch();
        resolve();
      };
      const callOff = clock.at(Instant(clock.now() + ms), wake);
      const unwatch = interfaces.watch(of, () => interfaces.interfaceExists(of) && wake());
      this.#wake = wake;
      if (this.#closed) wake();
    });
  }
}

/** What was described and is no more. */
function lost(before: Tree, now: Tree): NodePath[] {
  return before.flatMap(({ vn, macs }): NodePath[] => {
    const same = now.find((node) => node.vn === vn);
    if (same === undefined) return [{ vn }];
    return macs.flatMap(({ mac, ips }): NodePath[] => {
      const kept = same.macs.find((node) => node.mac === mac);
      if (kept === undefined) return [{ vn, mac }];
      return ips.filter((ip) => !kept.ips.includes(ip)).map((ip) => ({ vn, mac, ip }));
    });
  });
}
