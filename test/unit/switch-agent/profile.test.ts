import { IpAddress, IpPrefix, Uuid, VdpError, type VnId } from "@nve/protocol-spec";
import { VnProfile as WireProfile, Vn as WireVn } from "@nve/protocol-spec/proto/types";
import { infoOf as readInfo } from "@nve/switch-agent/nva-client/convert";
import { ruleText, type VnProfile } from "@nve/switch-agent/nve";
import { beforeEach, expect, test } from "vitest";
import { a, Bench, b, blue, groups, infoOf, port, red } from "./nve-bench.ts";

let nve: Bench;
const profile = (limits: VnProfile["limits"], more: Partial<VnProfile> = {}): VnProfile => ({
  name: "gold",
  acl: [],
  qos: {},
  limits,
  ...more,
});
/** Red has this profile from now on, blue none. */
const red1 = (of: VnProfile) => {
  nve.verdict = (vn) => ({ is: "granted", info: withProfile(vn, of) });
};
const withProfile = (vn: VnId, of: VnProfile) =>
  vn === red ? { ...infoOf(vn), profile: of } : infoOf(vn);
const refused = () => nve.did("refuse").map(({ refusal }) => [refusal.code, refusal.reason]);

beforeEach(() => {
  nve = new Bench(port("swp1"), port("swp2"));
  nve.feed({ on: "nva", connected: true });
});

test("H25: no more VNICs of a VN than its profile allows on one NVE; one that asks again is no other", () => {
  red1(profile({ vnicsPerNve: 1 }));
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm1", "swp1", groups([red, a]));
  expect(refused()).toEqual([]);
  nve.ask("vm2", "swp2", groups([red, b]));
  expect(refused()).toEqual([
    [VdpError.insufficientResources, `the profile of VN ${red} allows 1 VNICs on one NVE, not 2`],
  ]);
  nve.ask("vm3", "swp2", groups([blue, b]));
  expect(refused()).toEqual([]);
  nve.release("vm1");
  nve.ask("vm2", "swp2", groups([red, b]));
  expect(refused()).toEqual([]);
});

test("H25: no more MACs of a VNIC, and no more addresses of a MAC, than the profile allows", () => {
  red1(profile({ macsPerVnic: 1, ipsPerMac: 1 }));
  nve.ask("vm1", "swp1", groups([red, a], [red, b]));
  expect(refused()[0]?.[1]).toContain("allows 1 MACs of one VNIC, not 2");
  const addresses = ["10.0.0.1", "10.0.0.2"].map((ip) => ({ vn: red, mac: a, ip: IpAddress(ip) }));
  nve.ask("vm1", "swp1", groups([red, a]), { addresses });
  expect(refused()[0]?.[1]).toContain("allows 1 IP addresses of one MAC, not 2");
  nve.ask("vm1", "swp1", groups([red, a]), { addresses: addresses.slice(1) });
  expect(refused()).toEqual([]);
});

test("H25: the limits hold while the NVA is away", () => {
  red1(profile({ vnicsPerNve: 1 }));
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.verdict = () => ({ is: "unreachable", reason: "gone" });
  nve.ask("vm2", "swp2", groups([red, b]));
  expect(refused()[0]?.[1]).toContain("VNICs on one NVE");
});

test("H25: ACL and QoS are the VN's in the dataplane, and are replaced when the profile changes", () => {
  const acl = [{ action: "deny" as const, direction: "both" as const }];
  const rules = () => nve.core.intents().find(({ is }) => is === "vn");
  red1(profile({}, { qos: { dscp: 46 } }));
  nve.ask("vm1", "swp1", groups([red, a]));
  expect(rules()).toMatchObject({ qos: { dscp: 46 } });
  expect(rules()).not.toHaveProperty("acl");
  nve.feed({ on: "vn", info: withProfile(red, profile({}, { acl })) });
  expect(rules()).toMatchObject({ acl });
  expect(rules()).not.toHaveProperty("qos");
  nve.feed({ on: "vn", info: infoOf(red) });
  expect(rules()).not.toHaveProperty("acl");
  expect(nve.core.infos.get(red)?.profile).toBeUndefined();
});

test("H25: a profile with more rules than can be enforced is refused in words; one that is in force stays", () => {
  const acl = Array.from({ length: 257 }, () => ({ action: "deny", direction: "both" }) as const);
  const long = profile({}, { acl });
  red1(long);
  nve.ask("vm1", "swp1", groups([red, a]));
  expect(refused()).toEqual([
    [
      VdpError.insufficientResources,
      `the profile of VN ${red} has 257 ACL rules: this NVE enforces 256 at most`,
    ],
  ]);
  red1(profile({}, { acl: acl.slice(0, 3) }));
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.feed({ on: "vn", info: withProfile(red, long) });
  expect(nve.core.intents()).toContainEqual(expect.objectContaining({ acl: acl.slice(0, 3) }));
});

test("H25: a profile is read from the wire; 0 is no limit, and an unknown direction is both", () => {
  const wire = WireProfile.create({
    acl: [
      {
        action: 2,
        direction: 1,
        etherType: 0x0800,
        protocol: 6,
        source: { ip: Buffer.from([10, 0, 0, 0]), length: 8 },
        destination: undefined,
        sourcePorts: undefined,
        destinationPorts: { first: 25, last: 26 },
      },
      { action: 1, direction: 9 as never, etherType: 0, protocol: 0 } as never,
    ],
    qos: { policeKbps: 0, burstOctets: 0, dscp: 0 },
    limits: { vnicsPerNve: 0, macsPerVnic: 2, ipsPerMac: 0 },
  });
  const vn = WireVn.create({ vnId: 7, vni: 8, profile: wire, profileName: "gold" });
  const read = readInfo(vn).profile;
  expect(read).toMatchObject({
    name: "gold",
    acl: [{ source: IpPrefix("10.0.0.0/8"), destinationPorts: [25, 26] }, { direction: "both" }],
    qos: { dscp: 0 },
    limits: { macsPerVnic: 2 },
  });
  expect(Object.keys(read?.limits ?? {})).toEqual(["macsPerVnic"]);
  expect(read?.acl.map(ruleText)).toEqual([
    "deny from-vnic ether-type 0x0800 protocol 6 from 10.0.0.0/8 to any port 25-26",
    "allow",
  ]);
  expect(readInfo(WireVn.create({ vnId: 7, vni: 8 })).profile).toBeUndefined();
});

test("A18: how a VN is learnt does not change while it is known, whatever its name", () => {
  const [first, second] = [1, 2].map((n) => Uuid(`00000000-0000-4000-8000-00000000000${n}`));
  const { infos } = nve.core;
  infos.pullOf = ({ name }) => (name === first ? "drop" : undefined);
  infos.learn({ ...infoOf(red), ...(first && { name: first }) });
  infos.learn({ ...infoOf(red), ...(second && { name: second }) });
  expect(infos.pull(red)).toBe("drop");
  infos.delete(red);
  infos.learn({ ...infoOf(red), ...(second && { name: second }) });
  expect(infos.pull(red)).toBeUndefined();
});
