import { IpPrefix, Uuid, Vni } from "@nve/protocol-spec";
import {
  type AccessIntent,
  type AclRule,
  type Intent,
  type MacIntent,
  nowhere,
  type Place,
  type Qos,
  type VnIntent,
} from "@nve/switch-agent/nve";
import fc from "fast-check";
import { access, local, mac } from "../contracts/dataplane-bench.ts";
import { type Arrival, arrivals, sentFrom, stations } from "./dataplane-arrivals.ts";

// Intents that two drivers are compared with: all of a small world, so that they and the frames meet.

/** What is so, which ports are absent, and the frames that come then. */
export type Round = { intents: Intent[]; absent: string[]; frames: Arrival[] };

type Others = { a: Place; b: Place };

const one = <const T>(...of: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...of);
const flag = (name: string): fc.Arbitrary<object> => one({}, { [name]: true });
const merged = <T extends object>(...parts: fc.Arbitrary<object>[]): fc.Arbitrary<T> =>
  fc.tuple(...parts).map((all) => Object.assign({}, ...all) as T);
/** With `is` in one of `of` cases. */
const seldom = <T extends object>(of: number, is: fc.Arbitrary<T>): fc.Arbitrary<T | object> =>
  fc.oneof({ weight: of - 1, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: is });

const vnis = [100, 200] as const;
const ips = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "fd00::2", "fe80::ff:fe00:a"] as const;
const prefixes = ["10.1.0.0/16", "10.0.0.2/31", "fd01::/64"] as const;

const accesses = [
  ["p1", 0, [200, 100]],
  ["p1", 10, [100, 200]],
  ["p1", 12, [100]],
  ["p2", 20, [100]],
  ["p2", 0, [100, 200]],
  ["p3", 10, [200]],
] as const;

/** Time fills no bucket while a test runs: neither driver gains on the other. */
const NEVER = 0.0001;
const floodLimit = fc.integer({ min: 1, max: 400 }).map((burst) => ({
  floodLimit: { perSecond: NEVER, burst },
}));

const range = fc
  .tuple(one(0, 9, 53, 80, 1000), one(53, 80, 546, 2000, 65_535))
  .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
const prefix = one(...ips, ...prefixes, "0.0.0.0/0", "::/0", "fd00::/16").map((ip) => IpPrefix(ip));
const rule = merged<AclRule>(
  one({ action: "allow" }, { action: "deny" }),
  one({ direction: "both" }, { direction: "from-vnic" }, { direction: "to-vnic" }),
  seldom(4, one({ etherType: 0x0800 }, { etherType: 0x86dd }, { etherType: 0x0806 })),
  seldom(3, one({ protocol: 6 }, { protocol: 17 }, { protocol: 58 }, { protocol: 253 })),
  seldom(
    4,
    prefix.map((source) => ({ source })),
  ),
  seldom(
    4,
    prefix.map((destination) => ({ destination })),
  ),
  seldom(
    4,
    range.map((sourcePorts) => ({ sourcePorts })),
  ),
  seldom(
    4,
    range.map((destinationPorts) => ({ destinationPorts })),
  ),
);
const acl = fc.array(rule, { minLength: 1, maxLength: 20 }).map((rules) => ({ acl: rules }));
const qos = merged<Qos>(
  one({}, { dscp: 46 }, { dscp: 0 }),
  one({}, { policeKbps: NEVER, burstOctets: 300 }, { policeKbps: NEVER, burstOctets: 5000 }),
).map((all) => (Object.keys(all).length === 0 ? {} : { qos: all }));

const accessRules = merged<Partial<AccessIntent>>(
  flag("checkSource"),
  flag("checkIps"),
  flag("glean"),
);

const places = ({ a, b }: Others): Place[] => [
  ...accesses.map(([port, vid]) => local(port, vid)),
  a,
  b,
];

