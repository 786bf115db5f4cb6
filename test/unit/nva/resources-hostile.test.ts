import grpc from "@grpc/grpc-js";
import { call } from "@nve/program";
import { ApplyRequest, DeleteResourceRequest, Resource } from "@nve/protocol-spec/proto/northbound";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Rig, rig } from "../../sim/nva/rig.ts";

let nva: Rig;
beforeEach(async () => {
  nva = await rig();
});
afterEach(() => nva.stop());

// Any message that protobuf can say, most of them near to what makes sense.
const number = fc.constantFrom(
  0,
  1,
  2,
  3,
  6,
  63,
  68,
  256,
  1514,
  0x0800,
  65_535,
  65_536,
  0xffffff,
  0xffff_ffff,
);
const choice = fc.constantFrom(0, 1, 1, 2, 3, 9, -1, 0x7fff_ffff);
const text = fc.constantFrom(
  "",
  "a",
  "b",
  "*",
  "a/b",
  "default/a",
  "1",
  "é",
  "\u0000",
  "\u202e",
  "x".repeat(70),
  " ",
);
const uuids = ["00000000000040008000000000000001", "00000000000040008000000000000002"];
const octets = fc.oneof(
  fc
    .constantFrom(...uuids, "020000000001", "0a000001", "fd000000000000000000000000000001")
    .map((hex) => Buffer.from(hex, "hex")),
  fc.constantFrom(0, 3, 4, 6, 16, 17).map((length) => Buffer.alloc(length, 0xff)),
);
const some = <T>(one: fc.Arbitrary<T>) => fc.array(one, { maxLength: 3 });
const maybe = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: undefined });
const prefix = fc.record({ ip: octets, length: number });
const range = fc.record({ first: number, last: number });
const mac = { mac: octets, ips: some(octets), prefixes: some(prefix) };
const rule = fc.record({
  action: choice,
  direction: choice,
  etherType: number,
  source: maybe(prefix),
  destination: maybe(prefix),
  protocol: number,
  sourcePorts: maybe(range),
  destinationPorts: maybe(range),
});
const values = {
  tenant: fc.record({ name: text, description: text, maxVns: number }),
  profile: fc.record({
    name: text,
    description: text,
    profile: maybe(
      fc.record({
        acl: some(rule),
        qos: maybe(fc.record({ policeKbps: number, burstOctets: number, dscp: maybe(number) })),
        limits: maybe(fc.record({ vnicsPerNve: number, macsPerVnic: number, ipsPerMac: number })),
      }),
    ),
  }),
  policy: fc.record({
    name: text,
    description: text,
    order: number,
    deny: fc.boolean(),
    vns: some(text),
    hypervisors: some(text),
    nves: some(text),
    ports: some(text),
    vnics: some(text),
    stations: some(text),
    authenticated: fc.boolean(),
  }),
  vn: fc.record({
    tenant: text,
    alias: text,
    name: octets,
    vnId: number,
    vni: maybe(number),
    mtu: number,
    service: choice,
    flood: choice,
    admission: choice,
    profile: text,
    duplicates: maybe(
      fc.record({ moves: number, windowMs: number, action: choice, freezeMs: number }),
    ),
    description: text,
  }),
  vnic: fc.record({
    vnic: octets,
    description: text,
    vns: some(fc.record({ vn: text, macs: some(fc.record(mac)) })),
    hypervisors: some(text),
  }),
  binding: fc.record({ vn: text, ...mac, nveId: text, description: text }),
};
const key = maybe(fc.record({ kind: fc.integer({ min: 0, max: 7 }), key: text }));
const of = fc.oneof(
  ...Object.entries(values).map(([$case, value]) =>
    (value as fc.Arbitrary<object>).map((one) => ({ $case, value: one })),
  ),
);
const resource = fc
  .record({ key, of: maybe(of) })
  .map((one) => Resource.fromPartial(one as object));
const expected = maybe(fc.constantFrom(0n, 1n, 2n ** 64n - 1n));

test("V10: anything at all that can be said is done or refused in words, and the NVA goes on", async () => {
  const { northbound } = nva;
  const codes = new Set<grpc.status>();
  const tried = async (asked: Promise<unknown>): Promise<void> => {
    try {
      await asked;
      codes.add(grpc.status.OK);
    } catch (error) {
      const { code, details } = (error as Error).cause as grpc.ServiceError;
      codes.add(code);
      expect([code, details]).not.toEqual([grpc.status.INTERNAL, expect.anything()]);
      expect(details).not.toBe("");
    }
  };
  await fc.assert(
    fc.asyncProperty(
      resource,
      some(resource),
      fc.record({ prune: fc.boolean(), force: fc.boolean(), dryRun: fc.boolean(), expected }),
      async (one, more, how) => {
        await tried(
          call(northbound, northbound.putResource, { resource: one, expected: how.expected }),
        );
        await tried(
          call(northbound, northbound.apply, ApplyRequest.create({ resources: more, ...how })),
        );
        const which = one.key ?? { kind: 1, key: "default" };
        await tried(call(northbound, northbound.getResource, which));
        const request = DeleteResourceRequest.create({ key: which, ...how });
        await tried(call(northbound, northbound.deleteResource, request));
      },
    ),
    { numRuns: 150 },
  );
  const { INVALID_ARGUMENT, FAILED_PRECONDITION, NOT_FOUND, ABORTED, OK } = grpc.status;
  expect([...codes].sort((a, b) => a - b)).toEqual(
    [OK, INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, ABORTED].sort((a, b) => a - b),
  );
  expect(await call(northbound, northbound.status, {})).toMatchObject({ store: "memory" });
}, 60_000);
