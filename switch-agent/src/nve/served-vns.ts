import type { Mac, Uuid, VnId } from "@nve/protocol-spec";
import { Departures } from "./departures.ts";
import { Difference } from "./difference.ts";
import type { NveEvent, Report } from "./events.ts";
import type { Intent } from "./intents.ts";
import { PreparedVnics } from "./prepared.ts";
import { Served, type Sources, type Touched } from "./served.ts";
import type { SuspendedMode } from "./vn-infos.ts";

/** What the VNs that we are in need of their surroundings. */
type Surroundings = Omit<Sources, "departures"> & {
  /** We are in it from now on, or no more. */
  entered(vn: VnId): void;
  left(vn: VnId): void;
};

/** The VNs that this NVE is in, and what events touched of each since they were settled. */
export class ServedVns {
  readonly #around: Surroundings & Sources;
  readonly prepared = new PreparedVnics();
  readonly departures = new Departures();
  readonly #served = new Map<VnId, Served>();
  readonly #touched = new Map<VnId, Touched>();
  readonly #departed = new Set<Uuid>();

  constructor(around: Surroundings) {
    this.#around = { ...around, departures: this.departures };
  }

  get(vn: VnId): Served | undefined {
    return this.#served.get(vn);
  }

  get ids(): readonly VnId[] {
    return [...this.#served.keys()];
  }

  get all(): readonly Served[] {
    return [...this.#served.values()];
  }

  get isSettled(): boolean {
    return this.#touched.size === 0 && this.prepared.isSettled;
  }

  /** Something beyond our VNICs: of a VN that we have left meanwhile it is nothing to us. */
  touch(vn: VnId | undefined, macs: readonly Mac[] = []): undefined {
    if (vn === undefined || !this.#served.has(vn)) return;
    const touched = this.touchVn(vn);
    for (const mac of macs) touched.macs.add(mac);
  }

  /** All intents, as the dataplane should have them now. */
  intents(): readonly Intent[] {
    return this.all.flatMap((served) => [...served.intents()]);
  }

  /** All that the NVA is to know: the first reports of a session (H18). */
  report(): Report {
    const joined = this.all.filter(({ vni }) => vni !== undefined).map(({ vn }) => vn);
    const claims = this.all.flatMap((served) => [...served.claims]);
    const prepared = this.prepared.all;
    return { claims, withdrawn: [], joined, left: [], ...(prepared.length > 0 && { prepared }) };
  }

  /** VNICs have moved on from here, or are back: with them we enter and leave VNs. */
  departed({ departures, all }: NveEvent & { on: "departures" }, order: number): undefined {
    for (const { vnic, phase } of departures) if (phase === "forwarding") this.#departed.add(vnic);
    for (const [vn, some] of this.departures.take(departures, all, order)) {
      const touched = this.touchVn(vn);
      for (const mac of some) touched.macs.add(mac);
    }
  }

  suspended(mode: SuspendedMode): undefined {
    if (this.#around.infos.suspended === mode) return;
    this.#around.infos.suspended = mode;
    for (const vn of this.ids) this.touchVn(vn);
  }

  /** A VSI came, went, or is another in these VNs. */
  touchVsi(vsi: string, vns: Iterable<VnId>): void {
    for (const vn of vns) this.touchVn(vn).vsis.add(vsi);
  }

  /** What is of the VN as a whole, also of one that we enter. */
  touchVn(vn: VnId): Touched {
    const known = this.#touched.get(vn);
    if (known !== undefined) return known;
    const touched: Touched = { vsis: new Set(), macs: new Set() };
    this.#touched.set(vn, touched);
    return touched;
  }

  /** Computes anew what was touched. @param nva whether the NVA answers */
  settle(nva: boolean): Difference {
    const difference = new Difference();
    for (const [vn, touched] of this.#touched) {
      if (this.#around.isHeld(vn) || this.departures.keepsIn(vn))
        this.#enter(vn, difference).update(touched, nva, difference);
      else this.#leave(vn, difference);
    }
    this.#touched.clear();
    Object.assign(difference.report, this.prepared.settle());
    difference.departed = this.#forwarded();
    return difference;
  }

  /** Of VNICs that have moved on, those whose VNs are known: of one that was entered anew for it the NVA has to tell first. */
  #forwarded(): Uuid[] {
    const ready: Uuid[] = [];
    for (const vnic of this.#departed) {
      const vns = this.departures.vnsOf(vnic);
      const isKnown = vns?.every((vn) => this.get(vn)?.vni !== undefined);
      if (isKnown === false) continue;
      this.#departed.delete(vnic);
      if (isKnown) ready.push(vnic);
    }
    return ready;
  }

  #enter(vn: VnId, { watch }: Difference): Served {
    const known = this.#served.get(vn);
    if (known !== undefined) return known;
    const served = new Served(vn, this.#around);
    this.#served.set(vn, served);
    this.#around.entered(vn);
    watch.push(vn);
    return served;
  }

  #leave(vn: VnId, difference: Difference): void {
    this.#around.left(vn);
    const served = this.#served.get(vn);
    if (served === undefined) return;
    this.#served.delete(vn);
    difference.unwatch.push(vn);
    served.leave(difference);
  }
}