const vnOf = (vni: number, others: Others): fc.Arbitrary<VnIntent> =>
  merged<VnIntent>(
    fc.constant({ is: "vn", vni: Vni(vni) }),
    fc.subarray(places(others)).map((flood) => ({ flood })),
    fc.boolean().map((floodUnknown) => ({ floodUnknown })),
    flag("answer"),
    flag("askUnknown"),
    seldom(4, one({ mtu: 1400 }, { mtu: 1280 }, { mtu: 9000 }, { mtu: 600 })),
    seldom(4, floodLimit),
    seldom(2, acl),
    seldom(2, qos),
    // Not "unreachable": there the tunnel device takes VXLAN off, which drops what is congested by itself (docs/dataplane.md).
    seldom(3, one({ suspended: "drop" })),
  );

const vnic = (salt: number, n: number) =>
  Uuid(`00000000-0000-4000-8000-${(salt * 16 + n).toString(16).padStart(12, "0")}`);

const macOf = (vni: number, name: string, others: Others, salt: number): fc.Arbitrary<MacIntent> =>
  merged<MacIntent>(
    fc
      .tuple(fc.oneof(one(...places(others), nowhere), one(others.a, others.b)), one(0, 0, 1))
      .map(([at, marked]) => ({
        ...mac(vni, name, at),
        ...(at.is === "remote" && marked === 1 && { moved: true }),
        ...(at.is === "local" && marked === 1 && { suspended: true }),
      })),
    fc
      .subarray([...ips, ...prefixes], { maxLength: 3 })
      .map((some) => (some.length === 0 ? {} : { ips: some.map((ip) => IpPrefix(ip)).sort() })),
    one<object>({}, ...[1, 2, 3].map((n) => ({ vnic: vnic(salt, n) }))),
  );

const ports = ["p1", "p2", "p3"] as const;

/** Nearly all of the small world, each in one of its forms. */
export const intentsOf = (others: Others, salt = 0): fc.Arbitrary<Intent[]> =>
  fc
    .record(Object.fromEntries(ports.map((port) => [port, seldom(5, floodLimit)])))
    .chain((limits) =>
      fc.tuple(
        ...vnis.map((vni) => fc.option(vnOf(vni, others), { freq: 8 })),
        ...accesses.map(([port, vid, of]) =>
          fc.option(
            fc
              .tuple(one(...of), accessRules)
              .map(([vni, rules]) => access(port, vid, vni, { ...rules, ...limits[port] })),
            { freq: 8 },
          ),
        ),
        ...vnis.flatMap((vni) =>
          stations.map((name) => fc.option(macOf(vni, name, others, salt), { freq: 5 })),
        ),
      ),
    )
    .map((all) => all.filter((intent): intent is Intent => intent !== null));

const absent = fc.oneof(
  { weight: 5, arbitrary: fc.constant<string[]>([]) },
  { weight: 1, arbitrary: fc.subarray([...ports]) },
);

/**
 * Every other frame comes from a MAC where it is at home, so that what holds for members is met as often as what holds for
 * others. `picks`: which of them.
 */
function atHome(intents: readonly Intent[], frames: readonly Arrival[], picks: readonly number[]) {
  const homes = intents.flatMap((one) =>
    one.is === "mac" && one.at.is === "local" && one.at !== nowhere
      ? [{ mac: one.mac, at: one.at }]
      : [],
  );
  return frames.map((arrival, i) => {
    const pick = picks[i % picks.length] ?? 0;
    const home = homes[(pick >> 1) % homes.length];
    if (arrival.wire === "ul" || home === undefined || pick % 2 === 0) return arrival;
    return { wire: home.at.port as "p1", frame: sentFrom(home.mac, home.at.vid, arrival.frame) };
  });
}

/** Some rounds, in each of which anything may have changed. `salt`: VNICs are new in each run, so that they owe nothing. */
export const roundsOf = (others: Others): fc.Arbitrary<Round[]> =>
  fc.integer({ min: 0, max: 2 ** 40 }).chain((salt) => {
    const picks = fc.array(fc.nat(63), { minLength: 1, maxLength: 40 });
    const round = fc
      .record({ intents: intentsOf(others, salt), absent, frames: arrivals, picks })
      .map(({ picks: which, ...rest }) => ({
        ...rest,
        frames: atHome(rest.intents, rest.frames, which),
      }));
    return fc.array(round, { minLength: 1, maxLength: 3 });
  });
