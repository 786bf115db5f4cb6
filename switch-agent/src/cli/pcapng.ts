// draft-ietf-opsawg-pcapng, little-endian: a section header, an interface for each name, and a packet with a comment for
// each frame. Times in nanoseconds.

const block = { section: 0x0a0d0d0a, interface: 1, packet: 6 } as const;
const option = { end: 0, comment: 1, name: 2, resolution: 9 } as const;
const ETHERNET = 1;
const NANOSECONDS = 9;

export type PcapngFrame = {
  atUnixNs: bigint;
  /** The interface where it was seen. */
  link: string;
  octets: Uint8Array;
  /** That it had; `octets` may be cut off. */
  length: number;
  comment: string;
};

/** What a file in pcapng has, piece by piece: first `begin`, then each frame, its interface before it where that is new. */
export class Pcapng {
  readonly #links = new Map<string, number>();

  begin(): Buffer {
    const magic = words(0x1a2b3c4d, 1, 0xffffffff, 0xffffffff); // version 1.0, of a length that is not known
    return blockOf(block.section, magic);
  }

  frame({ atUnixNs, link, octets, length, comment }: PcapngFrame): Buffer {
    const known = this.#links.get(link);
    const number = known ?? this.#links.size;
    this.#links.set(link, number);
    const time = [Number(atUnixNs >> 32n), Number(atUnixNs & 0xffffffffn)];
    const head = words(number, ...time, octets.length, length);
    const packet = blockOf(
      block.packet,
      Buffer.concat([head, padded(octets), options([option.comment, Buffer.from(comment)])]),
    );
    return known === undefined ? Buffer.concat([interfaceOf(link), packet]) : packet;
  }
}

const interfaceOf = (name: string): Buffer =>
  blockOf(
    block.interface,
    Buffer.concat([
      words(ETHERNET, 0),
      options([option.name, Buffer.from(name)], [option.resolution, Buffer.of(NANOSECONDS)]),
    ]),
  );

function blockOf(type: number, body: Uint8Array): Buffer {
  const length = body.length + 12;
  return Buffer.concat([words(type, length), body, words(length)]);
}

function options(...all: readonly (readonly [number, Uint8Array])[]): Buffer {
  const each = all.flatMap(([code, value]) => [words(code | (value.length << 16)), padded(value)]);
  return Buffer.concat([...each, words(option.end)]);
}

/** To a multiple of 4. */
const padded = (octets: Uint8Array): Buffer =>
  Buffer.concat([octets, Buffer.alloc(-octets.length & 3)]);

function words(...numbers: readonly number[]): Buffer {
  const octets = Buffer.alloc(4 * numbers.length);
  numbers.forEach((n, i) => {
    octets.writeUInt32LE(n >>> 0, 4 * i);
  });
  return octets;
}
