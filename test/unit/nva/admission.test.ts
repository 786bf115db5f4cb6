import { judge, matches, recheck } from "@nve/nva/authority/admission";
import type { Applicant, ExpectedVnic, Profile } from "@nve/nva/authority/declared";
import { fits } from "@nve/nva/authority/patterns";
import { HypervisorId, IpAddress, IpPrefix, NveId } from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { blueVn, policy, ruled } from "./ruled.ts";
import { blue, claim, mac, uuid } from "./world.ts";

const somebody: Applicant = {
  nveId: NveId("tor1"),
  vnic: uuid(7),
  hypervisor: HypervisorId("srv1"),
  port: "swp1",
  station: mac(0xaa),
  authenticated: false,
  addresses: [{ mac: mac(1), ips: [IpAddress("10.0.0.1")] }],
};
const registered = (more: Partial<ExpectedVnic> = {}): ExpectedVnic => ({
  vnic: uuid(7),
  vns: [{ vnId: blue, macs: [{ mac: mac(1), ips: [IpAddress("10.0.0.1")] }] }],
  hypervisors: [],
  ...more,
});
const limited = (limits: Profile["limits"]): Profile => ({
  name: "web",
  acl: [],
  ...(limits && { limits }),
});

/** The verdict in words, "in" where there is nothing against it. */
function verdict(
  {
    mode = "open",
    ...rules
  }: { mode?: "open" | "registered" | "strict" } & Parameters<typeof ruled>[0],
  applicant: Partial<Applicant> = {},
  present = { vnics: 0, macs: 0 },
): string {
  const { catalogue } = ruled({ ...rules, vn: { admission: mode, ...rules.vn } }).all;
  const vn = catalogue.vn(blue) ?? blueVn;
  const denied = judge({ ...somebody, ...applicant }, vn, catalogue, present);
  return denied === undefined ? "in" : `${denied.denied}: ${denied.reason}`;
}
const vnics = [registered()];

test("H26: an open VN takes whoever no policy keeps out", () => {
  expect(verdict({})).toBe("in");
  expect(verdict({ policies: [policy("no-lab", { deny: true, hypervisors: ["lab*"] })] })).toBe(
    "in",
  );
  expect(verdict({ policies: [policy("no-srv", { deny: true, hypervisors: ["srv*"] })] })).toBe(
    `not-allowed: policy "no-srv" keeps VNIC ${uuid(7)} of hypervisor "srv1" at tor1 port swp1 out of VN acme/blue`,
  );
});

test("H26: of several policies the first that matches counts, before the VN's admission", () => {
  const keepOut = policy("b", { order: 2, deny: true, vns: ["acme/*"] });
  const letIn = policy("a", { order: 1, ports: ["swp1"] });
  expect(verdict({ mode: "registered", policies: [keepOut, letIn] })).toBe("in");
  expect(verdict({ mode: "registered", policies: [keepOut, letIn] }, { port: "swp2" })).toMatch(
    /^not-allowed: policy "b"/,
  );
  const sameOrder = [policy("d", { deny: true }), policy("c")];
  expect(verdict({ policies: sameOrder })).toBe("in"); // then by name
});

test("H26: with one policy for stations that have proven a key, and one against all others, nobody else attaches", () => {
  const policies = [
    policy("proven", { order: 1, authenticated: true }),
    policy("nobody", { order: 2, deny: true }),
  ];
  expect(verdict({ policies })).toMatch(/^not-allowed: policy "nobody"/);
  expect(verdict({ policies }, { authenticated: true })).toBe("in");
});

test("H26: a registered VN takes VNICs that orchestration expects there, on the hypervisors that it names", () => {
  const mode = "registered";
  expect(verdict({ mode, vnics })).toBe("in");
  expect(verdict({ mode, vnics }, { vnic: uuid(8) })).toBe(
    `not-allowed: VN acme/blue takes registered VNICs only, and VNIC ${uuid(8)} is not registered`,
  );
  const elsewhere = [registered({ vns: [] })];
  expect(verdict({ mode, vnics: elsewhere })).toBe(
    `not-allowed: VNIC ${uuid(7)} is registered, but not for VN acme/blue`,
  );
  const bound = [registered({ hypervisors: ["srv2", "srv3*"] })];
  expect(verdict({ mode, vnics: bound })).toBe(
    `not-allowed: VNIC ${uuid(7)} is registered for hypervisors srv2, srv3*, not for "srv1"`,
  );
  expect(verdict({ mode, vnics: bound }, { hypervisor: HypervisorId("srv34") })).toBe("in");
  const { vnic: _vnic, ...unnamed } = somebody;
  const { catalogue } = ruled({ vn: { admission: mode }, vnics }).all;
  const vn = catalogue.vn(blue) ?? blueVn;
  expect(judge(unnamed, vn, catalogue, { vnics: 0, macs: 0 })?.reason).toMatch(/by their UUIDs/);
});

