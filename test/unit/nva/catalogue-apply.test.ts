import type { Authority } from "@nve/nva/authority/authority";
import { kinds } from "@nve/nva/authority/catalogue";
import type { AclRule } from "@nve/nva/authority/declared";
import { type ApplyOptions, apply, put, remove } from "@nve/nva/catalogue/decide";
import type { Wish } from "@nve/nva/catalogue/wish";
import { fromResource } from "@nve/nva/server/convert-resources";
import { listResources } from "@nve/nva/server/resources";
import { Instant, IpAddress, NveId, VnId, Vni } from "@nve/protocol-spec";
import type { Resource } from "@nve/protocol-spec/proto/northbound";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { claim, mac, uuid, vnWish, world } from "./world.ts";

const now = Instant(0);
const plain: ApplyOptions = { prune: false, force: false, dryRun: false };
const prune = { ...plain, prune: true };

const vn = (alias: string, more = {}): Wish => {
  const { name: _, ...wish } = vnWish(alias, uuid(300 + alias.length), more);
  return { kind: "vn", wish: { ...wish, ...more } };
};
const binding = (path: string, n: number): Wish => ({
  kind: "binding",
  wish: { vn: path, mac: mac(n), ips: [], nveId: NveId("tor1") },
});
const tenant = (name: string): Wish => ({ kind: "tenant", wish: { name } });
const profile = (name: string): Wish => ({ kind: "profile", wish: { name, acl: [] } });
const vnic = (n: number, ...vns: string[]): Wish => ({
  kind: "vnic",
  wish: { vnic: uuid(n), hypervisors: [], vns: vns.map((one) => ({ vn: one, macs: [] })) },
});

type World = ReturnType<typeof world>;
/** `+vn default/blue` and so on, or what is wrong. */
function applied(world: World, wishes: readonly Wish[], options = plain): string[] {
  const { result } = world.keep(apply(world.all, wishes, [], options, now));
  if ("declined" in result) return [result.reason];
  if ("faults" in result)
    return result.faults.map(({ at, name, what }) => `${at ?? "-"} ${name}: ${what}`);
  return result.changes.map(
    ({ kind, key, before, after }) =>
      `${before === undefined ? "+" : after === undefined ? "-" : "~"}${kind} ${key}`,
  );
}

