import type { IpAddress, Mac, Uuid, Vni } from "@nve/protocol-spec";
import {
  type AccessIntent,
  type Intent,
  type MacIntent,
  type Place,
  type RemotePlace,
  sameVnRules,
  type VnIntent,
} from "../../nve/intents.ts";
import type { PortTag } from "../../nve/vsi.ts";
import { Addresses, type IpsOf } from "./addresses.ts";
import { accessFlags, macMark, vnFlags } from "./flags.ts";
import { type FloodInForce, FloodLists } from "./flood-lists.ts";
import { Limits } from "./limits.ts";
import {
  type KernelPlace,
  localPlace,
  nowhere,
  remotePlace,
  type TorMaps,
  vnFlag,
  zeroCounts,
} from "./maps.ts";
import type { Meters } from "./meters.ts";
import { Peers } from "./peers.ts";
import {
  type AccessRecord,
  type IntentRecord,
  macOfNumber,
  numberOfMac,
  type PlaceId,
  type VnRecord,
  type WholeRules,
} from "./record.ts";
import { noRules, policeOf, Rules, type RulesInForce } from "./rules.ts";

/** What `Forwarding` needs to know of its surroundings. */
type Surroundings = {
  indexOf(port: string): number | undefined;
  /** Why no tunnel can go there; undefined: it can. */
  unreachable(place: RemotePlace): string | undefined;
  /** The number of the way to this VTEP in `nextHops`; 0: none. */
  nextHop(vtep: IpAddress): number;
  /** The group that a VN has now, or none any more. */
  group(vni: Vni, group: IpAddress | undefined): void;
  /** Whether all who are to hear a VN's frames at its group do by now. */
  maySend(vni: Vni, group: IpAddress): boolean;
  /** Runs it when no program in the kernel can be half-way any more. */
  later(task: () => void): void;
};

/** `n`: the MAC as a number. `mark`: `placeFlag`. */
type MacChange = IpsOf & { n: number; id: PlaceId; vnic: Uuid | undefined; mark: number };

/**
 * Keeps the kernel's maps in step with the record. Always insert or overwrite first and delete last, so that no
 * frame meets a gap. What throws has changed neither.
 */
export class Forwarding {
  readonly #maps: TorMaps;
  readonly #record: IntentRecord;
  readonly #around: Surroundings;
  readonly addresses: Addresses;
  readonly #limits: Limits;
  readonly #meters: Meters;
  readonly #rules: Rules;
  readonly #peers: Peers;
  readonly #floods: FloodLists;
  /** Places behind the overlay as the kernel has them: the way to a VTEP has its number for good. */
  readonly #remotes = new Map<PlaceId, KernelPlace>();