test("A19: a strict VN takes registered addresses only", () => {
  const mode = "strict";
  expect(verdict({ mode, vnics })).toBe("in");
  expect(verdict({ mode, vnics }, { addresses: [] })).toBe("in");
  expect(verdict({ mode, vnics }, { addresses: [{ mac: mac(2), ips: [] }] })).toBe(
    `address: ${mac(2)} is not registered for VNIC ${uuid(7)} in VN acme/blue`,
  );
  const ips = [IpAddress("10.0.0.1"), IpAddress("10.0.0.2")];
  expect(verdict({ mode, vnics }, { addresses: [{ mac: mac(1), ips }] })).toMatch(
    /^address: 10\.0\.0\.2 is not registered for 02:/,
  );
  const none = [registered({ vns: [{ vnId: blue, macs: [] }] })];
  expect(verdict({ mode, vnics: none })).toMatch(/^address: /);
});

test("A19: a registered prefix covers the addresses and prefixes in it, of its own family", () => {
  const macs = [{ mac: mac(1), ips: [IpPrefix("10.1.0.0/16"), IpPrefix("fd00::/64")] }];
  const own = [registered({ vns: [{ vnId: blue, macs }] })];
  const at = (ip: string) =>
    verdict({ mode: "strict", vnics: own }, { addresses: [{ mac: mac(1), ips: [IpPrefix(ip)] }] });
  expect([at("10.1.2.3"), at("10.1.128.0/24"), at("10.1.0.0/16"), at("fd00::9")]).toEqual(
    Array(4).fill("in"),
  );
  for (const odd of ["10.2.0.1", "10.0.0.0/8", "fd01::1", "fd00::/48"])
    expect(at(odd)).toMatch(/^address: /);
});

test("V10: the limits of the VN's profile are said with the profile's name", () => {
  const profile = limited({ vnicsPerNve: 2, macsPerVnic: 2, ipsPerMac: 1 });
  expect(verdict({ profile }, {}, { vnics: 1, macs: 1 })).toBe("in");
  expect(verdict({ profile }, {}, { vnics: 2, macs: 0 })).toBe(
    'limit: profile "web" of VN acme/blue allows 2 VNICs at one NVE, and tor1 has as many',
  );
  expect(verdict({ profile }, {}, { vnics: 0, macs: 2 })).toMatch(/^limit: .* 2 MAC addresses/);
  const ips = [IpAddress("10.0.0.1"), IpAddress("10.0.0.2")];
  expect(verdict({ profile }, { addresses: [{ mac: mac(1), ips }] })).toMatch(
    /allows 1 IP addresses of one MAC address, not 2/,
  );
});

test("patterns are literal but for *; UUIDs and MACs match in any case", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "*", ".", "+"), maxLength: 8 });
  fc.assert(
    fc.property(
      text,
      text.map((one) => one.replaceAll("*", "")),
      (pattern, subject) => {
        const pieces = pattern.split("*").map((piece) => piece.replace(/[.+]/g, "\\$&"));
        expect(fits(pattern, subject)).toBe(new RegExp(`^${pieces.join(".*")}$`).test(subject));
      },
    ),
  );
  const odd = policy("odd", { vnics: [uuid(7).toUpperCase()], stations: ["02:00:00:00:00:A*"] });
  expect(matches(odd, somebody, blueVn)).toBe(true);
  const { hypervisor: _hypervisor, ...unnamed } = somebody;
  expect(matches(policy("any", { hypervisors: ["*"] }), unnamed, blueVn)).toBe(true);
  expect(matches(policy("srv", { hypervisors: ["srv*"] }), unnamed, blueVn)).toBe(false);
});

test("a pattern that is made to take long does not", () => {
  expect(fits(`${"a*".repeat(100)}b`, "a".repeat(10_000))).toBe(false);
});

const attached = { vnic: uuid(7), hypervisor: HypervisorId("srv1"), port: "swp1" };

test("H26: what an NVE claims without asking is refused with the reason, written down, and it is to let go of the VNIC", () => {
  const world = ruled({ vn: { admission: "registered" }, vnics });
  const tor1 = world.connect("tor1", "10.0.0.1");
  const good = claim(1, attached);
  const bad = claim(2, { ...attached, vnic: uuid(8) });
  const refused = world.tell(tor1, { joined: [blue], claims: [good, bad] });
  const reason = `VN acme/blue takes registered VNICs only, and VNIC ${uuid(8)} is not registered`;
  expect(refused).toEqual([{ vnId: blue, mac: mac(2), reason }]);
  expect(world.disconnects).toEqual([
    { nveId: "tor1", vnId: blue, reason, vnics: [uuid(8)], macs: [], seen: [mac(2)] },
  ]);
  expect(world.said("vnic.refuse")).toMatchObject([
    {
      actor: "nve:tor1",
      object: uuid(8),
      refused: reason,
      detail: { vn: "acme/blue", port: "swp1" },
    },
  ]);
  expect(world.said("vnic.attach")).toMatchObject([{ object: uuid(7), detail: { nve: "tor1" } }]);
  expect(world.all.mapping(blue, mac(1))).toBeDefined();
  expect(world.all.mapping(blue, mac(2))).toBeUndefined();
});

