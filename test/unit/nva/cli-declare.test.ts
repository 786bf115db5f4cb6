import { ipOctets } from "@nve/protocol-spec/ip";
import { Kind } from "@nve/protocol-spec/proto/northbound";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FakeNorthbound, fakeNorthbound } from "../../support/fake-northbound.ts";
import { runNva } from "../../support/nva-cli.ts";

let nva: FakeNorthbound;
beforeEach(async () => {
  nva = await fakeNorthbound();
});
afterEach(() => nva.stop());

// `pki` asks nobody, and knows no --address.
const run = (...argv: string[]) => runNva(argv[0] === "pki" ? undefined : nva.address, argv);
const json = async (...argv: string[]) => {
  const { text, errors } = await run(...argv, "--json");
  if (errors !== "") throw new Error(errors);
  return JSON.parse(text);
};
const uuid = "2b9f1c1e-7f5e-4c7a-9a54-1f0d6c1f2a01";
const vn = ["vn", "create", "blue", "--tenant", "acme", "--id", "5001", "--vni", "10001"];

describe("P1: every field has its flag", () => {
  test("of a tenant", async () => {
    const made = await json("tenant", "create", "acme", "--max-vns", "10", "--description", "a b");
    expect(made).toEqual({ name: "acme", description: "a b", maxVns: 10, revision: 11 });
    expect(await json("tenant", "show", "acme")).toEqual(made);
    expect(nva.calls[0]).toMatchObject(["putResource", { expected: 0n }]);
    expect((await run("tenant", "list")).lines).toEqual([
      "TENANT  MAX VNS  REVISION  DESCRIPTION",
      "acme    10       11        a b",
    ]);
  });

  test("of a profile", async () => {
    const rules = [
      "deny: from-vnic, protocol: tcp, destinationPorts: 25",
      "{ allow: to-vnic, etherType: ipv4, source: 10.0.0.0/8, destination: 10.1.0.0/16, protocol: 17, sourcePorts: 1-9 }",
    ];
    const qos = ["--police", "100Mbit", "--burst-octets", "64000", "--dscp", "46"];
    const limits = ["--vnics-per-nve", "9", "--macs-per-vnic", "4", "--ips-per-mac", "8"];
    expect(await json("profile", "create", "web", "--acl", ...rules, ...qos, ...limits)).toEqual({
      name: "web",
      acl: [
        { deny: "from-vnic", protocol: "tcp", destinationPorts: 25 },
        {
          allow: "to-vnic",
          etherType: "ipv4",
          source: "10.0.0.0/8",
          destination: "10.1.0.0/16",
          protocol: "udp",
          sourcePorts: "1-9",
        },
      ],
      qos: { police: "100Mbit", burstOctets: 64_000, dscp: 46 },
      limits: { vnicsPerNve: 9, macsPerVnic: 4, ipsPerMac: 8 },
      revision: 11,
    });
    expect((await run("profile", "show", "web")).lines).toContain(
      "acl[0]:             { deny: from-vnic, protocol: tcp, destinationPorts: 25 }",
    );
    expect((await run("profile", "list")).lines[1]).toMatch(
      /^web +2 +100Mbit +46 +vnicsPerNve=9,macsPerVnic=4,ipsPerMac=8 +11/,
    );
  });

  test("H26: of a policy", async () => {
    const flags =
      "--action deny --order 20 --vns acme/* --hypervisors a b --nves tor* --ports swp1";
    const more = `--vnics ${uuid} --stations 52:54:* --authenticated --description x`;
    const argv = ["policy", "create", "p", ...`${flags} ${more}`.split(" ")];
    expect(await json(...argv)).toEqual({
      name: "p",
      description: "x",
      order: 20,
      action: "deny",
      vns: ["acme/*"],
      hypervisors: ["a", "b"],
      nves: ["tor*"],
      ports: ["swp1"],
      vnics: [uuid],
      stations: ["52:54:*"],
      authenticated: true,
      revision: 11,
    });
    expect((await run("policy", "list")).lines[1]).toMatch(/^20 +p +deny +acme\/\* +a,b +tor\*/);
  });

  test("of a VN, and what has none of these flags is asked for as before", async () => {
    const flags = "--profile web --admission strict --duplicates freeze --duplicate-moves 3";
    const more =
      "--duplicate-window 60s --freeze-for 10min --service l3 --flood multicast --mtu 1450 --group 239.1.1.7 ff05::107 --unknown drop --suspended unreachable";
    const made = await json(...vn, ...`${flags} ${more} --description x`.split(" "));
    expect(made).toMatchObject({ alias: "blue", tenant: "acme", vnId: 5001, vni: 10_001 });
    expect(nva.resources.get(`${Kind.KIND_VN} acme/blue`)?.of?.value).toMatchObject({
      vnId: 5001,
      vni: 10_001,
      mtu: 1450,
      service: 2,
      flood: 2,
      groups: [Buffer.from([239, 1, 1, 7]), Buffer.from(ipOctets("ff05::107"))],
      unknown: 2,
      suspended: 3,
      admission: 3,
      profile: "web",
      duplicates: { moves: 3, windowMs: 60_000, action: 2, freezeMs: 600_000 },
      description: "x",
    });
    const plain = await run("vn", "create", "red");
    expect(plain.errors).toContain("does not know this command"); // this server has no CreateVn
    expect(nva.calls.at(-1)?.[0]).toBe("createVn");
    const cleared = await json("vn", "update", "blue", "--clear", "duplicates", "admission");
    expect(cleared).not.toHaveProperty("duplicates");
    expect(cleared).toMatchObject({ profile: "web", description: "x" });
  });

  test("of a VNIC", async () => {
    const address = "acme/blue=02-00-00-00-00-0A,10.0.0.10,10.0.1.0/24";
    const vns = ["--vn", address, "--vn", "acme/blue=02:00:00:00:00:0b", "acme/red"];
    const standby = ["--standby", "srv1", "tor2", "--revert"];
    const more = ["--hypervisors", "srv*", "--description", "x", ...standby];
    expect(await json("vnic", "create", uuid, ...vns, ...more)).toEqual({
      vnic: uuid,
      description: "x",
      hypervisors: ["srv*"],
      standby: { places: ["srv1", "tor2"], revert: true },
      vns: {
        "acme/blue": {
          "02:00:00:00:00:0a": ["10.0.0.10", "10.0.1.0/24"],
          "02:00:00:00:00:0b": [],
        },
        "acme/red": {},
      },
      revision: 11,
    });
    expect((await run("vnic", "list")).lines[1]).toMatch(
      /srv\* +acme\/blue,acme\/red +srv1,tor2 +02:00/,
    );
  });

  test("of a binding, whose VN may be named as everywhere", async () => {
    await run(...vn, "--description", "x");
    const flags = ["--nve", "tor1", "--ips", "10.0.0.10", "fd00::/64", "--description", "y"];
    const mac = "02:00:00:00:00:0a";
    expect(await json("binding", "create", "5001", mac, ...flags)).toEqual({
      vn: "acme/blue",
      mac,
      ips: ["10.0.0.10", "fd00::/64"],
      nve: "tor1",
      description: "y",
      revision: 12,
    });
    expect(await json("binding", "show", "blue", mac.toUpperCase())).toMatchObject({ nve: "tor1" });
    expect((await run("binding", "list")).lines[1]).toMatch(
      /^acme\/blue +02:.* +10\.0\.0\.10,fd00::/,
    );
  });
});

