import { BpfError, type BpfMap, type BpfObject, ip, mac, struct, u16, u32 } from "@nve/linux/bpf";
import {
  type IpAddress,
  type IpPrefix,
  isIpv6,
  isSingle,
  type Mac,
  prefixFrom,
  prefixParts,
  type Vni,
} from "@nve/protocol-spec";
import { type KernelPlace, placeFlag, placeType } from "./maps.ts";

type NeighbourKey = { vni: number; ip: IpAddress };
type Neighbour = { mac: Mac; zero: number };
type SourceKey = { vni: number; mac: Mac; zero: number; ip: IpAddress };
type SourceNetKey = { length: number } & SourceKey;

/** The maps of programs/neighbours.h and programs/sources.h. */
export type AddressMaps = {
  neighbours: BpfMap<NeighbourKey, Neighbour>;
  sources: BpfMap<SourceKey, number>;
  sourceNets: BpfMap<SourceNetKey, number>;
};

const source = { vni: u32, mac, zero: u16, ip };

export const addressMaps = (object: BpfObject): AddressMaps => ({
  neighbours: object.map("neighbours", struct({ vni: u32, ip }), struct({ mac, zero: u16 })),
  sources: object.map("sources", struct(source), u32),
  sourceNets: object.map("source_nets", struct({ length: u32, ...source }), u32),
});

export type Ips = readonly IpPrefix[];
/** What a MAC is to have; those at a place here may use no others. */
export type IpsOf = { vni: Vni; mac: Mac; ips: Ips; here: boolean };

type VnIps = {
  here: Map<Mac, Ips>;
  elsewhere: Map<Mac, Ips>;
  /** Which MAC has it, or MACs: then nobody is answered for it. */
  holders: Map<IpAddress, Mac | readonly Mac[]>;
};

const none: Ips = [];

/**
 * The IPs of MACs, for those who ask (`neighbours`) and for the check of who sends (`sources`). What a MAC is to have
 * is added before its place is written, and what it no longer has is taken away after it: no frame meets less.
 */
export class Addresses {
  readonly #maps: AddressMaps;
  readonly #vns = new Map<Vni, VnIps>();

  constructor(maps: AddressMaps) {
    this.#maps = maps;
  }

  of(vni: Vni, mac: Mac): Ips {
    const vn = this.#vns.get(vni);
    return vn?.here.get(mac) ?? vn?.elsewhere.get(mac) ?? none;
  }

  /** How many entries the maps have of it. */
  get counts(): { answered: number; sources: number; prefixes: number } {
    const counts = { answered: 0, sources: 0, prefixes: 0 };
    for (const { here, holders } of this.#vns.values()) {
      for (const held of holders.values()) if (typeof held === "string") counts.answered += 1;
      for (const ip of [...here.values()].flat())
        counts[isSingle(ip) ? "sources" : "prefixes"] += 1;
    }
    return counts;
  }

  /** Does exactly one MAC have it? */
  answers(vni: Vni, ip: IpAddress): boolean {
    return typeof this.#vns.get(vni)?.holders.get(ip) === "string";
  }

  isSo({ vni, mac, ips, here }: IpsOf): boolean {
    const vn = this.#vns.get(vni);
    const was = (here ? vn?.here : vn?.elsewhere)?.get(mac) ?? none;
    return was === ips || (was.length === ips.length && was.every((ip, i) => ip === ips[i]));
  }