test("H26: gleaned addresses need no registration in an open VN; in a strict one only the address is refused", () => {
  const gleaned = claim(9, { ...attached, gleaned: true });
  const profile = limited({ macsPerVnic: 1 });
  const open = ruled({ profile });
  expect(
    open.tell(open.connect("tor1", "10.0.0.1"), { claims: [claim(1, attached), gleaned] }),
  ).toEqual([]);
  const strict = ruled({ vn: { admission: "strict" }, vnics });
  const tor1 = strict.connect("tor1", "10.0.0.1");
  expect(strict.tell(tor1, { claims: [claim(1, attached), gleaned] })).toHaveLength(1);
  expect(strict.disconnects).toMatchObject([{ vnics: [], macs: [mac(9)] }]);
  expect(strict.all.mapping(blue, mac(1))).toBeDefined();
});

test("A19: when an address that stood is claimed with what is not allowed, the old claim goes too", () => {
  const world = ruled({ vn: { admission: "strict" }, vnics });
  const tor1 = world.connect("tor1", "10.0.0.1");
  world.tell(tor1, { claims: [claim(1, attached)] });
  world.tell(tor1, { claims: [claim(1, { ...attached, ips: [IpAddress("10.9.9.9")] })] });
  expect(world.all.mapping(blue, mac(1))).toBeUndefined();
  expect(world.said("vnic.disconnect")).toMatchObject([{ actor: "nva", object: uuid(7) }]);
});

test("H26: a change of the rules finds those attached who are not allowed any more", () => {
  const world = ruled({ vnics });
  const tor1 = world.connect("tor1", "10.0.0.1");
  const foreign = { ...attached, vnic: uuid(8) };
  const claims = [claim(1, attached), claim(2, foreign), claim(3, foreign), claim(4)];
  world.tell(tor1, { joined: [blue], claims });
  expect(recheck(world.all, [blue])).toEqual([]);
  world.restart({ vn: { admission: "registered" }, vnics });
  const [one, ...others] = recheck(world.all, [blue]).sort(
    (a, b) => b.vnics.length - a.vnics.length,
  );
  expect(one).toMatchObject({ nveId: "tor1", vnics: [uuid(8)], macs: [] });
  expect(others).toMatchObject([{ vnics: [], macs: [mac(4)] }]);
  world.keep({
    changes: [],
    touched: new Map(),
    result: 0,
    disconnect: recheck(world.all, [blue]),
  });
  expect([...(world.all.nve(NveId("tor1"))?.macs.get(blue) ?? [])]).toEqual([mac(1)]);
  expect(recheck(world.all, [blue])).toEqual([]);
});

test("H26: an NVE that was away is told when it comes back, and a station's proof is known after a restart", () => {
  const policies = [
    policy("proven", { order: 1, authenticated: true, stations: ["02:00:00:00:00:aa"] }),
    policy("nobody", { order: 2, deny: true }),
  ];
  const proven = { ...attached, station: mac(0xaa), authenticated: true } as const;
  const world = ruled({});
  const claims = [claim(1, proven), claim(2, { ...attached, vnic: uuid(8) })];
  world.tell(world.connect("tor1", "10.0.0.1"), { claims, complete: true });
  world.restart({ policies });
  const again = world.connect("tor1", "10.0.0.1");
  const refused = world.tell(again, { claims, complete: true });
  expect(refused.map((one) => one.mac)).toEqual([mac(2)]);
  expect(world.disconnects).toMatchObject([{ nveId: "tor1", vnics: [uuid(8)] }]);
  expect(world.all.mapping(blue, mac(1))).toBeDefined();
  expect(world.all.mapping(blue, mac(2))).toBeUndefined();
});

test("V10: limits count what is attached at one NVE; those beyond a limit that is lowered go", () => {
  const profile = limited({ vnicsPerNve: 2, macsPerVnic: 2 });
  const world = ruled({ profile });
  const tor1 = world.connect("tor1", "10.0.0.1");
  const of = (n: number, vnic: number) => claim(n, { vnic: uuid(vnic) });
  expect(world.tell(tor1, { claims: [of(1, 1), of(2, 1), of(3, 2)] })).toEqual([]);
  expect(world.tell(tor1, { claims: [of(1, 1)] })).toEqual([]); // its own, again
  expect(world.tell(tor1, { claims: [of(4, 3)] })).toMatchObject([{ mac: mac(4) }]);
  const tor2 = world.connect("tor2", "10.0.0.2");
  expect(world.tell(tor2, { claims: [of(4, 3)] })).toEqual([]);
  world.tell(tor1, { withdrawn: [{ vnId: blue, mac: mac(3) }] });
  expect(world.tell(tor1, { claims: [of(5, 4)] })).toEqual([]);
  expect(recheck(world.all, [blue])).toEqual([]);
  world.restart({ profile: limited({ vnicsPerNve: 1 }) });
  expect(recheck(world.all, [blue])).toMatchObject([{ nveId: "tor1", vnics: [uuid(4)] }]);
});
