import type { Authority } from "@nve/nva/authority/authority";
import { bestOf, type Held } from "@nve/nva/authority/ranking";
import { type Claim, nveSource } from "@nve/nva/authority/records";
import { createVn, remove } from "@nve/nva/catalogue/decide";
import { Instant, IpAddress, IpPrefix, Mac, NveId, VnId, Vni } from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import { blue, claim, holdMs, location, mac, red, uuid, vnWish, world } from "./world.ts";

describe("which claim counts", () => {
  const vteps: Record<string, string> = { a: "10.0.0.10", b: "10.0.0.9", six: "fd00::9" };
  const held = (id: string, more: Partial<Claim>): Held => ({
    claim: { ...claim(1, more), nveId: NveId(id), source: more.source ?? nveSource(NveId(id)) },
    generation: 1,
    stale: false,
  });
  test.each([
    [
      "static over sticky",
      held("a", { source: "static" }),
      held("b", { sticky: true, sequence: 9 }),
    ],
    ["sticky over a higher sequence", held("a", { sticky: true }), held("b", { sequence: 9 })],
    ["a higher sequence", held("a", { sequence: 10 }), held("b", { sequence: 9 })],
    ["the lowest VTEP by value, not by text", held("b", {}), held("a", {})],
    ["an IPv4 VTEP before an IPv6 one", held("a", {}), held("six", {})],
    ["a known VTEP before none", held("a", {}), held("none", {})],
  ])("%s", (_, winner, loser) => {
    const locationOf = ({ nveId }: Claim) =>
      vteps[nveId] === undefined ? undefined : location(nveId, vteps[nveId]);
    expect(bestOf([winner, loser], locationOf)).toBe(winner);
    expect(bestOf([loser, winner], locationOf)).toBe(winner);
    expect(bestOf([], locationOf)).toBeUndefined();
  });
});

