import type { Vni } from "@nve/protocol-spec";
import { type KernelPlace, localFirst, type TorMaps } from "./maps.ts";
import type { IntentRecord } from "./record.ts";

/** The part of a list that frames go through. */
export type FloodInForce = { n: number; generation: number };

/**
 * Where frames to all go, by VN. A list is written beside the one in force, then one update of the VN puts it in
 * force, then the old one goes: no frame meets half of it.
 *
 *   here … | the group, or other NVEs in VXLAN | other NVEs in GRE | those that the group stands for, out of force
 */
export class FloodLists {
  readonly #maps: Pick<TorMaps, "flood">;
  readonly #record: IntentRecord;
  readonly #later: (task: () => void) => void;
  /** Of the last list written; never one that a list still awaiting deletion has. */
  #generation = 0;

  /** @param later runs a task when no program in the kernel can be half-way any more */
  constructor(
    maps: Pick<TorMaps, "flood">,
    record: IntentRecord,
    later: (task: () => void) => void,
  ) {
    this.#maps = maps;
    this.#record = record;
    this.#later = later;
  }

  /** An earlier run has used generations up to this one. */
  beyond(generation: number): void {
    this.#generation = Math.max(this.#generation, generation);
  }

  /** @param group in place of all that are sent to in VXLAN @param put makes it count */
  write(
    vni: Vni,
    all: readonly KernelPlace[],
    group: KernelPlace | undefined,
    put: (list: FloodInForce) => void,
  ): void {
    const vn = this.#record.vn(vni);
    this.#generation = (this.#generation + 1) >>> 0;
    const generation = this.#generation;
    const covered = group === undefined ? [] : all.filter((place) => isCovered(place, group));
    const others = covered.length === 0 ? all : all.filter((place) => !covered.includes(place));
    const asked = group !== undefined && covered.length > 0 ? [...others, group] : others;
    const inForce = [...asked].sort(localFirst);
    const whole = [...inForce, ...covered];
    try {
      this.#maps.flood.setAll(whole.map((place, at) => [{ vni, generation, at }, place]));
      put({ n: inForce.length, generation });
    } catch (error) {
      this.#delete(vni, generation, whole.length);
      throw error;
    }
    this.forget(vni, vn.generation, vn.written);
    vn.generation = generation;
    vn.written = whole.length;
    vn.inForce = inForce.length;
  }

  /** A frame may be on its way through the list still. */
  forget(vni: Vni, generation: number, n: number): void {
    if (n > 0) this.#later(() => this.#delete(vni, generation, n));
  }

  #delete(vni: Vni, generation: number, n: number): void {
    for (let at = 0; at < n; at++) this.#maps.flood.delete({ vni, generation, at });
  }
}

const isCovered = (place: KernelPlace, { type, encapsulation }: KernelPlace): boolean =>
  place.type === type && place.encapsulation === encapsulation;
