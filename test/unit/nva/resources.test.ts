import { Conflict, call, NotFound } from "@nve/program";
import { IpAddress, ipOctets, Mac, macOctets } from "@nve/protocol-spec";
import {
  ApplyRequest,
  CreateVnRequest,
  DeleteResourceRequest,
  Kind,
  ListEventsRequest,
  ListResourcesRequest,
  Resource,
  type VnSpec,
} from "@nve/protocol-spec/proto/northbound";
import { AdmitRequest } from "@nve/protocol-spec/proto/nve";
import {
  AclAction,
  AclRule,
  Admission,
  type DuplicateAction,
  Service,
} from "@nve/protocol-spec/proto/types";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { claim, macOf, type Rig, readable, rig, uuid } from "../../sim/nva/rig.ts";

const mac = (text: string) => Buffer.from(macOctets(Mac(text)));
const ip = (text: string) => Buffer.from(ipOctets(IpAddress(text)));
const one = "00000000-0000-4000-8000-000000000001";

const tenant = (name: string, more = {}) =>
  Resource.fromPartial({ of: { $case: "tenant", value: { name, ...more } } });
const profile = (name: string, more = {}) =>
  Resource.fromPartial({ of: { $case: "profile", value: { name, profile: more } } });
const policy = (name: string, more = {}) =>
  Resource.fromPartial({ of: { $case: "policy", value: { name, deny: true, ...more } } });
const vn = (alias: string, more: Partial<VnSpec> = {}, key?: string) =>
  Resource.fromPartial({
    of: { $case: "vn", value: { tenant: "acme", alias, ...more } },
    ...(key !== undefined && { key: { kind: Kind.KIND_VN, key } }),
  });
const vnic = (name: string, vns: object[], more = {}) =>
  Resource.fromPartial({ of: { $case: "vnic", value: { vnic: uuid(name), vns, ...more } } });
const binding = (path: string, more = {}) =>
  Resource.fromPartial({
    of: {
      $case: "binding",
      value: { vn: path, mac: mac("02:00:00:00:00:07"), nveId: "tor9", ...more },
    },
  });

const asking = ({ northbound: nva }: Rig) => ({
  put: (wish: Resource, expected?: bigint) =>
    call(nva, nva.putResource, { resource: wish, expected }),
  get: (kind: Kind, key: string) => call(nva, nva.getResource, { kind, key }),
  list: (request: Partial<ListResourcesRequest> = {}) =>
    call(nva, nva.listResources, ListResourcesRequest.create(request)),
  remove: (kind: Kind, key: string, more = {}) =>
    call(nva, nva.deleteResource, DeleteResourceRequest.create({ key: { kind, key }, ...more })),
  apply: (resources: Resource[], more: Partial<ApplyRequest> = {}) =>
    call(nva, nva.apply, ApplyRequest.create({ resources, ...more })),
  createVn: (request: Partial<CreateVnRequest>) =>
    call(nva, nva.createVn, CreateVnRequest.create(request)),
});