  constructor(maps: TorMaps, record: IntentRecord, meters: Meters, around: Surroundings) {
    this.#maps = maps;
    this.#record = record;
    this.#around = around;
    this.addresses = new Addresses(maps);
    this.#limits = new Limits(maps);
    this.#meters = meters;
    this.#rules = new Rules(maps);
    this.#peers = new Peers(maps, record, meters);
    this.#floods = new FloodLists(maps, record, (task) => around.later(task));
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
        this.ensureMacs([intent]);
        break;
    }
  }

  /** Lists that are in the maps from an earlier run are not written over. */
  beginAfterLeftovers(): void {
    for (const [, { generation, rules }] of this.#maps.vns.entries()) {
      this.#floods.beyond(generation);
      this.#rules.beyond(rules);
    }
  }

  /** As `ensure` of each, in few system calls. When it throws, each is to be ensured by itself: that tells whose fault it is. */
  ensureMacs(intents: readonly MacIntent[]): void {
    const news = intents.map((one) => this.#changeOf(one)).filter((one) => !this.#isSo(one));
    const believed: MacChange[] = [];
    for (const { vni, vnic } of news) {
      if (vnic !== undefined) this.#meters.take({ is: "vnic", vni, vnic });
    }
    try {
      for (const one of news) {
        this.#peers.count(one.vni, one.id, 1);
        believed.push(one);
      }
      this.addresses.add(news);
      try {
        this.#maps.fdb.setAll(news.map((one) => [fdbKey(one), this.#macPlace(one)]));
      } catch (error) {
        this.addresses.takeBack(news);
        throw error;
      }
    } catch (error) {
      this.#peers.disbelieve(believed);
      for (const { vni, vnic } of news) this.#unmeter(vni, vnic);
      throw error;
    }
    this.addresses.settle(news);
    this.#peers.disbelieve(
      news.flatMap(({ vni, n, id, vnic, mark }) => {
        const { macs, vnics, marks } = this.#record.vn(vni);
        const was = macs.get(n);
        macs.set(n, id);
        this.#unmeter(vni, vnics.get(n));
        if (vnic !== undefined) vnics.set(n, vnic);
        else if (vnics.size > 0) vnics.delete(n);
        if (mark !== 0) marks.set(n, mark);
        else if (marks.size > 0) marks.delete(n);
        return was === undefined ? [] : [{ vni, id: was }];
      }),
    );
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
        this.#removeMac(intent.vni, intent.mac);
        break;
    }
  }

  /** The port has a new interface, or lost it (`was`: the old interface's number). */
  portChanged(port: string, was: number | undefined): void {
    const ifindex = this.#around.indexOf(port);
    const tags = this.#record.access.get(port) ?? new Map<PortTag, AccessRecord>();
    for (const [vid, access] of tags) this.#writeAccess(port, ifindex, vid, access);
    for (const [vni, vn] of this.#record.vns) {
      for (const [n, id] of vn.macs) {
        if (!this.#isAt(id, port)) continue;
        const mac = macOfNumber(n);
        const ips = this.addresses.of(vni, mac);
        const vnic = vn.vnics.get(n);
        const change = { vni, id, ips, vnic, mark: vn.marks.get(n) ?? 0 };
        this.#maps.fdb.set(fdbKey({ vni, mac }), this.#macPlace(change));
      }
      if (vn.intent?.flood.some((id) => this.#isAt(id, port))) this.#writeFlood(vni);
    }
    if (was === undefined) return;
    for (const vid of tags.keys()) this.#maps.access.delete({ ifindex: was, vid, zero: 0 });
    this.#limits.port(was, undefined);
  }

  #ensureAccess({ is: _, port, vid, vni, ...rules }: AccessIntent): void {
    this.#writeAccess(port, this.#around.indexOf(port), vid, { vni, rules });
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
    if (tags?.size !== 0) return;
    this.#record.access.delete(port);
    if (ifindex !== undefined) this.#limits.port(ifindex, undefined);
  }

  #writeAccess(
    port: string,
    ifindex: number | undefined,
    vid: PortTag,
    { vni, rules }: AccessRecord,
  ): void {
    if (ifindex === undefined) return;
    if (rules.floodLimit !== undefined) this.#limits.port(ifindex, rules.floodLimit);
    this.#maps.access.set(
      { ifindex, vid, zero: 0 },
      { vni, flags: (accessFlags(rules) | this.#portFlags(port)) >>> 0 },
    );
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
    this.#writeVn(vni, vn, vn.intent.rules, { n: vn.inForce, generation: vn.generation });
  }

  #writeVn(vni: Vni, { acl }: VnRecord, rules: WholeRules, flood: FloodInForce): void {
    const leases = this.#record.gleaning.has(vni) ? vnFlag.gleanLeases : 0;
    const flags = (this.#greFlag(vni) | leases | vnFlags(rules)) >>> 0;
    const rest = { mtu: rules.mtu ?? 0, ...policeOf(rules.qos) };
    this.#maps.vns.set(vni, { ...flood, flags, ...acl, ...rest });
  }

  /** Of a VN whose flood list has places that take GRE. */
  #greFlag(vni: Vni): number {
    const flood = this.#record.vns.get(vni)?.intent?.flood ?? [];
    const takesGre = (place: Place) => place.is === "remote" && place.encapsulation !== undefined;
    return flood.some((id) => takesGre(this.#record.place(id))) ? vnFlag.floodGre : 0;
  }

  #removeMac(vni: Vni, mac: Mac): void {
    const vn = this.#record.vns.get(vni);
    const id = vn?.macs.get(numberOfMac(mac));
    if (vn === undefined || id === undefined) return;
    this.#maps.fdb.delete(fdbKey({ vni, mac }));
    vn.macs.delete(numberOfMac(mac));
    this.#unmeter(vni, vn.vnics.get(numberOfMac(mac)));
    vn.vnics.delete(numberOfMac(mac));
    vn.marks.delete(numberOfMac(mac));
    this.addresses.settle([{ vni, mac, ips: [], here: false }]);
    this.#peers.with(vni, [], [id], () => {});
  }

  #changeOf({ vni, mac, at, ips = [], vnic, ...marks }: MacIntent): MacChange {
    const here = at.is === "local";
    const id = this.#id(at);
    const of = { vnic: here ? vnic : undefined, mark: macMark(at, marks) };
    return { vni, mac, n: numberOfMac(mac), id, ips, here, ...of };
  }

  #unmeter(vni: Vni, vnic: Uuid | undefined): void {
    if (vnic !== undefined) this.#meters.release({ is: "vnic", vni, vnic });
  }

  #isSo(change: MacChange): boolean {
    const { vni, n, id, vnic, mark } = change;
    const vn = this.#record.vns.get(vni);
    const isThere = vn?.macs.get(n) === id && vn.vnics.get(n) === vnic;
    return isThere && (vn.marks.get(n) ?? 0) === mark && this.addresses.isSo(change);
  }

  #macPlace({ vni, id, ips, vnic, mark }: Omit<MacChange, "n" | "mac" | "here">): KernelPlace {
    const at = this.addresses.placeOf(this.#kernelPlace(id) ?? nowhere, ips);
    const place = mark === 0 ? at : { ...at, flags: (at.flags | mark) >>> 0 };
    if (vnic === undefined) return place;
    return { ...place, owner: this.#meters.numberOf({ is: "vnic", vni, vnic }) };
  }

  #ensureVn({ is: _, vni, flood: places, ...rules }: VnIntent): void {
    const flood = this.#ids(places);
    const { askUnknown, floodLimit } = rules;
    const vn = this.#record.vn(vni);
    const was = vn.intent;
    const same =
      was?.rules.floodUnknown === rules.floodUnknown &&
      was.rules.askUnknown === askUnknown &&
      sameVnRules(was.rules, rules) &&
      was.flood.length === flood.length &&
      was.flood.every((id, i) => id === flood[i]);
    if (same) return;
    const isCounted = was !== undefined || this.#maps.vnCounts.get(vni) !== undefined;
    if (!isCounted) this.#maps.vnCounts.set(vni, zeroCounts);
    if (floodLimit !== undefined) this.#limits.vn(vni, floodLimit);
    this.#peers.with(vni, flood, was?.flood ?? [], () => {
      const older = vn.acl;
      vn.intent = { flood, rules };
      try {
        vn.acl = this.#rules.replace(vni, vn.acl, was?.rules, rules);
        this.#writeFlood(vni);
        if (vn.acl !== older) this.#forgetRules(vni, older);
      } catch (error) {
        if (vn.acl !== older) this.#rules.delete(vni, vn.acl);
        vn.acl = older;
        if (was !== undefined) this.#rules.police(vni, was.rules.qos);
        delete vn.intent;
        if (was !== undefined) vn.intent = was;
        else this.#maps.vnCounts.delete(vni);
        throw error;
      }
    });
    if (floodLimit === undefined && was?.rules.floodLimit) this.#limits.vn(vni, undefined);
    if (rules.qos?.policeKbps === undefined && was?.rules.qos) this.#rules.police(vni, undefined);
    this.#around.group(vni, rules.group);
    if (askUnknown) this.#record.asking.add(vni);
    else this.#record.asking.delete(vni);
  }

  #forgetRules(vni: Vni, inForce: RulesInForce): void {
    if (inForce.ruleCount > 0) this.#around.later(() => this.#rules.delete(vni, inForce));
  }

  #removeVn(vni: Vni): void {
    const vn = this.#record.vns.get(vni);
    if (vn?.intent === undefined) return;
    const { flood, rules } = vn.intent;
    this.#maps.vns.delete(vni);
    if (rules.floodLimit !== undefined) this.#limits.vn(vni, undefined);
    this.#maps.vnCounts.delete(vni);
    if (rules.qos?.policeKbps !== undefined) this.#rules.police(vni, undefined);
    this.#floods.forget(vni, vn.generation, vn.written);
    this.#forgetRules(vni, vn.acl);
    vn.acl = noRules;
    delete vn.intent;
    this.#record.asking.delete(vni);
    vn.written = 0;
    this.#around.group(vni, undefined);
    this.#peers.with(vni, [], flood, () => {});
  }

  floodAnew(vni: Vni): void {
    if (this.#record.vns.get(vni)?.intent !== undefined) this.#writeFlood(vni);
  }

  #writeFlood(vni: Vni): void {
    const vn = this.#record.vn(vni);
    const { flood = [], rules = { floodUnknown: false } } = vn.intent ?? {};
    const places = flood.flatMap((id) => this.#kernelPlace(id) ?? []);
    const group = this.#groupOf(vni, rules);
    this.#floods.write(vni, places, group, (list) => this.#writeVn(vni, vn, rules, list));
  }

  /** Where frames to all other NVEs go, when it is not to each. */
  #groupOf(vni: Vni, { group, sendToGroup }: WholeRules): KernelPlace | undefined {
    if (group === undefined || !sendToGroup || !this.#around.maySend(vni, group)) return undefined;
    return remotePlace({ vtep: group }, 0);
  }

  #ids(places: readonly Place[]): PlaceId[] {
    return [...new Set(places.map((place) => this.#id(place)))];
  }

  #id(place: Place): PlaceId {
    const reason = place.is === "remote" ? this.#around.unreachable(place) : undefined;
    if (reason !== undefined) throw new Error(reason);
    return this.#record.idOf(place);
  }

  /** undefined: its port is absent. */
  #kernelPlace(id: PlaceId): KernelPlace | undefined {
    const place = this.#record.place(id);
    if (place.is === "remote") return this.#remotePlace(id, place);
    const ifindex = this.#around.indexOf(place.port);
    if (ifindex === undefined) return undefined;
    return { ...localPlace(ifindex, place.vid), flags: this.#portFlags(place.port) };
  }

  #remotePlace(id: PlaceId, place: RemotePlace): KernelPlace {
    const known = this.#remotes.get(id);
    if (known !== undefined) return known;
    const owner = this.#meters.numberFor({ is: "peer", vtep: place.vtep });
    const made = { ...remotePlace(place, this.#around.nextHop(place.vtep)), owner };
    this.#remotes.set(id, made);
    return made;
  }

  /** The last 16 bits: the meter of the port. */
  #portFlags(port: string): number {
    return (this.#meters.numberFor({ is: "port", port }) << 16) >>> 0;
  }

  #isAt(id: PlaceId, port: string): boolean {
    const place = this.#record.place(id);
    return place.is === "local" && place.port === port;
  }
}

const fdbKey = ({ vni, mac }: { vni: Vni; mac: Mac }) => ({ vni, mac, zero: 0 });
