import type { Clock } from "@nve/linux";
import { Instant, type Uuid } from "@nve/protocol-spec";
import type { Departure, NveEvent } from "@nve/switch-agent/nve";

/**
 * What is forwarded or held for VNICs that have moved on ends by itself when the NVA says no more of it: it may be away, and what it
 * would say is not known (M2: no permanent triangle).
 */
export class Forwardings {
  readonly #clock: Clock;
  readonly #feed: (event: NveEvent) => void;
  readonly #ends = new Map<Uuid, () => void>();

  constructor(clock: Clock, feed: (event: NveEvent) => void) {
    this.#clock = clock;
    this.#feed = feed;
  }

  hear({ all, departures }: NveEvent & { on: "departures" }): void {
    const heard = new Set(departures.map(({ vnic }) => vnic));
    for (const vnic of [...this.#ends.keys()]) if (all || heard.has(vnic)) this.#callOff(vnic);
    for (const one of departures) {
      if (one.phase !== "forwarding" && one.phase !== "held") continue;
      const { vnic } = one;
      const over: Departure =
        one.phase === "held" ? { vnic, phase: "over" } : { ...one, phase: "settled", mostMs: 0 };
      const at = Instant(this.#clock.now() + one.mostMs);
      const callOff = this.#clock.at(at, () => {
        this.#ends.delete(vnic);
        this.#feed({ on: "departures", all: false, departures: [over] });
      });
      this.#ends.set(vnic, callOff);
    }
  }

  close(): void {
    for (const vnic of [...this.#ends.keys()]) this.#callOff(vnic);
  }

  #callOff(vnic: Uuid): void {
    this.#ends.get(vnic)?.();
    this.#ends.delete(vnic);
  }
}
