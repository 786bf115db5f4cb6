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
    const bound = new Map(wanted.map((each) => [keysOf(each).whole, each]));
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
    this.#unbind([...before.values()].filter((old) => !bound.has(keysOf(old).whole)));
    this.#halfDone = false;
  }

  /** What another binding does not say now. */
  #unbind(gone: readonly Bound[]): void {
    if (gone.length === 0) return;
    const [sources, ports, places] = [new Set(), new Set(), new Set()];
    for (const now of this.#bound.values()) {
      const { source, port, station } = keysOf(now);
      sources.add(source);
      ports.add(port);
      places.add(station);
    }
    for (const old of gone) {
      const { ifindex, guestTag, mac, uplink, vid } = old;
      const { source, port, station } = keysOf(old);
      if (!sources.has(source)) this.#maps.bindings.delete({ ifindex, mac, guestTag });
      if (!ports.has(port)) this.#maps.guestTags.delete({ ifindex, guestTag });
      if (!places.has(station)) this.#maps.stations.delete({ uplink, vid, mac });
    }
  }

  #floodTo(bound: ReadonlyMap<string, Bound>): void {
    const wanted = new Map<string, { key: SegmentKey; ports: Map<number, VmPort> }>();
    for (const { uplink, vid, ifindex, guestTag } of bound.values()) {
      const name = `${uplink} ${vid}`;
      let segment = wanted.get(name);
      if (segment === undefined) {
        segment = { key: { uplink, vid }, ports: new Map() };
        wanted.set(name, segment);
      }
      segment.ports.set(ifindex, { ifindex, guestTag });
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

/** Whose frames they are, what the guest tags them with, where it is found, and all of it. */
type Keys = Record<"source" | "port" | "station" | "whole", string>;
const keys = new WeakMap<Bound, Keys>();

function keysOf(bound: Bound): Keys {
  const before = keys.get(bound);
  if (before !== undefined) return before;
  const { ifindex, mac, guestTag, uplink, vid } = bound;
  const [source, station] = [`${ifindex} ${mac} ${guestTag}`, `${uplink} ${vid} ${mac}`];
  const made = { source, station, port: `${ifindex} ${guestTag}`, whole: `${source} ${station}` };
  keys.set(bound, made);
  return made;
}
