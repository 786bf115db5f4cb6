// As much of Protocol Buffers' encoding as etcd's API needs: varints, octets, messages, repeated ones of them.
// https://protobuf.dev/programming-guides/encoding

/** How one kind of field looks on the wire. `absent`: what a field is that was not sent. */
type Field<T> = {
  no: number;
  absent: T;
  write(value: T, out: Buffer[]): unknown;
  read(raw: Raw, before: T): T;
};
/** A field as it came: a varint, which is a bigint where it may be a large one, or octets. */
type Raw = number | bigint | Buffer;

/** Writes and reads one message. What is left out of a message to be written is not sent. */
export type Codec<T> = {
  encode(value: Partial<T>): Buffer;
  /** Fields that are not known are read past. @throws RangeError for octets that are no message */
  decode(octets: Buffer): T;
};
export type Message<C> = C extends Codec<infer T> ? T : never;

/** A message with these fields. */
export function message<T extends object>(spec: { [K in keyof T]: Field<T[K]> }): Codec<T> {
  const names = Object.keys(spec) as (keyof T)[];
  const byNo = new Map(names.map((name) => [spec[name].no, name]));
  const absent = Object.fromEntries(names.map((name) => [name, spec[name].absent])) as T;
  const writeOne = <K extends keyof T>(name: K, value: T[K] | undefined, out: Buffer[]): void => {
    if (value !== undefined) spec[name].write(value, out);
  };
  const readOne = <K extends keyof T>(name: K, raw: Raw, into: T): void => {
    into[name] = spec[name].read(raw, into[name]);
  };
  return {
    encode: (value) => {
      const out: Buffer[] = [];
      for (const name of names) writeOne(name, value[name], out);
      return Buffer.concat(out);
    },
    decode: (octets) => {
      const values = { ...absent };
      const reader = new FieldReader(octets);
      while (reader.more) {
        const raw = reader.next();
        const name = byNo.get(reader.no);
        if (name !== undefined && raw !== undefined) readOne(name, raw, values);
      }
      return values;
    },
  };
}

/** int64 and uint64. */
export function int64(no: number): Field<bigint> {
  const head = tag(no, 0);
  return {
    no,
    absent: 0n,
    write: (value, out) => out.push(head, varint(BigInt.asUintN(64, value))),
    read: (raw) => BigInt.asIntN(64, BigInt(number(raw))),
  };
}

/** Enums and int32 from 0 on. */
export const enumeration = (no: number): Field<number> => ({
  no,
  absent: 0,
  write: (value, out) => out.push(tag(no, 0), varint(value)),
  read: (raw) => Number(number(raw)),
});

export const bool = (no: number): Field<boolean> => ({
  no,
  absent: false,
  write: (value, out) => out.push(tag(no, 0), varint(value ? 1 : 0)),
  read: (raw) => Number(number(raw)) !== 0,
});

export function bytes(no: number): Field<Buffer> {
  const head = tag(no, 2);
  return {
    no,
    absent: Buffer.alloc(0),
    write: (value, out) => out.push(head, varint(value.length), value),
    read: octets,
  };
}

export const text = (no: number): Field<string> => ({
  no,
  absent: "",
  write: (value, out) => bytes(no).write(Buffer.from(value), out),
  read: (raw) => octets(raw).toString(),
});

export const nested = <T>(no: number, codec: Codec<T>): Field<T | undefined> => ({
  no,
  absent: undefined,
  write: (value, out) => value !== undefined && bytes(no).write(codec.encode(value), out),
  read: (raw) => codec.decode(octets(raw)),
});

/** As `nested`, for what is written: what is left out is not sent. */
export const part = <T>(no: number, codec: Codec<T>): Field<Partial<T> | undefined> => ({
  no,
  absent: undefined,
  write: (value, out) => value !== undefined && bytes(no).write(codec.encode(value), out),
  read: (raw) => codec.decode(octets(raw)) as Partial<T>,
});

export const repeated = <T>(no: number, codec: Codec<T>): Field<readonly Partial<T>[]> => ({
  no,
  absent: [],
  write: (values, out) => {
    for (const value of values) bytes(no).write(codec.encode(value), out);
  },
  read: (raw, before) => [...before, codec.decode(octets(raw)) as Partial<T>],
});

/** As `repeated`, for what is read only: by far faster for thousands of them. */
export const many = <T>(no: number, codec: Codec<T>): Field<T[]> => ({
  no,
  absent: none as T[],
  write: (values, out) => repeated(no, codec).write(values as Partial<T>[], out),
  read: (raw, before) => {
    const values = before === none ? [] : before;
    values.push(codec.decode(octets(raw)));
    return values;
  },
});
const none: unknown[] = [];

const tag = (no: number, wire: 0 | 2): Buffer => varint(no * 8 + wire);

const short = Array.from({ length: 0x80 }, (_, octet) => Buffer.of(octet));

function varint(value: number | bigint): Buffer {
  const known = value < 0x80 ? short[Number(value)] : undefined;
  if (known !== undefined) return known;
  const octets: number[] = [];
  let rest = BigInt(value);
  for (; rest >= 0x80n; rest >>= 7n) octets.push(Number(rest & 0x7fn) | 0x80);
  octets.push(Number(rest));
  return Buffer.from(octets);
}

/** The fields of a message, one after another. */
class FieldReader {
  /** Of the field that `next` gave last. */
  no = 0;
  readonly #from: Buffer;
  #at = 0;

  constructor(from: Buffer) {
    this.#from = from;
  }

  get more(): boolean {
    return this.#at < this.#from.length;
  }

  /** @returns nothing for a kind that we never have. @throws RangeError */
  next(): Raw | undefined {
    const head = Number(this.#varint());
    this.no = Math.floor(head / 8);
    switch (head % 8) {
      case 0:
        return this.#varint();
      case 2:
        return this.#take(Number(this.#varint()));
      case 1:
        this.#take(8);
        return undefined;
      case 5:
        this.#take(4);
        return undefined;
      default:
        throw new RangeError(`field ${this.no} is of no known kind`);
    }
  }

  #varint(): number | bigint {
    let value = 0;
    for (let scale = 1; scale < 2 ** 42; scale *= 128) {
      const octet = this.#octet();
      value += (octet & 0x7f) * scale;
      if (octet < 0x80) return value;
    }
    let large = BigInt(value);
    for (let shift = 42n; shift < 70n; shift += 7n) {
      const octet = this.#octet();
      large |= BigInt(octet & 0x7f) << shift;
      if (octet < 0x80) return large;
    }
    throw new RangeError("a number is longer than 64 bits");
  }

  #octet(): number {
    const octet = this.#from[this.#at];
    if (octet === undefined) throw new RangeError("a message is cut off");
    this.#at += 1;
    return octet;
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#from.length) throw new RangeError("a message is cut off");
    this.#at += length;
    return this.#from.subarray(this.#at - length, this.#at);
  }
}

function number(raw: Raw): number | bigint {
  if (typeof raw === "object") throw new RangeError("octets where a number is due");
  return raw;
}

function octets(raw: Raw): Buffer {
  if (typeof raw !== "object") throw new RangeError("a number where octets are due");
  return raw;
}
