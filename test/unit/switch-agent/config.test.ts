import { parseConfig } from "@nve/program/config";
import { configSchema } from "@nve/switch-agent/config";
import { expect, test } from "vitest";

const schema = configSchema((ip) => (ip === "192.0.2.1" ? ["eth0"] : []));
const least = `
vtep: 192.0.2.1
nva: { addresses: ["nva:7470"], insecure: true }
ports: [{ name: swp1 }]
`;

function faultsOf(text: string): string {
  try {
    parseConfig(text, schema);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "";
}

test("the least config: VTEP, NVA and a port; all else has a default", () => {
  const config = parseConfig(least, schema);
  expect(config).toMatchObject({
    vtep: "192.0.2.1",
    ports: [{ name: "swp1", tags: [2, 4094], maxVnics: 4096, maxAddresses: 4096 }],
    evb: { groupId: true, r: 3, rte: 14, rwd: 20, rka: 20 },
    dataplane: {
      driver: "ebpf",
      attach: "auto",
      fastPath: "auto",
      meters: "on",
      encapsulations: ["vxlan"],
      onStop: "keep",
      holdSeconds: 60,
    },
    link: "packet",
    socket: "unix:/run/split-nve/switch-agent.sock",
    log: "info",
  });
  expect(config.nve).not.toBe("");
});

test("a management address is an IP address, or not said", () => {
  expect(parseConfig(least, schema).lldp).toEqual({});
  const lldp = 'lldp: { managementAddress: "2001:DB8::1" }\n';
  expect(parseConfig(least + lldp, schema).lldp).toEqual({ managementAddress: "2001:db8::1" });
  expect(faultsOf(`${least}lldp: { managementAddress: tor1 }\n`)).toContain(
    'lldp.managementAddress: "tor1" is not an IP address',
  );
});

test("all faults are named at once, each with its line", () => {
  const faults = faultsOf(`
nve: "tor 1"
vtep: 192.0.2.300
nva: { addresses: ["nva", "nva:7470", "nva:7470"] }
ports:
  - { name: swp1, tags: [200, 100] }
  - { name: swp1 }
  - { name: "bad name", tags: [1, 5000], maxVnics: 0, colour: red }
evb: { rka: 40 }
dataplane: { driver: magic }
sockets: x
`);
  const named = [
    'line 2: nve: NVE id "tor 1"',
    'line 3: vtep: "192.0.2.300" is not an IP address',
    'line 4: nva.addresses.0: "nva" is no address',
    "nva:7470 is named twice",
    "line 4: nva: say `tls: { certificate, key, ca }`",
    "line 6: ports.0.tags: the first tag is greater than the last",
    "port swp1 is named twice",
    'line 8: ports.2.name: "bad name"',
    "VID 5000",
    "ports.2.maxVnics",
    'unknown key "colour"',
    "evb.rka",
    "dataplane.driver",
    'unknown key "sockets"',
  ];
  for (const fault of named) expect(faults).toContain(fault);
});

test("H3: a port is for one station, or up to 64", () => {
  const ports = (stations: string) =>
    least.replace("name: swp1", `name: swp1, stations: ${stations}`);
  expect(parseConfig(least, schema).ports[0]?.stations).toBe(1);
  expect(parseConfig(ports("64"), schema).ports[0]?.stations).toBe(64);
  for (const none of ["0", "65", "1.5", "many"]) {
    expect(faultsOf(ports(none))).toContain("ports.0.stations");
  }
});

test("a port cannot glean what its check of sources drops", () => {
  const ports = (more: string) =>
    least.replace("name: swp1", `name: swp1, checkSource: true${more}`);
  expect(parseConfig(ports(""), schema).ports[0]).toMatchObject({ checkSource: true });
  expect(faultsOf(ports(", glean: true"))).toContain("glean would learn nothing");
});

test("M10: IPs are checked of those whose MACs are", () => {
  const ports = (more: string) => least.replace("name: swp1", `name: swp1, ${more}`);
  expect(faultsOf(ports("checkIps: true"))).toContain("checkIps needs checkSource");
  const off = parseConfig(ports("checkSource: true, checkIps: false"), schema).ports[0];
  expect(off).toMatchObject({ checkSource: true, checkIps: false });
  expect(faultsOf(ports("checkIps: true, static: []"))).toContain("checkIps would do nothing");
});

test("M10, V11: a policy says for its ports what is checked, and a port otherwise for itself", () => {
  const policies = `policies:
  strict: { checkSource: true, floodLimit: { perSecond: 5, burst: 6 } }
`;
  const port = (more: string) =>
    parseConfig(least.replace("name: swp1", `name: swp1, policy: strict${more}`) + policies, schema)
      .ports[0];
  expect(port("")).toMatchObject({ checkSource: true, floodLimit: { perSecond: 5, burst: 6 } });
  expect(port(", checkIps: false, floodLimit: off")).toMatchObject({
    checkSource: true,
    checkIps: false,
    floodLimit: "off",
  });
  expect(port(", checkIps: true, checkSource: true")).toMatchObject({ checkIps: true });
  const faults = (more: string) =>
    faultsOf(least.replace("name: swp1", `name: swp1, policy: strict, ${more}`) + policies);
  expect(faults("glean: true")).toContain("glean would learn nothing");
  expect(faults("checkSource: false, checkIps: true")).toContain("checkIps needs checkSource");
});

test("V11: floods are limited unless the config says off", () => {
  expect(parseConfig(least, schema).dataplane).toMatchObject({
    answer: true,
    floodLimit: { perSecond: 1000, burst: 2000 },
  });
  const off = `${least}dataplane: { answer: false, floodLimit: off }\n`;
  expect(parseConfig(off, schema).dataplane).toMatchObject({ answer: false, floodLimit: "off" });
  const port = (limit: string) => least.replace("name: swp1", `name: swp1, floodLimit: ${limit}`);
  expect(parseConfig(port("{ perSecond: 50 }"), schema).ports[0]?.floodLimit).toEqual({
    perSecond: 50,
    burst: 100,
  });
  for (const bad of ["0", "on", "{}", "{ perSecond: 0 }", "{ perSecond: 5, burst: 0 }"]) {
    expect(faultsOf(port(bad)), bad).toContain("is neither off nor { perSecond, burst }");
  }
});

test("V8: tag 1 is refused: stations do not take it", () => {
  const faults = faultsOf(least.replace("name: swp1", "name: swp1, tags: [1, 10]"));
  expect(faults).toContain("tag 1 cannot be lent");
});

test("an access port that is the underlay is refused, beside other faults", () => {
  const faults = faultsOf(`${least.replace("swp1", "eth0")}colour: red\n`);
  expect(faults).toContain("port eth0 carries the VTEP");
  expect(faults).toContain('unknown key "colour"');
});

test.each(["", "[]", "text", "ports: {}", "ports: [1, null]", "vtep: [1]"])(
  "a config that is %j is refused, not a crash",
  (text) => {
    expect(faultsOf(text)).toContain("config:");
  },
);

const withPort = (port: string, more = ""): string =>
  `vtep: 192.0.2.1\nnva: { addresses: ["nva:7470"], insecure: true }\nports: [${port}]\n${more}`;

test("H26: a policy of the port's own, and one that several share; the smaller limit counts", () => {
  const shared =
    'policies: { tenants: { vns: [5001, "66571c6d-f315-4e20-ac2f-1c85d8413f03"], maxVnics: 8, maxAddresses: 10 } }';
  const own =
    '{ name: swp2, policy: { stations: ["52:54:00:AA:00:01"], macs: ["02:00:00:00:00:00/24"], ips: [10.0.0.0/8], maxMacs: 4, maxIps: 9 } }';
  const { ports } = parseConfig(
    withPort(`{ name: swp1, maxVnics: 5, policy: tenants }, ${own}, { name: swp3 }`, shared),
    schema,
  );
  expect(ports).toMatchObject([
    {
      maxVnics: 5,
      maxAddresses: 10,
      policy: { vns: new Set([5001, "66571c6d-f315-4e20-ac2f-1c85d8413f03"]) },
    },
    {
      maxVnics: 4096,
      policy: {
        stations: new Set(["52:54:00:aa:00:01"]),
        macs: [{ length: 24 }],
        ips: ["10.0.0.0/8"],
        maxMacs: 4,
        maxIps: 9,
      },
    },
    { maxVnics: 4096, maxAddresses: 4096 },
  ]);
  expect(ports[2]).not.toHaveProperty("policy");
});

test.each([
  ["{ name: swp1, policy: nobody }", 'ports.0.policy: there is no policy "nobody"'],
  ["{ name: swp1, policy: toString }", 'there is no policy "toString"'],
  ["{ name: swp1, policy: 7 }", "ports.0.policy: is not a map of keys and values"],
  ["{ name: swp1, policy: { maxMacs: 0 } }", "ports.0.policy.maxMacs: is less than 1"],
  ["{ name: swp1, policy: { colour: red } }", 'ports.0.policy: unknown key "colour"'],
  ["{ name: swp1, static: [], policy: {} }", "neither policy nor auth goes with static"],
  ["{ name: swp1, auth: { keys: swp1.keys } }", "auth.keys is the full path of a key file"],
])("what is wrong with a policy or auth is said: %s", (port, fault) => {
  expect(faultsOf(withPort(port))).toContain(fault);
});

test("faults of a shared policy are named with their place", () => {
  const faults = faultsOf(
    withPort(
      "{ name: swp1, policy: p }",
      "policies: { p: { vns: [0, x], macs: [02:00:00:00:00:01/8], ips: [nowhere], stations: [01:80:c2:00:00:00], colour: red } }",
    ),
  );
  for (const place of ["vns.0", "vns.1", "macs.0", "ips.0", "stations.0", "colour"])
    expect(faults).toContain(place);
});