describe.each(["memory", "lmdb"] as const)("A13, P1: what is declared, on %s", (store) => {
  let nva: Rig;
  let ask: ReturnType<typeof asking>;
  beforeEach(async () => {
    nva = await rig(store);
    ask = asking(nva);
  });
  afterEach(() => nva.stop());

  const everything = () => [
    tenant("acme", { description: "Acme", maxVns: 5 }),
    profile("web", {
      acl: [
        {
          action: AclAction.ACL_ACTION_DENY,
          direction: 1,
          etherType: 0x0800,
          source: { ip: ip("10.0.0.0"), length: 8 },
          destination: { ip: ip("10.1.0.1"), length: 32 },
          protocol: 6,
          sourcePorts: { first: 0, last: 65_535 },
          destinationPorts: { first: 25, last: 25 },
        },
        { action: AclAction.ACL_ACTION_ALLOW },
      ],
      qos: { policeKbps: 100_000, burstOctets: 20_000, dscp: 0 },
      limits: { vnicsPerNve: 10, macsPerVnic: 2, ipsPerMac: 4 },
    }),
    policy("guests", {
      order: 7,
      vns: ["acme/*"],
      hypervisors: ["srv*"],
      nves: ["tor1"],
      ports: ["eth*"],
      vnics: ["00000000-*"],
      stations: ["02:*"],
      authenticated: true,
    }),
    vn("shop", {
      name: uuid(one),
      vnId: 5000,
      vni: 70_000,
      mtu: 1450,
      service: Service.SERVICE_L3,
      admission: Admission.ADMISSION_STRICT,
      profile: "web",
      duplicates: { moves: 3, windowMs: 5000, action: 2, freezeMs: 9000 },
      description: "the shop",
    }),
    vnic(
      one,
      [
        {
          vn: "acme/shop",
          macs: [
            {
              mac: macOf(1),
              ips: [ip("10.0.0.1"), ip("fd00::1")],
              prefixes: [{ ip: ip("10.2.0.0"), length: 16 }],
            },
          ],
        },
      ],
      {
        hypervisors: ["srv1"],
        description: "till 1",
        standby: { places: ["srv1", "tor2"], revert: true },
      },
    ),
    binding("acme/shop", { ips: [ip("10.0.0.7")], description: "printer" }),
  ];

  test("all of it comes back as it was put, also after a restart, with the revision of its last change", async () => {
    const revisions = [];
    for (const wish of everything()) revisions.push((await ask.put(wish)).revision);
    const look = async () => (await ask.list()).resources;
    const found = await look();
    const keys = [
      "acme",
      "default",
      "web",
      "guests",
      "acme/shop",
      one,
      "acme/shop/02:00:00:00:00:07",
    ];
    expect(found.map(({ key }) => key?.key)).toEqual(keys);
    const own = found.filter(({ key }) => key?.key !== "default");
    expect(own.map(({ revision }) => revision)).toEqual(revisions);
    expect(own.map(({ of }) => of)).toEqual(
      everything().map(({ of }) =>
        of?.$case === "vn" ? { ...of, value: { ...of.value, flood: 1 } } : of,
      ),
    );
    await nva.restart();
    if (store === "lmdb") expect(await look()).toEqual(found);
  });

  test("what is exported and applied is no change; of two who apply after one dry run one is told", async () => {
    await ask.apply(everything());
    const { resources } = await ask.list({ pageSize: 1000 });
    const again = await ask.apply(resources, { prune: true });
    expect(again).toMatchObject({ changes: [], unchanged: 7 });
    const wishes = [...resources, vn("more")];
    const dry = await ask.apply(wishes, { dryRun: true });
    expect(dry.changes).toMatchObject([{ key: { key: "acme/more" }, before: undefined }]);
    const both = await Promise.allSettled(
      ["more", "else"].map((alias) =>
        ask.apply([...resources, vn(alias)], { expected: dry.revision }),
      ),
    );
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const lost = both.find((one) => one.status === "rejected");
    expect(lost?.reason).toBeInstanceOf(Conflict);
    expect(lost?.reason.message).toMatch(
      /something was changed (just now|at revision \d+), after revision \d+/,
    );
    expect((await ask.list({ kind: Kind.KIND_VN })).resources).toHaveLength(2);
  });

  test("what belongs to a VN is named by its alias, also where the VN is yet to be made or goes with it", async () => {
    const path = "acme/shop/02:00:00:00:00:07";
    const [wish, renamed] = [
      [tenant("acme"), vn("shop", { vnId: 77 }), binding("acme/shop")],
      [tenant("acme"), vn("new", { vnId: 77 }), binding("acme/new")],
    ];
    const dry = await ask.apply(wish, { dryRun: true });
    expect(dry.changes.map(({ key }) => key?.key)).toEqual(["acme", "acme/shop", path]);
    expect(dry.changes[2]?.after?.of).toMatchObject({ value: { vn: "acme/shop" } });
    await ask.apply(wish);
    // Another VN gets the VN ID of the one that goes.
    const { changes } = await ask.apply(renamed, { prune: true });
    const names = ["acme/new/02:00:00:00:00:07", path];
    expect(changes.map(({ key }) => key?.key).filter((key) => key?.includes(":"))).toEqual(
      expect.arrayContaining(names),
    );
    await ask.remove(Kind.KIND_VN, "acme/new", { force: true });
    const { events } = await call(
      nva.northbound,
      nva.northbound.listEvents,
      ListEventsRequest.create({ action: "binding." }),
    );
    expect(events.map(({ action, object }) => `${action} ${object}`)).toEqual([
      `binding.create ${path}`,
      `binding.delete ${path}`,
      `binding.create ${names[0]}`,
      `binding.delete ${names[0]}`,
    ]);
  });

  test("of many clients that create the same at once exactly one wins, each time", async () => {
    for (const more of [{ alias: "same" }, { vni: 77 }, { vnId: 99 }, { name: uuid(one) }]) {
      const wishes = Array.from({ length: 8 }, (_, n) => ({
        alias: `vn${Object.keys(more)}${n}`,
        ...more,
      }));
      const all = await Promise.allSettled(wishes.map((wish) => ask.createVn(wish)));
      expect(all.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    }
    const puts = await Promise.allSettled(
      Array.from({ length: 8 }, (_, n) => ask.put(profile("new", { qos: { dscp: n } }), 0n)),
    );
    expect(puts.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const { vns } = await call(nva.northbound, nva.northbound.listVns, {
      pageSize: 0,
      pageToken: "",
    });
    const alike = (of: (vn: (typeof vns)[number]) => unknown) => new Set(vns.map(of)).size;
    expect([alike((v) => v.vnId), alike((v) => v.vni), alike((v) => v.alias)]).toEqual([4, 4, 4]);
  });

  test("an expected revision that is not there any more changes nothing", async () => {
    const { revision } = await ask.put(tenant("acme"));
    const newer = await ask.put(tenant("acme", { maxVns: 3 }), revision);
    await expect(ask.put(tenant("acme"), revision)).rejects.toThrow(
      new Conflict(
        `tenant "acme" is at revision ${newer.revision}, revision ${revision} was expected: somebody has changed it; read it again, and try again`,
      ),
    );
    await expect(ask.remove(Kind.KIND_TENANT, "acme", { expected: revision })).rejects.toThrow(
      Conflict,
    );
    expect(await ask.put(tenant("acme", { maxVns: 3 }))).toEqual(newer); // unchanged
    await ask.remove(Kind.KIND_TENANT, "acme", { expected: newer.revision });
    await expect(ask.get(Kind.KIND_TENANT, "acme")).rejects.toThrow(NotFound);
  });
});

describe("what is declared", () => {
  let nva: Rig;
  let ask: ReturnType<typeof asking>;
  beforeEach(async () => {
    nva = await rig();
    ask = asking(nva);
  });
  afterEach(() => nva.stop());

  test("is listed in pages, kind by kind, and a page goes on where the last one ended, whatever came and went", async () => {
    for (const name of ["b", "d", "f"]) await ask.put(profile(name));
    const first = await ask.list({ kind: Kind.KIND_PROFILE, pageSize: 2 });
    expect(first.resources.map(({ key }) => key?.key)).toEqual(["b", "d"]);
    await ask.remove(Kind.KIND_PROFILE, "d");
    for (const name of ["a", "e"]) await ask.put(profile(name));
    const pageToken = first.nextPageToken;
    const second = await ask.list({ kind: Kind.KIND_PROFILE, pageSize: 2, pageToken });
    expect(second.resources.map(({ key }) => key?.key)).toEqual(["e", "f"]);
    expect(second.nextPageToken).toBe("");
  });

  test("of one tenant is its VNs, VNICs and bindings", async () => {
    await ask.apply([
      vn("shop"),
      vn("shop", { tenant: "other" }),
      vnic(one, [{ vn: "other/shop" }]),
      binding("acme/shop"),
      profile("web"),
    ]);
    const { resources } = await ask.list({ tenant: "acme" });
    expect(resources.map(({ key }) => key?.key)).toEqual([
      "acme",
      "web",
      "acme/shop",
      "acme/shop/02:00:00:00:00:07",
    ]);
  });

  test("V10: long ones come in pages of some 1 MB", async () => {
    const acl = Array.from({ length: 256 }, () => AclRule.create({ action: 2, protocol: 6 }));
    const many = Array.from({ length: 100 }, (_, i) => profile(`p${i}`, { acl }));
    await ask.apply(many);
    const page = await ask.list({ kind: Kind.KIND_PROFILE, pageSize: 1000 });
    expect(page.resources.length).toBeGreaterThan(10);
    expect(page.resources.length).toBeLessThan(60);
    expect(page.nextPageToken).not.toBe("");
  });

  test("a VN's keys: tenant/alias, VN ID, Name", async () => {
    await ask.put(vn("shop", { vnId: 7, name: uuid(one) }));
    for (const key of ["acme/shop", "shop", "7", one])
      expect(await ask.get(Kind.KIND_VN, key)).toMatchObject({ key: { key: "acme/shop" } });
    await ask.put(vn("store", {}, "7"));
    expect(await ask.get(Kind.KIND_VN, one)).toMatchObject({ key: { key: "acme/store" } });
  });

  test("A19: an NVE is told the profile when it asks and when the profile or the VN changes", async () => {
    await ask.apply([
      profile("web", { qos: { dscp: 46 } }),
      vn("shop", { vnId: 1, profile: "web" }),
    ]);
    const tor = await nva.nve("tor1", "10.0.0.1");
    const request = AdmitRequest.create({ nveId: "tor1", vn: { $case: "vnId", value: 1 } });
    const client = nva.nveClient();
    const { verdict } = await call(client, client.admit, request);
    expect(verdict).toMatchObject({
      value: { profile: { qos: { dscp: 46 } }, admission: undefined },
    });
    const ref = { ref: { $case: "vnId" as const, value: 1 } };
    expect(await call(nva.northbound, nva.northbound.getVn, ref)).toMatchObject({
      profileName: "web",
      profile: { qos: { dscp: 46 } },
    });
    await tor.told({ joinedVns: [1], claims: [claim(1)] });
    const watch = nva.watch("tor1");
    watch.ask({ add: [{ vnId: 1, cursor: undefined }] });
    const { vn: told } = await watch.delta();
    expect(told).toMatchObject({ alias: "shop", profile: { qos: { dscp: 46 } } });
    await ask.put(profile("web", { qos: { dscp: 10 } }));
    const second = await watch.delta((text) => text.includes("is shop"));
    expect(second.vn).toMatchObject({ profile: { qos: { dscp: 10 } } });
    expect(second.revision).toBe(second.vn?.revision);
    await ask.put(vn("shop", { mtu: 1400, admission: 2 }));
    const third = await watch.delta((text) => text.includes("is shop"));
    expect(third.vn).toMatchObject({ mtu: 1400, profile: undefined, admission: 2 });
    expect(third.mappings).toEqual([]);
  });

  describe("H25: a watcher that comes back", () => {
    const resumed = async (change: () => Promise<unknown>, restart = false) => {
      await ask.apply([profile("web"), vn("shop", { vnId: 1, profile: "web" })]);
      const tor = await nva.nve("tor1", "10.0.0.1");
      await tor.told({ joinedVns: [1], claims: [claim(1), claim(2)] });
      const first = nva.watch("tor2");
      first.ask({ add: [{ vnId: 1, cursor: undefined }] });
      const end = await first.until("snapshotEnd");
      if (!("cursor" in end)) throw new Error("no cursor");
      await change();
      if (restart) await nva.restart();
      const second = nva.watch("tor2");
      second.ask({ add: [{ vnId: 1, cursor: end.cursor }] });
      await second.inbox.next();
      return readable(second.inbox.seen[0] ?? { event: undefined });
    };

    test("after a change of the VN is told of that, without a snapshot", async () => {
      expect(await resumed(() => ask.put(vn("store", {}, "1")))).toBe("vn 1 is store");
    });

    test("after a change of its profile too", async () => {
      expect(await resumed(() => ask.put(profile("web", { qos: { dscp: 1 } })))).toBe(
        "vn 1 is shop",
      );
    });

    test("after another VN has got the ID has a snapshot", async () => {
      expect(
        await resumed(async () => {
          await ask.remove(Kind.KIND_VN, "1", { force: true });
          await ask.put(vn("other", { vnId: 1 }));
        }),
      ).toBe("snapshotBegin");
    });
  });

  test("H25: whoever watches while another VN gets the ID is told first that the one is gone", async () => {
    await ask.put(vn("shop", { vnId: 1 }));
    const tor = await nva.nve("tor1", "10.0.0.1");
    await tor.told({ joinedVns: [1], claims: [claim(1)] });
    const watch = nva.watch("tor2");
    watch.ask({ add: [{ vnId: 1, cursor: undefined }] });
    await watch.until("snapshotEnd");
    await ask.apply([vn("other", { vnId: 1 })], { prune: true, force: true });
    await watch.until("snapshotEnd");
    const told = watch.inbox.seen.map(readable);
    expect(told.slice(told.lastIndexOf("vn 1 gone"))).toEqual([
      "vn 1 gone",
      "snapshotBegin",
      "vn 1 is other",
      "snapshotEnd",
    ]);
  });

  test("what NVEs cannot do yet is said", async () => {
    const made = await ask.put(vn("shop", { flood: 2, service: 2 }));
    expect(made.note).toMatch(/no group of the underlay.*no NVE routes yet/);
  });

  test("a binding to an NVE that never connected says so until it does", async () => {
    await ask.put(vn("shop", { vnId: 1 }));
    const made = await ask.put(binding("acme/shop"));
    expect(made.note).toMatch(/no NVE "tor9" has connected yet/);
    await nva.nve("tor9", "10.0.0.9");
    expect((await ask.get(Kind.KIND_BINDING, "1/02:00:00:00:00:07")).note).toBe("");
  });

  test("V10: everything that is wrong is told at once, and nothing is done", async () => {
    const wrong = [
      tenant("a b", { maxVns: 1 }),
      profile("web", {
        acl: [{ action: 0 }, { action: 2, destinationPorts: { first: 9, last: 1 } }],
        qos: { dscp: 64 },
      }),
      vn("shop", { profile: "web", mtu: 5 }),
      vnic(one, [{ vn: "", macs: [{ mac: mac("01:00:5e:00:00:01"), ips: [Buffer.alloc(3)] }] }]),
      vn("other", { profile: "gone" }),
      Resource.fromPartial({}),
    ];
    const error = await ask.apply(wrong).catch((reason: Error) => reason);
    expect((error as Error).message.split("\n")).toEqual([
      'resources[0] (tenant "a b"): name: "a b" is not 1 to 64 letters, digits, ".", "_" or "-"',
      'resources[1] (profile "web"): acl[0]: action: allow or deny',
      'resources[1] (profile "web"): acl[1]: destination_ports: 9..1 is no range in 0..65535',
      'resources[1] (profile "web"): acl[1]: ports: go with protocol 6 (TCP), 17 (UDP) or 132 (SCTP)',
      'resources[1] (profile "web"): qos.dscp: 64 is not in 0..63',
      'resources[2] (VN "acme/shop"): mtu: 5 is not in 68..65535',
      expect.stringMatching(
        /^resources\[3\] \(VNIC .*\): vns\[0\]: .*vn: "tenant\/alias" of a VN is missing/,
      ),
      'resources[5] (resource ""): it says of no kind what it is to be',
    ]);
    expect((await ask.list()).resources.map(({ key }) => key?.key)).toEqual(["default"]);
  });

  test.each([
    [tenant(""), /name: "" is not 1 to 64/],
    [tenant("x".repeat(65)), /is not 1 to 64/],
    [tenant("t", { description: "a\u0007" }), /description: at most 1024 characters/],
    [tenant("t", { description: "a".repeat(1025) }), /description: at most 1024 characters/],
    [tenant("t", { maxVns: 100_001 }), /max_vns: 100001 is not in 1\.\.100000/],
    [profile("p", { acl: Array(257).fill({ action: 1 }) }), /acl: 257 rules, 256 at most/],
    [
      profile("p", { acl: [{ action: 1, etherType: 5 }] }),
      /acl\[0\]: ether_type: 5 is not in 1536/,
    ],
    [profile("p", { acl: [{ action: 1, protocol: 256 }] }), /protocol: 256 is not in 1\.\.255/],
    [profile("p", { acl: [{ action: 9 }] }), /acl\[0\]: 9 is none of allow, deny/],
    [profile("p", { acl: [{ action: 1, direction: 9 }] }), /9 is none of from-vnic, to-vnic/],
    [
      profile("p", { acl: [{ action: 1, destinationPorts: { first: 1, last: 1 } }] }),
      /go with protocol 6/,
    ],
    [
      profile("p", { acl: [{ action: 1, etherType: 0x0806, protocol: 6 }] }),
      /are of IPv4 \(0x0800\) and IPv6/,
    ],
    [
      profile("p", { acl: [{ action: 1, source: { ip: ip("10.0.0.1"), length: 8 } }] }),
      /has bits behind/,
    ],
    [
      profile("p", {
        acl: [{ action: 1, etherType: 0x86dd, source: { ip: ip("10.0.0.0"), length: 8 } }],
      }),
      /one of IPv4 and one of IPv6/,
    ],
    [profile("p", { qos: { burstOctets: 9000 } }), /burst_octets: goes with police_kbps/],
    [profile("p", { qos: { policeKbps: 9, burstOctets: 9 } }), /burst_octets: 9 is not in 1514/],
    [policy("p", { vns: ["shop"] }), /vns: "shop" matches no "tenant\/alias"/],
    [policy("p", { nves: ["a b"] }), /nves: "a b" matches nothing that can be there/],
    [policy("p", { vnics: ["x*"] }), /vnics: "x\*" matches nothing/],
    [policy("p", { stations: ["host*"] }), /stations: "host\*" matches nothing/],
    [policy("p", { ports: Array(257).fill("e") }), /ports: 257 patterns, 256 at most/],
    [vn(""), /alias: a VN needs one/],
    [vn("x".repeat(65)), /alias: at most 64 characters/],
    [vn("acme/shop"), /alias: "acme\/shop" would be taken for/],
    [vn("5001"), /alias: "5001" would be taken for/],
    [vn(one), /would be taken for a VN ID, a Name or tenant\/alias/],
    [vn("x", { tenant: "a/b" }), /tenant: "a\/b" is not 1 to 64/],
    [vn("x", { vnId: 0x1000000 }), /vn_id: VN ID 16777216 is not in/],
    [vn("x", { vni: 0x1000000 }), /vni: VNI 16777216 is not in/],
    [vn("x", { name: Buffer.alloc(3) }), /name: a UUID has 16 octets, not 3/],
    [vn("x", { admission: 9 as Admission }), /admission: 9 is none of open, registered, strict/],
    [
      vn("x", { duplicates: { moves: 101, windowMs: 0, action: 0, freezeMs: 0 } }),
      /duplicates.moves: 101/,
    ],
    [
      vn("x", { duplicates: { moves: 0, windowMs: 5, action: 0, freezeMs: 0 } }),
      /window_ms: 5 is not in/,
    ],
    [
      vn("x", { duplicates: { moves: 0, windowMs: 0, action: 3 as DuplicateAction, freezeMs: 0 } }),
      /duplicates: 3 is none of/,
    ],
    [vnic(one, [{ vn: "acme/gone" }]), /vns\[0\]: there is no VN "acme\/gone": create it first/],
    [
      vnic(one, [{ vn: "x", macs: [{ mac: macOf(1) }, { mac: macOf(1) }] }]),
      /a MAC address stands there twice/,
    ],
    [vnic(one, [], { hypervisors: ["*", "a b"] }), /hypervisors: "a b" matches nothing/],
    [vnic(one, [], { standby: { places: ["a"] } }), /standby\.places: 1 places, it takes 2 to 8/],
    [binding("acme/shop", { mac: Buffer.alloc(6) }), /the all-zero address is no station's/],
    [binding("acme/shop", { ips: [ip("224.0.0.1")] }), /224.0.0.1 is no address that a host has/],
    [binding("acme/shop", { nveId: "" }), /nve_id: NVE id "" is not/],
    [binding(""), /"tenant\/alias" of a VN is missing/],
    [
      Resource.fromPartial({ ...tenant("t"), key: { kind: Kind.KIND_VN, key: "t" } }),
      /another kind than tenant/,
    ],
    [
      Resource.fromPartial({ ...tenant("t"), key: { kind: Kind.KIND_TENANT, key: "u" } }),
      /the key says "u"/,
    ],
  ])("V10: %# is refused, and why", async (wish, reason) => {
    await expect(ask.put(wish)).rejects.toThrow(reason);
    expect((await ask.list()).resources.map(({ key }) => key?.key)).toEqual(["default"]);
  });

  test("V10: requests that cannot be are refused, and why", async () => {
    const nothing = call(nva.northbound, nva.northbound.putResource, { resource: undefined });
    await expect(nothing).rejects.toThrow("resource: missing");
    await expect(ask.get(Kind.KIND_VN, "")).rejects.toThrow("key: missing");
    await expect(ask.get(Kind.KIND_VN, "x".repeat(201))).rejects.toThrow("key: at most");
    await expect(ask.get(9 as Kind, "x")).rejects.toThrow(/kind: tenant, profile/);
    await expect(ask.get(Kind.KIND_VN, "gone")).rejects.toThrow(
      /there is no VN "gone": `nva vn list`/,
    );
    await expect(ask.list({ pageToken: "9/x" })).rejects.toThrow("page_token: not one of this");
    await expect(ask.list({ pageSize: 1001 })).rejects.toThrow("page_size: 1001 is above 1000");
    await expect(ask.remove(Kind.KIND_TENANT, "default")).rejects.toThrow("always there");
    const many = Array.from({ length: 10_001 }, (_, i) => tenant(`t${i}`));
    await expect(ask.apply(many)).rejects.toThrow("resources: 10001, 10000 at most");
  });

  test("V10: very many faults are told as far as a header goes, with how many more there are", async () => {
    const error = await ask
      .apply(Array.from({ length: 10_000 }, (_, i) => vn(`x${i}`, { profile: "gone" })))
      .catch((reason: Error) => reason);
    const lines = (error as Error).message.split("\n");
    expect(lines.at(-1)).toMatch(/^and 99\d\d more$/);
  });

  test("10,000 things are applied at once", async () => {
    const many = Array.from({ length: 10_000 }, (_, i) => vn(`x${i}`));
    expect((await ask.apply(many)).changes).toHaveLength(10_001); // and their tenant
    expect(await ask.apply(many)).toMatchObject({ changes: [], unchanged: 10_000 });
  }, 30_000);
});
