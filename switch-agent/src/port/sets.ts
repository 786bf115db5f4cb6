import type { Clock } from "@nve/linux";
import {
  addressesOf,
  hashOfSet,
  hexPairs,
  Instant,
  type Mac,
  macsOf,
  membersOfSet,
  type Organizational,
  prefixesOf,
  readSet,
  sameHash,
  sameVsi,
  VdpError,
  type VdpTlv,
  type VsiAddress,
  type VsiId,
  type VsiMac,
  type VsiSet,
} from "@nve/protocol-spec";
import type { Refusal } from "@nve/switch-agent/nve";

/** What a VSI has besides its filter entries; without `addresses` nothing was said of them. */
export type Said = {
  addresses: readonly VsiAddress[] | undefined;
  macs: readonly VsiMac[];
  /** By which it is named in keepalives, where it came in parts. */
  set?: VsiSet;
};

/** Whose set it is. */
export type Whose = { station: Mac; manager: Uint8Array; vsiId: VsiId };

export type SetCounters = {
  setsAsked: number;
  /** Forgotten before all of their parts were there, or before a request named them. */
  setsIncomplete: number;
  setPartsIn: number;
  /** Not asked for, or of no use any more. */
  setPartsSkipped: number;
};

type SetsOptions = {
  clock: Clock;
  /** How many may be on the port: with more than one, each has its share, and none waits for another's sets (H3). */
  stations: number;
  /** Of one VSI: IP addresses, prefixes and MACs beyond its filter entries. */
  maxAddresses: number;
  /** Tells the station that its set is not known here. */
  ask(whose: Whose, set: VsiSet): void;
};

/** Asked for: parts come in, or all is there and waits for the request. */
type Slot = {
  whose: Whose;
  set: VsiSet;
  parts: Map<number, readonly Organizational[]>;
  octets: number;
  outcome?: Said | Refusal;
  callOff: () => void;
};

/** Sets that are asked for at a time, of the only station or of each of several; others wait for their turn. */
const WINDOW = { alone: 4, each: 1 };
/** Of all stations together. */
const MAX_WAITING = 4096;
/** Without a part, or without the request, that long: forgotten. */
const PATIENCE_MS = 5000;
/** Octets of TLVs for each address that may be: the longest entry, alone in its TLV, has 50. */
const OCTETS_EACH = 64;

/** The sets of one port that requests have named and that are not known yet (protocol-spec, "07: set of a VSI"). */
export class Sets {
  readonly counters: SetCounters = {
    setsAsked: 0,
    setsIncomplete: 0,
    setPartsIn: 0,
    setPartsSkipped: 0,
  };
  readonly #options: SetsOptions;
  readonly #slots = new Map<string, Slot>();
  readonly #waiting = new Map<string, { whose: Whose; set: VsiSet }>();

  constructor(options: SetsOptions) {
    this.#options = options;
  }

  /** What a request has named, once; undefined: it is not here, and the station is or will be asked for it. */
  take(whose: Whose, set: VsiSet): Said | Refusal | undefined {
    const key = keyOf(whose);
    const slot = this.#slots.get(key);
    if (slot === undefined) this.#queue(key, whose, set);
    else if (!sameHash(slot.set, set)) {
      this.#close(key, slot);
      this.counters.setsIncomplete += 1;
      this.#open(key, whose, set);
    } else if (slot.outcome === undefined) this.#ask(slot);
    else {
      this.#close(key, slot);
      this.#next();
      return slot.outcome;
    }
    return undefined;
  }

  /** Takes the parts of sets out of a ULPDU. */
  hear(station: Mac, manager: Uint8Array, tlvs: readonly VdpTlv[]): void {
    const heard: VsiId[] = [];
    for (const tlv of tlvs) {
      const set = tlv.is === "organizational" ? readSet(tlv) : undefined;
      if (set === undefined || heard.some((other) => sameVsi(other, set.vsiId))) continue;
      heard.push(set.vsiId);
      if (set.part === 0 || hasAssociation(set.vsiId, tlvs)) continue;
      this.counters.setPartsIn += 1;
      const slot = this.#slots.get(keyOf({ station, manager, vsiId: set.vsiId }));
      if (slot === undefined || !isWanted(slot, set)) this.counters.setPartsSkipped += 1;
      else this.#part(slot, set, membersOfSet(set.vsiId, tlvs));
    }
  }

  /** Its VSI is gone. */
  forget(whose: Whose): void {
    const key = keyOf(whose);
    this.#waiting.delete(key);
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    this.#close(key, slot);
    this.#next();
  }

  stop(): void {
    this.#waiting.clear();
    for (const [key, slot] of this.#slots) this.#close(key, slot);
  }

  #queue(key: string, whose: Whose, set: VsiSet): void {
    const { stations } = this.#options;
    if (this.#free(this.#slots, whose, this.#window)) this.#open(key, whose, set);
    else if (
      this.#waiting.has(key) ||
      this.#free(this.#waiting, whose, Math.floor(MAX_WAITING / stations))
    )
      this.#waiting.set(key, { whose: kept(whose), set: keptSet(set) });
  }

  #next(): void {
    for (const [key, { whose, set }] of this.#waiting) {
      if (!this.#free(this.#slots, whose, this.#window)) continue;
      this.#waiting.delete(key);
      this.#open(key, whose, set);
    }
  }

  get #window(): number {
    return this.#options.stations > 1 ? WINDOW.each : WINDOW.alone;
  }