describe("P1: update changes what is given and keeps the rest", () => {
  beforeEach(() => run("profile", "create", "web", "--police", "1Gbit", "--dscp", "46"));

  test("with the revision that was read", async () => {
    expect(await json("profile", "update", "web", "--dscp", "0")).toMatchObject({
      qos: { police: "1Gbit", dscp: 0 },
      revision: 12,
    });
    expect(nva.calls.at(-1)).toMatchObject(["putResource", { expected: 11n }]);
  });

  test("takes away what --clear names", async () => {
    const changed = await json(
      "profile",
      "update",
      "web",
      "--clear",
      "dscp",
      "--burst-octets",
      "9000",
    );
    expect(changed).toEqual({
      name: "web",
      qos: { police: "1Gbit", burstOctets: 9000 },
      revision: 12,
    });
    const last = await json("profile", "update", "web", "--clear", "police", "burst-octets");
    expect(last).toEqual({ name: "web", revision: 13 });
  });

  test("what somebody else has changed meanwhile stays, and one message says so", async () => {
    let isFirst = true;
    nva.onCall((method) => {
      const [web] = nva.resources.values();
      if (method === "putResource" && isFirst && web !== undefined) {
        isFirst = false;
        nva.put(web);
      }
    });
    const { errors, exitCode } = await run("profile", "update", "web", "--dscp", "1");
    expect(errors).toBe("error: nothing was done: web is at revision 12, not 11\n");
    expect(errors.split("\n")).toHaveLength(2);
    expect(exitCode).toBe(1);
    expect(await json("profile", "show", "web")).toMatchObject({ qos: { dscp: 46 } });
  });

  test("--expect says the revision itself, of update and of delete", async () => {
    const late = await run("profile", "update", "web", "--dscp", "1", "--expect", "10");
    expect(late).toMatchObject({ exitCode: 1, errors: expect.stringContaining("revision 11") });
    expect(await run("profile", "delete", "web", "--expect", "10")).toMatchObject({ exitCode: 1 });
    expect(await json("profile", "delete", "web", "--expect", "11")).toEqual({
      deleted: "web",
      revision: 12,
    });
  });

  test("a VN may get another alias, and keeps its names", async () => {
    await run(...vn, "--description", "x");
    const before = nva.resources.get(`${Kind.KIND_VN} acme/blue`)?.of?.value;
    nva.answer("putResource", ({ resource }: { resource: Parameters<typeof nva.put>[0] }) => {
      nva.resources.clear();
      return nva.put(resource);
    });
    await json("vn", "update", "blue", "--alias", "green", "--mtu", "1400");
    expect(nva.calls.filter(([name]) => name === "putResource").at(-1)?.[1]).toMatchObject({
      expected: 12n,
      resource: {
        key: { kind: Kind.KIND_VN, key: "acme/blue" },
        of: { value: { ...before, alias: "green", mtu: 1400 } },
      },
    });
  });
});

