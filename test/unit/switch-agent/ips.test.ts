import { IpAddress, IpPrefix, type Mac } from "@nve/protocol-spec";
import type { AccessRules, Intent } from "@nve/switch-agent/nve";
import { expect, test } from "vitest";
import { arpFrom } from "../../support/sighted.ts";
import { a, Bench, b, groups, port, red, tor2, vnicOf, vniOf } from "./nve-bench.ts";

const ip = (n: number) => IpAddress(`10.0.0.${n}`);

function begun(answer: boolean, rules: AccessRules = {}): Bench {
  const nve = new Bench({ ...port("swp1"), rules });
  if (answer) nve.core.infos.rules = { answer };
  nve.feed({ on: "nva", connected: true });
  return nve;
}
const said = (nve: Bench, ...ips: IpPrefix[]) =>
  nve.ask("vm1", "swp1", groups([red, a]), { addresses: ips.map((ip) => ({ ip })) });
const remote = (nve: Bench, mac: Mac, ips: IpPrefix[]) =>
  nve.feed({
    on: "remote",
    change: {
      vn: red,
      mappings: [{ mac, ips, ...tor2 }],
      withdrawn: [],
      members: [tor2],
      membersLeft: [],
    },
  });
const of = (nve: Bench, mac: Mac) => nve.applied.get(`mac ${vniOf(red)} ${mac}`);

test("P12: where it answers, the dataplane is told the IPs of MACs here and elsewhere; else of none", () => {
  for (const answer of [true, false]) {
    const nve = begun(answer);
    said(nve, ip(2), ip(1));
    remote(nve, b, [ip(3)]);
    expect(of(nve, a)).toMatchObject({ vnic: vnicOf("vm1") });
    expect(of(nve, a)).toEqual(
      answer
        ? expect.objectContaining({ ips: [ip(1), ip(2)] })
        : expect.not.objectContaining({ ips: [] }),
    );
    expect(of(nve, b)?.is === "mac" && of(nve, b)).toEqual({
      ...{ is: "mac", vni: vniOf(red), mac: b, at: { is: "remote", vtep: tor2.vtep } },
      ...(answer && { ips: [ip(3)] }),
    });
    const vn = nve.applied.get(`vn ${vniOf(red)}`);
    expect(vn).toEqual(
      answer ? expect.objectContaining({ answer }) : expect.not.objectContaining({ answer: true }),
    );
  }
});

test("P12: IPs that are said anew are a change, and the same ones none", () => {
  const nve = begun(true);
  said(nve, ip(1));
  const addresses = (...ips: IpPrefix[]): readonly Intent[] =>
    nve
      .feed({ on: "addresses", vsi: "vm1", addresses: ips.map((ip) => ({ ip })) })
      .flatMap((effect) => (effect.do === "intents" ? effect.change.ensure : []));
  expect(addresses(ip(1))).toEqual([]);
  expect(addresses(ip(1), IpPrefix("10.1.0.0/16"))).toMatchObject([
    { is: "mac", mac: a, ips: [ip(1), "10.1.0.0/16"] },
  ]);
  remote(nve, b, [ip(3)]);
  remote(nve, b, [ip(3), ip(4)]);
  expect(of(nve, b)).toMatchObject({ ips: [ip(3), ip(4)] });
});

test("M10: where IPs are checked, those that were said are told though nobody is answered for; what is seen is not", () => {
  const nve = begun(false, { checkSource: true, checkIps: true });
  said(nve, ip(1));
  expect(of(nve, a)).toMatchObject({ ips: [ip(1)] });
  expect([...nve.applied.values()]).toContainEqual(
    expect.objectContaining({ is: "access", checkSource: true, checkIps: true }),
  );
  said(nve);
  expect(of(nve, a)).not.toHaveProperty("ips");
});

test("P12, H16: IPs that were seen are answered for where none were said", () => {
  const nve = begun(true, { glean: true });
  said(nve);
  const vid = nve.core.ports.get("swp1")?.pool.tagOf(red) ?? 0;
  const at = { is: "local", port: "swp1", vid } as const;
  const seen = (mac: Mac, text: string) =>
    nve.feed({ on: "sample", sample: { vni: vniOf(red), at, octets: arpFrom(mac, text) } });
  seen(a, "10.0.0.9");
  seen(b, "10.0.0.8");
  expect(of(nve, a)).toMatchObject({ ips: [ip(9)] });
  expect(of(nve, b)).toMatchObject({ ips: [ip(8)], vnic: vnicOf("vm1") });
  said(nve, ip(1));
  expect(of(nve, a)).toMatchObject({ ips: [ip(1)] });
});

test("V11: a port's flood limit is of its strict bindings too", () => {
  const floodLimit = { perSecond: 10, burst: 20 };
  const nve = begun(false, { glean: true, floodLimit });
  nve.ask("vm1", "swp1", groups([red, a]), { rules: { checkSource: true } });
  expect([...nve.applied.values()].find(({ is }) => is === "access")).toMatchObject({
    checkSource: true,
    floodLimit,
  });
  expect([...nve.applied.values()].find(({ is }) => is === "access")).not.toHaveProperty("glean");
});
