import { call } from "@nve/program";
import { CreateVnRequest } from "@nve/protocol-spec/proto/northbound";
import { afterEach, beforeEach, expect, test } from "vitest";
import { claim, type Rig, rig } from "./rig.ts";

// What an NVE or a client with faults, or worse, may not do to the NVA and to the others.

let nva: Rig;
beforeEach(async () => {
  nva = await rig();
  await call(nva.northbound, nva.northbound.createVn, CreateVnRequest.create({ alias: "blue" }));
});
afterEach(() => nva.stop());

const INVALID = "3";
const claimsStored = async () =>
  Number((await call(nva.northbound, nva.northbound.status, {})).claims);

test("V10: a report has 10,000 entries at most: more end the session, and nothing of it is stored", async () => {
  const tor = await nva.nve("tor1", "10.0.0.1");
  const claims = Array.from({ length: 10_001 }, (_, n) => claim(n));
  tor.report({ claims: claims.slice(0, 10_000) });
  await tor.inbox.next(({ message }) => message?.$case === "ack");
  tor.report({ withdrawn: claims.map(({ vnId, mac }) => ({ vnId, mac })) });
  expect(await tor.inbox.ended).toBe(`${INVALID} Report: 10001 entries, not 10000 at most`);
  expect(await claimsStored()).toBe(10_000);
}, 30_000);

test.each([
  "224.0.0.1",
  "255.255.255.255",
  "127.0.0.1",
  "0.0.0.0",
  "ff02::1",
  "::1",
  "::ffff:224.0.0.1",
])("P5: an NVE cannot be at %s: others would send their frames there", async (vtep) => {
  const tor = nva.connect();
  tor.hello("tor1", vtep);
  expect(await tor.inbox.ended).toMatch(/^3 location: .* is no address that a VTEP can have$/);
});

test("an alias does not turn the terminal of who lists it", async () => {
  for (const alias of ["a\u202eb", "a\u2028b", "a\u0007b"]) {
    const request = CreateVnRequest.create({ alias });
    await expect(call(nva.northbound, nva.northbound.createVn, request)).rejects.toThrow(
      /control character/,
    );
  }
});
