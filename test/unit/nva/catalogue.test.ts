import { Authority } from "@nve/nva/authority/authority";
import { faultsIn } from "@nve/nva/catalogue/check";
import { apply, put, remove } from "@nve/nva/catalogue/decide";
import type { Wish } from "@nve/nva/catalogue/wish";
import { Instant, IpAddress, NveId, VnId, Vni } from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import { blue, claim, holdMs, mac, noTables, red, uuid, vnWish, world } from "./world.ts";

const now = Instant(0);
type World = ReturnType<typeof world>;

const policy = {
  order: 1,
  deny: true,
  hypervisors: [],
  nves: [],
  ports: [],
  vnics: [],
  stations: [],
};
const tenant = (name: string, maxVns?: number): Wish => ({
  kind: "tenant",
  wish: { name, ...(maxVns !== undefined && { maxVns }) },
});
const profile = (name: string, dscp = 46): Wish => ({
  kind: "profile",
  wish: { name, acl: [], qos: { dscp } },
});
let made = 200;
const vn = (alias: string, more = {}, key?: string): Wish => {
  const { name: _, ...wish } = vnWish(alias, uuid(made++), more);
  return { kind: "vn", wish: { ...wish, ...more }, ...(key !== undefined && { key }) };
};
const vnic = (n: number, vns: string[]): Wish => ({
  kind: "vnic",
  wish: { vnic: uuid(n), hypervisors: [], vns: vns.map((one) => ({ vn: one, macs: [] })) },
});
const binding = (path: string, n: number, nve: string, more = {}): Wish => ({
  kind: "binding",
  wish: { vn: path, mac: mac(n), ips: [IpAddress("10.1.1.1")], nveId: NveId(nve), ...more },
});
const isPolicy = (name: string, order: number): Wish => ({
  kind: "policy",
  wish: { ...policy, name, order, vns: ["acme/*"], authenticated: false },
});

function domain() {
  const all = world();
  const did = (one: Wish, expected?: number) => all.keep(put(all.all, one, expected, now)).result;
  return {
    ...all,
    get all() {
      return all.all;
    },
    /** What it came to: done, or why not. */
    put: (one: Wish, expected?: number): string => {
      const result = did(one, expected);
      return "declined" in result ? `${result.declined}: ${result.reason}` : "done";
    },
    step: (one: Wish) => all.keep(put(all.all, one, undefined, now)),
    remove: (kind: Wish["kind"], name: string, force = false, expected?: number): string => {
      const how = { force, ...(expected !== undefined && { expected }) };
      const { result } = all.keep(remove(all.all, { kind, name }, how, now));
      return "declined" in result ? `${result.declined}: ${result.reason}` : "done";
    },
    vnOf: (vnId: VnId) => all.all.catalogue.vn(vnId),
  };
}

describe("P1: a VN is changed", () => {
  test("in all but what it is known by, and those who watch it are told", () => {
    const { put, step, vnOf, all } = domain();
    put(profile("web"));
    const wish = { mtu: 1450, profile: "web", admission: "registered", flood: "multicast" };
    const more = { ...wish, service: "l3", description: "shop" };
    const { touched, changes } = step(vn("azure", more, "default/blue"));
    expect(touched.get(blue)).toMatchObject({ vn: true });
    expect(touched.get(blue)?.life).toBeUndefined();
    expect(changes).toMatchObject([{ table: "vn", key: "000001" }]);
    expect(vnOf(blue)).toMatchObject({ ...more, alias: "azure", vnId: blue, name: uuid(1) });
    expect(all.vnByAlias("default", "azure")?.vn).toBe(vnOf(blue));
    expect(all.vnByAlias("default", "blue")).toBeUndefined();
  });

  test("what is left out is not set any more", () => {
    const { put, vnOf } = domain();
    put(vn("blue", { mtu: 1450, admission: "strict", description: "x" }));
    put(vn("blue"));
    expect(vnOf(blue)).toEqual({
      ...vnWish("blue", uuid(1)),
      fresh: undefined,
      vnId: 1,
      vni: 10_001,
      tenant: "default",
    });
  });

  test("an unchanged one changes nothing", () => {
    const { put, step } = domain();
    put(vn("blue", { mtu: 1450 }));
    expect(step(vn("blue", { mtu: 1450, vnId: blue }))).toMatchObject({
      changes: [],
      touched: new Map(),
      result: { unchanged: 1 },
    });
  });

  test("a profile that changes changes the VNs that have it", () => {
    const { put, step } = domain();
    put(profile("web"));
    put(vn("red", { profile: "web" }));
    expect([...step(profile("web", 10)).touched]).toMatchObject([[red, { vn: true }]]);
  });

  test.each([
    [{ vnId: VnId(7) }, /vn_id: it is 1 and stays so: for 7 make another VN/],
    [{ vni: Vni(7) }, /vni: it is 10001 and stays so/],
    [{ name: uuid(7) }, /name: it is .* and stays so/],
    [{ tenant: "other" }, /tenant: it is default and stays so/],
    [{ profile: "nope" }, /there is no profile "nope": declare it first/],
    [{ alias: "red" }, /tenant "default" has a VN "red" already \(VN ID 2\)/],
  ])("%o is refused and changes nothing", (more, reason) => {
    const { put, vnOf } = domain();
    const before = vnOf(blue);
    expect(put(vn("blue", more, "1"))).toMatch(reason);
    expect(vnOf(blue)).toBe(before);
  });

  test("a key that names no VN makes none of another name", () => {
    const { put, all } = domain();
    expect(put(vn("new", {}, "default/gone"))).toMatch(
      /the key is "default\/gone", and there is no VN/,
    );
    expect(all.vnCount).toBe(2);
  });
});