test("each command tells in its help what it does, with examples", async () => {
  for (const noun of ["tenant", "profile", "policy", "vn", "vnic", "binding", "duplicates"]) {
    const { text } = await run(noun, "--help");
    expect(text, noun).toMatch(/Examples:\n {2}nva/);
    for (const [, verb = ""] of text.matchAll(/^ {2}(\w+) \[options\]/gm))
      expect((await run(noun, verb, "--help")).text).toMatch(/^Usage: nva \w+ \w+/);
  }
  for (const command of ["apply", "export", "events"])
    expect((await run(command, "--help")).text, command).toMatch(/Examples:\n {2}nva/);
});

test("create of what is there says so, and that update is meant", async () => {
  await run("tenant", "create", "acme");
  const { errors, exitCode } = await run("tenant", "create", "acme", "--max-vns", "1");
  expect(errors).toBe("error: there is a tenant acme already: `nva tenant update` changes it\n");
  expect(exitCode).toBe(1);
});

test("delete passes --force on, and a refusal is told as it is", async () => {
  await run("tenant", "create", "acme");
  await run("tenant", "delete", "acme", "--force");
  expect(nva.calls.at(-1)).toMatchObject(["deleteResource", { force: true }]);
  expect(await run("tenant", "delete", "acme")).toMatchObject({
    exitCode: 1,
    errors: "error: there is no acme\n",
  });
});

test("lists come whole, whatever a page holds", async () => {
  for (const name of ["a", "b", "c", "d", "e"]) await run("tenant", "create", name);
  expect(await json("tenant", "list")).toHaveLength(5);
  expect((await run("policy", "list")).text).toBe("no policies");
  expect(await json("policy", "list")).toEqual([]);
});

test("what a terminal would obey is not printed", async () => {
  const bad = { name: "x", description: "\u001b[31m", maxVns: 0 };
  nva.answer("getResource", () => ({ of: { $case: "tenant", value: bad }, revision: 1n }));
  expect((await run("tenant", "show", "x")).text).toContain("?[31m");
});

test("policies are listed in the order in which they are asked", async () => {
  for (const [name, order] of [
    ["a", "20"],
    ["b", "100"],
    ["c", "9"],
    ["d", "20"],
  ] as const)
    await run("policy", "create", name, "--action", "deny", "--order", order);
  const listed = await json("policy", "list");
  expect(listed.map(({ name }: { name: string }) => name)).toEqual(["c", "a", "d", "b"]);
});

test.each([
  "",
  "host",
  "host:",
  ":7470",
  "host:0",
  "host:65536",
  "fd00::1:7470",
  "http://host:7470",
  "unix:",
])("an address that is none is a usage error: %j", async (address) => {
  const { errors, exitCode } = await runNva(address, ["status"]);
  expect(errors).toMatch(/'--address <address>'.*neither unix:<path> nor host:port/);
  expect(exitCode).toBe(2);
});

