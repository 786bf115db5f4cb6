import type { Policy, Profile, Tenant } from "@nve/nva/authority/declared";
import type { Binding, Declared, DeclaredVn, DeclaredVnic, VnPath } from "@nve/nva/domain/domain";
import { IpPrefix, Mac, NveId, Uuid, VnId, Vni } from "@nve/protocol-spec";
import fc from "fast-check";

// Domains as a domain file can say them, for properties: whatever is generated here is valid.

const name = fc.stringMatching(/^[A-Za-z0-9._-]{1,8}$/);
/** Also what YAML would take for something else than a text. */
const words = fc.oneof(
  fc.constantFrom(
    "null",
    "~",
    "true",
    "1e3",
    "0x10",
    "a: b",
    "# no",
    "*x",
    "&x",
    "- y",
    "'",
    '"',
    "x ",
    "é…",
  ),
  fc
    .string({ minLength: 1, maxLength: 12 })
    .filter((text) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text)),
);
/** Neither a VN ID nor tenant/alias to who reads it. */
const alias = fc
  .oneof(
    name,
    words.filter((text) => text.trim() !== ""),
  )
  .filter((text) => !/\/|^\d+$/.test(text));
const description = fc.option(words, { nil: undefined });
const patterns = (...some: readonly string[]) => fc.subarray(["*", ...some]);
const idPatterns = fc.array(fc.oneof(fc.constantFrom("*", "srv*"), name), { maxLength: 3 });
const uuid = fc.uuid().map(Uuid);
const mac = fc
  .integer({ min: 1, max: 0xffff_ffff })
  .map((n) => Mac(`02:00${n.toString(16).padStart(8, "0").replace(/../g, ":$&")}`));
const ipv4 = fc.oneof(
  fc.nat({ max: 255 }).map((n) => IpPrefix(`10.0.0.${n}`)),
  fc.constantFrom("192.0.2.0/24", "10.0.0.0/8").map(IpPrefix),
);
const ipv6 = fc.constantFrom("fd00::1", "2001:db8::/64").map(IpPrefix);
const ip = fc.oneof(ipv4, ipv6);
const ips = fc.uniqueArray(ip, { maxLength: 3 });
const count = fc.integer({ min: 1, max: 0xffff_ffff });
const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const ports = fc
  .tuple(fc.integer({ min: 0, max: 65_535 }), fc.integer({ min: 0, max: 65_535 }))
  .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);

/** Without the properties that are undefined. */
const defined = (all: object): object =>
  Object.fromEntries(Object.entries(all).filter(([, one]) => one !== undefined));
const given = <T extends object>(of: fc.Arbitrary<object>): fc.Arbitrary<T> =>
  of.map((all) => defined(all) as T);

const tenant = (of: string) =>
  given<Tenant>(
    fc.record({
      name: fc.constant(of),
      description,
      maxVns: optional(fc.integer({ min: 10, max: 100_000 })),
    }),
  );

const rule = fc
  .record({
    family: fc.constantFrom("ipv4", "ipv6", "other"),
    isSaid: fc.boolean(),
    protocol: optional(fc.constantFrom(1, 6, 17, 58, 89, 132)),
  })
  .chain(({ family, isSaid, protocol }) => {
    const of = family === "ipv4" ? ipv4 : ipv6;
    const hasPorts = protocol === 6 || protocol === 17 || protocol === 132;
    const none = fc.constant(undefined);
    const address = family === "other" ? none : optional(of);
    const etherType = { ipv4: 0x0800, ipv6: 0x86dd, other: 0x88cc }[family];
    return given(
      fc.record({
        action: fc.constantFrom("allow", "deny"),
        direction: fc.constantFrom("both", "from-vnic", "to-vnic"),
        etherType: fc.constant(isSaid || family === "other" ? etherType : undefined),
        source: address,
        destination: address,
        protocol: fc.constant(family === "other" ? undefined : protocol),
        sourcePorts: family !== "other" && hasPorts ? optional(ports) : none,
        destinationPorts: family !== "other" && hasPorts ? optional(ports) : none,
      }),
    );
  });
const some = <T extends object>(of: fc.Arbitrary<T>) =>
  optional(of.filter((one) => Object.keys(one).length > 0));
