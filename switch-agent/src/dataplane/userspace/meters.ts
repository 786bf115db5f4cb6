import { type MeterCounts, type Metered, noCounts } from "../dataplane.ts";

/** One count: of whom, what, and octets with `in` and `out`. */
export type Reading = { of: Metered; what: MeterOf; octets: number };
export type MeterOf = Exclude<keyof MeterCounts, "inOctets" | "outOctets">;

/** Counters of VNICs, ports and other NVEs, each from when it was first seen. */
export class Meters {
  readonly #held = new Map<string, Metered & MeterCounts>();

  add({ of, what, octets }: Reading): void {
    const key = keyOf(of);
    const meter = this.#held.get(key) ?? { ...of, ...noCounts };
    this.#held.set(key, meter);
    meter[what] += 1;
    if (what === "in") meter.inOctets += octets;
    if (what === "out") meter.outOctets += octets;
  }

  /** Of VNICs that are gone. */
  forget(isGone: (of: Metered & { is: "vnic" }) => boolean): void {
    for (const [key, meter] of this.#held) {
      if (meter.is === "vnic" && isGone(meter)) this.#held.delete(key);
    }
  }

  counts(): (Metered & MeterCounts)[] {
    return [...this.#held.values()].map((meter) => ({ ...meter }));
  }
}

const keyOf = (of: Metered): string =>
  of.is === "vnic" ? `${of.vni} ${of.vnic}` : of.is === "port" ? `port ${of.port}` : of.vtep;
