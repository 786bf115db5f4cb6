import {
  type IpAddress,
  ipOctets,
  isSingle,
  type Mac,
  type Uuid,
  type Vni,
} from "@nve/protocol-spec";
import {
  type AccessIntent,
  type Encapsulation,
  type Intent,
  intentKey,
  type LocalPlace,
  type MacIntent,
  type Place,
  placeKey,
  type VnIntent,
} from "../../nve/intents.ts";
import type { PortTag } from "../../nve/vsi.ts";
import { Clocks } from "./clocks.ts";
import { ipKey } from "./parse.ts";

/** The way to another NVE: out of interface `link`, to the next hop's MAC, in packets of `mtu` octets at the most. */
export type Hop = { link: number; mtu: number; destination: Mac; source: Mac };

/** What the intents of one VN say together. */
type VnIndex = {
  /** Frames from there are believed: a MAC or a place of the flood list is behind it (P11). */
  peers: ReadonlySet<IpAddress>;
  /** By IP, as `ipKey` has it; undefined: more than one has it. */
  owners: ReadonlyMap<string, Mac | undefined>;
};

/** What `decide` looks at: the intents as they are, and their surroundings. */
export class Tables {
  readonly vtep: IpAddress;
  /** Of VXLAN, UDP. */
  readonly port: number;
  /** What is taken from other NVEs besides VXLAN. */
  readonly takes: ReadonlySet<Encapsulation>;
  /** The longest packet of a tenant that the underlay carries, octets. */
  mtu = 0;
  readonly clocks = new Clocks();
  /** Interfaces of the underlay that are known, with their MACs. */
  readonly hops = new Map<IpAddress, Hop>();
  readonly portsThere = new Set<string>();
  readonly #intents = new Map<string, Intent>();
  readonly #macs = new Map<Vni, Map<Mac, MacIntent>>();
  readonly #indexes = new Map<Vni, VnIndex>();
  /** MACs here of each VNIC in each VN. */
  readonly #vnics = new Map<string, number>();
  #gleaning: ReadonlySet<Vni> | undefined;

  constructor(vtep: IpAddress, port: number, takes: Iterable<Encapsulation> = []) {
    this.vtep = vtep;
    this.port = port;
    this.takes = new Set(takes);
  }

  put(intent: Intent): void {
    const key = intentKey(intent);
    const was = this.#intents.get(key);
    this.#countVnic(intent, 1);
    if (was !== undefined) this.#countVnic(was, -1);
    this.#intents.set(key, intent);
    this.#changed(intent.vni);
    if (intent.is !== "mac") return;
    const macs = this.#macs.get(intent.vni) ?? new Map<Mac, MacIntent>();
    this.#macs.set(intent.vni, macs.set(intent.mac, intent));
  }

  take(intent: Intent): void {
    const was = this.#intents.get(intentKey(intent));
    if (was !== undefined) this.#countVnic(was, -1);
    this.#intents.delete(intentKey(intent));
    this.#changed(intent.vni);
    if (intent.is === "mac") this.#macs.get(intent.vni)?.delete(intent.mac);
  }

  intents(): IterableIterator<Intent> {
    return this.#intents.values();
  }

  vn(vni: Vni): VnIntent | undefined {
    const intent = this.#intents.get(`vn ${vni}`);
    return intent?.is === "vn" ? intent : undefined;
  }

  access(port: string, vid: number): AccessIntent | undefined {
    const intent = this.#intents.get(`access ${port} ${vid}`);
    return intent?.is === "access" ? intent : undefined;
  }

  mac(vni: Vni, mac: Mac): MacIntent | undefined {
    return this.#macs.get(vni)?.get(mac);
  }

  /** What is known of a MAC that is at home at this place. */
  home(vni: Vni, mac: Mac, port: string, vid: PortTag): MacIntent | undefined {
    const known = this.mac(vni, mac);
    const isThere = known !== undefined && isAt(known.at, { is: "local", port, vid });
    return isThere && this.portsThere.has(port) ? known : undefined;
  }

  /** Some MAC here is of this VNIC. */
  hasVnic(vni: Vni, vnic: Uuid): boolean {
    return this.#vnics.has(`${vni} vnic ${vnic}`);
  }

  isPeer(vni: Vni, vtep: IpAddress): boolean {
    return this.#index(vni).peers.has(vtep);
  }

  /** The one MAC of the VN that has this IP. */
  owner(vni: Vni, ip: string): Mac | undefined {
    return this.#index(vni).owners.get(ip);
  }

  /** Some access of the VN gleans, so what DHCP servers say anywhere in it is shown. */
  gleansLeases(vni: Vni): boolean {
    this.#gleaning ??= new Set(
      [...this.#intents.values()].flatMap((intent) =>
        intent.is === "access" && intent.glean ? [intent.vni] : [],
      ),
    );
    return this.#gleaning.has(vni);
  }

  #countVnic(intent: Intent, by: 1 | -1): void {
    if (intent.is !== "mac" || intent.vnic === undefined || intent.at.is === "remote") return;
    const key = `${intent.vni} vnic ${intent.vnic}`;
    const count = (this.#vnics.get(key) ?? 0) + by;
    if (count > 0) this.#vnics.set(key, count);
    else this.#vnics.delete(key);
    if (count === 0) this.clocks.forgive(key);
  }

  #changed(vni: Vni): void {
    this.#indexes.delete(vni);
    this.#gleaning = undefined;
  }

  #index(vni: Vni): VnIndex {
    const known = this.#indexes.get(vni);
    if (known !== undefined) return known;
    const macs = [...(this.#macs.get(vni)?.values() ?? [])];
    const places = [...(this.vn(vni)?.flood ?? []), ...macs.map(({ at }) => at)];
    const peers = new Set(places.flatMap((at) => (at.is === "remote" ? [at.vtep] : [])));
    const owners = new Map<string, Mac | undefined>();
    for (const { mac, ips = [] } of macs) {
      for (const ip of ips.filter(isSingle)) {
        const key = ipKey(ipOctets(ip));
        owners.set(key, owners.has(key) ? undefined : mac);
      }
    }
    const fresh = { peers, owners };
    this.#indexes.set(vni, fresh);
    return fresh;
  }
}

export const isAt = (at: Place, place: LocalPlace): boolean => placeKey(at) === placeKey(place);