describe("A10: groups of the underlay", () => {
  test.each([
    [["239.1.1.7", "ff05::107"], "done"],
    [["10.0.0.1"], "10.0.0.1 is no group of more than one link"],
    [["224.0.0.5"], "224.0.0.5 is no group of more than one link"],
    [["ff02::5"], "ff02::5 is no group of more than one link"],
    [["239.1.1.7", "239.1.1.8"], "one of IPv4 and one of IPv6 at the most"],
  ])("of %s: %s", (groups, said) => {
    expect(faultsIn(vn("blue", { groups: groups.map(IpAddress) })).join() || "done").toContain(
      said,
    );
  });
});

describe("tenants", () => {
  test("a VN brings its tenant along, unless the tenant has enough VNs", () => {
    const { put, all, remove } = domain();
    expect(put(vn("one", { tenant: "acme" }))).toBe("done");
    expect(all.catalogue.get("tenant", "acme")?.row).toEqual({ name: "acme" });
    put(tenant("acme", 2));
    expect(put(vn("two", { tenant: "acme" }))).toBe("done");
    expect(put(vn("three", { tenant: "acme" }))).toMatch(/as many VNs as it may \(max_vns 2\)/);
    expect(put(tenant("acme", 1))).toMatch(/it has 2 VNs: max_vns cannot be 1/);
    remove("vn", "acme/two");
    expect(put(tenant("acme", 1))).toBe("done");
  });

  test("the default one is always there", () => {
    const world = domain();
    expect(world.remove("tenant", "default", true)).toMatch(/always there/);
    world.put({ kind: "tenant", wish: { name: "default", description: "ours" } });
    world.restart();
    expect(world.all.catalogue.get("tenant", "default")).toMatchObject({
      row: { description: "ours" },
    });
  });

  test("one that a VN of before there were tenants has brought can go, whatever it is called", () => {
    const { fresh: name, ...wish } = vnWish("old", uuid(1));
    const old = { ...wish, name, vnId: blue, vni: Vni(7), tenant: "mön étage" };
    const authority = new Authority({ ...noTables, vn: [{ row: old, revision: 1 }] }, holdMs, now);
    expect(authority.catalogue.get("tenant", old.tenant)?.row).toEqual({ name: old.tenant });
    const step = remove(authority, { kind: "tenant", name: old.tenant }, { force: true }, now);
    expect(step.changes.map(({ table }) => table)).toEqual(["vn"]);
  });

  test("no tenant of a VN has a name that none can have", () => {
    expect(domain().put(vn("one", { tenant: "a b" }))).toMatch(
      /tenant: "a b" is not 1 to 64 letters/,
    );
  });
});