  /** What is new of them. When it throws, none of it is so. */
  add(all: readonly IpsOf[]): void {
    const sources: [SourceKey, number][] = [];
    const nets: [SourceNetKey, number][] = [];
    try {
      const held = all.flatMap(({ vni, mac, ips }) =>
        ips.filter(isSingle).flatMap((ip) => (this.#holds(vni, ip, mac) ? [{ vni, ip, mac }] : [])),
      );
      for (const { vni, mac, ips } of all.filter(({ here }) => here)) {
        const named = { vni, mac, zero: 0 };
        for (const ip of ips) {
          if (isSingle(ip)) sources.push([{ ...named, ip }, 1]);
          else nets.push([netKey(vni, mac, ip), 1]);
        }
      }
      if (sources.length > 0) this.#maps.sources.setAll(sources);
      if (nets.length > 0) this.#maps.sourceNets.setAll(nets);
      // One that two of them have is nobody's again.
      const answered = held.filter(({ vni, ip, mac }) => this.#vn(vni).holders.get(ip) === mac);
      this.#answerFor(answered);
    } catch (error) {
      this.takeBack(all);
      throw error;
    }
  }

  /** Whom there is no room for, is asked himself: that is no fault. */
  #answerFor(all: readonly { vni: Vni; ip: IpAddress; mac: Mac }[]): void {
    if (all.length === 0) return;
    const { neighbours } = this.#maps;
    try {
      neighbours.setAll(all.map(neighbour));
    } catch (error) {
      if (!isFull(error)) throw error;
      for (const one of all) {
        try {
          neighbours.set(...neighbour(one));
        } catch (again) {
          if (!isFull(again)) throw again;
        }
      }
    }
  }

  /** What `add` added, as it is not to be. */
  takeBack(all: readonly IpsOf[]): void {
    for (const { vni, mac, ips, here } of all) {
      const [keep, wasHere] = [this.of(vni, mac), this.#isHere(vni, mac)];
      this.#take({ vni, mac, ips, here }, keep, wasHere);
    }
  }

  /** What they had and are not to have. */
  settle(all: readonly IpsOf[]): void {
    for (const { vni, mac, ips, here } of all) {
      const was = { vni, mac, ips: this.of(vni, mac), here: this.#isHere(vni, mac) };
      this.#take(was, ips, here);
      if (was.ips.length > 0 || ips.length > 0) this.#put(vni, mac, ips, here);
    }
  }

  /** A MAC's place, with what is to be known of it there. */
  placeOf(place: KernelPlace, ips: Ips): KernelPlace {
    if (place.type !== placeType.local || ips.length === 0) return place;
    const first = ips.find((ip): ip is IpAddress => isSingle(ip) && !isIpv6(ip));
    const nets = ips.every(isSingle) ? 0 : placeFlag.hasNets;
    const flags = place.flags | placeFlag.hasIps | nets;
    return { ...place, flags, ...(first !== undefined && { vtep: first }) };
  }

  /** All of them but those in `keep`, which are to be sources only if they are of a MAC that stays here. */
  #take({ vni, mac, ips, here }: IpsOf, keep: Ips, staysHere: boolean): void {
    for (const ip of ips) {
      const isKept = keep.includes(ip);
      if (!isKept && isSingle(ip)) this.#drops(vni, ip, mac);
      if (!here || (isKept && staysHere)) continue;
      if (isSingle(ip)) this.#maps.sources.delete({ vni, mac, zero: 0, ip });
      else this.#maps.sourceNets.delete(netKey(vni, mac, ip));
    }
  }

  #isHere(vni: Vni, mac: Mac): boolean {
    return this.#vns.get(vni)?.here.has(mac) === true;
  }

  #put(vni: Vni, mac: Mac, ips: Ips, here: boolean): void {
    const vn = this.#vn(vni);
    vn.here.delete(mac);
    vn.elsewhere.delete(mac);
    if (ips.length > 0) (here ? vn.here : vn.elsewhere).set(mac, ips);
    if (vn.here.size + vn.elsewhere.size + vn.holders.size === 0) this.#vns.delete(vni);
  }

  /** @returns whether it is the only one, and is so since now */
  #holds(vni: Vni, ip: IpAddress, mac: Mac): boolean {
    const { holders } = this.#vn(vni);
    const was = holders.get(ip);
    if (was === undefined) {
      holders.set(ip, mac);
      return true;
    }
    if (was === mac || (typeof was !== "string" && was.includes(mac))) return false;
    holders.set(ip, typeof was === "string" ? [was, mac] : [...was, mac]);
    this.#maps.neighbours.delete({ vni, ip });
    return false;
  }

  #drops(vni: Vni, ip: IpAddress, mac: Mac): void {
    const { holders } = this.#vn(vni);
    const was = holders.get(ip);
    if (was === mac) {
      holders.delete(ip);
      this.#maps.neighbours.delete({ vni, ip });
    }
    if (was === undefined || typeof was === "string") return;
    const left = was.filter((one) => one !== mac);
    const [only] = left;
    if (only === undefined || left.length > 1) {
      holders.set(ip, left);
      return;
    }
    holders.set(ip, only);
    this.#maps.neighbours.set(...neighbour({ vni, ip, mac: only }));
  }

  #vn(vni: Vni): VnIps {
    const known = this.#vns.get(vni);
    if (known !== undefined) return known;
    const fresh: VnIps = { here: new Map(), elsewhere: new Map(), holders: new Map() };
    this.#vns.set(vni, fresh);
    return fresh;
  }
}

const isFull = (error: unknown): boolean => error instanceof BpfError && error.full !== undefined;

const neighbour = ({ vni, ip, mac }: { vni: Vni; ip: IpAddress; mac: Mac }) =>
  [
    { vni, ip },
    { mac, zero: 0 },
  ] as const;

/** The bits of VNI and MAC count always: 96; an IPv4 address stands in the last 32 of 128. */
function netKey(vni: Vni, mac: Mac, prefix: IpPrefix): SourceNetKey {
  const { ip, length } = prefixParts(prefix);
  return { length: 96 + length + (isIpv6(ip) ? 0 : 96), vni, mac, zero: 0, ip };
}

export const prefixOf = ({ length, ip }: Pick<SourceNetKey, "length" | "ip">): IpPrefix =>
  prefixFrom(ip, length - 96 - (isIpv6(ip) ? 0 : 96));

/** The IPs of each MAC, sorted. Of a MAC elsewhere those are missing that another MAC of the VN has, too. */
export function readIps({
  neighbours,
  sources,
  sourceNets,
}: AddressMaps): (vni: Vni, mac: Mac) => { ips?: Ips } {
  const known = new Map<string, Set<IpPrefix>>();
  const put = (vni: number, mac: Mac, ip: IpPrefix): void => {
    const key = `${vni} ${mac}`;
    const ips = known.get(key);
    if (ips === undefined) known.set(key, new Set([ip]));
    else ips.add(ip);
  };
  for (const [{ vni, ip }, { mac }] of neighbours.entries()) put(vni, mac, ip);
  for (const [{ vni, mac, ip }] of sources.entries()) put(vni, mac, ip);
  for (const [key] of sourceNets.entries()) put(key.vni, key.mac, prefixOf(key));
  return (vni, mac) => {
    const ips = known.get(`${vni} ${mac}`);
    return ips === undefined ? {} : { ips: [...ips].sort() };
  };
}
