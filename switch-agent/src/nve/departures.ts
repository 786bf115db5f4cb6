import type { IpPrefix, Mac, Uuid, VnId } from "@nve/protocol-spec";
import type { Member } from "./fdb.ts";

/**
 * A VNIC that was active here and is elsewhere now, as the NVA says (M5). "forwarding": what still comes for it over the
 * overlay goes on to its new place; "settled": all others know, and a station here that still has it is passed over;
 * "held": it has left and is nowhere yet, and nobody else gets its addresses (M8, H21); "over": what the stations say counts again.
 */
export type Departure =
  | {
      vnic: Uuid;
      phase: "held";
      addresses: readonly { vn: VnId; mac: Mac; ips: readonly IpPrefix[] }[];
      /** As below. */
      mostMs: number;
    }
  | {
      vnic: Uuid;
      phase: "forwarding" | "settled";
      addresses: readonly { vn: VnId; mac: Mac }[];
      to: Member;
      /** "forwarding" is over by itself after so long without a word, milliseconds. */
      mostMs: number;
    }
  | { vnic: Uuid; phase: "over" };

/** What became of an address that was here. */
export type Departed = {
  vnic: Uuid;
  /** Absent: it is held. */
  to?: Member;
  /** Of one that is held, sorted. */
  ips: readonly IpPrefix[];
  forwards: boolean;
  /** An association that is newer than this is not meant: it has come back. */
  order: number;
};

/** The VNICs that have moved on from here. */
export class Departures {
  readonly #vns = new Map<VnId, Map<Mac, Departed>>();
  readonly #vnics = new Map<Uuid, readonly { vn: VnId; mac: Mac }[]>();

  of(vn: VnId, mac: Mac): Departed | undefined {
    return this.#vns.get(vn)?.get(mac);
  }

  macs(vn: VnId): Iterable<Mac> {
    return this.#vns.get(vn)?.keys() ?? [];
  }

  /** Where this VNIC is forwarded for, or held; undefined: nowhere. */
  vnsOf(vnic: Uuid): readonly VnId[] | undefined {
    return this.#vnics.get(vnic)?.map(({ vn }) => vn);
  }

  /** Is anything forwarded or held in this VN? Then we are in it. */
  keepsIn(vn: VnId): boolean {
    for (const { forwards, to } of this.#vns.get(vn)?.values() ?? [])
      if (forwards || to === undefined) return true;
    return false;
  }

  /** @param all there are no others @returns the addresses of which something may be different */
  take(departures: readonly Departure[], all: boolean, order: number): Map<VnId, Set<Mac>> {
    const touched = new Map<VnId, Set<Mac>>();
    const named = new Set(departures.map(({ vnic }) => vnic));
    const gone = all ? [...this.#vnics.keys()].filter((vnic) => !named.has(vnic)) : [];
    for (const vnic of [...gone, ...named]) {
      const since = this.#drop(vnic, touched);
      const one = departures.find((each) => each.vnic === vnic);
      if (one === undefined || one.phase === "over") continue;
      this.#vnics.set(vnic, one.addresses);
      const forwards = one.phase === "forwarding";
      for (const { vn, mac, ...address } of one.addresses) {
        const macs = this.#vns.get(vn) ?? new Map<Mac, Departed>();
        this.#vns.set(vn, macs);
        // The same one, further on: whoever has come back since is back.
        const was = since.get(`${vn} ${mac}`);
        const to = one.phase === "held" ? {} : { to: one.to };
        const isSame = was !== undefined && was.to?.nve === to.to?.nve;
        const ips = "ips" in address ? [...address.ips].sort() : [];
        macs.set(mac, { vnic, ...to, ips, forwards, order: isSame ? was.order : order });
        touch(touched, vn, mac);
      }
    }
    return touched;
  }

  /** @returns what there was, by VN and MAC */
  #drop(vnic: Uuid, touched: Map<VnId, Set<Mac>>): ReadonlyMap<string, Departed> {
    const was = new Map<string, Departed>();
    for (const { vn, mac } of this.#vnics.get(vnic) ?? []) {
      const macs = this.#vns.get(vn);
      const one = macs?.get(mac);
      if (macs === undefined || one?.vnic !== vnic) continue;
      was.set(`${vn} ${mac}`, one);
      macs.delete(mac);
      if (macs.size === 0) this.#vns.delete(vn);
      touch(touched, vn, mac);
    }
    this.#vnics.delete(vnic);
    return was;
  }
}

function touch(touched: Map<VnId, Set<Mac>>, vn: VnId, mac: Mac): void {
  const macs = touched.get(vn);
  if (macs === undefined) touched.set(vn, new Set([mac]));
  else macs.add(mac);
}
