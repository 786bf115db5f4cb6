import { concat, frameOctets, IpAddress, type Mac, macOctets, uint } from "@nve/protocol-spec";
import fc from "fast-check";
import {
  advertisement,
  arp,
  extension,
  packet4,
  packet6,
  solicitation,
} from "../contracts/neighbour-frames.ts";
import { fragment6, ipv4, ipv6, options } from "../contracts/rule-frames.ts";
import { checksum, type Tunnelled, udpPacket } from "../contracts/tunnels.ts";
import { station, testFrame } from "../contracts/wires.ts";

// Frames that two drivers are compared with.

/** A frame at the far end of an access port, or one that another NVE sends. */
export type Arrival =
  | { wire: "p1" | "p2" | "p3"; frame: Uint8Array }
  | {
      wire: "ul";
      from: "a" | "b" | "stranger";
      tunnelled: Omit<Tunnelled, "source" | "destination">;
      outer: Outer;
    };

const one = <const T>(...of: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...of);

export const stations = ["0a", "0b", "0c", "0d"] as const;
const someone = one(...stations, "77");
const groups = ["01:80:c2:00:00:0e", "33:33:ff:00:00:01", "01:00:5e:00:00:05"] as const;
const anyone = one(...stations, ...stations, "77", "ff", "ff", ...groups);
const from = fc.oneof({ weight: 12, arbitrary: someone }, { weight: 1, arbitrary: one("ff") });
const ip4 = one("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.1.2.3", "0.0.0.0", "10.9.9.9");
const ip6 = one("fd00::1", "fd00::2", "fe80::ff:fe00:a", "fd01::9", "::", "fd09::9");
const ends = fc.record({ from, to: anyone, tags: fc.constant("") });

const port = one(9, 53, 67, 68, 80, 546, 547, 1000, 2000);
const transport = fc.record({
  protocol: one(6, 17, 17, 132, 1, 58, 253),
  ports: fc.tuple(port, port),
  /** Also more than the overlay has room for. */
  octets: fc.oneof(
    { weight: 8, arbitrary: one(0, 4, 16, 17, 100) },
    { weight: 1, arbitrary: one(560, 561, 1240, 1251, 1360, 1380, 1400, 1501, 1510, 1526, 1527) },
  ),
  ds: one(0, 0, 1, 2, 3, 0xb8),
});

const withPorts4 = fc
  .record({
    of: ends,
    words: transport,
    source: ip4,
    destination: ip4,
    fragment: one({}, {}, { fragment: { at: 0, more: true } }, { fragment: { at: 100 } }),
    df: one(0, 0x40),
  })
  .map(({ of, words, source, destination, fragment, df }) =>
    withDf(ipv4({ ...of, ...words, source, destination, ...fragment }), df),
  );

/** DF, and the checksum for it. */
function withDf(frame: Uint8Array, df: number): Uint8Array {
  if ((frame[20] ?? 0) !== 0 || frame[21] !== 0) return frame;
  frame[20] = df;
  frame.set([0, 0], 24);
  frame.set(uint(2, checksum(frame.subarray(14, 34))), 24);
  return frame;
}

const header6 = one<readonly [number, Uint8Array]>(
  options,
  [0, options[1]] as const,
  [43, options[1]] as const,
  [51, Uint8Array.of(2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0)] as const,
  fragment6(0, true),
  fragment6(0, false),
  fragment6(100, false),
);
const withPorts6 = fc
  .record({
    of: ends,
    words: transport,
    source: ip6,
    destination: ip6,
    extensions: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 3, arbitrary: fc.array(header6, { minLength: 1, maxLength: 3 }) },
      { weight: 1, arbitrary: fc.array(header6, { minLength: 5, maxLength: 10 }) },
    ),
  })
  .map(({ of, words, ...more }) => ipv6({ ...of, ...words, ...more }));

/** UDP with a checksum of its own, or with none. */
const whole = fc
  .record({
    of: ends,
    family: one(4, 6),
    octets: one(0, 1, 18, 100, 1400, 1508),
    ds: one(0, 1, 2, 3, 0xb8),
    isSummed: fc.boolean(),
  })
  .map(({ of, family, octets, ds, isSummed }) => {
    const [source, destination] = family === 4 ? ["10.0.0.1", "10.0.0.2"] : ["fd00::1", "fd00::2"];
    const { type, octets: payload } = udpPacket({
      source: IpAddress(source ?? ""),
      destination: IpAddress(destination ?? ""),
      ds,
      payload: new Uint8Array(octets).fill(7),
    });
    if (!isSummed) payload.set([0, 0], family === 4 ? 26 : 46);
    const ends = { destination: station(of.to), source: station(of.from) };
    return frameOctets({ ...ends, etherType: type, payload });
  });

