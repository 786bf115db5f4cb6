import type { Mac, Vid } from "@nve/protocol-spec";
import type { SegmentKey, SwitchMaps } from "./maps.ts";

/** A binding with its interfaces as they are numbered now. */
export type Bound = { ifindex: number; mac: Mac; uplink: number; vid: Vid };

/**
 * Keeps the kernel's maps in step with the bindings that can be in force. Inserts first and deletes last; flood
 * lists are replaced whole.
 */
export class Tables {
  readonly #maps: SwitchMaps;
  /** Runs it when no program in the kernel can be half-way any more. */
  readonly #later: (task: () => void) => void;
  #bound = new Map<string, Bound>();
  #segments = new Map<string, Segment>();
  #generation = 0;

  constructor(maps: SwitchMaps, later: (task: () => void) => void) {
    this.#maps = maps;
    this.#later = later;
  }

  /** @throws BpfError when a map is full; the next call puts right what is missing */
  replace(wanted: readonly Bound[]): void {
    const bound = new Map(wanted.map((each) => [boundKey(each), each]));
    for (const { uplink, vid, mac, ifindex } of bound.values()) {
      this.#maps.stations.set({ uplink, vid, mac }, ifindex);
    }
    this.#floodTo(bound);
    for (const { ifindex, mac, uplink, vid } of bound.values()) {
      this.#maps.bindings.set({ ifindex, mac, zero: 0 }, { uplink, vid });
    }
    const before = this.#bound;
    this.#bound = bound;
    for (const [key, old] of before) {
      if (!bound.has(key)) this.#unbind(old);
    }
  }

  /** What another binding does not say now. */
  #unbind(old: Bound): void {
    const others = [...this.#bound.values()];
    if (!others.some(({ ifindex, mac }) => ifindex === old.ifindex && mac === old.mac)) {
      this.#maps.bindings.delete({ ifindex: old.ifindex, mac: old.mac, zero: 0 });
    }
    const { uplink, vid, mac } = old;
    if (!others.some((o) => o.uplink === uplink && o.vid === vid && o.mac === mac)) {
      this.#maps.stations.delete({ uplink, vid, mac });
    }
  }

  #floodTo(bound: ReadonlyMap<string, Bound>): void {
    const wanted = new Map<string, { key: SegmentKey; ports: Set<number> }>();
    for (const { uplink, vid, ifindex } of bound.values()) {
      const name = `${uplink} ${vid}`;
      const segment = wanted.get(name) ?? { key: { uplink, vid }, ports: new Set() };
      segment.ports.add(ifindex);
      wanted.set(name, segment);
    }
    for (const [name, { key, ports }] of wanted) this.#writeSegment(name, key, [...ports]);
    for (const [name, segment] of this.#segments) {
      if (wanted.has(name)) continue;
      this.#maps.segments.delete(segment.key);
      this.#segments.delete(name);
      this.#forget(segment);
    }
  }

  /** A new list beside the old one, then one update that puts it in force, then the old one away. */
  #writeSegment(name: string, key: SegmentKey, ports: readonly number[]): void {
    const before = this.#segments.get(name);
    if (before !== undefined && before.ports.join() === ports.join()) return;
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

type Segment = { key: SegmentKey; generation: number; ports: readonly number[] };

const floodKey = ({ key, generation }: Segment, at: number) => ({ ...key, generation, at });

const boundKey = ({ ifindex, mac, uplink, vid }: Bound): string =>
  `${ifindex} ${mac} ${uplink} ${vid}`;