describe("what is in use is not deleted, and its users are named; by force", () => {
  test("a tenant takes its VNs with it", () => {
    const { put, remove, all } = domain();
    put(vn("one", { tenant: "acme" }));
    expect(remove("tenant", "acme")).toMatch(/tenant "acme" has VN acme\/one: delete them first/);
    expect(remove("tenant", "acme", true)).toBe("done");
    expect([all.catalogue.get("tenant", "acme"), all.vnCount]).toEqual([undefined, 2]);
  });

  test("VNs go on without their profile", () => {
    const { put, remove, vnOf } = domain();
    put(profile("web"));
    put(vn("blue", { profile: "web" }));
    expect(remove("profile", "web")).toMatch(
      /profile "web" is that of VN default\/blue: give them/,
    );
    expect(remove("profile", "web", true)).toBe("done");
    expect(vnOf(blue)?.profile).toBeUndefined();
  });

  test("a VN takes members, bindings and its entries of VNICs with it", () => {
    const world = domain();
    const { put, remove, all, connect, tell, where, restart } = world;
    tell(connect("tor1", "10.0.0.1"), { joined: [blue], claims: [claim(1)] });
    put(vnic(9, ["default/blue", "default/red"]));
    put(binding("default/blue", 2, "tor1"));
    expect(remove("vn", "blue")).toMatch(
      new RegExp(`in use by tor1, VNIC ${uuid(9)}, binding ${mac(2)}: detach its members and`),
    );
    expect(where(1)).toBe("tor1");
    expect(remove("vn", "blue", true)).toBe("done");
    expect(all.catalogue.vnic(uuid(9))?.vns).toEqual([{ vnId: red, macs: [] }]);
    expect([all.catalogue.count("binding"), where(1), where(2)]).toEqual([0, undefined, undefined]);
    restart();
    expect(world.all.vnCount).toBe(1);
    expect(world.all.catalogue.vnic(uuid(9))?.vns).toEqual([{ vnId: red, macs: [] }]);
  });

  test("who refers to it no more does not keep it", () => {
    const { put, remove, all } = domain();
    put(profile("web"));
    put(vn("red", { profile: "web" }));
    put(vnic(9, ["default/blue", "default/red"]));
    put(binding("default/blue", 1, "tor1"));
    put(vn("red"));
    put(vnic(9, ["default/red"]));
    remove("binding", `default/blue/${mac(1)}`);
    expect([remove("profile", "web"), remove("vn", "blue")]).toEqual(["done", "done"]);
    put(vn("shop", { tenant: "acme" }));
    remove("vn", "acme/shop");
    expect(remove("tenant", "acme")).toBe("done");
    remove("vnic", uuid(9));
    expect(remove("vn", "red")).toBe("done");
    expect(all.vnCount).toBe(0);
  });

  test("what is not there cannot be deleted", () => {
    const { remove } = domain();
    expect(remove("vn", "default/gone")).toMatch(/^missing: there is no VN "default\/gone"/);
    expect(remove("vnic", "x")).toMatch(/^missing: "x" is not a UUID/);
    expect(remove("binding", `default/blue/${mac(1)}`)).toMatch(/^missing: there is no binding/);
    expect(remove("policy", "x")).toMatch(/^missing/);
  });
});

describe("a binding", () => {
  test("comes before what NVEs say, and goes when it is deleted", () => {
    const { put, remove, connect, tell, where, sequence } = domain();
    const [tor1] = [connect("tor1", "10.0.0.1"), connect("tor2", "10.0.0.2")];
    tell(tor1, { claims: [claim(1, { sticky: true, sequence: 5 })] });
    expect(put(binding("default/blue", 1, "tor2"))).toBe("done");
    expect([where(1), sequence(1)]).toEqual(["tor2", 6]);
    expect(remove("binding", `default/blue/${mac(1)}`)).toBe("done");
    expect([where(1), sequence(1)]).toEqual(["tor1", 7]);
  });

  test("moves to another NVE with a sequence that rises", () => {
    const { put, connect, where, sequence } = domain();
    connect("tor1", "10.0.0.1");
    connect("tor2", "10.0.0.2");
    put(binding("default/blue", 1, "tor1"));
    const before = sequence(1) ?? 0;
    put(binding("default/blue", 1, "tor2"));
    expect(where(1)).toBe("tor2");
    expect(sequence(1)).toBeGreaterThan(before);
  });

  test("to an NVE that nobody has heard of counts from when it connects until it is gone for good", () => {
    const { put, connect, tell, where, all, restart, lose, at } = domain();
    tell(connect("tor1", "10.0.0.1"), { claims: [claim(1)] });
    put(binding("default/blue", 1, "tor9"));
    put(binding("default/blue", 2, "tor9"));
    expect([where(1), where(2)]).toEqual(["tor1", undefined]);
    expect(all.lookup(blue, IpAddress("10.1.1.1"))).toBeUndefined();
    const tor9 = connect("tor9", "10.0.0.9");
    expect([where(1), where(2)]).toEqual(["tor9", "tor9"]);
    expect(all.lookup(blue, IpAddress("10.1.1.1"))?.locations[0]?.nveId).toBe("tor9");
    restart();
    expect([where(1), where(2)]).toEqual(["tor9", "tor9"]);
    lose(tor9);
    at(120_000);
    expect([where(1), where(2)]).toEqual([undefined, undefined]);
    connect("tor9", "10.0.0.9");
    expect([where(1), where(2)]).toEqual(["tor9", "tor9"]);
  });

  test("those who watch hear of it when its NVE connects, moves or goes", () => {
    const { put, connect, lose, at } = domain();
    put(binding("default/blue", 2, "tor9"));
    const all = connect("tor9", "10.0.0.9");
    lose(all);
    expect(at(120_000).touched.get(blue)?.macs).toEqual(new Set([mac(2)]));
  });

  test("is not lost with a session of its NVE, nor stale", () => {
    const { put, connect, tell, lose, all } = domain();
    const tor1 = connect("tor1", "10.0.0.1");
    put(binding("default/blue", 1, "tor1"));
    tell(tor1, { complete: true });
    lose(tor1);
    expect(all.mapping(blue, mac(1))).toMatchObject({ stale: false });
  });

  test("with another description is another one", () => {
    const { put, step } = domain();
    put(binding("default/blue", 1, "tor1"));
    const { changes } = step(binding("default/blue", 1, "tor1", { description: "printer" }));
    expect(changes).toMatchObject([{ table: "claim", row: { description: "printer" } }]);
  });

  test.each([
    [binding("default/gone", 1, "tor1"), /vn: there is no VN "default\/gone": create it first/],
    [
      { ...binding("default/blue", 1, "tor1"), key: `default/blue/${mac(2)}` } as Wish,
      /keeps its VN and MAC/,
    ],
  ])("%# is refused", (wish, reason) => {
    expect(domain().put(wish)).toMatch(reason);
  });
});