describe("claims and mappings", () => {
  test("H18: what an NVE reports is what others are told", () => {
    const { all, connect, tell } = world();
    const tor1 = connect("tor1", "10.0.0.1");
    const ips = [IpAddress("192.168.0.1"), IpAddress("fd00::1")];
    const step = tell(tor1, {
      joined: [blue],
      claims: [claim(1, { ips, vnic: uuid(9), port: "eth1" })],
    });
    expect(step.result).toEqual([]);
    expect(step.touched).toEqual(
      new Map([[blue, { vn: false, macs: new Set([mac(1)]), members: new Set(["tor1"]) }]]),
    );
    expect(all.mapping(blue, mac(1))).toEqual({
      vnId: blue,
      mac: mac(1),
      ips,
      locations: [location("tor1", "10.0.0.1")],
      sequence: 1,
      vnic: uuid(9),
      sticky: false,
      anycast: false,
      suspended: false,
      stale: false,
    });
  });

  test("H5: the same MAC and IP in two VNs stay apart", () => {
    const { all, connect, tell, where } = world();
    const ips = [IpAddress("10.1.1.1")];
    tell(connect("tor1", "10.0.0.1"), { claims: [claim(1, { ips })] });
    tell(connect("tor2", "10.0.0.2"), { claims: [claim(1, { ips, vnId: red })] });
    expect([where(1), where(1, red)]).toEqual(["tor1", "tor2"]);
    expect(all.lookup(blue, IpAddress("10.1.1.1"))?.locations[0]?.nveId).toBe("tor1");
    expect(all.lookup(red, IpAddress("10.1.1.1"))?.locations[0]?.nveId).toBe("tor2");
  });

  test("the later of two claims wins, and the late withdrawal of the other deletes nothing", () => {
    const { connect, tell, where, sequence } = world();
    const [tor1, tor2] = [connect("tor1", "10.0.0.1"), connect("tor2", "10.0.0.2")];
    tell(tor1, { claims: [claim(1)] });
    tell(tor2, { claims: [claim(1)] });
    expect([where(1), sequence(1)]).toEqual(["tor2", 2]);
    const late = tell(tor1, { withdrawn: [{ vnId: blue, mac: mac(1) }] });
    expect([where(1), sequence(1)]).toEqual(["tor2", 2]);
    expect(late.touched.size).toBe(0);
  });

  test("the next best comes back when the best goes, with a higher sequence", () => {
    const { connect, tell, where, sequence } = world();
    const [tor1, tor2] = [connect("tor1", "10.0.0.1"), connect("tor2", "10.0.0.2")];
    tell(tor1, { claims: [claim(1)] });
    tell(tor2, { claims: [claim(1, { sequence: 7 })] });
    tell(tor2, { withdrawn: [{ vnId: blue, mac: mac(1) }] });
    expect([where(1), sequence(1)]).toEqual(["tor1", 8]);
  });

  test("H22: a withdrawal is there at once, and the sequence outlives it, also a restart", () => {
    const { connect, tell, where, sequence, restart } = world();
    tell(connect("tor1", "10.0.0.1"), { claims: [claim(1, { sequence: 41 })] });
    tell(connect("tor1", "10.0.0.1"), { withdrawn: [{ vnId: blue, mac: mac(1) }] });
    expect(where(1)).toBeUndefined();
    restart();
    tell(connect("tor1", "10.0.0.1"), { claims: [claim(1, { sequence: 3 })] });
    expect(sequence(1)).toBe(42);
  });

  test("told again the same, nothing is stored and nobody told", () => {
    const { connect, tell } = world();
    const tor1 = connect("tor1", "10.0.0.1");
    tell(tor1, { joined: [blue], claims: [claim(1)] });
    const again = tell(tor1, { joined: [blue], claims: [claim(1)] });
    expect([again.changes, again.touched.size]).toEqual([[], 0]);
  });

  test("an anycast address has several places and does not move between them", () => {
    const { connect, tell, where, sequence } = world();
    for (const n of [1, 2, 3])
      tell(connect(`tor${n}`, `10.0.0.${n}`), { claims: [claim(1, { anycast: true })] });
    expect(where(1)?.split("+").sort()).toEqual(["tor1", "tor2", "tor3"]);
    expect(sequence(1)).toBe(1);
  });

  test("an IP address that two MACs have is found at the one that changed last", () => {
    const { all, connect, tell } = world();
    const tor1 = connect("tor1", "10.0.0.1");
    const ip = IpAddress("10.1.1.1");
    tell(tor1, { claims: [claim(1, { ips: [ip] })] });
    tell(tor1, { claims: [claim(2, { ips: [ip] })] });
    expect(all.lookup(blue, ip)?.mac).toBe(mac(2));
    tell(tor1, { claims: [claim(2)] });
    expect(all.lookup(blue, ip)?.mac).toBe(mac(1));
    tell(tor1, { withdrawn: [{ vnId: blue, mac: mac(1) }] });
    expect(all.lookup(blue, ip)).toBeUndefined();
  });

  test.each([
    [claim(1, { vnId: VnId(77) }), /no VN 77/],
    [claim(1, { mac: Mac("ff:ff:ff:ff:ff:ff") }), /group address/],
    [claim(0, { mac: Mac("00:00:00:00:00:00") }), /all-zero/],
    [claim(1, { sequence: 2 ** 32 }), /32 bits/],
    [
      claim(1, { ips: Array.from({ length: 16_385 }, () => IpAddress("10.0.0.1")) }),
      /16384 IP addresses/,
    ],
  ])("V10: a bad claim is refused by itself, the rest of the report stands (%#)", (bad, reason) => {
    const { connect, tell, where } = world();
    const { result } = tell(connect("tor1", "10.0.0.1"), { claims: [bad, claim(2)] });
    expect(result).toEqual([
      { vnId: bad.vnId, mac: bad.mac, reason: expect.stringMatching(reason) },
    ]);
    expect(where(2)).toBe("tor1");
  });

  test("H7: leaving a VN takes all that was claimed there, of this NVE only", () => {
    const { connect, tell, where, all } = world();
    const [tor1, tor2] = [connect("tor1", "10.0.0.1"), connect("tor2", "10.0.0.2")];
    tell(tor1, { joined: [blue], claims: [claim(1), claim(2)] });
    tell(tor2, { joined: [blue], claims: [claim(3)] });
    tell(tor1, { left: [blue] });
    expect([where(1), where(2), where(3)]).toEqual([undefined, undefined, "tor2"]);
    expect([...(all.vn(blue)?.members ?? [])]).toEqual(["tor2"]);
  });
});

