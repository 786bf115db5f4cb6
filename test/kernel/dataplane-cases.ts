import { IpPrefix, Vni } from "@nve/protocol-spec";
import type { AccessIntent, Intent, MacIntent, Place, VnIntent } from "@nve/switch-agent/nve";
import fc from "fast-check";
import { access, local, mac } from "../contracts/dataplane-bench.ts";
import {
  advertisement,
  arp,
  extension,
  packet4,
  packet6,
  solicitation,
} from "../contracts/neighbour-frames.ts";
import type { Tunnelled } from "../contracts/tunnels.ts";
import { testFrame } from "../contracts/wires.ts";

// Intents and frames that two drivers are compared with: all of a small world, so that they meet.

/** A frame at the far end of an access port, or one that another NVE sends. */
export type Arrival =
  | { wire: "p1" | "p2" | "p3"; frame: Uint8Array }
  | {
      wire: "ul";
      from: "a" | "b" | "stranger";
      tunnelled: Omit<Tunnelled, "source" | "destination">;
    };

type Others = { a: Place; b: Place };

const one = <const T>(...of: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...of);
const flag = (name: string): fc.Arbitrary<object> => one({}, { [name]: true });
const merged = <T extends object>(...parts: fc.Arbitrary<object>[]): fc.Arbitrary<T> =>
  fc.tuple(...parts).map((all) => Object.assign({}, ...all) as T);

const vnis = [100, 200] as const;
const stations = ["0a", "0b", "0c", "0d"] as const;
const ips4 = ["10.0.0.1", "10.0.0.2", "10.0.0.3"] as const;
const ips6 = ["fd00::1", "fd00::2", "fe80::ff:fe00:a"] as const;
const prefixes = ["10.1.0.0/16", "10.0.0.2/31", "fd01::/64"] as const;

const accesses = [
  ["p1", 0, 200],
  ["p1", 10, 100],
  ["p1", 12, 100],
  ["p2", 20, 100],
  ["p2", 0, 100],
  ["p3", 10, 200],
] as const;

const accessRules = merged<Partial<AccessIntent>>(
  flag("checkSource"),
  flag("checkIps"),
  flag("glean"),
);

const places = (vni: number, { a, b }: Others): Place[] => [
  ...accesses.filter(([, , of]) => of === vni).map(([port, vid]) => local(port, vid)),
  a,
  b,
];

const vnOf = (vni: number, others: Others): fc.Arbitrary<VnIntent> =>
  merged<VnIntent>(
    fc.constant({ is: "vn", vni: Vni(vni) }),
    fc.subarray(places(vni, others)).map((flood) => ({ flood })),
    fc.boolean().map((floodUnknown) => ({ floodUnknown })),
    flag("answer"),
    flag("askUnknown"),
  );

const macOf = (vni: number, name: string, others: Others): fc.Arbitrary<MacIntent> =>
  merged<MacIntent>(
    one(...places(vni, others)).map((at) => mac(vni, name, at)),
    fc
      .subarray([...ips4, ...ips6, ...prefixes])
      .map((ips) => (ips.length === 0 ? {} : { ips: ips.map((ip) => IpPrefix(ip)).sort() })),
  );

/** Nearly all of the small world, each in one of its forms. */
export const intentsOf = (others: Others): fc.Arbitrary<Intent[]> =>
  fc
    .tuple(
      ...vnis.map((vni) => fc.option(vnOf(vni, others), { freq: 8 })),
      ...accesses.map(([port, vid, vni]) =>
        fc.option(
          accessRules.map((rules) => access(port, vid, vni, rules)),
          { freq: 8 },
        ),
      ),
      ...vnis.flatMap((vni) =>
        stations.map((name) => fc.option(macOf(vni, name, others), { freq: 5 })),
      ),
    )
    .map((all) => all.filter((intent): intent is Intent => intent !== null));

const someone = one(...stations, "77");
const anyone = one(...stations, "77", "ff", "ff", "01:80:c2:00:00:0e", "33:33:ff:00:00:01");
const from = fc.oneof({ weight: 12, arbitrary: someone }, { weight: 1, arbitrary: one("ff") });
const ip4 = one(...ips4, "10.1.2.3", "0.0.0.0", "10.9.9.9");
const ip6 = one(...ips6, "fd01::9", "::", "fd09::9");
const ends = fc.record({ from, to: anyone, tags: fc.constant("") });

/** Bare frames as stations send them. */
const wellFormed: fc.Arbitrary<Uint8Array> = fc.oneof(
  ends.map((e) => testFrame({ ...e, text: "hello" })),
  fc.tuple(ends, ip4, ip4).map(([e, s, d]) => packet4(e, s, d)),
  fc.tuple(ends, ip6, ip6).map(([e, s, d]) => packet6(e, s, d)),
  fc
    .record({
      from,
      to: anyone,
      op: one(1, 1, 2, 3, 4),
      ip: ip4,
      asks: ip4,
      mac: someone,
      of: someone,
    })
    .map(({ mac: named, ...a }) => arp({ ...a, tags: "", ...(named !== "77" && { mac: named }) })),
  fc.tuple(someone, ip4, ip4).map(([f, ip, asks]) => arp({ from: f, tags: "", ip, asks })),
  someone.map((f) => arp({ from: f, tags: "", op: 3, ip: "0.0.0.0", asks: "0.0.0.0", of: f })),
  fc
    .tuple(ends, ip6, ip6)
    .map(([e, s, t]) => solicitation({ ...e, to: "33:33:ff:00:00:01" }, s, t)),
  fc
    .tuple(ends, ip6, ip6, fc.boolean())
    .map(([e, s, t, hides]) => advertisement(e, s, t, hides ? extension : new Uint8Array())),
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
  Uint8Array.of(
    ...frame.subarray(0, 12),
    ...tags.flatMap(([type, tci]) => [type >> 8, type & 0xff, tci >> 8, tci & 0xff]),
    ...frame.subarray(12),
  );

const tag: fc.Arbitrary<Tag> = fc.tuple(
  fc.oneof({ weight: 9, arbitrary: one(0x8100) }, { weight: 1, arbitrary: one(0x88a8) }),
  one(0, 10, 10, 12, 20, 0x300a, 0xe014, 99),
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
    mutation: mutation(18),
  })
  .map(({ wire, bare, tags, mutation: change }) => ({
    wire,
    frame: mutated(tagged(bare, tags), change),
  }));

const overlay: fc.Arbitrary<Arrival> = fc
  .record({
    from: one("a", "a", "b", "stranger"),
    vni: one(100, 100, 200, 300),
    ds: one(0, 0, 1, 2, 3, 0xb8),
    encapsulation: one("vxlan", "vxlan", "nvgre", "mpls-over-gre"),
    bare: wellFormed,
    tags: fc.oneof(
      { weight: 9, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.tuple(tag) },
    ),
    mutation: mutation(60), // of shorter ones the kernel drops some itself, and counts none
  })
  .map(({ from: source, bare, tags, mutation: change, ...outer }) => ({
    wire: "ul",
    from: source,
    tunnelled: { ...outer, frame: mutated(tagged(bare, tags), change) },
  }));

export const arrivals: fc.Arbitrary<Arrival[]> = fc.array(
  fc.oneof({ weight: 3, arbitrary: atPort }, { weight: 1, arbitrary: overlay }),
  { minLength: 1, maxLength: 40 },
);
