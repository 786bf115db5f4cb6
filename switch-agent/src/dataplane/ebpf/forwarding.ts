import type { IpAddress, Mac, Vni } from "@nve/protocol-spec";
import type {
  AccessIntent,
  AccessRules,
  Intent,
  MacIntent,
  Place,
  VnIntent,
} from "../../nve/intents.ts";
import type { PortTag } from "../../nve/vsi.ts";
import {
  accessFlag,
  type KernelPlace,
  localPlace,
  nowhere,
  remotePlace,
  type TorMaps,
  vnFlag,
} from "./maps.ts";
import {
  type AccessRecord,
  type IntentRecord,
  macOfNumber,
  numberOfMac,
  type PlaceId,
  type UnknownRules,
} from "./record.ts";

/** What `Forwarding` needs to know of its surroundings. */
type Surroundings = {
  indexOf(port: string): number | undefined;
  /** Why no tunnel can go to this VTEP; undefined: it can. */
  unreachable(vtep: IpAddress): string | undefined;
  /** Runs it when no program in the kernel can be half-way any more. */
  later(task: () => void): void;
};

/**
 * Keeps the kernel's maps in step with the record. Always insert or overwrite first and delete last, so that no
 * frame meets a gap. What throws has changed neither.
 */
export class Forwarding {
  readonly #maps: TorMaps;
  readonly #record: IntentRecord;
  readonly #around: Surroundings;
  /** Of the last flood list written; never one that a list still awaiting deletion has. */
  #generation = 0;

  constructor(maps: TorMaps, record: IntentRecord, around: Surroundings) {
    this.#maps = maps;
    this.#record = record;
    this.#around = around;
  }

  ensure(intent: Intent): void {
    switch (intent.is) {
      case "vn":
        this.#ensureVn(intent);
        break;
      case "access":
        this.#ensureAccess(intent);
        break;
      case "mac":
        this.#ensureMac(intent.vni, intent.mac, this.#id(intent.at));
        break;
    }
  }

  /** As `ensure` of each, in few system calls. When it throws, each is to be ensured by itself: that tells whose fault it is. */
  ensureMacs(intents: readonly MacIntent[]): void {
    const news = this.#news(intents);
    const believed: { vni: Vni; id: PlaceId }[] = [];
    const places = new Map<PlaceId, KernelPlace>();
    try {
      for (const one of news) {
        this.#countPeer(one.vni, one.id, 1);
        believed.push(one);
        if (!places.has(one.id)) places.set(one.id, this.#kernelPlace(one.id) ?? nowhere);
      }
      this.#maps.fdb.setAll(
        news.map(({ vni, mac, id }) => [{ vni, mac, zero: 0 }, places.get(id) ?? nowhere]),
      );
    } catch (error) {
      this.#disbelieve(believed);
      throw error;
    }
    const left: { vni: Vni; id: PlaceId }[] = [];
    for (const { vni, number, id } of news) {
      const { macs } = this.#record.vn(vni);
      const was = macs.get(number);
      macs.set(number, id);
      if (was !== undefined) left.push({ vni, id: was });
    }
    this.#disbelieve(left);
  }

  /** Those that are not where they are to be. */
  #news(intents: readonly MacIntent[]): { vni: Vni; mac: Mac; number: number; id: PlaceId }[] {
    const ids = new Map<IpAddress, PlaceId>(); // few VTEPs have many MACs
    const news: { vni: Vni; mac: Mac; number: number; id: PlaceId }[] = [];
    for (const { vni, mac, at } of intents) {
      const known = at.is === "remote" ? ids.get(at.vtep) : undefined;
      const id = known ?? this.#id(at);
      if (at.is === "remote" && known === undefined) ids.set(at.vtep, id);
      const number = numberOfMac(mac);
      if (this.#record.vns.get(vni)?.macs.get(number) !== id) news.push({ vni, mac, number, id });
    }
    return news;
  }

  remove(intent: Intent): void {
    switch (intent.is) {
      case "vn":
        this.#removeVn(intent.vni);
        break;
      case "access":
        this.#removeAccess(intent.port, intent.vid);
        break;
      case "mac":
        this.#removeMac(intent.vni, numberOfMac(intent.mac));
        break;
    }
  }