/** Everything that is declared, as it is listed; without revisions. */
const exported = (authority: Authority): Resource[] => {
  const all: Resource[] = [];
  let pageToken = "";
  do {
    const page = listResources(authority, { kind: 0, tenant: "", pageSize: 3, pageToken });
    all.push(...page.resources.map((one) => ({ ...one, revision: 0n })));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return all;
};

function wishesOf(resources: readonly Resource[]): Wish[] {
  return resources.map((one) => {
    const wish = fromResource(one, uuid(0xffff));
    if (Array.isArray(wish)) throw new Error(wish.join());
    return wish as Wish;
  });
}

describe("P1: apply", () => {
  test("makes what is named, in the order of who refers to whom, whatever the order of naming", () => {
    const all = world();
    const wishes = [
      binding("acme/shop", 1),
      vnic(9, "acme/shop"),
      vn("shop", { tenant: "acme", profile: "web" }),
      profile("web"),
      tenant("acme"),
    ];
    expect(applied(all, wishes)).toEqual([
      "+tenant acme",
      "+profile web",
      "+vn 000003",
      `+vnic ${uuid(9)}`,
      `+binding 000003/${mac(1)}`,
    ]);
    expect(applied(all, wishes)).toEqual([]);
  });

  test("a dry run tells what would be done, with the same choices, and does nothing", () => {
    const all = world();
    const wishes = [vn("shop", { tenant: "acme" }), vnic(9, "acme/shop")];
    const before = exported(all.all);
    const told = applied(all, wishes, { ...prune, dryRun: true });
    expect(told).toEqual([
      "-vn 000001",
      "-vn 000002",
      "+tenant acme",
      "+vn 000001",
      `+vnic ${uuid(9)}`,
    ]);
    expect(exported(all.all)).toEqual(before);
    expect(applied(all, wishes, prune)).toEqual(told);
  });

  test("names every fault at once, each with its place, and does nothing", () => {
    const all = world();
    const before = exported(all.all);
    const wishes = [
      tenant("acme"),
      vn("shop", { tenant: "acme", profile: "nope" }),
      vn("blue", { vni: Vni(77) }),
      vnic(9, "gone/vn"),
      vnic(9, "default/blue"),
    ];
    expect(applied(all, wishes)).toEqual([
      `4 VNIC ${uuid(9)}: it is there twice: resources[3] too`,
      '1 VN "acme/shop": there is no profile "nope": declare it first, or leave it out',
      expect.stringMatching(/^2 VN "default\/blue": vni: it is 10001 and stays so/),
      `3 VNIC ${uuid(9)}: vns[0]: there is no VN "gone/vn": create it first`,
    ]);
    expect(exported(all.all)).toEqual(before);
    expect(all.all.catalogue.get("tenant", "acme")).toBeUndefined();
  });

  test("what is wrong with one thing is not told of those that miss it too", () => {
    const all = world();
    const faults = [{ at: 0, name: 'profile "web"', what: "bad" }];
    const wishes = [undefined, vn("shop", { profile: "web" })];
    const { result } = apply(all.all, wishes, faults, plain, now);
    expect(result).toEqual({ faults });
  });

  test("deletes what is not named only where that is asked for; what is named has its alias, VN ID or VNI then", () => {
    const all = world();
    expect(applied(all, [vn("green")])).toEqual(["+vn 000003"]);
    expect(
      applied(all, [vn("green"), vn("indigo", { vnId: VnId(1), vni: Vni(10_001) })], prune),
    ).toEqual(["-vn 000001", "-vn 000002", "+vn 000001"]);
    expect(all.all.vns().map(({ vn: { alias } }) => alias)).toEqual(["indigo", "green"]);
  });

  test("a VN with members is not deleted by the way, unless forced", () => {
    const all = world();
    const tor1 = all.connect("tor1", "10.0.0.1");
    all.tell(tor1, { joined: [VnId(2)], claims: [claim(1, { vnId: VnId(2) })] });
    expect(applied(all, [vn("blue")], prune)).toEqual([
      '- VN "default/red": it would be deleted, and has members at tor1: detach them first, name it, or force it',
    ]);
    expect(applied(all, [vn("blue")], { ...prune, force: true })).toEqual(["-vn 000002"]);
    expect(all.tell(tor1, { claims: [claim(1, { vnId: VnId(2) })] }).result).toMatchObject([{}]);
  });

  test("a profile that a VN has and that is not named is a fault, not a hole", () => {
    const all = world();
    applied(all, [profile("web"), vn("blue", { profile: "web" }), vn("red")]);
    expect(applied(all, [vn("blue", { profile: "web" }), vn("red")], prune)).toEqual([
      expect.stringMatching(/^- profile "web": profile "web" is that of VN default\/blue/),
    ]);
    expect(applied(all, [vn("blue"), vn("red")], prune)).toEqual(["~vn 000001", "-profile web"]);
  });

  test("a tenant that VNs name is not deleted, the default one never", () => {
    const all = world();
    applied(all, [tenant("acme"), vn("shop", { tenant: "acme" })]);
    expect(applied(all, [vn("shop", { tenant: "acme" })], prune)).toEqual([
      "-vn 000001",
      "-vn 000002",
    ]);
    expect(applied(all, [], prune)).toEqual(["-vn 000003", "-tenant acme"]);
  });

  test("a VN that is named by its key is renamed", () => {
    const all = world();
    const wish = { ...vn("azure"), key: "default/blue" } as Wish;
    expect(applied(all, [wish, vn("red")], prune)).toEqual(["~vn 000001"]);
    expect(all.all.vnByAlias("default", "azure")?.vn.vnId).toBe(1);
  });
});

// Any domain at all, and any history of one.
const n = fc.integer({ min: 1, max: 4 });
const name = fc.constantFrom("a", "b", "c");
const alias = fc.constantFrom("blue", "red", "x y", "7up", "a-b");
const path = fc
  .tuple(fc.constantFrom("default", "a", "b"), alias)
  .map(([of, one]) => `${of}/${one}`);
const text = fc.constantFrom({}, { description: "d" });
const ips = fc.constantFrom(
  [],
  [IpAddress("10.0.0.1")],
  [IpAddress("fd00::1"), IpAddress("10.0.0.2")],
);
const patterns = fc.subarray(["*", "tor*", "a-1"]);
const rule: AclRule = {
  action: "deny",
  direction: "from-vnic",
  protocol: 6,
  destinationPorts: [25, 25],
};
const anyWish: fc.Arbitrary<Wish> = fc.oneof(
  fc
    .tuple(name, text, fc.constantFrom({}, { maxVns: 2 }))
    .map(
      ([one, ...more]): Wish => ({ kind: "tenant", wish: Object.assign({ name: one }, ...more) }),
    ),
  fc
    .tuple(name, text, fc.constantFrom({}, { qos: { dscp: 0 } }, { limits: { macsPerVnic: 3 } }))
    .map(
      ([one, ...more]): Wish => ({
        kind: "profile",
        wish: Object.assign(
          {
            name: one,
            acl: [rule],
          },
          ...more,
        ),
      }),
    ),
  fc.tuple(name, n, patterns, fc.boolean()).map(
    ([one, order, some, deny]): Wish => ({
      kind: "policy",
      wish: {
        name: one,
        order,
        deny,
        vns: ["*/blue"],
        hypervisors: some,
        nves: some,
        ports: [],
        vnics: [],
        stations: [],
        authenticated: !deny,
      },
    }),
  ),
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.constantFrom("default", "a", "b"),
        alias,
        fc.constantFrom({}, {}, { profile: "a" }, { admission: "strict" as const }, { mtu: 1400 }),
        fc.constantFrom({}, {}, {}, { vnId: VnId(2) }, { vni: Vni(7) }),
        fc.integer({ min: 100, max: 99_999 }),
      )
      .map(([of, called, some, more, fresh]): Wish => {
        const { name: _, ...wish } = vnWish(called, uuid(fresh), { tenant: of, ...some, ...more });
        return { kind: "vn", wish };
      }),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(n, text, fc.uniqueArray(path, { maxLength: 2 }), ips).map(
      ([one, more, vns, some]): Wish => ({
        kind: "vnic",
        wish: {
          vnic: uuid(one),
          hypervisors: ["srv*"],
          vns: vns.map((called) => ({ vn: called, macs: [{ mac: mac(one), ips: some }] })),
          ...more,
        },
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(path, n, fc.constantFrom("tor1", "tor2", "tor9"), ips, text).map(
      ([called, one, nve, some, more]): Wish => ({
        kind: "binding",
        wish: { vn: called, mac: mac(one), ips: some, nveId: NveId(nve), ...more },
      }),
    ),
  },
);
const happening = fc.oneof(
  { weight: 6, arbitrary: fc.record({ on: fc.constant("put" as const), wish: anyWish }) },
  {
    weight: 2,
    arbitrary: fc.record({
      on: fc.constant("remove" as const),
      kind: fc.constantFrom(...kinds),
      key: fc.oneof(
        name,
        path,
        n.map(uuid),
        fc.tuple(path, n).map(([a, b]) => `${a}/${mac(b)}`),
      ),
      force: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      on: fc.constant("apply" as const),
      wishes: fc.array(anyWish, { maxLength: 8 }),
      prune: fc.boolean(),
      force: fc.boolean(),
      dryRun: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      on: fc.constantFrom("connect" as const),
      nve: fc.constantFrom("tor1", "tor2"),
    }),
  },
);

function happen(
  all: World,
  event: typeof happening extends fc.Arbitrary<infer T> ? T : never,
): boolean {
  switch (event.on) {
    case "put":
      return "declined" in all.keep(put(all.all, event.wish, undefined, now)).result;
    case "remove":
      return (
        "declined" in
        all.keep(remove(all.all, { kind: event.kind, name: event.key }, event, now)).result
      );
    case "apply": {
      const { result } = all.keep(apply(all.all, event.wishes, [], event, now));
      return !("changes" in result) || event.dryRun;
    }
    case "connect":
      all.tell(all.connect(event.nve, event.nve === "tor1" ? "10.0.0.1" : "10.0.0.2"), {
        claims: [claim(1)],
      });
      return false;
  }
}

test("any history: what is refused or tried changes nothing, and what is stored is what there is", () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 25, size: "max" }), (history) => {
      const all = world();
      for (const event of history) {
        const [before, next] = [exported(all.all), all.all.catalogue.book.next];
        if (!happen(all, event)) continue;
        expect(exported(all.all)).toEqual(before);
        expect(all.all.catalogue.book.next).toEqual(next);
      }
      const mappings = () =>
        all.all
          .vns()
          .map(({ vn: { vnId } }) => [vnId, [1, 2, 3, 4].map((one) => all.where(one, vnId))]);
      const [there, where] = [exported(all.all), mappings()];
      all.restart();
      expect(exported(all.all)).toEqual(there);
      expect(mappings()).toEqual(where);
    }),
    { numRuns: 150 },
  );
}, 60_000);

test("P1: any domain: what is exported and applied again, there or in an empty domain, is no change", () => {
  fc.assert(
    fc.property(fc.array(anyWish, { maxLength: 25, size: "max" }), (wishes) => {
      const all = world();
      for (const wish of wishes) all.keep(put(all.all, wish, undefined, now));
      const there = exported(all.all);
      expect(applied(all, wishesOf(there), prune)).toEqual([]);
      const other = world();
      applied(other, [], prune);
      applied(other, wishesOf(there), prune);
      expect(exported(other.all)).toEqual(there);
      expect(applied(other, wishesOf(there), prune)).toEqual([]);
    }),
    { numRuns: 150 },
  );
}, 60_000);
