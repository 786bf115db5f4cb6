import type { Clock } from "@nve/linux";
import { DecodeError, Instant, type Mac, type VnId } from "@nve/protocol-spec";
import type { NveCore, NveEvent, Sample } from "@nve/switch-agent/nve";
import type { Dataplane } from "./dataplane/dataplane.ts";
import type { Nva } from "./nva-client/client.ts";
import type { Found } from "./nva-client/lookup.ts";
import { Pull, type PullAction, type PullEvent } from "./pull/pull.ts";
import { wantedIn } from "./pull/wanted.ts";

type Surroundings = {
  core: NveCore;
  dataplane: Pick<Dataplane, "onWanted" | "unusedMs">;
  nva(): Pick<Nva, "lookup" | "select">;
  clock: Clock;
  feed(event: NveEvent): void;
};

/** So long the NVA may take to answer, milliseconds. */
const ANSWER_MS = 1000;
/** In place of a port. */
const RECALLED = "";
/** How often it is looked who is not spoken to any more. */
const SWEEP_MS = 10_000;

/** Brings those whom the dataplane does not know to the NVA, and what it answers to the core (A18). */
export class Pulling {
  readonly pull = new Pull();
  readonly #around: Surroundings;
  /** Frames that were shown and could not be read. */
  #malformed = 0;
  #callOff: (() => void) | undefined;
  #closed = false;
  /** VNs whose MACs of before are being asked for. */
  #recalling = 0;

  constructor(around: Surroundings) {
    this.#around = around;
    around.dataplane.onWanted((samples) => {
      if (!this.#closed) for (const sample of samples) this.#wanted(sample);
    });
  }

  get counters(): Readonly<Record<string, number>> {
    const named = Object.entries(this.pull.counters).map(([what, n]) => [`pull.${what}`, n]);
    return Object.fromEntries([...named, ["pull.malformed", this.#malformed]]);
  }

  enter(vns: readonly VnId[]): void {
    for (const vn of vns) this.#step({ on: "enter", vn });
    if (vns.length > 0) this.#plan();
  }

  /** Asks again for MACs that an earlier run had asked for, as long as they are spoken to: one after another. */
  async recall(vn: VnId, macs: readonly Mac[]): Promise<void> {
    this.#recalling += 1;
    const { core, dataplane, clock } = this.#around;
    for (const mac of macs) {
      if (this.#closed || !this.pull.has(vn)) break;
      const vni = core.infos.get(vn)?.vni;
      if (vni === undefined || dataplane.unusedMs(vni, mac) === undefined) continue;
      const event = { on: "wanted", vn, port: RECALLED, address: { mac } } as const;
      for (const action of this.pull.step(event, clock.now())) {
        if (action.do === "ask") await this.#ask(action);
      }
    }
    this.#recalling -= 1;
  }

  get isRecalling(): boolean {
    return this.#recalling > 0;
  }

  leave(vns: readonly VnId[]): void {
    for (const vn of vns) this.#step({ on: "leave", vn });
  }

  close(): void {
    this.#closed = true;
    this.#callOff?.();
  }

  #wanted({ vni, at, octets }: Sample): void {
    const vn = this.#around.core.infos.vnOf(vni);
    if (vn === undefined || at === undefined) return; // left meanwhile
    try {
      const address = wantedIn(octets);
      if (address !== undefined) this.#step({ on: "wanted", vn, port: at.port, address });
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#malformed += 1;
    }
  }

  #step(event: PullEvent): void {
    for (const action of this.pull.step(event, this.#around.clock.now())) this.#perform(action);
  }

  #perform(action: PullAction): void {
    const { vn } = action;
    switch (action.do) {
      case "ask":
        void this.#ask(action);
        return;
      case "keep":
        this.#around.nva().select(vn, [action.mac], []);
        return;
      case "forget": {
        const { mac } = action;
        this.#around.nva().select(vn, [], [mac]);
        const change = { vn, mappings: [], withdrawn: [mac], members: [], membersLeft: [] };
        this.#around.feed({ on: "remote", change });
      }
    }
  }

  async #ask({ vn, address, serial }: PullAction & { do: "ask" }): Promise<void> {
    const found: Found = await this.#around.nva().lookup(vn, address, ANSWER_MS);
    if (this.#closed) return;
    const { clock, feed } = this.#around;
    const about = { on: "answer", vn, address, serial } as const;
    const actions = this.pull.step({ ...about, ...found }, clock.now());
    const isKept = actions.some((action) => action.do === "keep");
    if (found.is === "found" && isKept) feed({ on: "remote", change: found.change });
    for (const action of actions) this.#perform(action);
  }

  #plan(): void {
    const { clock } = this.#around;
    this.#callOff ??= clock.at(Instant(clock.now() + SWEEP_MS), () => {
      this.#callOff = undefined;
      this.#sweep();
      if (!this.#closed && this.pull.isIdle === false) this.#plan();
    });
  }

  /** Only of those that would be forgotten the dataplane is asked. */
  #sweep(): void {
    const { core, dataplane, clock } = this.#around;
    const now = clock.now();
    for (const { vn, mac } of [...this.pull.due(now)]) {
      const vni = core.infos.get(vn)?.vni;
      const ms = vni === undefined ? undefined : dataplane.unusedMs(vni, mac);
      this.#step({ on: "used", vn, mac, at: ms === undefined ? undefined : Instant(now - ms) });
    }
  }
}
