import { sha256 } from "@noble/hashes/sha2.js";
import { concat, uint, utf8Octets } from "../bytes.ts";

// What the mappings and members of a VN come to (README.md, "Digests").

/** Where an NVE is: its VTEPs in the order in which the NVA has them, 4 or 16 octets each. */
export type DigestLocation = { nveId: string; vteps: readonly Uint8Array[] };

/** As in types.proto, with what frames are forwarded by and nothing else. */
export type DigestMapping = {
  vnId: number;
  mac: Uint8Array;
  ips: readonly Uint8Array[];
  prefixes: readonly { ip: Uint8Array; length: number }[];
  locations: readonly DigestLocation[];
};

/**
 *   octets  1     4       6     2                        4
 *         | 1 | VN ID | MAC | locations | each of them | IPs and prefixes | each of them |
 *
 *   location: | length of the NVE id (1) | NVE id | VTEPs (1) | each: length (1), octets |
 *   IP:       | length (1) | octets | length of the prefix (1) |
 *
 * Locations and IPs are sorted by these octets.
 * @param octetsAt may know `locationOctets` of those that come often
 */
export function mappingOctets(
  { vnId, mac, ips, prefixes, locations }: DigestMapping,
  octetsAt: (location: DigestLocation) => Uint8Array = locationOctets,
): Uint8Array {
  const places = sorted(locations.map(octetsAt));
  const all = ips.map((ip) => ipOctetsOf(ip, ip.length * 8));
  for (const { ip, length } of prefixes) all.push(ipOctetsOf(ip, length));
  sorted(all);
  const octets = new Uint8Array(17 + lengthOf(places) + lengthOf(all));
  octets[0] = KIND.mapping;
  putUint(octets, 1, 4, vnId);
  octets.set(mac, 5);
  putUint(octets, 11, 2, places.length);
  const at = put(octets, 13, places);
  putUint(octets, at, 4, all.length);
  put(octets, at + 4, all);
  return octets;
}

/** Big endian; without a DataView, for which a small array would be moved to memory of its own. */
function putUint(octets: Uint8Array, at: number, width: number, value: number): void {
  for (let i = 0; i < width; i++) octets[at + i] = value >>> (8 * (width - 1 - i));
}

function lengthOf(parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const { length } of parts) sum += length;
  return sum;
}

function put(octets: Uint8Array, at: number, parts: readonly Uint8Array[]): number {
  let end = at;
  for (const part of parts) {
    octets.set(part, end);
    end += part.length;
  }
  return end;
}

/**
 *   octets  1     4
 *         | 2 | VN ID | location, as in a mapping |
 */
export const memberOctets = (vnId: number, location: DigestLocation): Uint8Array =>
  concat(uint(1, KIND.member), uint(4, vnId), locationOctets(location));

/** The first 8 octets of SHA-256, as a number. */
export function digestOf(octets: Uint8Array): bigint {
  const hash = sha256(octets);
  return new DataView(hash.buffer, hash.byteOffset, 8).getBigUint64(0);
}

/** XOR of the digests of many things, each known by a key; of nothing 0. Digests are made by `settle`, when asked for. */
export class Ledger<Key> {
  readonly #digests = new Map<Key, bigint>();
  /** What has no digest yet. */
  readonly #octets = new Map<Key, Uint8Array>();
  #digest = 0n;

  /** Of what is settled. */
  get digest(): bigint {
    return this.#digest;
  }

  get size(): number {
    return this.#digests.size + this.#octets.size;
  }

  keys(): Key[] {
    return [...this.#digests.keys(), ...this.#octets.keys()];
  }

  /** Undefined: there is no such thing any more. */
  put(key: Key, octets: Uint8Array | undefined): void {
    const was = this.#digests.get(key);
    if (was !== undefined) {
      this.#digest ^= was;
      this.#digests.delete(key);
    }
    if (octets === undefined) this.#octets.delete(key);
    else this.#octets.set(key, octets);
  }

  /** Makes digests, `most` of them at most. @returns how many are left to make */
  settle(most = Number.POSITIVE_INFINITY): number {
    let left = most;
    for (const [key, octets] of this.#octets) {
      if (left <= 0) break;
      left -= 1;
      const digest = digestOf(octets);
      this.#octets.delete(key);
      this.#digests.set(key, digest);
      this.#digest ^= digest;
    }
    return this.#octets.size;
  }
}

const KIND = { mapping: 1, member: 2 } as const;

/** As in a mapping (above). @param location whose NVE id has 255 octets and which has 255 VTEPs at most, as the NVA sees to */
export function locationOctets({ nveId, vteps }: DigestLocation): Uint8Array {
  const id = utf8Octets(nveId);
  const octets = new Uint8Array(
    2 + id.length + vteps.reduce((sum, { length }) => sum + 1 + length, 0),
  );
  octets[0] = id.length;
  octets.set(id, 1);
  octets[id.length + 1] = vteps.length;
  let at = id.length + 2;
  for (const vtep of vteps) {
    octets[at] = vtep.length;
    octets.set(vtep, at + 1);
    at += 1 + vtep.length;
  }
  return octets;
}

function ipOctetsOf(ip: Uint8Array, length: number): Uint8Array {
  const octets = new Uint8Array(ip.length + 2);
  octets[0] = ip.length;
  octets.set(ip, 1);
  octets[ip.length + 1] = length;
  return octets;
}

function sorted(all: Uint8Array[]): Uint8Array[] {
  return all.length < 2 ? all : all.sort(compare);
}

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
