import {
  type BpfMap,
  type BpfObject,
  octets,
  type PerCpuMap,
  struct,
  u32,
  u64,
} from "@nve/linux/bpf";
import { ipFrom, ipOctets, Uuid, Vni } from "@nve/protocol-spec";
import { type MeterCounts, type Metered, noCounts } from "../dataplane.ts";

/** The maps of programs/meters.h. */
export type MeterMaps = {
  meters: PerCpuMap<number, KernelMeter>;
  meterNumbers: BpfMap<MeterName, number>;
  /** Nanoseconds until which each has spent what it may (programs/rules.h). */
  policed: BpfMap<number, number>;
};

type KernelMeter = MeterCounts;
type MeterName = { kind: number; vni: number; name: Uint8Array };

const layout = struct({
  in: u64,
  inOctets: u64,
  out: u64,
  outOctets: u64,
  acl: u64,
  policed: u64,
  spoofed: u64,
  dropped: u64,
});

export const meterMaps = (object: BpfObject): MeterMaps => ({
  meters: object.perCpuMap("meters", u32, layout),
  meterNumbers: object.map("meter_numbers", struct({ kind: u32, vni: u32, name: octets(16) }), u32),
  policed: object.map("policed", u32, u64),
});

const kind = { vnic: 1, port: 2, peer: 3 } as const;
/** Number 0 is nobody's. */
const LAST = 32_767;

type Held = { of: Metered; number: number; uses: number };

/**
 * Numbers of VNICs, ports and other NVEs in the array of meters. They are in a map as well, so that the next run goes on
 * counting where this one ended.
 */
export class Meters {
  readonly #maps: MeterMaps;
  readonly #held = new Map<string, Held>();
  readonly #byNumber = new Map<number, Metered>();
  readonly #free: number[] = [];
  #last = 0;

  constructor(maps: MeterMaps) {
    this.#maps = maps;
    const taken = new Set<number>();
    for (const [name, number] of maps.meterNumbers.entries()) {
      const of = meteredOf(name);
      this.#held.set(keyOf(of), { of, number, uses: 0 });
      this.#byNumber.set(number, of);
      taken.add(number);
      this.#last = Math.max(this.#last, number);
    }
    for (let n = 1; n < this.#last; n++) if (!taken.has(n)) this.#free.push(n);
  }

  /** One use more. @returns its number; 0: all are taken, it is not counted */
  take(of: Metered): number {
    const key = keyOf(of);
    const held = this.#held.get(key) ?? this.#new(of);
    if (held === undefined) return 0;
    held.uses += 1;
    this.#held.set(key, held);
    return held.number;
  }

  /** One use less; with the last its counts are gone. */
  release(of: Metered): void {
    const held = this.#held.get(keyOf(of));
    if (held === undefined) return;
    held.uses -= 1;
    if (held.uses <= 0) this.#forget(held);
  }

  /** Of one that is in use; else 0. */
  numberOf(of: Metered): number {
    return this.#held.get(keyOf(of))?.number ?? 0;
  }

  /** Ports and other NVEs keep theirs as long as we are: there are few. */
  numberFor(of: Metered): number {
    const held = this.#held.get(keyOf(of));
    return held !== undefined && held.uses > 0 ? held.number : this.take(of);
  }

  /** What an earlier run counted and nobody uses. */
  sweep(): void {
    for (const held of [...this.#held.values()]) if (held.uses <= 0) this.#forget(held);
  }

  /** undefined: it is nobody's (any more). */
  whoHas(number: number): Metered | undefined {
    return this.#byNumber.get(number);
  }

  /** Who has each number. */
  static named({ meterNumbers }: MeterMaps): ReadonlyMap<number, Metered> {
    return new Map([...meterNumbers.entries()].map(([name, n]) => [n, meteredOf(name)]));
  }

  /** Sums over the CPUs. */
  *counts(): IterableIterator<[Metered, MeterCounts]> {
    if (this.#held.size === 0) return;
    const all = [...this.#maps.meters.all(this.#last + 1)];
    for (const { of, number } of this.#held.values()) {
      const values = all[number]?.[1];
      if (values !== undefined) yield [of, values.reduce(sum)];
    }
  }

  #new(of: Metered): Held | undefined {
    const number = this.#free.pop() ?? (this.#last < LAST ? this.#last + 1 : undefined);
    if (number === undefined) return undefined;
    this.#maps.meters.set(number, noCounts);
    this.#maps.policed.set(number, 0); // who had it before may have spent more than it had
    this.#maps.meterNumbers.set(nameOf(of), number);
    this.#byNumber.set(number, of);
    this.#last = Math.max(this.#last, number);
    return { of, number, uses: 0 };
  }

  #forget({ of, number }: Held): void {
    this.#held.delete(keyOf(of));
    this.#byNumber.delete(number);
    this.#maps.meterNumbers.delete(nameOf(of));
    this.#free.push(number);
  }
}

const keyOf = (of: Metered): string =>
  of.is === "vnic" ? `${of.vni} ${of.vnic}` : of.is === "port" ? `port ${of.port}` : of.vtep;

function nameOf(of: Metered): MeterName {
  if (of.is === "vnic") return { kind: kind.vnic, vni: of.vni, name: uuidOctets(of.vnic) };
  const name = new Uint8Array(16);
  const text = of.is === "port" ? new TextEncoder().encode(of.port) : ipOctets(of.vtep);
  name.set(text.subarray(0, 16));
  return { kind: kind[of.is], vni: of.is === "peer" ? text.length : 0, name };
}

function meteredOf({ kind: is, vni, name }: MeterName): Metered {
  if (is === kind.vnic) return { is: "vnic", vni: Vni(vni), vnic: uuidFrom(name) };
  if (is === kind.peer) return { is: "peer", vtep: ipFrom(name.subarray(0, vni)) };
  const end = name.indexOf(0);
  return { is: "port", port: new TextDecoder().decode(end < 0 ? name : name.subarray(0, end)) };
}

const uuidOctets = (uuid: Uuid): Uint8Array =>
  Uint8Array.from(Buffer.from(uuid.replaceAll("-", ""), "hex"));

const uuidFrom = (octets: Uint8Array): Uuid =>
  Uuid(
    Buffer.from(octets)
      .toString("hex")
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"),
  );

const sum = (a: MeterCounts, b: MeterCounts): MeterCounts => ({
  in: a.in + b.in,
  inOctets: a.inOctets + b.inOctets,
  out: a.out + b.out,
  outOctets: a.outOctets + b.outOctets,
  acl: a.acl + b.acl,
  policed: a.policed + b.policed,
  spoofed: a.spoofed + b.spoofed,
  dropped: a.dropped + b.dropped,
});
