import type { ClientDuplexStream } from "@grpc/grpc-js";
import {
  Delta,
  type NveClient,
  NveService,
  WatchEvent,
  type WatchRequest,
} from "@nve/protocol-spec/proto/nve";
import { Location, Prefix } from "@nve/protocol-spec/proto/types";
import type { ToldLocation } from "./locations.ts";

/** Of a mapping what an NVE needs. Views of the message that it came in, but for its locations. */
export type ToldMapping = {
  mac: Uint8Array;
  ips: readonly Uint8Array[];
  prefixes: readonly Pick<Prefix, "ip" | "length">[];
  /** Two that are the same are the same object. */
  locations: readonly ToldLocation[];
};

export type ToldDelta = Omit<Delta, "mappings"> & { mappings: readonly ToldMapping[] };

/** A WatchEvent. */
export type Told = {
  event?:
    | Exclude<WatchEvent["event"], { $case: "delta" } | undefined>
    | { $case: "delta"; value: ToldDelta }
    | undefined;
};

/** Watches. A snapshot is most of what is ever told, so its mappings are read by hand. */
export function watchStream(client: NveClient): ClientDuplexStream<WatchRequest, Told> {
  const { path, requestSerialize } = NveService.watch;
  const places = new Places();
  return client.makeBidiStreamRequest(path, requestSerialize, (octets: Buffer) =>
    readWatchEvent(octets, places),
  );
}

/**
 * What the generated reader reads, in a fraction of its time: it makes a buffer for each field of each mapping. That
 * one has the last word on what is not as it should be.
 * @throws Error when it is no WatchEvent
 */
export function readWatchEvent(octets: Buffer, places: Places): Told {
  try {
    const value = readDelta(new Wire(octets), places);
    return value === undefined ? WatchEvent.decode(octets) : { event: { $case: "delta", value } };
  } catch (error) {
    if (error instanceof Odd) return WatchEvent.decode(octets);
    throw error;
  }
}

/** Fields of nve.proto and types.proto with their wire types: 0 a varint, 2 with a length. */
const FIELD = {
  delta: (2 << 3) | 2,
  mapping: (5 << 3) | 2,
  mac: (2 << 3) | 2,
  ip: (3 << 3) | 2,
  location: (4 << 3) | 2,
  prefix: (11 << 3) | 2,
} as const;

/** Undefined: it is another event. */
function readDelta(r: Wire, places: Places): ToldDelta | undefined {
  if (r.varint() !== FIELD.delta) return undefined;
  const end = r.length() + r.at;
  if (end !== r.octets.length) return undefined;
  const mappings: ToldMapping[] = [];
  const others: Uint8Array[] = [];
  for (let from = r.at; r.at < end; from = r.at) {
    const tag = r.varint();
    if (tag === FIELD.mapping) mappings.push(readMapping(r, r.length() + r.at, places));
    else {
      r.skip(tag);
      others.push(r.octets.subarray(from, r.at));
    }
  }
  return { ...generated(Delta.decode, Buffer.concat(others)), mappings };
}

function readMapping(r: Wire, end: number, places: Places): ToldMapping {
  let mac: Uint8Array = nothing;
  const ips: Uint8Array[] = [];
  let prefixes: Prefix[] | undefined;
  let locations: readonly ToldLocation[] | undefined;
  while (r.at < end) {
    const tag = r.varint();
    if (tag === FIELD.mac) mac = r.take();
    else if (tag === FIELD.ip) ips.push(r.take());
    else if (tag === FIELD.location) {
      const place = places.of(r.text(), r.last);
      locations = locations === undefined ? place : [...locations, ...place];
    } else if (tag === FIELD.prefix) {
      prefixes ??= [];
      prefixes.push(generated(Prefix.decode, r.take()));
    } else r.skip(tag);
  }
  if (r.at !== end) throw new Odd();
  return { mac, ips, prefixes: prefixes ?? none, locations: locations ?? none };
}

const nothing = new Uint8Array();
const none: readonly never[] = [];

/** Locations that are kept. */
const MANY = 10_000;

/** NVEs are few, and each is told with every one of its mappings: what was read is read once. */
export class Places {
  readonly #known = new Map<string, readonly [ToldLocation]>();

  /** @param text the octets as a text. @returns a list of one */
  of(text: string, octets: () => Uint8Array): readonly [ToldLocation] {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const { nveId, vteps, encapsulations } = generated(Location.decode, octets());
    // Copied: each is a piece of something larger.
    const place = [
      { nveId, vteps: vteps.map((one) => Uint8Array.from(one)), encapsulations },
    ] as const;
    if (this.#known.size >= MANY) this.#known.clear();
    this.#known.set(text, place);
    return place;
  }
}

/** Not what anybody sends: for the generated reader to say. */
class Odd extends Error {}

/** Read by itself: a length that goes beyond it is odd. */
function generated<T>(decode: (octets: Uint8Array) => T, octets: Uint8Array): T {
  try {
    return decode(octets);
  } catch {
    throw new Odd();
  }
}

/** Protobuf's wire format (protobuf.dev/programming-guides/encoding). */
class Wire {
  readonly octets: Buffer;
  at = 0;
  #from = 0;

  constructor(octets: Buffer) {
    this.octets = octets;
  }

  /** Up to 2^35. */
  varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 35; scale *= 128) {
      const octet = this.octets[this.at];
      if (octet === undefined) throw new Odd();
      this.at += 1;
      value += (octet & 127) * scale;
      if (octet < 128) return value;
    }
    throw new Odd();
  }

  /** Of what follows, which is all there. */
  length(): number {
    const length = this.varint();
    if (length > this.octets.length - this.at) throw new Odd();
    return length;
  }

  take(): Uint8Array {
    const length = this.length();
    this.at += length;
    return new Uint8Array(this.octets.buffer, this.octets.byteOffset + this.at - length, length);
  }

  /** As `take`, each octet a character. */
  text(): string {
    const length = this.length();
    this.#from = this.at;
    this.at += length;
    return this.octets.toString("latin1", this.#from, this.at);
  }

  /** The octets of the last text. */
  readonly last = (): Uint8Array => this.octets.subarray(this.#from, this.at);

  skip(tag: number): void {
    if (tag < 8) throw new Odd();
    const kind = tag % 8;
    if (kind === 0) while (this.#octet() >= 128);
    else if (kind === 1) this.at += 8;
    else if (kind === 2) this.at = this.length() + this.at;
    else if (kind === 5) this.at += 4;
    else throw new Odd();
    if (this.at > this.octets.length) throw new Odd();
  }

  #octet(): number {
    const octet = this.octets[this.at];
    if (octet === undefined) throw new Odd();
    this.at += 1;
    return octet;
  }
}
