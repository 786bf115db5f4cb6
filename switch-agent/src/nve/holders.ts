import { type Mac, VdpError, type VnId } from "@nve/protocol-spec";
import type { Port } from "./ports.ts";
import type { VnicContent } from "./tree.ts";
import type { Ask, Entry, Granted, Refusal, Vsi } from "./vsi.ts";

/**
 * Which VSIs have each MAC of a VN, so that none is taken from another unseen (H26). Another VSI of the same VNIC on
 * another port is its move (H20).
 */
export class Holders {
  readonly #vns = new Map<VnId, Map<Mac, Set<string>>>();

  /** A VSI has something else than before. */
  put(vsi: string, before: VnicContent | undefined, after: VnicContent | undefined): void {
    for (const [vn, macs] of before ?? []) {
      const kept = after?.get(vn);
      for (const mac of macs.keys()) if (!kept?.has(mac)) this.#drop(vn, mac, vsi);
    }
    for (const [vn, macs] of after ?? []) for (const mac of macs.keys()) this.#add(vn, mac, vsi);
  }

  /** VSIs that have a MAC of a VN. */
  of(vn: VnId, mac: Mac): Iterable<string> {
    return this.#vns.get(vn)?.get(mac) ?? none;
  }

  /**
   * Why this request may not be: another VNIC has one of its MACs in use, behind another port or another station. In use is
   * what is associated, not suspended, and behind a link that is up. An administrator's word goes first.
   */
  refusalOf(
    ask: Ask,
    entries: readonly Entry[],
    vsis: ReadonlyMap<string, Vsi>,
    portOf: (name: string) => Port | undefined,
  ): Refusal | undefined {
    if (ask.mode !== "associate" || ask.suspended || ask.origin === "static") return undefined;
    for (const { vn, mac } of entries) {
      if (mac === undefined) continue;
      for (const key of this.of(vn, mac)) {
        const granted = vsis.get(key)?.granted;
        if (granted !== undefined && key !== ask.vsi && isInUse(granted, ask, portOf)) {
          const { vnic, port } = granted.ask;
          const reason = `MAC ${mac} of VN ${vn} is in use by another VNIC`;
          const detail = `VNIC ${vnic} on port ${port}`;
          return { code: VdpError.invalidVidGroupOrMac, hard: false, reason, detail };
        }
      }
    }
    return undefined;
  }

  #add(vn: VnId, mac: Mac, vsi: string): void {
    const macs = this.#vns.get(vn) ?? new Map<Mac, Set<string>>();
    this.#vns.set(vn, macs);
    const held = macs.get(mac);
    if (held === undefined) macs.set(mac, new Set([vsi]));
    else held.add(vsi);
  }

  #drop(vn: VnId, mac: Mac, vsi: string): void {
    const macs = this.#vns.get(vn);
    const held = macs?.get(mac);
    held?.delete(vsi);
    if (held?.size === 0) macs?.delete(mac);
    if (macs?.size === 0) this.#vns.delete(vn);
  }
}

const none: ReadonlySet<string> = new Set();

function isInUse(
  { ask: { vnic, port, station, mode, suspended } }: Granted,
  by: Ask,
  portOf: (name: string) => Port | undefined,
): boolean {
  const isElsewhere = port !== by.port || station !== by.station;
  return (
    vnic !== by.vnic &&
    isElsewhere &&
    mode === "associate" &&
    !suspended &&
    portOf(port)?.up === true
  );
}
