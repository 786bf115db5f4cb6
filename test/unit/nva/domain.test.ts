import { inUsersWords } from "@nve/nva/cli/words";
import { type Declared, keyOf } from "@nve/nva/domain/domain";
import { domainPlain, domainYaml, faultText, parseDomain } from "@nve/nva/domain/file";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { domains } from "../../support/domains.ts";

const declared = (text: string): readonly Declared[] => {
  const outcome = parseDomain(text);
  if ("faults" in outcome) throw new Error(outcome.faults.map(faultText).join("\n"));
  return outcome.map((one) => one.declared);
};
const only = (text: string): unknown => declared(text)[0]?.value;
const faults = (text: string): string[] => {
  const outcome = parseDomain(text);
  return "faults" in outcome ? outcome.faults.map(faultText) : [];
};

const sorted = (all: readonly Declared[]): Declared[] =>
  [...all].sort((a, b) => (a.kind + keyOf(a) < b.kind + keyOf(b) ? -1 : 1));

test("all faults are told at once, in the order of the file, each with its place and path", () => {
  const text = `tenants:
  acme: { maxVns: 0 }
  a/b: {}
vns:
  acme/blue: { mtu: 12, admision: open, vni: 1e3 }
  blue: { duplicates: { window: 3, action: freeze } }
  default/blue: {}
polices: []
`;
  expect(faults(text)).toEqual([
    'line 2, column 19: tenants.acme.maxVns: "0" is not a whole number in 1..4294967295',
    'line 3, column 3: tenants: "a/b" is not 1 to 64 letters, digits, ".", "_" or "-"',
    'line 5, column 21: vns.acme/blue.mtu: "12" is not a whole number in 68..65535',
    'line 5, column 25: vns.acme/blue: unknown key "admision": there are id, vni, name, mtu, service, flood, groups, unknown, suspended, admission, profile, duplicates, description',
    'line 5, column 46: vns.acme/blue.vni: "1e3" is not a whole number in 0..16777215',
    'line 6, column 33: vns.blue.duplicates.window: "3" is not a time like 500ms, 180s, 10min or 1h',
    'line 7, column 3: vns: "default/blue" is the same as "blue" above',
    'line 8, column 1: unknown key "polices": there are tenants, profiles, policies, vns, vnics, bindings',
  ]);
});

test.each([
  ["a: [", /^line 1, column \d+: Flow sequence/],
  ["tenants: []", "line 1, column 10: tenants: is not a map of keys and values: { … }"],
  ["tenants: { a: {}, a: {} }", 'line 1, column 19: "a" stands twice'],
  ["tenants: { [a]: {} }", "line 1, column 12: a key is a text"],
  ["tenants: { a: &a { b: *a } }", "line 1, column 23: the alias *a is a part of what it names"],
  ["tenants: { a: !x {} }", /^line 1, column 15: Unresolved tag: !x/],
  ["policies: [{ action: deny }]", "line 1, column 12: policies[0]: name is missing"],
  ["policies: [{ name: p }]", "line 1, column 12: policies[0]: action is missing"],
  [
    "policies: [{ name: p, action: deny }, { name: p, action: deny }]",
    'line 1, column 39: policies[1]: there is a policy "p" above',
  ],
  [
    "profiles: { w: { acl: [{ deny: both, allow: both }] } }",
    "line 1, column 24: profiles.w.acl[0]: a rule says either allow or deny: both, from-vnic or to-vnic",
  ],
  [
    "bindings: [{ vn: b, mac: 02:00:00:00:00:01, nve: t }, { vn: default/b, mac: 02-00-00-00-00-01, nve: t }]",
    "line 1, column 55: bindings[1]: there is a binding of 02:00:00:00:00:01 in default/b above",
  ],
  ["[".repeat(20_000), /: is nested too deep$/],
  ["- 1", "line 1, column 1: is not a map of keys and values: { … }"],
])("what cannot be read is said: %.40s", (text, why) => {
  const [first] = faults(text);
  if (typeof why === "string") expect(first).toBe(why);
  else expect(first).toMatch(why);
});

test("a file that grows by its aliases is refused before it is large", () => {
  const list = (of: string) => `[${Array.from({ length: 200 }, () => of).join(", ")}]`;
  const text = `x: &a ${list("y")}\nw: &b ${list("*a")}\nv: &c ${list("*b")}\nu: ${list("*c")}`;
  expect(faults(text).some((fault) => fault.includes("with its aliases it is too large"))).toBe(
    true,
  );
});

