import { type Clock, seldom } from "@nve/linux";
import type { Log } from "@nve/program/log";
import {
  type Association,
  chassisText,
  type Lldpdu,
  type Mac,
  type Neighbour,
  portText,
  VdpError,
} from "@nve/protocol-spec";
import type { Refusal, VnInfo } from "@nve/switch-agent/nve";
import { once } from "./once.ts";
import {
  type Cause,
  mayAttach,
  notAllowed,
  type PolicyRefusal,
  type PortPolicy,
  refusalBy,
  vnRefusalBy,
} from "./policy.ts";
import { isRefusal, type Said } from "./sets.ts";
import { Tally } from "./tally.ts";
import type { Vsi } from "./vsi.ts";

/** By what it was. */
export type RefusedCounters = Record<Cause, number>;

/** A request with all that is said with it. */
type Whole = { association: Association; said: Said };

/** MACs, and IPs, of all VNICs of a port where the policy says nothing: some 20 MB of what is kept of them. */
const MAX_ADDRESSES = 65_536;

/** Whoever is turned away hears why so often, and so often it is logged: a flood makes no more of it. */
const TOLD_EVERY_MS = 1000;

/** Who gets in at one port, and what may be asked there (H26): asked before anything is done, lent or remembered. */
export class Door {
  readonly refused: RefusedCounters = { station: 0, owner: 0, vn: 0, mac: 0, ip: 0, limit: 0 };
  readonly #policy: PortPolicy;
  readonly #log: Log;
  readonly #macs: Tally<Vsi>;
  readonly #ips: Tally<Vsi>;
  readonly #tell: () => boolean;
  readonly #note: () => boolean;

  constructor(policy: PortPolicy = {}, clock: Clock, log: Log) {
    this.#policy = policy;
    this.#log = log;
    this.#macs = new Tally(policy.maxMacs ?? MAX_ADDRESSES);
    this.#ips = new Tally(policy.maxIps ?? MAX_ADDRESSES);
    this.#tell = seldom(clock, TOLD_EVERY_MS);
    this.#note = seldom(clock, TOLD_EVERY_MS);
  }

  lets(station: Mac): boolean {
    return mayAttach(this.#policy, station);
  }

  /** @returns what the station is told; undefined: another was a moment ago */
  turnAway(station: Mac): Refusal | undefined {
    this.refused.station += 1;
    if (!this.#tell()) return undefined;
    const refusal = notAllowed("station", `station ${station}`);
    this.#log.warn({ station, refused: this.refused.station }, "a station that is not allowed");
    return refusal;
  }

  /**
   * A VSI stays with the station that asked for it: with its address, or, when that changes, with the LLDP neighbour
   * (chassis and port ID) that had the old address and has the new one. Who has proven itself once goes on to do so.
   * When the link was down, whoever comes first may be another.
   * @param neighbours those that may be this station
   * @returns why not; the owner would hear the answer, so there is none
   */
  owner(
    vsi: Vsi,
    station: Mac,
    proven: boolean,
    neighbours: readonly Neighbour[],
  ): { told: boolean; refusal: Refusal } | undefined {
    const is = { station, proven, neighbour: neighbourText(neighbours, station) };
    const { owner = is } = vsi;
    const stays = owner.station === station;
    const isSame = stays || (is.neighbour !== undefined && is.neighbour === owner.neighbour);
    if (isSame && (proven || !owner.proven)) {
      vsi.owner = { ...is, neighbour: is.neighbour ?? (stays ? owner.neighbour : undefined) };
      return undefined;
    }
    this.refused.owner += 1;
    const reason = isSame
      ? `station ${station} has not proven that it is the one that this VNIC belongs to`
      : `station ${station} asks for a VNIC of station ${owner.station}`;
    const told = this.#note();
    if (told) this.#log.warn({ station, owner: owner.station, vsi: vsi.key }, reason);
    return { told, refusal: { code: VdpError.other, hard: false, reason } };
  }

  /** The request, unless the policy is against it. */
  checked(vsi: Vsi, whole: Whole | Refusal): Whole | Refusal {
    if (isRefusal(whole)) return whole;
    const { association, said } = whole;
    const addresses = said.addresses ?? vsi.addresses ?? [];
    const { filters } = association;
    const refusal =
      refusalBy(this.#policy, { filters, names: vsi.names, addresses }) ??
      this.#room("MACs", "maxMacs", this.#macs, vsi, macsIn(association)) ??
      this.#room("IP addresses and prefixes", "maxIps", this.#ips, vsi, addresses.length);
    return refusal === undefined ? whole : this.#counted(refusal, vsi.station);
  }

  /** A VN as the NVA has told it: a policy may name it by what the request did not. */
  vn(info: VnInfo): Refusal | undefined {
    const refusal = vnRefusalBy(this.#policy, info);
    return refusal && this.#counted(refusal);
  }

  /** The station is answered. */
  settle(vsi: Vsi, granted: boolean): void {
    this.#macs.settle(vsi, granted);
    this.#ips.settle(vsi, granted);
  }

  forget(vsi: Vsi): void {
    this.#macs.drop(vsi);
    this.#ips.drop(vsi);
  }

  #room(
    what: string,
    name: string,
    tally: Tally<Vsi>,
    vsi: Vsi,
    wanted: number,
  ): PolicyRefusal | undefined {
    const others = tally.want(vsi, wanted);
    if (others === undefined) return undefined;
    const reason = `${wanted} ${what} of this VNIC and ${others} of others: this port takes ${tally.max} (${name})`;
    return { cause: "limit", code: VdpError.insufficientResources, hard: false, reason };
  }

  #counted({ cause, ...refusal }: PolicyRefusal, station?: Mac): Refusal {
    this.refused[cause] += 1;
    if (this.#note()) {
      const { code, reason } = refusal;
      this.#log.warn({ ...(station && { station }), code, reason }, "refused by the port's policy");
    }
    return refusal;
  }
}

/** Who has just this address. */
function neighbourText(neighbours: readonly Neighbour[], station: Mac): string | undefined {
  const found = neighbours.find(({ source }) => source === station);
  if (found === undefined) return undefined;
  return identityOf(found.lldpdu);
}

const identityOf = once(({ chassisId, portId }: Lldpdu): string => {
  return `${chassisId.subtype} ${chassisText(chassisId)} ${portId.subtype} ${portText(portId)}`;
});

const macsIn = ({ filters: { by, entries } }: Association): number =>
  by === "mac-vid" || by === "group-mac-vid" ? entries.length : 0;
