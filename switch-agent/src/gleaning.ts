import type { Clock } from "@nve/linux";
import { Instant } from "@nve/protocol-spec";
import type { NveCore, NveEvent, Sample } from "@nve/switch-agent/nve";
import type { Dataplane } from "./dataplane/dataplane.ts";

type Surroundings = {
  core: NveCore;
  dataplane: Pick<Dataplane, "onSamples" | "silentMs">;
  clock: Clock;
  feed(event: NveEvent): void;
};

/** What was gleaned is looked over this often at the most. */
const PAUSE_MS = 1000;

/** Brings what the dataplane sees at gleaning accesses to the core, and lets it age there (H16, H17). */
export class Gleaning {
  readonly #around: Surroundings;
  #callOff: (() => void) | undefined;
  #closed = false;

  constructor(around: Surroundings) {
    this.#around = around;
    around.dataplane.onSamples((samples) => this.seen(samples));
  }

  seen(samples: readonly Sample[]): void {
    if (this.#closed || samples.length === 0) return;
    for (const sample of samples) this.#around.feed({ on: "sample", sample });
    this.#plan();
  }

  /** When each MAC was last heard, for those who look now. */
  refresh(): void {
    this.#tick(Instant(Number.POSITIVE_INFINITY));
  }

  close(): void {
    this.#closed = true;
    this.#callOff?.();
  }

  #plan(): void {
    const { core, clock } = this.#around;
    const { deadline } = core.gleaned;
    if (this.#closed || this.#callOff !== undefined || deadline === undefined) return;
    const at = Math.max(deadline, clock.now() + PAUSE_MS);
    this.#callOff = clock.at(Instant(at), () => {
      this.#callOff = undefined;
      this.#tick(clock.now());
      this.#plan();
    });
  }

  /** Only of those that would be forgotten by `until` the dataplane is asked. */
  #tick(until: Instant): void {
    const { core, clock, dataplane, feed } = this.#around;
    const now = clock.now();
    const heard = [...core.gleaned.due(until)].flatMap(({ vn, mac, at }) => {
      const vni = core.infos.get(vn)?.vni;
      const ms = vni === undefined ? undefined : dataplane.silentMs(vni, mac, at);
      return ms === undefined ? [] : [{ vn, mac, seen: Instant(now - ms) }];
    });
    feed({ on: "tick", heard });
  }
}