describe("sessions of an NVE", () => {
  test("a lost NVE's claims are served as stale for the hold time, then they are gone", () => {
    const { all, connect, tell, lose, at, where } = world();
    const tor1 = connect("tor1", "10.0.0.1");
    tell(tor1, { joined: [blue], claims: [claim(1)] });
    at(1000);
    expect(lose(tor1).touched.get(blue)?.macs).toEqual(new Set([mac(1)]));
    expect(all.mapping(blue, mac(1))?.stale).toBe(true);
    expect(all.deadline).toBe(1000 + holdMs);
    at(999 + holdMs);
    expect(where(1)).toBe("tor1");
    expect(at(1000 + holdMs).result).toEqual(["tor1"]);
    expect([where(1), all.vn(blue)?.members.size, [...all.nves()]]).toEqual([undefined, 0, []]);
    expect(all.deadline).toBeUndefined();
  });

  test("back in time, a complete report drops what it does not name and freshens the rest", () => {
    const { all, connect, tell, lose, at, where } = world();
    const first = connect("tor1", "10.0.0.1");
    tell(first, { joined: [blue, red], claims: [claim(1), claim(2), claim(3, { vnId: red })] });
    lose(first);
    const second = connect("tor1", "10.0.0.1", 2);
    expect(all.mapping(blue, mac(1))?.stale).toBe(true);
    const said = tell(second, { joined: [blue], claims: [claim(1)] });
    expect(said.touched.get(blue)?.macs).toEqual(new Set([mac(1)]));
    expect(said.changes.length).toBeGreaterThan(0); // a revision to tell it at
    expect(where(2)).toBe("tor1");
    tell(second, { complete: true });
    expect([where(1), where(2), where(3, red)]).toEqual(["tor1", undefined, undefined]);
    expect(all.mapping(blue, mac(1))?.stale).toBe(false);
    expect(all.vn(red)?.members.size).toBe(0);
    at(10 * holdMs);
    expect(where(1)).toBe("tor1");
  });

  test("back, but never complete: what is not named again goes after the hold time", () => {
    const { connect, tell, lose, at, where } = world();
    const first = connect("tor1", "10.0.0.1");
    tell(first, { joined: [blue], claims: [claim(1), claim(2)] });
    lose(first);
    tell(connect("tor1", "10.0.0.1"), { claims: [claim(1)] });
    at(holdMs);
    expect([where(1), where(2)]).toEqual(["tor1", undefined]);
  });

  test("what an older session still says is ignored", () => {
    const { connect, tell, lose, where } = world();
    const older = connect("tor1", "10.0.0.1");
    const newer = connect("tor1", "10.0.0.1", 2);
    expect(tell(older, { claims: [claim(1)] }).result).toBeUndefined();
    tell(newer, { claims: [claim(2)] });
    expect(lose(older).result).toBe(false);
    expect([where(1), where(2)]).toEqual([undefined, "tor1"]);
  });

  test("a new VTEP shows in all mappings and memberships of the NVE", () => {
    const { all, connect, tell, keep } = world();
    tell(connect("tor1", "10.0.0.1"), { joined: [blue], claims: [claim(1)] });
    const step = keep(
      all.connectNve(location("tor1", "10.9.9.9"), uuid(2), all.deadline ?? (0 as never)),
    );
    expect(step.touched.get(blue)).toEqual({
      vn: false,
      macs: new Set([mac(1)]),
      members: new Set(["tor1"]),
    });
    expect(all.mapping(blue, mac(1))?.locations[0]?.vteps).toEqual(["10.9.9.9"]);
  });

  test("after a restart all are stale, for the hold time", () => {
    const { connect, tell, restart, at, where } = world();
    tell(connect("tor1", "10.0.0.1"), { joined: [blue], claims: [claim(1)] });
    at(5000);
    restart();
    expect(where(1)).toBe("tor1");
    at(5000 + holdMs);
    expect(where(1)).toBeUndefined();
  });
});