test("more things than the NVA takes at once are refused", () => {
  const all = Array.from({ length: 10_001 }, (_, i) => `t${i}: {}`).join("\n  ");
  expect(faults(`tenants:\n  ${all}`)).toEqual([
    expect.stringMatching(/^10001 things are more than the 10000/),
  ]);
});

describe("a person may write", () => {
  test("names that YAML takes for something else, as they are", () => {
    const all = declared("tenants: { 1e3: , null: ~, 0x10: {}, true: { description: yes } }");
    expect(all.map(keyOf)).toEqual(["1e3", "null", "0x10", "true"]);
    expect(all.at(-1)?.value).toEqual({ name: "true", description: "yes" });
  });

  test("one pattern or address in place of a list of one", () => {
    const vnics = "vnics: { 2b9f1c1e-7f5e-4c7a-9a54-1f0d6c1f2a01: { hypervisors: srv*, vns: ";
    const one = only(`${vnics} { b: { 02-00-00-00-00-0A: 10.0.0.1 } } } }`);
    expect(one).toMatchObject({
      hypervisors: ["srv*"],
      vns: [{ vn: "default/b", macs: [{ mac: "02:00:00:00:00:0a", ips: ["10.0.0.1"] }] }],
    });
  });

  test("policies in the order in which they are asked", () => {
    const orders = (text: string) =>
      declared(text).flatMap((one) => (one.kind === "policy" ? [one.value.order] : []));
    const policy = (name: string, more = "") => `{ name: ${name}, action: allow ${more} }`;
    const text = `policies: [${policy("a")}, ${policy("b")}, ${policy("c", ", order: 7")}, ${policy("d")}]`;
    expect(orders(text)).toEqual([10, 20, 7, 17]);
  });

  test("the same ACL for several profiles, once", () => {
    const text = `profiles:
  a: { acl: &mail [{ deny: from-vnic, protocol: tcp, destinationPorts: 25 }] }
  b: { acl: *mail }`;
    const [a, b] = declared(text).map((one) => (one.kind === "profile" ? one.value.acl : []));
    expect(b).toEqual(a);
  });

  test("rates and times in units", () => {
    const rate = (text: string) =>
      only(`profiles: { w: { qos: { police: ${text} } } }`) as { qos: { policeKbps: number } };
    expect(rate("64kbit").qos.policeKbps).toBe(64);
    expect(rate("100Mbit").qos.policeKbps).toBe(100_000);
    expect(rate("10 Gbit").qos.policeKbps).toBe(10_000_000);
    const window = (text: string) =>
      only(`vns: { b: { duplicates: { window: ${text} } } }`) as { duplicates: object };
    expect(window("3min").duplicates).toEqual({
      moves: 5,
      windowMs: 180_000,
      action: "warn",
      freezeMs: 0,
    });
  });

  test("nothing: an empty file declares nothing", () => {
    expect(declared("")).toEqual([]);
    expect(declared("# none yet\n")).toEqual([]);
    expect(declared("{}")).toEqual([]);
    expect(domainYaml([])).toBe("{}\n");
  });
});

describe("any domain", () => {
  test("is read from the YAML and from the JSON that it is written as", () => {
    fc.assert(
      fc.property(domains, (all) => {
        for (const text of [domainYaml(all), JSON.stringify(domainPlain(all))]) {
          expect(sorted(declared(text))).toEqual(sorted(all));
        }
      }),
      { numRuns: 60 },
    );
  }, 30_000);

  test("is written alike, however it is ordered", () => {
    fc.assert(
      fc.property(domains, (all) => {
        expect(domainYaml([...all].reverse())).toBe(domainYaml(all));
      }),
      { numRuns: 25 },
    );
  }, 30_000);
});

test("what is wrong is said in the words of the file, not of the programs", () => {
  expect(faults("tenants: { a: {} }\n---\ntenants: { b: {} }\n")).toEqual([
    "line 2, column 1: a second document begins here: a file is one document",
  ]);
  expect(faults("profiles: { web: { qos: { burstOctets: 3000 } } }")).toEqual([
    "line 1, column 40: profiles.web.qos.burstOctets: goes with police: of which rate?",
  ]);
  const said =
    'resources[0] (profile "max_vns"): qos.burst_octets: goes with police_kbps\nmax_vns: 0';
  expect(inUsersWords(said)).toBe(
    'resources[0] (profile "max_vns"): qos.burstOctets: goes with police\nmaxVns: 0',
  );
});