  /** Is there room for one more, of this station and of all? Where one is expected, its address does not matter. */
  #free(held: ReadonlyMap<string, { whose: Whose }>, { station }: Whose, each: number): boolean {
    const { stations } = this.#options;
    if (held.size >= each * stations) return false;
    if (stations === 1) return true;
    let mine = 0;
    for (const { whose } of held.values()) if (whose.station === station) mine += 1;
    return mine < each;
  }

  #open(key: string, whose: Whose, set: VsiSet): void {
    const callOff = (): void => {};
    const slot = {
      whose: kept(whose),
      set: keptSet(set),
      parts: new Map(),
      octets: 0,
      callOff,
    };
    this.#slots.set(key, slot);
    this.#ask(slot);
  }

  #ask(slot: Slot): void {
    this.counters.setsAsked += 1;
    this.#wait(slot);
    this.#options.ask(slot.whose, slot.set);
  }

  #wait(slot: Slot): void {
    const { clock } = this.#options;
    slot.callOff();
    slot.callOff = clock.at(Instant(clock.now() + PATIENCE_MS), () => {
      this.#close(keyOf(slot.whose), slot);
      this.counters.setsIncomplete += 1;
      this.#next();
    });
  }

  #close(key: string, slot: Slot): void {
    slot.callOff();
    this.#slots.delete(key);
  }

  #part(slot: Slot, { part, parts }: VsiSet, tlvs: readonly Organizational[]): void {
    this.#wait(slot);
    slot.octets += octetsOf(tlvs) - octetsOf(slot.parts.get(part) ?? []);
    if (slot.octets > OCTETS_EACH * this.#options.maxAddresses) {
      slot.parts.clear();
      slot.outcome = tooMany("more", this.#options.maxAddresses);
      return;
    }
    // Views of the frame they came in: what is kept is a copy.
    const copy = tlvs.map((tlv) => ({ ...tlv, octets: Uint8Array.from(tlv.octets) }));
    slot.parts.set(part, copy);
    if (slot.parts.size < parts) return;
    slot.outcome = outcomeOf(slot, this.#options.maxAddresses);
    slot.parts.clear();
  }
}

export const isRefusal = <T extends object>(value: T | Refusal): value is Refusal =>
  "reason" in value;

/** Why a VSI cannot have so many; `undefined` when it can. */
export const tooManyIn = ({ addresses = [], macs }: Said, max: number): Refusal | undefined =>
  addresses.length + macs.length > max ? tooMany(addresses.length + macs.length, max) : undefined;

const tooMany = (count: number | "more", max: number): Refusal => ({
  code: VdpError.insufficientResources,
  hard: false,
  reason: `${count} addresses and prefixes on one VNIC: this port takes ${max} (maxAddresses)`,
});

const isWanted = ({ set, outcome }: Slot, part: VsiSet): boolean =>
  outcome === undefined && sameHash(set, part) && set.parts === part.parts;

function outcomeOf({ whose: { vsiId }, set, parts }: Slot, max: number): Said | Refusal {
  const inOrder = [...parts].sort(([a], [b]) => a - b).map(([, tlvs]) => tlvs);
  if (!sameHash(set, { ...set, hash: hashOfSet(inOrder) })) {
    const reason = "the parts of the set of addresses do not make its hash";
    return { code: VdpError.invalidFormat, hard: false, reason };
  }
  const tlvs = inOrder.flat();
  const addresses = [...(addressesOf(vsiId, tlvs)?.entries ?? []), ...prefixesOf(vsiId, tlvs)];
  const said = { addresses, macs: macsOf(vsiId, tlvs), set };
  return tooManyIn(said, max) ?? said;
}

const hasAssociation = (vsiId: VsiId, tlvs: readonly VdpTlv[]): boolean =>
  tlvs.some((tlv) => tlv.is === "association" && sameVsi(tlv.association.vsiId, vsiId));

const octetsOf = (tlvs: readonly Organizational[]): number =>
  tlvs.reduce((n, { octets }) => n + octets.length, 0);

const keyOf = ({ station, manager, vsiId: { format, octets } }: Whose): string =>
  [station, hexPairs(manager).join(""), format, hexPairs(octets).join("")].join(" ");

const copied = ({ format, octets }: VsiId): VsiId => ({ format, octets: Uint8Array.from(octets) });

const kept = ({ station, manager, vsiId }: Whose): Whose => ({
  station,
  manager: Uint8Array.from(manager),
  vsiId: copied(vsiId),
});

const keptSet = ({ vsiId, hash, parts }: VsiSet): VsiSet => ({
  vsiId: copied(vsiId),
  hash: Uint8Array.from(hash),
  part: 0,
  parts,
});
