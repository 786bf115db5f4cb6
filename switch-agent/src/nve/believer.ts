import {
  DecodeError,
  type Instant,
  type IpAddress,
  type Mac,
  type VnId,
  type Vni,
} from "@nve/protocol-spec";
import type { Fdb } from "./fdb.ts";
import type { Gleaner, Sample } from "./glean.ts";
import { type LocalPlace, placeKey } from "./intents.ts";
import type { Served } from "./served.ts";
import { type Sighting, sightingsOf } from "./sightings.ts";
import { localPlace } from "./vnic.ts";

/** Of the NVE, what decides whether something seen is believed. */
type Surroundings = {
  fdb: Fdb;
  served(vn: VnId): Served | undefined;
  vnAt(place: LocalPlace): VnId | undefined;
  vnOf(vni: Vni): VnId | undefined;
};

/** So long the NVA may take to say that a MAC which we see is here now, milliseconds. */
const SETTLE_MS = 5000;

/**
 * What was said, by a station, an administrator or the NVA, comes before what is seen, whichever was first (H17):
 * - a MAC that is said to be at another place of ours stays there, and that is a conflict;
 * - one that the NVA has at another NVE is claimed as gleaned: the NVA knows whether it was said there, or gleaned
 *   too and moved here; until it decides, it stays there;
 * - IPs that are seen complete a MAC; where IPs were said of it, they are shown and no more (`serve`).
 */
export class Believer {
  readonly #gleaner: Gleaner;
  readonly #around: Surroundings;

  constructor(gleaner: Gleaner, around: Surroundings) {
    this.#gleaner = gleaner;
    this.#around = around;
  }

  /** @returns the VN in which it is news */
  take({ vni, at, octets }: Sample, now: Instant): VnId | undefined {
    const vn = at === undefined ? this.#around.vnOf(vni) : this.#around.vnAt(at);
    const served = vn === undefined ? undefined : this.#around.served(vn);
    if (vn === undefined || served?.vni !== vni) return undefined; // it was of another VN
    if (at !== undefined && served.places.get(placeKey(at))?.rules.glean !== true) return undefined;
    let seen: ReturnType<typeof sightingsOf>;
    try {
      seen = sightingsOf(octets);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      if (at !== undefined) this.#gleaner.count(at.port, "malformed");
      return undefined;
    }
    const { source, said } = seen;
    if (at !== undefined && this.#isElsewhere(vn, served, source, at, now)) return undefined;
    const isOurs = at === undefined || served.owners.has(source);
    let news = !isOurs && this.#gleaner.mac(vn, source, at, "source", now);
    for (const one of said) news = this.#ip(vn, served, one, at, now) || news;
    return news ? vn : undefined;
  }

  /**
   * Of what was gleaned in a VN, keeps what can still be so.
   * @param lost MACs that nobody says to have any more: what was seen of them goes with them (H19)
   */
  prune({ vn, places, owners }: Served, lost: ReadonlySet<Mac>): void {
    const gleaning = [...places].filter(([, { rules }]) => rules.glean);
    this.#gleaner.keep(vn, new Set(gleaning.map(([place]) => place)), ({ mac, at }) => {
      const owner = owners.get(mac);
      return owner === undefined ? !lost.has(mac) : placeKey(localPlace(owner)) === placeKey(at);
    });
  }

  #isElsewhere(vn: VnId, served: Served, mac: Mac, at: LocalPlace, now: Instant): boolean {
    const owner = served.owners.get(mac);
    if (owner !== undefined) {
      const elsewhere = placeKey(localPlace(owner)) !== placeKey(at);
      if (elsewhere) this.#gleaner.conflict(vn, mac, at, `${owner.port}:${owner.vid}`, now);
      return elsewhere;
    }
    const remote = this.#around.fdb.remotes(vn).get(mac);
    const since = this.#gleaner.of(vn).get(mac)?.is.since;
    if (remote !== undefined && since !== undefined && now - since > SETTLE_MS) {
      this.#gleaner.conflict(vn, mac, at, `NVE ${remote.nve}`, now);
    }
    return false;
  }

  #ip(
    vn: VnId,
    served: Served,
    sighting: Sighting,
    at: LocalPlace | undefined,
    now: Instant,
  ): boolean {
    const { mac, ip, by } = sighting;
    if (at === undefined && by !== "dhcp") return false;
    const owner = served.owners.get(mac);
    if (owner !== undefined && !owner.rules.glean) return false;
    if (owner !== undefined) this.#gleaner.mac(vn, mac, localPlace(owner), by, now);
    const gleaned = this.#gleaner.of(vn).get(mac);
    if (gleaned === undefined) return false;
    if (!gleaned.ips.has(ip) && isSaidOfAnother(served, mac, ip)) {
      this.#gleaner.count(gleaned.at.port, "conflicts");
      return false;
    }
    return this.#gleaner.ip(vn, mac, ip, sighting, now);
  }
}

const isSaidOfAnother = ({ owners }: Served, mac: Mac, ip: IpAddress): boolean =>
  [...owners].some(([other, { macs }]) => other !== mac && macs.get(other)?.has(ip) === true);