const arpOf = fc
  .record({
    from,
    to: anyone,
    op: one(1, 1, 2, 3, 4),
    ip: ip4,
    asks: ip4,
    mac: someone,
    of: someone,
  })
  .map(({ mac: named, ...a }) => arp({ ...a, tags: "", ...(named !== "77" && { mac: named }) }));

/** As short as a tap lets pass, and of any type. */
const raw = fc
  .record({
    of: ends,
    type: one(0x0800, 0x86dd, 0x0806, 0x8035, 0x88cc, 0x8940, 0x88b5, 0x0040, 0x8847),
    payload: fc.uint8Array({ minLength: 2, maxLength: 60 }),
  })
  .map(({ of, type, payload }) =>
    frameOctets({
      destination: station(of.to),
      source: station(of.from),
      etherType: type,
      payload,
    }),
  );

/** Bare frames as stations send them. */
const wellFormed: fc.Arbitrary<Uint8Array> = fc.oneof(
  ends.map((e) => testFrame({ ...e, text: "hello" })),
  ends.map((e) => testFrame({ ...e, text: "too long ".repeat(180) })),
  fc.tuple(ends, ip4, ip4).map(([e, s, d]) => packet4(e, s, d)),
  fc.tuple(ends, ip6, ip6).map(([e, s, d]) => packet6(e, s, d)),
  { weight: 3, arbitrary: withPorts4 },
  { weight: 3, arbitrary: withPorts6 },
  { weight: 3, arbitrary: whole },
  arpOf,
  fc.tuple(someone, ip4, ip4).map(([f, ip, asks]) => arp({ from: f, tags: "", ip, asks })),
  someone.map((f) => arp({ from: f, tags: "", op: 3, ip: "0.0.0.0", asks: "0.0.0.0", of: f })),
  fc
    .tuple(ends, ip6, ip6)
    .map(([e, s, t]) => solicitation({ ...e, to: "33:33:ff:00:00:01" }, s, t)),
  fc
    .tuple(ends, ip6, ip6, fc.boolean())
    .map(([e, s, t, hides]) => advertisement(e, s, t, hides ? extension : new Uint8Array())),
  raw,
);

type Mutation = { cut?: number; at?: number; octet?: number };

/** Mostly none; else cut off somewhere, or with an octet that is another. @param shortest that is left */
const mutation = (shortest: number): fc.Arbitrary<Mutation> =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constant({}) },
    { weight: 1, arbitrary: fc.record({ cut: fc.integer({ min: shortest, max: 90 }) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        at: fc.integer({ min: 12, max: 70 }),
        octet: fc.integer({ min: 0, max: 255 }),
      }),
    },
  );

function mutated(frame: Uint8Array, { cut = frame.length, at, octet = 0 }: Mutation): Uint8Array {
  const some = frame.slice(0, cut);
  if (at !== undefined && at < some.length) some[at] = octet;
  return some;
}

type Tag = readonly [type: number, tci: number];

const tagged = (frame: Uint8Array, tags: readonly Tag[]): Uint8Array =>
  concat(
    frame.subarray(0, 12),
    ...tags.map(([type, tci]) => concat(uint(2, type), uint(2, tci))),
    frame.subarray(12),
  );

const tag: fc.Arbitrary<Tag> = fc.tuple(
  fc.oneof({ weight: 9, arbitrary: one(0x8100) }, { weight: 1, arbitrary: one(0x88a8) }),
  one(0, 10, 10, 12, 20, 0x300a, 0xe014, 99, 0xffff),
);

const outerTags: fc.Arbitrary<readonly Tag[]> = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(tag) },
  { weight: 2, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(tag, { minLength: 2, maxLength: 3 }) },
);

const atPort: fc.Arbitrary<Arrival> = fc
  .record({
    wire: one("p1", "p2", "p3"),
    bare: wellFormed,
    tags: outerTags,
    mutation: mutation(20), // shorter with a tag, the other end of the wire drops it
  })
  .map(({ wire, bare, tags, mutation: change }) => ({
    wire,
    frame: mutated(tagged(bare, tags), change),
  }));

/** What is wrong, or seldom, before the tenant's frame. Octets of UDP and what follows, or of GRE, are counted from there. */
export type Outer =
  | { is: "right" }
  | { is: "other MAC" }
  | { is: "other VTEP" }
  | { is: "other family" }
  | { is: "wrong IP checksum" }
  | { is: "IP options" }
  | { is: "fragment" }
  | { is: "more octets behind" }
  | { is: "octet"; at: number; octet: number };

const octet = (at: number, ...of: readonly number[]): fc.Arbitrary<Outer> =>
  one(...of).map((value) => ({ is: "octet", at, octet: value }));

