import type { Mac, Uuid, VnId } from "@nve/protocol-spec";
import type { LocalClaim, PreparedVnic, Report } from "@nve/switch-agent/nve";

/** A report as it goes out; `complete`: with it, all there is has been named. */
export type Parcel = Report & { complete: boolean };

/** All there is now; `partial`: there may be more, so that nothing of an earlier session is over yet. */
export type AllReports = Report & { partial?: boolean };

type Waiting = { vn: VnId; mac: Mac; claim?: LocalClaim };

/**
 * What the NVA has yet to be told in this session. Changes of the same address replace each other, so it never
 * holds more than there are addresses, however long the NVA is slow.
 */
export class Outbox {
  readonly #claims = new Map<string, Waiting>();
  readonly #vns = new Map<VnId, boolean>();
  /** VNICs that are prepared here, or no more. */
  readonly #prepared = new Map<Uuid, PreparedVnic | undefined>();
  #complete = false;
  #partial: boolean;

  /** @param all what there is at the beginning of the session */
  constructor({ partial = false, ...all }: AllReports) {
    this.#partial = partial;
    this.add(all);
  }

  get empty(): boolean {
    return (
      (this.#complete || this.#partial) &&
      this.#claims.size + this.#vns.size + this.#prepared.size === 0
    );
  }

  /** With what was added until now there is no more. */
  whole(): void {
    this.#partial = false;
  }

  /** MACs that wait. */
  get size(): number {
    return this.#claims.size;
  }

  add({ claims, withdrawn, joined, left, prepared = [], unprepared = [] }: Report): void {
    for (const claim of claims) {
      this.#put({ vn: claim.vn, mac: claim.mac, claim });
    }
    for (const { vn, mac } of withdrawn) this.#put({ vn, mac });
    for (const vn of joined) this.#vns.set(vn, true);
    for (const vn of left) this.#vns.set(vn, false);
    for (const one of prepared) this.#prepared.set(one.vnic, one);
    for (const vnic of unprepared) this.#prepared.set(vnic, undefined);
  }

  /** The next to send, with at most `size` MACs, and no more of them once there are `maxIps` IPs and prefixes. */
  take(size: number, maxIps = Number.POSITIVE_INFINITY): Parcel | undefined {
    if (this.empty) return undefined;
    const taken = this.#first(size, maxIps);
    for (const [key] of taken) this.#claims.delete(key);
    const entries = taken.map(([, entry]) => entry);
    const vns = [...this.#vns];
    this.#vns.clear();
    const complete = !this.#complete && !this.#partial && this.#claims.size === 0;
    this.#complete ||= complete;
    // After all claims: what has become active is prepared no more.
    const reserved = this.#claims.size === 0 ? [...this.#prepared] : [];
    if (reserved.length > 0) this.#prepared.clear();
    const prepared = reserved.flatMap(([, one]) => one ?? []);
    const unprepared = reserved.flatMap(([vnic, one]) => (one === undefined ? [vnic] : []));
    return {
      claims: entries.flatMap(({ claim }) => (claim === undefined ? [] : [claim])),
      withdrawn: entries.flatMap(({ vn, mac, claim }) =>
        claim === undefined ? [{ vn, mac }] : [],
      ),
      joined: vns.flatMap(([vn, here]) => (here ? [vn] : [])),
      left: vns.flatMap(([vn, here]) => (here ? [] : [vn])),
      complete,
      ...(prepared.length > 0 && { prepared }),
      ...(unprepared.length > 0 && { unprepared }),
    };
  }

  #first(size: number, maxIps: number): [string, Waiting][] {
    const taken: [string, Waiting][] = [];
    let ips = 0;
    for (const entry of this.#claims) {
      if (taken.length >= size || (taken.length > 0 && ips >= maxIps)) break;
      ips += entry[1].claim?.ips.length ?? 0;
      taken.push(entry);
    }
    return taken;
  }

  #put(entry: Waiting): void {
    this.#claims.set(`${entry.vn} ${entry.mac}`, entry);
  }
}