  /** The port has a new interface, or lost it (`was`: the old interface's number). */
  portChanged(port: string, was: number | undefined): void {
    const ifindex = this.#around.indexOf(port);
    const tags = this.#record.access.get(port) ?? new Map<PortTag, AccessRecord>();
    for (const [vid, access] of tags) this.#writeAccess(ifindex, vid, access);
    for (const [vni, vn] of this.#record.vns) {
      for (const [mac, id] of vn.macs) {
        if (this.#isAt(id, port)) this.#writeMac(vni, macOfNumber(mac), id);
      }
      if (vn.intent?.flood.some((id) => this.#isAt(id, port))) this.#writeFlood(vni);
    }
    if (was === undefined) return;
    for (const vid of tags.keys()) this.#maps.access.delete({ ifindex: was, vid, zero: 0 });
  }

  #ensureAccess({ port, vid, vni, checkSource, glean }: AccessIntent): void {
    const rules = { ...(checkSource && { checkSource }), ...(glean && { glean }) };
    this.#writeAccess(this.#around.indexOf(port), vid, { vni, rules });
    const tags = this.#record.access.get(port) ?? new Map<PortTag, AccessRecord>();
    const was = tags.get(vid);
    this.#record.access.set(port, tags.set(vid, { vni, rules }));
    this.#gleaning(vni, rules.glean ? 1 : 0);
    if (was !== undefined) this.#gleaning(was.vni, was.rules.glean ? -1 : 0);
  }

  #removeAccess(port: string, vid: PortTag): void {
    const ifindex = this.#around.indexOf(port);
    if (ifindex !== undefined) this.#maps.access.delete({ ifindex, vid, zero: 0 });
    const tags = this.#record.access.get(port);
    const was = tags?.get(vid);
    if (was?.rules.glean) this.#gleaning(was.vni, -1);
    tags?.delete(vid);
    if (tags?.size === 0) this.#record.access.delete(port);
  }

  #writeAccess(ifindex: number | undefined, vid: PortTag, { vni, rules }: AccessRecord): void {
    if (ifindex === undefined) return;
    this.#maps.access.set({ ifindex, vid, zero: 0 }, { vni, flags: flagsOf(rules) });
  }