const outer: fc.Arbitrary<Outer> = fc.oneof(
  { weight: 12, arbitrary: one<Outer>({ is: "right" }) },
  one<Outer>(
    { is: "other MAC" },
    { is: "other VTEP" },
    { is: "other family" },
    { is: "wrong IP checksum" },
    { is: "IP options" },
    { is: "fragment" },
    { is: "more octets behind" },
  ),
  octet(0, 0, 0x20, 0x80, 0x10), // of UDP's source port, or GRE's flags
  octet(1, 1, 0x80), // GRE's version
  octet(3, 0xb6, 0x58, 0x47, 0x48), // UDP's destination port, or GRE's protocol
  octet(6, 0, 1, 7), // of NVGRE's VSID, or MPLS' bottom of the stack
  octet(8, 0, 8), // VXLAN's flags
);

const overlay: fc.Arbitrary<Arrival> = fc
  .record({
    from: one("a", "a", "b", "stranger"),
    vni: one(100, 100, 200, 300),
    ds: one(0, 0, 1, 2, 3, 0xb8),
    ttl: one(64, 64, 255, 3, 2, 1),
    encapsulation: one("vxlan", "vxlan", "nvgre", "mpls-over-gre"),
    bare: wellFormed,
    tags: fc.oneof(
      { weight: 9, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.tuple(tag) },
    ),
    mutation: mutation(60), // of shorter ones the kernel drops some itself, and counts none
    outer,
  })
  .map(({ from: source, bare, tags, mutation: change, outer: how, ds, ...more }) => ({
    wire: "ul",
    from: source,
    // What the kernel's tunnel device drops as congested it does not count for us.
    tunnelled: {
      ...more,
      ds: how.is === "right" ? ds : 0,
      frame: mutated(longEnough(tagged(bare, tags)), change),
    },
    outer: how,
  }));

/** Nothing shorter comes out of an Ethernet, and nothing longer through an underlay of 1600 octets. */
const longEnough = (frame: Uint8Array): Uint8Array =>
  concat(frame.subarray(0, 1540), new Uint8Array(Math.max(0, 60 - frame.length)));

export const arrivals: fc.Arbitrary<Arrival[]> = fc.array(
  fc.oneof({ weight: 3, arbitrary: atPort }, { weight: 1, arbitrary: overlay }),
  { minLength: 1, maxLength: 40 },
);

/** The same frame from another MAC, with the tag of its place; what follows a first tag stays. */
export function sentFrom(mac: Mac, vid: number, frame: Uint8Array): Uint8Array {
  const isTagged = frame[12] === 0x81 && frame[13] === 0 && frame.length > 18;
  const bare = isTagged ? concat(frame.subarray(0, 12), frame.subarray(16)) : frame.slice();
  bare.set(macOctets(mac), 6);
  const isArp = (bare[12] === 8 && bare[13] === 6) || (bare[12] === 0x80 && bare[13] === 0x35);
  if (isArp && bare.length >= 28) bare.set(macOctets(mac), 22);
  return vid === 0 ? bare : tagged(bare, [[0x8100, vid]]);
}

/** The frame of the underlay with that done to it. */
export function changed(frame: Uint8Array, how: Outer): Uint8Array {
  const is6 = (frame[12] ?? 0) === 0x86;
  const behindIp = 14 + (is6 ? 40 : 20);
  const copy = frame.slice();
  switch (how.is) {
    case "right":
    case "other family": // other addresses, not other octets
      return copy;
    case "other MAC":
      copy[5] = 0x77;
      return copy;
    case "other VTEP":
      copy[behindIp - 1] = 0x77;
      return is6 ? copy : withIpChecksum(copy);
    case "wrong IP checksum":
      if (!is6) copy[24] = (copy[24] ?? 0) ^ 0xff;
      return copy;
    case "IP options":
      return is6 ? copy : withOptions(copy);
    case "fragment":
      if (!is6) copy[20] = 0x20;
      return is6 ? copy : withIpChecksum(copy);
    case "more octets behind":
      return concat(copy, Uint8Array.of(1, 2, 3));
    case "octet":
      // The kernel looks at UDP's checksum, we need not (RFC 7348 §5).
      if (how.at !== 6 || copy[is6 ? 20 : 23] !== 17) copy[behindIp + how.at] = how.octet;
      return copy;
  }
}

function withIpChecksum(frame: Uint8Array): Uint8Array {
  frame.set([0, 0], 24);
  const end = 14 + ((frame[14] ?? 0) & 15) * 4;
  frame.set(uint(2, checksum(frame.subarray(14, end))), 24);
  return frame;
}

/** Four that do nothing (RFC 791 §3.1). */
function withOptions(frame: Uint8Array): Uint8Array {
  const longer = concat(frame.subarray(0, 34), Uint8Array.of(1, 1, 1, 1), frame.subarray(34));
  longer[14] = 0x46;
  longer.set(uint(2, longer.length - 14), 16);
  return withIpChecksum(longer);
}