const profile = (of: string) =>
  given<Profile>(
    fc.record({
      name: fc.constant(of),
      description,
      acl: fc.array(rule, { maxLength: 4 }),
      qos: some(
        fc
          .record({
            policeKbps: optional(count),
            burstOctets: optional(fc.integer({ min: 1514, max: 0xffff_ffff })),
            dscp: optional(fc.integer({ min: 0, max: 63 })),
          })
          .map(({ policeKbps, burstOctets, dscp }) =>
            defined({
              policeKbps,
              burstOctets: policeKbps === undefined ? undefined : burstOctets,
              dscp,
            }),
          ),
      ),
      limits: some(
        given(
          fc.record({
            vnicsPerNve: optional(count),
            macsPerVnic: optional(count),
            ipsPerMac: optional(count),
          }),
        ),
      ),
    }),
  );

const policy = (of: string) =>
  given<Policy>(
    fc.record({
      name: fc.constant(of),
      description,
      order: fc.integer({ min: 0, max: 1000 }),
      deny: fc.boolean(),
      vns: patterns("acme/*", "*/é b", "#/x", "acme/web: 1"),
      hypervisors: idPatterns,
      nves: idPatterns,
      ports: patterns("swp1", "bond *", "&a"),
      vnics: patterns("2b9f*", "00000000-0000-4000-8000-000000000001"),
      stations: patterns("52:54:*", "02:00:00:00:00:01"),
      authenticated: fc.boolean(),
    }),
  );

const vn = (of: string, id: number, profiles: readonly string[]) =>
  given<DeclaredVn>(
    fc.record({
      vn: fc.constant(of),
      id: fc.constant(VnId(id)),
      vni: fc.constant(Vni(id + 10_000)),
      name: uuid,
      mtu: optional(fc.integer({ min: 68, max: 65_535 })),
      service: fc.constantFrom("l2", "l3"),
      flood: fc.constantFrom("head-end", "multicast"),
      admission: optional(fc.constantFrom("open", "registered", "strict")),
      profile:
        profiles.length === 0 ? fc.constant(undefined) : optional(fc.constantFrom(...profiles)),
      duplicates: optional(
        fc.record({
          moves: fc.integer({ min: 1, max: 100 }),
          windowMs: fc.integer({ min: 1000, max: 86_400_000 }),
          action: fc.constantFrom("warn", "freeze"),
          freezeMs: fc.oneof(fc.constant(0), fc.integer({ min: 1000, max: 86_400_000 })),
        }),
      ),
      description,
    }),
  );

const vnic = (of: Uuid, vns: readonly VnPath[]) =>
  given<DeclaredVnic>(
    fc.record({
      vnic: fc.constant(of),
      description,
      hypervisors: idPatterns,
      standby: fc.option(
        fc.record({ places: fc.constantFrom(["srv1", "tor2"], ["*", "b"]), revert: fc.boolean() }),
        { nil: undefined },
      ),
      vns: fc.subarray([...vns]).chain((some) =>
        fc.tuple(
          ...some.map((one) =>
            fc.record({
              vn: fc.constant(one),
              macs: fc.uniqueArray(fc.record({ mac, ips }), {
                selector: (m) => m.mac,
                maxLength: 3,
              }),
            }),
          ),
        ),
      ),
    }),
  );

const binding = (vns: readonly VnPath[]) =>
  given<Binding>(
    fc.record({ vn: fc.constantFrom(...vns), mac, ips, nve: name.map(NveId), description }),
  );

const each = <T, R>(all: readonly T[], of: (one: T, i: number) => fc.Arbitrary<R>) =>
  fc.tuple(...all.map(of));
const names = fc.uniqueArray(name, { maxLength: 4 });

/** Whatever is referred to is there. */
export const domains: fc.Arbitrary<Declared[]> = fc
  .record({
    tenants: fc.uniqueArray(name, { minLength: 1, maxLength: 3 }),
    profiles: names,
    policies: names,
    aliases: fc.uniqueArray(alias, { maxLength: 4 }),
    vnics: fc.uniqueArray(uuid, { maxLength: 3 }),
  })
  .chain(({ tenants, profiles, policies, aliases, vnics }) => {
    const vns = aliases.map((one, i): VnPath => `${tenants[i % tenants.length] ?? ""}/${one}`);
    const bindings =
      vns.length === 0
        ? fc.constant([])
        : fc.uniqueArray(binding(vns), {
            selector: ({ vn: of, mac: at }) => `${of}/${at}`,
            maxLength: 3,
          });
    return fc
      .record({
        tenant: each(tenants, tenant),
        profile: each(profiles, profile),
        policy: each(policies, policy),
        vn: each(vns, (one, i) => vn(one, i + 1, profiles)),
        vnic: each(vnics, (one) => vnic(one, vns)),
        binding: bindings,
      })
      .map((all) =>
        Object.entries(all).flatMap(([kind, values]) =>
          (values as unknown[]).map((value) => ({ kind, value }) as Declared),
        ),
      );
  });
