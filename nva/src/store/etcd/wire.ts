// As much of Protocol Buffers' encoding as etcd's API needs: varints, octets, messages, repeated ones of them.
// https://protobuf.dev/programming-guides/encoding

/** How one kind of field looks on the wire. `absent`: what a field is that was not sent. */
type Field<T> = {
  no: number;
  absent: T;
  write(value: T, out: Buffer[]): unknown;
  read(raw: Raw, before: T): T;
};
/** A field as it came: a varint, or octets. */
type Raw = bigint | Buffer;

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
      for (const { no, raw } of rawFields(octets)) {
        const name = byNo.get(no);
        if (name !== undefined) readOne(name, raw, values);
      }
      return values;
    },
  };
}

/** int64 and uint64. */
export const int64 = (no: number): Field<bigint> => ({
  no,
  absent: 0n,
  write: (value, out) => out.push(tag(no, 0), varint(BigInt.asUintN(64, value))),
  read: (raw) => BigInt.asIntN(64, number(raw)),
});

/** Enums and int32 from 0 on. */
export const enumeration = (no: number): Field<number> => ({
  no,
  absent: 0,
  write: (value, out) => out.push(tag(no, 0), varint(BigInt(value))),
  read: (raw) => Number(number(raw)),
});

export const bool = (no: number): Field<boolean> => ({
  no,
  absent: false,
  write: (value, out) => out.push(tag(no, 0), varint(value ? 1n : 0n)),
  read: (raw) => number(raw) !== 0n,
});

export const bytes = (no: number): Field<Buffer> => ({
  no,
  absent: Buffer.alloc(0),
  write: (value, out) => out.push(tag(no, 2), varint(BigInt(value.length)), value),
  read: octets,
});

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

const tag = (no: number, wire: 0 | 2): Buffer => varint(BigInt(no * 8 + wire));

function varint(value: bigint): Buffer {
  if (value < 0x80n) return Buffer.of(Number(value));
  const octets: number[] = [];
  let rest = value;
  for (; rest >= 0x80n; rest >>= 7n) octets.push(Number(rest & 0x7fn) | 0x80);
  octets.push(Number(rest));
  return Buffer.from(octets);
}

function* rawFields(from: Buffer): Generator<{ no: number; raw: Raw }> {
  let at = 0;
  const next = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const octet = from[at];
      if (octet === undefined) throw new RangeError("a message is cut off");
      at += 1;
      value |= BigInt(octet & 0x7f) << shift;
      if (octet < 0x80) return value;
    }
    throw new RangeError("a number is longer than 64 bits");
  };
  const take = (length: number): Buffer => {
    if (at + length > from.length) throw new RangeError("a message is cut off");
    at += length;
    return from.subarray(at - length, at);
  };
  while (at < from.length) {
    const head = Number(next());
    const no = Math.floor(head / 8);
    switch (head % 8) {
      case 0:
        yield { no, raw: next() };
        break;
      case 2:
        yield { no, raw: take(Number(next())) };
        break;
      case 1:
        take(8);
        break;
      case 5:
        take(4);
        break;
      default:
        throw new RangeError(`field ${no} is of no known kind`);
    }
  }
}

function number(raw: Raw): bigint {
  if (typeof raw !== "bigint") throw new RangeError("octets where a number is due");
  return raw;
}

function octets(raw: Raw): Buffer {
  if (typeof raw === "bigint") throw new RangeError("a number where octets are due");
  return raw;
}
