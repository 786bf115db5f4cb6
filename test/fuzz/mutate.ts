import { concat } from "@nve/protocol-spec";

type Chance = () => number;

/** `input` changed in one to four ways, of at most `maxLength` octets. */
export function mutated(
  input: Uint8Array,
  corpus: readonly Uint8Array[],
  chance: Chance,
  maxLength: number,
): Uint8Array {
  let octets = input;
  for (let n = 1 + below(4, chance); n > 0; n--) {
    const change = CHANGES[below(CHANGES.length, chance)];
    if (change !== undefined) octets = change(octets, chance, corpus);
  }
  return octets.subarray(0, maxLength);
}

type Change = (octets: Uint8Array, chance: Chance, corpus: readonly Uint8Array[]) => Uint8Array;

const INTERESTING = [0, 1, 2, 0x0f, 0x10, 0x3f, 0x40, 0x7f, 0x80, 0xfe, 0xff];

const overwrite: Change = (octets, chance) => {
  const value = chance() < 0.5 ? pick(INTERESTING, chance) : below(256, chance);
  return withOctet(octets, below(octets.length, chance), () => value ?? 0);
};

const flip: Change = (octets, chance) =>
  withOctet(octets, below(octets.length, chance), (octet) => octet ^ (1 << below(8, chance)));

/** Lengths and counts that are off by little. */
const nudge: Change = (octets, chance) =>
  withOctet(octets, below(octets.length, chance), (octet) => octet + below(9, chance) - 4);

const cut: Change = (octets, chance) => octets.slice(0, below(octets.length + 1, chance));

const drop: Change = (octets, chance) => {
  const [from, to] = span(octets, chance);
  return concat(octets.subarray(0, from), octets.subarray(to));
};

const insert: Change = (octets, chance) => {
  const at = below(octets.length + 1, chance);
  const more = Uint8Array.from({ length: 1 + below(20, chance) }, () => below(256, chance));
  return concat(octets.subarray(0, at), more, octets.subarray(at));
};

const repeat: Change = (octets, chance) => {
  const [from, to] = span(octets, chance);
  return concat(octets.subarray(0, to), octets.subarray(from, to), octets.subarray(to));
};

const splice: Change = (octets, chance, corpus) => {
  const other = pick(corpus, chance) ?? octets;
  const [from, to] = span(other, chance);
  const at = below(octets.length + 1, chance);
  return concat(octets.subarray(0, at), other.subarray(from, to), octets.subarray(at));
};

/** Repeats, leaves out, moves or resizes one TLV of 7 + 9 bits, with the others left whole. */
const tlv: Change = (octets, chance) => {
  const tlvs = tlvsOf(octets);
  const at = below(tlvs.length, chance);
  const one = tlvs[at];
  if (one === undefined) return octets;
  const others = tlvs.filter((_, i) => i !== at);
  const to = below(others.length + 1, chance);
  const around = (...between: Uint8Array[]) =>
    concat(...others.slice(0, to), ...between, ...others.slice(to));
  switch (below(4, chance)) {
    case 0:
      return concat(...tlvs.slice(0, at), one, ...tlvs.slice(at));
    case 1:
      return concat(...others);
    case 2:
      return around(one);
    default:
      return concat(...tlvs.slice(0, at), resized(one, chance), ...tlvs.slice(at + 1));
  }
};

const CHANGES: readonly Change[] = [
  overwrite,
  overwrite,
  flip,
  nudge,
  cut,
  drop,
  insert,
  repeat,
  splice,
  tlv,
  tlv,
];

/** Whole ones, as far as they go; the rest is the last. */
function tlvsOf(octets: Uint8Array): Uint8Array[] {
  const tlvs: Uint8Array[] = [];
  for (let at = 0; at < octets.length; ) {
    const length = (((octets[at] ?? 0) & 1) << 8) | (octets[at + 1] ?? 0);
    tlvs.push(octets.subarray(at, at + 2 + length));
    at += 2 + length;
  }
  return tlvs;
}

/** Its length says what it then has. */
function resized(one: Uint8Array, chance: Chance): Uint8Array {
  const value = one.subarray(2);
  const length = Math.min(511, Math.max(0, value.length + below(9, chance) - 4));
  const filled = Uint8Array.from({ length }, (_, i) => value[i] ?? below(256, chance));
  return concat(Uint8Array.of(((one[0] ?? 0) & 0xfe) | (length >> 8), length & 0xff), filled);
}

function withOctet(octets: Uint8Array, at: number, of: (octet: number) => number): Uint8Array {
  if (octets.length === 0) return octets;
  const copy = octets.slice();
  copy[at] = of(copy[at] ?? 0);
  return copy;
}

/** A piece, mostly a short one. */
function span(octets: Uint8Array, chance: Chance): [from: number, to: number] {
  const from = below(octets.length + 1, chance);
  const most = chance() < 0.8 ? 40 : octets.length;
  return [from, Math.min(octets.length, from + 1 + below(most, chance))];
}

const below = (n: number, chance: Chance): number => Math.floor(chance() * n);
const pick = <T>(from: readonly T[], chance: Chance): T | undefined =>
  from[below(from.length, chance)];
