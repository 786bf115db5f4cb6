import { forbidden, notItself } from "@nve/nva/server/access";
import { actorOf, type Identity } from "@nve/nva/server/identity";
import { roles } from "@nve/program/certified";
import { IpAddress } from "@nve/protocol-spec";
import { Kind, NorthboundService } from "@nve/protocol-spec/proto/northbound";
import { NveService } from "@nve/protocol-spec/proto/nve";
import { expect, test } from "vitest";

const client = (role: (typeof roles)[number]): Identity => ({
  is: "client",
  id: "c",
  role,
  ips: [],
});
const nve: Identity = { is: "nve", id: "tor1", ips: [IpAddress("10.0.1.11")] };

/** Of every method, with a request in which nothing stands. */
const requests: Record<string, unknown> = {
  putResource: {},
  deleteResource: {},
  apply: { resources: [{}] },
};
const methods = [...Object.keys(NorthboundService), ...Object.keys(NveService)];
const open = (who: Identity) =>
  methods.filter((method) => forbidden(who, method, requests[method]) === undefined);

const looking = methods.filter((method) => /^(get|list|follow|status|lookup|digests)/.test(method));

test("A13: a viewer may look, each role may what the one before may, and an administrator everything but be an NVE", () => {
  expect(open(client("viewer"))).toEqual(looking);
  expect(open(client("operator"))).toEqual(
    methods.filter((method) => looking.includes(method) || method === "clearDuplicate"),
  );
  expect(open(client("admin"))).toEqual(
    methods.filter((method) => method !== "connect" && method !== "watch"),
  );
});

test("H26: an NVE has its own calls and no others; other certificates have none", () => {
  expect(open(nve)).toEqual(["connect", "watch", "admit", "lookup", "digests"]);
  expect(open({ is: "hypervisor", id: "srv1", ips: [] })).toEqual([]);
  expect(open({ is: "nva", id: "nva-1", ips: [] })).toEqual([]);
  expect(open({ is: "unknown", reason: "no name" })).toEqual([]);
});

test("a method that nobody has thought of is for administrators", () => {
  expect(forbidden(client("operator"), "dropEverything", {})).toMatch(/this needs admin/);
  expect(forbidden(client("admin"), "dropEverything", {})).toBeUndefined();
  expect(forbidden(nve, "dropEverything", {})).toMatch(/is an NVE, no client/);
});

test("the unix socket and plain TCP may everything", () => {
  expect(open({ is: "local" })).toEqual(methods);
  expect(open({ is: "anyone" })).toEqual(methods);
});

const of = (kind: Kind, $case: string) => ({
  key: { kind, key: "x" },
  of: { $case },
});
const vnic = of(Kind.KIND_VNIC, "vnic");

test.each([
  ["putResource", { resource: vnic }, "operator"],
  ["putResource", { resource: of(Kind.KIND_BINDING, "binding") }, "operator"],
  ["putResource", { resource: of(Kind.KIND_POLICY, "policy") }, "admin"],
  ["putResource", { resource: of(Kind.KIND_VNIC, "policy") }, "admin"],
  ["putResource", { resource: of(Kind.KIND_POLICY, "vnic") }, "admin"],
  ["deleteResource", { key: vnic.key, force: false }, "operator"],
  ["deleteResource", { key: vnic.key, force: true }, "admin"],
  ["deleteResource", { key: { kind: Kind.KIND_VN, key: "x" }, force: false }, "admin"],
  ["apply", { resources: [vnic], dryRun: false }, "operator"],
  ["apply", { resources: [vnic, of(Kind.KIND_VN, "vn")], dryRun: false }, "admin"],
  ["apply", { resources: [vnic], prune: true }, "admin"],
  ["apply", { resources: [vnic], force: true }, "admin"],
  ["apply", { resources: [of(Kind.KIND_VN, "vn")], prune: true, dryRun: true }, "viewer"],
] as const)("%s of %j needs the role %s", (method, request, role) => {
  const may = roles.filter((one) => forbidden(client(one), method, request) === undefined);
  expect(may[0]).toBe(role);
});

test("H26: an NVE is itself alone, at its own VTEPs; others are not asked", () => {
  const [own, strange] = [IpAddress("10.0.1.11"), IpAddress("10.0.9.9")];
  expect(notItself(nve, "tor1", [own])).toBeUndefined();
  expect(notItself(nve, "tor2", [own])).toMatch(/of NVE "tor1".*that it is "tor2"/);
  expect(notItself(nve, "tor1", [own, strange])).toMatch(/says VTEP 10.0.9.9/);
  expect(notItself({ ...nve, ips: [] }, "tor1", [strange])).toBeUndefined();
  expect(notItself({ is: "local" }, "tor2", [strange])).toBeUndefined();
  expect(forbidden(nve, "admit", { nveId: "tor2" })).toMatch(/of NVE "tor1"/);
  expect(forbidden(nve, "admit", { nveId: `\u001b${"x".repeat(10_000)}` })?.length).toBeLessThan(
    200,
  );
  expect(forbidden(nve, "admit", { nveId: "" })).toMatch(/of NVE "tor1"/);
});

test("who did it, as audit names it", () => {
  expect(
    [client("admin"), nve, { is: "local" } as const, { is: "anyone" } as const].map(actorOf),
  ).toEqual(["cert:c", "nve:tor1", "local", "anyone"]);
});
