import { Mac, type Vni } from "@nve/protocol-spec";
import {
  type AccessRules,
  type Intent,
  type Place,
  placeKey,
  type VnIntent,
} from "../../nve/intents.ts";
import type { PortTag } from "../../nve/vsi.ts";

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

  /** Ports, tags and VTEPs are bounded, so a place's number is never taken back. */
  idOf(place: Place): PlaceId {
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
    const fresh: VnRecord = { generation: 0, written: 0, macs: new Map(), peers: new Map() };
    this.vns.set(vni, fresh);
    return fresh;
  }

  /** Forgets a VN with nothing left in it. */
  settle(vni: Vni): void {
    const vn = this.vns.get(vni);
    if (vn !== undefined && vn.intent === undefined && vn.macs.size === 0) this.vns.delete(vni);
  }

  *intents(): IterableIterator<Intent> {
    for (const [vni, vn] of this.vns) {
      if (vn.intent !== undefined) {
        const flood = vn.intent.flood.map((id) => this.place(id));
        yield { is: "vn", vni, flood, ...vn.intent.unknown };
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

/** What becomes of frames for MACs that are not known. */
export type UnknownRules = Pick<VnIntent, "floodUnknown" | "askUnknown">;

export type VnRecord = {
  intent?: { flood: readonly PlaceId[]; unknown: UnknownRules };
  /** Of the flood list in force, and how many entries it has. */
  generation: number;
  written: number;
  macs: Map<number, PlaceId>;
  /** How many flood entries and MACs are at each remote place: frames from there are believed. */
  peers: Map<PlaceId, number>;
};

/** 48 bits fit a number exactly. */
export function numberOfMac(mac: Mac): number {
  let number = 0;
  for (let i = 0; i < mac.length; i++) {
    const code = mac.charCodeAt(i);
    if (code !== COLON) number = 16 * number + code - (code < LOWER_A ? ZERO : LOWER_A - 10);
  }
  return number;
}

/** Of ASCII. */
const COLON = 0x3a;
const ZERO = 0x30;
const LOWER_A = 0x61;

export const macOfNumber = (n: number): Mac =>
  Mac(
    n
      .toString(16)
      .padStart(12, "0")
      .replace(/(..)(?!$)/g, "$1:"),
  );
