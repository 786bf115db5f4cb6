import type { Mac, Uuid, VnId } from "@nve/protocol-spec";
import type { Granted } from "./vsi.ts";

/** A VNIC that is pre-associated here and active nowhere on this NVE, as the NVA is told (H23, H24). */
export type PreparedVnic = {
  vnic: Uuid;
  hypervisor: string;
  port: string;
  /** The station says that it is migrating (M bit). */
  migrating: boolean;
  addresses: readonly { vn: VnId; mac: Mac }[];
};

/**
 * Which VNICs are to arrive here. A move between two ports of this NVE is none of it: nobody else needs to know (H20).
 */
export class PreparedVnics {
  /** What is in force, by VNIC and VSI. */
  readonly #granted = new Map<Uuid, Map<string, Granted>>();
  readonly #told = new Map<Uuid, PreparedVnic>();
  readonly #touched = new Set<Uuid>();

  put(vsi: string, vnic: Uuid, granted: Granted | undefined): void {
    const vsis = this.#granted.get(vnic) ?? new Map<string, Granted>();
    if (granted === undefined) vsis.delete(vsi);
    else vsis.set(vsi, granted);
    if (vsis.size === 0) this.#granted.delete(vnic);
    else this.#granted.set(vnic, vsis);
    this.#touched.add(vnic);
  }

  get isSettled(): boolean {
    return this.#touched.size === 0;
  }

  get all(): readonly PreparedVnic[] {
    return [...this.#told.values()];
  }

  /** What is different since the last time. */
  settle(): { prepared?: PreparedVnic[]; unprepared?: Uuid[] } {
    const prepared: PreparedVnic[] = [];
    const unprepared: Uuid[] = [];
    for (const vnic of this.#touched) {
      const is = preparedOf(vnic, [...(this.#granted.get(vnic)?.values() ?? [])]);
      const was = this.#told.get(vnic);
      if (is === undefined) {
        if (this.#told.delete(vnic)) unprepared.push(vnic);
      } else if (was === undefined || !same(was, is)) {
        this.#told.set(vnic, is);
        prepared.push(is);
      }
    }
    this.#touched.clear();
    return {
      ...(prepared.length > 0 && { prepared }),
      ...(unprepared.length > 0 && { unprepared }),
    };
  }
}

function preparedOf(vnic: Uuid, vsis: readonly Granted[]): PreparedVnic | undefined {
  const [first] = vsis;
  if (first === undefined || vsis.some(({ ask }) => ask.mode === "associate")) return undefined;
  const { hypervisor, port, migrating = false } = first.ask;
  const addresses = vsis.flatMap(({ entries }) =>
    entries.flatMap(({ vn, mac }) => (mac === undefined ? [] : [{ vn, mac }])),
  );
  return { vnic, hypervisor, port, migrating, addresses };
}

const same = (a: PreparedVnic, b: PreparedVnic): boolean =>
  a.hypervisor === b.hypervisor &&
  a.port === b.port &&
  a.migrating === b.migrating &&
  a.addresses.length === b.addresses.length &&
  a.addresses.every(({ vn, mac }, i) => b.addresses[i]?.vn === vn && b.addresses[i]?.mac === mac);
