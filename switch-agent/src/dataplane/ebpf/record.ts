import type { IpAddress, Mac, Uuid, Vni } from "@nve/protocol-spec";
import {
  type AccessRules,
  type Intent,
  type Place,
  placeKey,
  type VnIntent,
} from "../../nve/intents.ts";
import type { PortTag } from "../../nve/vsi.ts";
import { noRules, type RulesInForce } from "./rules.ts";

/** A place by number: there are few places and many MACs. */
export type PlaceId = number;

/** What a driver has been asked for, small enough for hundreds of thousands of MACs: about 60 octets each. */
export class IntentRecord {
  readonly vns = new Map<Vni, VnRecord>();
  readonly access = new Map<string, Map<PortTag, AccessRecord>>();
  /** Accesses that glean, of each VN that has any. */
  readonly gleaning = new Map<Vni, number>();
  /** VNs in pull. */
  readonly asking = new Set<Vni>();
  readonly #places: Place[] = [];
  readonly #ids = new Map<string, PlaceId>();
  /** Those of other NVEs in VXLAN: nearly all MACs are there. */
  readonly #vteps = new Map<IpAddress, PlaceId>();

  /** Ports, tags and VTEPs are bounded, so a place's number is never taken back. */
  idOf(place: Place): PlaceId {
    const isPlain = place.is === "remote" && place.encapsulation === undefined;
    const plain = isPlain ? this.#vteps.get(place.vtep) : undefined;
    if (plain !== undefined) return plain;
    const id = this.#idOf(place);
    if (isPlain) this.#vteps.set(place.vtep, id);
    return id;
  }

  #idOf(place: Place): PlaceId {
    const key = placeKey(place);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    this.#ids.set(key, this.#places.length);
    return this.#places.push(place) - 1;
  }

  place(id: PlaceId): Place {
    const place = this.#places[id];
    if (place === undefined) throw new Error(`no place ${id}`);
    return place;
  }

  vn(vni: Vni): VnRecord {
    const known = this.vns.get(vni);
    if (known !== undefined) return known;
    const fresh: VnRecord = {
      ...{ generation: 0, written: 0, inForce: 0, acl: noRules },
      ...{ macs: new Map(), vnics: new Map(), marks: new Map(), peers: new Map() },
    };
    this.vns.set(vni, fresh);
    return fresh;
  }

  /** Forgets a VN with nothing left in it. */
  settle(vni: Vni): void {
    const vn = this.vns.get(vni);
    if (vn !== undefined && vn.intent === undefined && vn.macs.size === 0) this.vns.delete(vni);
  }

  /** Of MACs the places alone. */
  *intents(): IterableIterator<Intent> {
    for (const [vni, vn] of this.vns) {
      if (vn.intent !== undefined) {
        const flood = vn.intent.flood.map((id) => this.place(id));
        yield { is: "vn", vni, flood, ...vn.intent.rules };
      }
      for (const [mac, id] of vn.macs) {
        yield { is: "mac", vni, mac: macOfNumber(mac), at: this.place(id) };
      }
    }
    for (const [port, tags] of this.access) {
      for (const [vid, { vni, rules }] of tags) yield { is: "access", port, vid, vni, ...rules };
    }
  }
}

export type AccessRecord = { vni: Vni; rules: AccessRules };

/** All of a VN's intent but its flood list. */
export type WholeRules = Omit<VnIntent, "is" | "vni" | "flood">;

export type VnRecord = {
  intent?: { flood: readonly PlaceId[]; rules: WholeRules };
  /** Of the flood list in force: how many entries it has, and how many of them count now. */
  generation: number;
  written: number;
  inForce: number;
  macs: Map<number, PlaceId>;
  /** Of MACs here, where it is known. */
  vnics: Map<number, Uuid>;
  /** MACs that have moved away, or are suspended: `placeFlag`. */
  marks: Map<number, number>;
  /** Which ACL is in force. */
  acl: RulesInForce;
  /** How many flood entries and MACs are behind each VTEP, whatever the encapsulation: frames from there are believed. */
  peers: Map<IpAddress, number>;
};

/** 48 bits fit a number exactly. */
export function numberOfMac(mac: Mac): number {
  let n = 0;
  for (let at = 0; at < 17; at += 3) {
    n = n * 256 + digit(mac.charCodeAt(at)) * 16 + digit(mac.charCodeAt(at + 1));
  }
  return n;
}

export function macOfNumber(n: number): Mac {
  const [high, low] = [Math.floor(n / 2 ** 24), n % 2 ** 24];
  return `${three(high)}:${three(low)}` as Mac;
}

const digit = (code: number): number => (code < 58 ? code - 48 : code - 87);
const pairs = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, "0"));
const three = (n: number): string =>
  `${pairs[n >> 16]}:${pairs[(n >> 8) & 0xff]}:${pairs[n & 0xff]}`;