test("a VNIC names VNs that there are, each once", () => {
  const { put, all } = domain();
  expect(put(vnic(9, ["default/blue", "1", "gone"]))).toMatch(
    /vns\[1\]: "1" stands there twice; vns\[2\]: there is no VN "gone": create it first/,
  );
  expect(put(vnic(9, ["default/blue", "2"]))).toBe("done");
  expect(all.catalogue.vnic(uuid(9))?.vns.map(({ vnId }) => vnId)).toEqual([blue, red]);
  expect(put({ ...vnic(9, []), key: uuid(8) } as Wish)).toMatch(/a VNIC keeps its UUID/);
});

test("policies are asked in their order, then by name", () => {
  const { put, remove, all } = domain();
  for (const [name, order] of [
    ["c", 2],
    ["b", 1],
    ["a", 2],
  ] as const)
    put(isPolicy(name, order));
  const names = () => all.catalogue.policies.map(({ name }) => name);
  expect(names()).toEqual(["b", "a", "c"]);
  put(isPolicy("c", 0));
  remove("policy", "b");
  expect(names()).toEqual(["c", "a"]);
});

test("P1: an alias of several tenants has to be told apart", () => {
  const { put } = domain();
  put(vn("shop", { tenant: "a" }));
  put(vn("shop", { tenant: "b" }));
  expect(put(vnic(9, ["shop"]))).toMatch(/several tenants have a VN "shop": write tenant\/shop/);
  expect(put(vnic(9, ["b/shop"]))).toBe("done");
});

describe("an expected revision", () => {
  const committed = (all: World["all"], revision: number) => all.committed(new Map(), revision);

  test("is that of the last change, 0 where there is nothing", () => {
    const { put, remove, all } = domain();
    expect(put(profile("web"), 3)).toMatch(
      /^conflict: profile "web" is not there \(any more\), revision 3/,
    );
    expect(put(profile("web"), 0)).toBe("done");
    committed(all, 10);
    expect(put(profile("web"), 0)).toMatch(
      /^conflict: profile "web" is there already, at revision 10/,
    );
    expect(put(profile("web", 1), 9)).toMatch(
      /^conflict: profile "web" is at revision 10, revision 9 was expected/,
    );
    expect(put(profile("web", 1), 10)).toBe("done");
    expect(put(profile("web", 2), 10)).toMatch(
      /^conflict: profile "web" is being changed just now/,
    );
    committed(all, 11);
    expect(remove("profile", "web", false, 10)).toMatch(/^conflict/);
    expect(remove("profile", "web", false, 11)).toBe("done");
  });

  test("of all that is declared is the store's: nothing else counts", () => {
    const { put, all, connect, tell } = domain();
    put(profile("web"));
    committed(all, 10);
    tell(connect("tor1", "10.0.0.1"), { claims: [claim(1)] });
    committed(all, 11);
    const options = { prune: false, force: false, dryRun: true };
    const at = (expected: number) => apply(all, [], [], { ...options, expected }, now).result;
    expect(at(9)).toMatchObject({
      declined: "conflict",
      reason: /at revision 10, after revision 9/,
    });
    expect(at(10)).toMatchObject({ changes: [] });
  });
});