describe("P1: virtual networks", () => {
  const wish = (alias: string, more = {}) => vnWish(alias, uuid(alias.length + 100), more);
  const create = (all: Authority, ...args: Parameters<typeof wish>) =>
    createVn(all, wish(...args), Instant(0));
  const drop = (all: Authority, vnId: VnId, force: boolean) =>
    remove(all, { kind: "vn", name: String(vnId) }, { force }, Instant(0));

  test("what is left out is chosen free, the VNI unlike the VN ID (H4)", () => {
    const { all, keep } = world();
    expect(keep(create(all, "green")).result).toMatchObject({ vnId: 3, vni: 10_003 });
    expect(keep(create(all, "yellow", { vnId: VnId(4), vni: Vni(10_004) })).result).toMatchObject({
      vnId: 4,
    });
    expect(keep(create(all, "violet-ish")).result).toMatchObject({ vnId: 5, vni: 10_005 });
  });

  test("the highest numbers do not stop the choosing", () => {
    const { all, keep } = world();
    keep(create(all, "top", { vnId: VnId(0xffffff), vni: Vni(0xffffff) }));
    expect(keep(create(all, "next")).result).toMatchObject({ vnId: 3 });
  });

  test.each([
    [{ alias: "blue" }, /tenant "default" has a VN "blue" already \(VN ID 1\)/],
    [{ alias: "new", name: uuid(1) }, /is that of VN ID 1/],
    [{ alias: "new", vnId: blue }, /VN ID 1 is "blue" already/],
    [{ alias: "new", vni: Vni(10_001) }, /VNI 10001 is in use by VN ID 1/],
  ])("%o is refused and changes nothing", (more, reason) => {
    const { all, keep } = world();
    const step = keep(create(all, "new", more));
    expect(step.result).toEqual({ declined: "refused", reason: expect.stringMatching(reason) });
    expect([step.changes, all.vnCount]).toEqual([[], 2]);
  });

  test("two tenants may have one alias", () => {
    const { all, keep } = world();
    keep(create(all, "blue", { tenant: "other" }));
    expect(all.vnByAlias("other", "blue")?.vn.vnId).toBe(3);
    expect(all.vnByAlias("default", "blue")?.vn.vnId).toBe(1);
  });

  test("a VN in use is not deleted, and its users are named; by force it goes with all it has", () => {
    const { all, keep, connect, tell, where, restart } = world();
    const tor1 = connect("tor1", "10.0.0.1");
    tell(tor1, { joined: [blue], claims: [claim(1), claim(2, { vnId: red })] });
    expect(drop(all, blue, false).result).toEqual({
      declined: "refused",
      reason: expect.stringMatching(/in use by tor1/),
    });
    expect(where(1)).toBe("tor1");
    const step = keep(drop(all, blue, true));
    expect(step.touched.get(blue)?.vn).toBe(true);
    expect([where(1), where(2, red)]).toEqual([undefined, "tor1"]);
    expect(tell(tor1, { claims: [claim(1)] }).result).toMatchObject([{ reason: "no VN 1" }]);
    restart();
  });

  test("an unused VN is deleted, and its numbers are free again", () => {
    const { all, keep } = world();
    expect(keep(drop(all, red, false)).result).toMatchObject({ changes: [{ kind: "vn" }] });
    expect(keep(create(all, "new", { vnId: red })).result).toMatchObject({ vnId: red });
    expect(drop(all, VnId(99), false).result).toMatchObject({ declined: "missing" });
  });
});

test("H8: an IP address is looked up in the longest prefix that it is in", () => {
  const { all, connect, tell } = world();
  const tor1 = connect("tor1", "10.0.0.1");
  const prefixes = (...texts: string[]) => texts.map(IpPrefix);
  tell(tor1, {
    claims: [
      claim(1, { ips: prefixes("192.168.0.0/16", "fd00::/16") }),
      claim(2, { ips: prefixes("192.168.7.0/24") }),
      claim(3, { ips: prefixes("192.168.7.9") }),
    ],
  });
  const at = (ip: string) => all.lookup(blue, IpAddress(ip))?.mac;
  expect(at("192.168.7.9")).toBe(mac(3));
  expect(at("192.168.7.8")).toBe(mac(2));
  expect(at("192.168.8.8")).toBe(mac(1));
  expect(at("fd00:1::1")).toBe(mac(1));
  expect([at("192.169.0.1"), at("fe00::1")]).toEqual([undefined, undefined]);
  tell(tor1, { withdrawn: [{ vnId: blue, mac: mac(2) }] });
  expect(at("192.168.7.8")).toBe(mac(1));
});