test("an address may be a name, or of IPv4 or IPv6", async () => {
  for (const address of ["localhost:1", "127.0.0.1:1", "[::1]:1"])
    expect(await runNva(address, ["status"])).toMatchObject({
      exitCode: 2,
      errors: expect.stringContaining(`${address}: to talk TLS say --cert, --key, --ca too`),
    });
});

test("a file that is missing is told by its flag", async () => {
  const files = ["--cert", "/nonexistent/c", "--key", "/nonexistent/k", "--ca", "/nonexistent/ca"];
  expect(await runNva("localhost:1", ["status", ...files])).toMatchObject({
    exitCode: 1,
    errors: expect.stringMatching(
      /^error: --cert: cannot read the file: ENOENT.*nonexistent\/c'\n$/,
    ),
  });
});

describe("what is written wrongly is a usage error that names the flag, before anybody is asked", () => {
  test.each([
    ["tenant create a/b", /"a\/b" is not 1 to 64 letters/],
    ["tenant create a --max-vns 0", /--max-vns: "0" is not a whole number in 1\.\./],
    ["profile create w --police 100", /--police: "100" is not a rate like/],
    ["profile create w --dscp 64", /--dscp: "64" is not a whole number in 0\.\.63/],
    ["profile create w --acl deny:x", /--acl: unknown key "deny:x"|--acl: .*cannot be read/],
    ["profile create w --acl {deny:", /--acl: "\{deny:" cannot be read/],
    ["policy create p", /action is missing/],
    ["policy create p --action maybe", /--action: "maybe" is not allow or deny/],
    ["policy create p --action deny --order -1", /--order: "-1" is not a whole number/],
    ["vn create acme/x", /"acme\/x" reads as <tenant>\/<alias>/],
    ["vn create v --tenant ", /'--tenant <tenant>'.*"" is not 1 to 64 letters/],
    ["vn create 0", /"0" reads as a VN ID/],
    [`vn create ${uuid}`, /reads as a VN ID or a VN Name/],
    ["vn create \u001b[31m", /is no alias: 1 to 64 characters, none a control character/],
    ["vn update blue --alias a/b", /"a\/b" reads as <tenant>\/<alias>/],
    ["vn create v --admission shut", /--admission: "shut" is not open, registered or strict/],
    ["vn create v --duplicate-window 3", /--duplicate-window: "3" is not a time like/],
    ["vnic create 7", /"7" is not a UUID/],
    [`vnic create ${uuid} --revert`, /places is missing/],
    [`vnic create ${uuid} --vn acme/blue=02:00`, /--vn: .*"02:00" is not a MAC address/],
    [`vnic create ${uuid} --vn b=02:00:00:00:00:0a,10.0.0.256`, /--vn: .*is not an IP address/],
    [
      "binding create blue 01:00:00:00:00:0a --nve t",
      /01:00:00:00:00:0a is no address of a station/,
    ],
    ["tenant update a", /nothing is to be changed/],
    ["tenant update a --clear name", /--clear: "name" is none of max-vns, description/],
    ["tenant update a --expect x", /"x" is not a revision/],
    ["events --after x", /"x" is not the id of an event/],
    ["duplicates clear blue zz", /not a MAC address/],
    ["vn show 0", /VN ID 0 is not in 1\.\.16777215/],
    ["vn delete 16777216", /VN ID 16777216 is not in 1\.\.16777215/],
    ["mapping list --vn 0", /VN ID 0 is not in/],
    ["binding create 0 02:00:00:00:00:0a --nve t", /VN ID 0 is not in/],
    ["vn update blue --clear mtu --mtu 1500", /--clear mtu and --mtu: say one of them/],
    ["profile update web --dscp 3 --clear --dscp", /--clear dscp and --dscp: say one of them/],
    ["profile create w --burst-octets 2000", /--burst-octets: goes with police: of which rate/],
    ["profile create w --police 1Mbit --burst-octets 99", /--burst-octets: "99" is not .*1514/],
    ["pki issue /nowhere nva n", /say at which --ip or --dns/],
    ["pki issue /nowhere nve n --role admin", /--role is for clients/],
    ["pki rotate /nowhere n --finish", /--finish is about the CA/],
    ["pki rotate /nowhere --force", /--force goes with --finish/],
    ["apply", /required option '-f, --file/],
  ])("nva %s", async (line, why) => {
    const { errors, exitCode } = await run(...line.split(" "));
    expect(errors).toMatch(why);
    expect(exitCode).toBe(2);
    expect(nva.calls).toEqual([]);
  });
});