  /** One access more, or less, of the VN gleans: with the first of them, what DHCP servers say in it is shown. */
  #gleaning(vni: Vni, by: 1 | -1 | 0): void {
    const { gleaning } = this.#record;
    const was = gleaning.get(vni) ?? 0;
    if (by === 0) return;
    if (was + by === 0) gleaning.delete(vni);
    else gleaning.set(vni, was + by);
    const vn = this.#record.vns.get(vni);
    if (vn?.intent === undefined || (was > 0 && was + by > 0)) return;
    const flags = this.#vnFlags(vni, vn.intent.unknown);
    this.#maps.vns.set(vni, { n: vn.written, generation: vn.generation, flags });
  }

  #vnFlags(vni: Vni, { floodUnknown, askUnknown }: UnknownRules): number {
    const leases = this.#record.gleaning.has(vni) ? vnFlag.gleanLeases : 0;
    const asks = askUnknown ? vnFlag.askUnknown : 0;
    return leases | asks | (floodUnknown ? vnFlag.floodUnknown : 0);
  }

  #ensureMac(vni: Vni, mac: Mac, id: PlaceId): void {
    const vn = this.#record.vn(vni);
    const was = vn.macs.get(numberOfMac(mac));
    if (was === id) return;
    this.#withPeers(vni, [id], was === undefined ? [] : [was], () => {
      this.#writeMac(vni, mac, id);
      vn.macs.set(numberOfMac(mac), id);
    });
  }

  #removeMac(vni: Vni, mac: number): void {
    const vn = this.#record.vns.get(vni);
    const id = vn?.macs.get(mac);
    if (vn === undefined || id === undefined) return;
    this.#maps.fdb.delete({ vni, mac: macOfNumber(mac), zero: 0 });
    vn.macs.delete(mac);
    this.#withPeers(vni, [], [id], () => {});
  }

  #writeMac(vni: Vni, mac: Mac, id: PlaceId): void {
    this.#maps.fdb.set({ vni, mac, zero: 0 }, this.#kernelPlace(id) ?? nowhere);
  }

  #ensureVn({ vni, floodUnknown, askUnknown, ...intent }: VnIntent): void {
    const flood = this.#ids(intent.flood);
    const unknown = { floodUnknown, ...(askUnknown && { askUnknown }) };
    const vn = this.#record.vn(vni);
    const was = vn.intent;
    const same =
      was?.unknown.floodUnknown === floodUnknown &&
      was.unknown.askUnknown === askUnknown &&
      was.flood.length === flood.length &&
      was.flood.every((id, i) => id === flood[i]);
    if (same) return;
    if (was === undefined) this.#maps.vnCounts.set(vni, zeroCounts);
    this.#withPeers(vni, flood, was?.flood ?? [], () => {
      vn.intent = { flood, unknown };
      try {
        this.#writeFlood(vni);
      } catch (error) {
        delete vn.intent;
        if (was !== undefined) vn.intent = was;
        else this.#maps.vnCounts.delete(vni);
        throw error;
      }
    });
    if (askUnknown) this.#record.asking.add(vni);
    else this.#record.asking.delete(vni);
  }

  #removeVn(vni: Vni): void {
    const vn = this.#record.vns.get(vni);
    if (vn?.intent === undefined) return;
    const { flood } = vn.intent;
    this.#maps.vns.delete(vni);
    this.#maps.vnCounts.delete(vni);
    this.#forgetFlood(vni, vn.generation, vn.written);
    delete vn.intent;
    this.#record.asking.delete(vni);
    vn.written = 0;
    this.#withPeers(vni, [], flood, () => {});
  }

  /** A new list beside the old one, then one update that puts it in force, then the old one away. */
  #writeFlood(vni: Vni): void {
    const vn = this.#record.vn(vni);
    const { flood = [], unknown = { floodUnknown: false } } = vn.intent ?? {};
    this.#generation = (this.#generation + 1) >>> 0;
    const generation = this.#generation;
    const places = flood.flatMap((id) => this.#kernelPlace(id) ?? []).sort(localFirst);
    try {
      this.#maps.flood.setAll(places.map((place, at) => [{ vni, generation, at }, place]));
      const flags = this.#vnFlags(vni, unknown);
      this.#maps.vns.set(vni, { n: places.length, generation, flags });
    } catch (error) {
      this.#deleteFlood(vni, generation, places.length);
      throw error;
    }
    this.#forgetFlood(vni, vn.generation, vn.written);
    vn.generation = generation;
    vn.written = places.length;
  }

  /** A frame may be on its way through the list still. */
  #forgetFlood(vni: Vni, generation: number, n: number): void {
    if (n > 0) this.#around.later(() => this.#deleteFlood(vni, generation, n));
  }

  #deleteFlood(vni: Vni, generation: number, n: number): void {
    for (let at = 0; at < n; at++) this.#maps.flood.delete({ vni, generation, at });
  }

  /** Peers in `more` are believed before `act`, those in `less` no longer after it. */
  #withPeers(vni: Vni, more: readonly PlaceId[], less: readonly PlaceId[], act: () => void): void {
    const added: PlaceId[] = [];
    try {
      for (const id of more) {
        this.#countPeer(vni, id, 1);
        added.push(id);
      }
      act();
    } catch (error) {
      for (const id of added) this.#countPeer(vni, id, -1);
      this.#record.settle(vni);
      throw error;
    }
    for (const id of less) this.#countPeer(vni, id, -1);
    this.#record.settle(vni);
  }

  #disbelieve(peers: readonly { vni: Vni; id: PlaceId }[]): void {
    for (const { vni, id } of peers) this.#countPeer(vni, id, -1);
    for (const { vni } of peers) this.#record.settle(vni);
  }

  #countPeer(vni: Vni, id: PlaceId, by: 1 | -1): void {
    const place = this.#record.place(id);
    if (place.is === "local") return;
    const { peers } = this.#record.vn(vni);
    const count = (peers.get(id) ?? 0) + by;
    if (count === 1 && by === 1) this.#maps.peers.set({ vni, vtep: place.vtep }, { places: 1 });
    if (count === 0) this.#maps.peers.delete({ vni, vtep: place.vtep });
    if (count === 0) peers.delete(id);
    else peers.set(id, count);
  }

  #ids(places: readonly Place[]): PlaceId[] {
    return [...new Set(places.map((place) => this.#id(place)))];
  }

  #id(place: Place): PlaceId {
    const reason = place.is === "remote" ? this.#around.unreachable(place.vtep) : undefined;
    if (reason !== undefined) throw new Error(reason);
    return this.#record.idOf(place);
  }

  /** undefined: its port is absent. */
  #kernelPlace(id: PlaceId): KernelPlace | undefined {
    const place = this.#record.place(id);
    if (place.is === "remote") return remotePlace(place.vtep);
    const ifindex = this.#around.indexOf(place.port);
    return ifindex === undefined ? undefined : localPlace(ifindex, place.vid);
  }

  #isAt(id: PlaceId, port: string): boolean {
    const place = this.#record.place(id);
    return place.is === "local" && place.port === port;
  }
}

const zeroCounts = { accessIn: 0, accessOut: 0, overlayIn: 0, overlayOut: 0, flooded: 0 };

const flagsOf = ({ checkSource, glean }: AccessRules): number =>
  (checkSource ? accessFlag.checkSource : 0) | (glean ? accessFlag.glean : 0);

/** Local copies go out before the frame carries a tunnel's metadata. */
const localFirst = (a: KernelPlace, b: KernelPlace): number => a.type - b.type;
