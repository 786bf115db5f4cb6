import { endianness } from "node:os";
import { type IpAddress, ipFrom, ipOctets, type Mac } from "@nve/protocol-spec";

/** How a value lies in memory: `size` octets on a boundary of `align`. Fixed size, as BPF map keys and values are. */
export type Layout<T> = {
  readonly size: number;
  readonly align: number;
  write(view: DataView, at: number, value: T): void;
  read(view: DataView, at: number): T;
};

/** The kernel's byte order, which BPF maps have. */
const little = endianness() === "LE";

export const u8: Layout<number> = {
  size: 1,
  align: 1,
  write: (view, at, value) => view.setUint8(at, value),
  read: (view, at) => view.getUint8(at),
};

export const u16: Layout<number> = {
  size: 2,
  align: 2,
  write: (view, at, value) => view.setUint16(at, value, little),
  read: (view, at) => view.getUint16(at, little),
};

export const u32: Layout<number> = {
  size: 4,
  align: 4,
  write: (view, at, value) => view.setUint32(at, value, little),
  read: (view, at) => view.getUint32(at, little),
};

/** A counter: exact up to 2^53. */
export const u64: Layout<number> = {
  size: 8,
  align: 8,
  write: (view, at, value) => view.setBigUint64(at, BigInt(value), little),
  read: (view, at) => Number(view.getBigUint64(at, little)),
};

const pairs = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, "0"));

/** 0 … 15 of one character of a text that has been checked: lower case. */
const digit = (code: number): number => (code < 58 ? code - 48 : code - 87);

/** Of hundreds of thousands at a time: no pieces are made of the text. */
export const mac: Layout<Mac> = {
  size: 6,
  align: 1,
  write: (view, at, value) => {
    for (let n = 0; n < 6; n++) {
      const [high, low] = [value.charCodeAt(3 * n), value.charCodeAt(3 * n + 1)];
      view.setUint8(at + n, (digit(high) << 4) | digit(low));
    }
  },
  read: (view, at) => {
    let text = pairs[view.getUint8(at)] ?? "";
    for (let n = 1; n < 6; n++) text += `:${pairs[view.getUint8(at + n)]}`;
    return text as Mac;
  },
};

/** `n` octets as they are; what is read is a copy. */
export const octets = (n: number): Layout<Uint8Array> => ({
  size: n,
  align: 1,
  write: (view, at, value) => bytesAt(view, at, n).set(value),
  read: (view, at) => bytesAt(view, at, n).slice(),
});

const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/** 16 octets in network order, IPv4 as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2); four 32-bit words in C. */
export const ip: Layout<IpAddress> = {
  size: 16,
  align: 4,
  write: (view, at, value) => {
    const octets = ipOctets(value);
    const place = bytesAt(view, at, 16);
    place.set(octets.length === 4 ? mapped : octets);
    if (octets.length === 4) place.set(octets, 12);
  },
  read: (view, at) => {
    const isZero = view.getUint32(at) === 0 && view.getUint32(at + 4) === 0;
    const isMapped = isZero && view.getUint32(at + 8) === 0xffff;
    return ipFrom(isMapped ? bytesAt(view, at + 12, 4) : bytesAt(view, at, 16));
  },
};

/** A C struct of these members, in this order, with C's padding (written 0). */
export function struct<T extends object>(
  fields: {
    readonly [Name in keyof T]: Layout<T[Name]>;
  },
): Layout<T> {
  let end = 0;
  let align = 1;
  const names = Object.keys(fields) as (keyof T)[];
  const places = names.map((name) => {
    const field = fields[name];
    const at = up(end, field.align);
    end = at + field.size;
    align = Math.max(align, field.align);
    return {
      write: (view: DataView, start: number, value: T) =>
        field.write(view, start + at, value[name]),
      read: (view: DataView, start: number) => [name, field.read(view, start + at)] as const,
    };
  });
  const size = up(end, align);
  const isPadded = end > names.reduce((sum, name) => sum + fields[name].size, 0) || size > end;
  return {
    size,
    align,
    write: (view, at, value) => {
      if (isPadded) bytesAt(view, at, size).fill(0);
      for (const place of places) place.write(view, at, value);
    },
    read: (view, at) => Object.fromEntries(places.map((place) => place.read(view, at))) as T,
  };
}

const up = (n: number, align: number): number => Math.ceil(n / align) * align;

const bytesAt = (view: DataView, at: number, size: number): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset + at, size);
