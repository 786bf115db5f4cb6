import type { Mac, Vid } from "@nve/protocol-spec";
import type { SegmentKey, SwitchMaps, VmPort } from "./maps.ts";

/** A binding with its interfaces as they are numbered now. */
export type Bound = {
  ifindex: number;
  guestTag: Vid | 0;
  mac: Mac;
  uplink: number;
  vid: Vid;
};

/**
 * Keeps the kernel's maps in step with the bindings that can be in force. Inserts first and deletes last; flood
 * lists are replaced whole.
 */
export class Tables {
  readonly #maps: SwitchMaps;
  /** Runs it when no program in the kernel can be half-way any more. */
  readonly #later: (task: () => void) => void;
  /** What may be in the maps. */
  #bound = new Map<string, Bound>();
  /** The last call threw: what is bound may not be in the maps, and what is in them may be another's. */
  #halfDone = false;
  #segments = new Map<string, Segment>();
  #generation = 0;

  constructor(maps: SwitchMaps, later: (task: () => void) => void) {
    this.#maps = maps;
    this.#later = later;
  }

  /** @throws BpfError when a map is full; the next call puts right what is missing */
  replace(wanted: readonly Bound[]): void {
    const before = this.#bound;
    const bound = new Map(wanted.map((each) => [boundKey(each), each]));
    const added = [...bound].flatMap(([key, each]) =>
      this.#halfDone || !before.has(key) ? [each] : [],
    );
    this.#halfDone = true;
    this.#bound = new Map([...before, ...bound]);
    for (const { ifindex, guestTag, mac, uplink, vid } of added) {
      this.#maps.stations.set({ uplink, vid, mac }, { ifindex, guestTag });
    }
    this.#floodTo(bound);
    for (const { ifindex, guestTag, mac, uplink, vid } of added) {
      this.#maps.guestTags.set({ ifindex, guestTag }, 1);
      this.#maps.bindings.set({ ifindex, mac, guestTag }, { uplink, vid });
    }
    this.#bound = bound;
    this.#unbind([...before.values()].filter((old) => !bound.has(boundKey(old))));
    this.#halfDone = false;
  }

  /** What another binding does not say now. */
  #unbind(gone: readonly Bound[]): void {
    if (gone.length === 0) return;
    const now = [...this.#bound.values()];
    const [sources, ports, places] = [sourceKey, portKey, stationKey].map(
      (key) => new Set(now.map(key)),
    );
    for (const old of gone) {
      const { ifindex, guestTag, mac, uplink, vid } = old;
      if (!sources?.has(sourceKey(old))) this.#maps.bindings.delete({ ifindex, mac, guestTag });
      if (!ports?.has(portKey(old))) this.#maps.guestTags.delete({ ifindex, guestTag });
      if (!places?.has(stationKey(old))) this.#maps.stations.delete({ uplink, vid, mac });
    }
  }

  #floodTo(bound: ReadonlyMap<string, Bound>): void {
    const wanted = new Map<string, { key: SegmentKey; ports: Map<number, VmPort> }>();
    for (const { uplink, vid, ifindex, guestTag } of bound.values()) {
      const name = `${uplink} ${vid}`;
      const segment = wanted.get(name) ?? { key: { uplink, vid }, ports: new Map() };
      segment.ports.set(ifindex, { ifindex, guestTag });
      wanted.set(name, segment);
    }
    for (const [name, { key, ports }] of wanted) this.#writeSegment(name, key, [...ports.values()]);
    for (const [name, segment] of this.#segments) {
      if (wanted.has(name)) continue;
      this.#maps.segments.delete(segment.key);
      this.#segments.delete(name);
      this.#forget(segment);
    }
  }

  /** A new list beside the old one, then one update that puts it in force, then the old one away. */
  #writeSegment(name: string, key: SegmentKey, ports: readonly VmPort[]): void {
    const before = this.#segments.get(name);
    if (before !== undefined && samePorts(before.ports, ports)) return;
    this.#generation = (this.#generation + 1) >>> 0;
    const segment = { key, ports, generation: this.#generation };
    try {
      for (const [at, port] of ports.entries()) this.#maps.flood.set(floodKey(segment, at), port);
      const value = { n: ports.length, generation: segment.generation };
      this.#maps.segments.set(key, value);
    } catch (error) {
      this.#erase(segment);
      throw error;
    }
    this.#segments.set(name, segment);
    if (before !== undefined) this.#forget(before);
  }

  /** A frame may be on its way through the list still. */
  #forget(segment: Segment): void {
    this.#later(() => this.#erase(segment));
  }

  #erase(segment: Segment): void {
    for (const at of segment.ports.keys()) this.#maps.flood.delete(floodKey(segment, at));
  }
}

type Segment = { key: SegmentKey; generation: number; ports: readonly VmPort[] };

const samePorts = (a: readonly VmPort[], b: readonly VmPort[]): boolean =>
  a.length === b.length && a.every((port, at) => same(port, b[at]));

const same = (a: VmPort, b: VmPort | undefined): boolean =>
  a.ifindex === b?.ifindex && a.guestTag === b.guestTag;

const floodKey = ({ key, generation }: Segment, at: number) => ({ ...key, generation, at });

/** Whose frames they are, what the guest tags them with, and where it is found. */
const sourceKey = ({ ifindex, mac, guestTag }: Bound): string => `${ifindex} ${mac} ${guestTag}`;
const portKey = ({ ifindex, guestTag }: Bound): string => `${ifindex} ${guestTag}`;
const stationKey = ({ uplink, vid, mac }: Bound): string => `${uplink} ${vid} ${mac}`;

const boundKey = (bound: Bound): string => `${sourceKey(bound)} ${stationKey(bound)}`;
