import { call } from "@nve/program";
import {
  CreateVnRequest,
  Kind,
  ListClaimsRequest,
  PutResourceRequest,
  Resource,
  VnicSpec,
  type VnicStandby,
} from "@nve/protocol-spec/proto/northbound";
import { afterEach, beforeEach, expect, test } from "vitest";
import { claim, macOf, type Rig, readable, rig, uuid } from "./rig.ts";

// A VNIC in hot standby, through gRPC: what is declared, and what those who watch are told of it.

const vnic = "00000000-0000-4000-8000-0000000000f1";
const active = () => claim(1, { vnic: uuid(vnic) });

let nva: Rig;
beforeEach(async () => {
  nva = await rig("lmdb");
  await call(nva.northbound, nva.northbound.createVn, CreateVnRequest.create({ alias: "blue" }));
});
afterEach(() => nva.stop());

async function declare(standby: VnicStandby): Promise<void> {
  const vns = [{ vn: "default/blue", macs: [] }];
  const value = VnicSpec.create({ vnic: uuid(vnic), vns, standby });
  const resource = Resource.create({
    key: { kind: Kind.KIND_VNIC, key: vnic },
    of: { $case: "vnic", value },
  });
  await call(nva.northbound, nva.northbound.putResource, PutResourceRequest.create({ resource }));
}

async function claims() {
  const found = await call(nva.northbound, nva.northbound.listClaims, ListClaimsRequest.create({}));
  return found.claims.map(({ source, best, standby }) => ({ source, best, standby }));
}

test("M9: who watches hears of all places, the active one first, and of another one when that is lost", async () => {
  await declare({ places: ["tor1", "tor2"], revert: false });
  const tor1 = await nva.nve("tor1", "10.0.0.1");
  const tor2 = await nva.nve("tor2", "10.0.0.2");
  await tor1.told({ joinedVns: [1], claims: [active()] });
  await tor2.told({ joinedVns: [1], claims: [active()] });
  const watch = nva.watch("tor3");
  watch.ask({ add: [{ vnId: 1, cursor: undefined }] });
  await watch.until("snapshotEnd");
  expect(watch.inbox.seen.map(readable)).toContain(
    "vn 1 is blue joined tor1 joined tor2 +1@tor1+tor2",
  );
  const heard = async () => readable({ event: { $case: "delta", value: await watch.delta() } });
  tor1.call.end();
  expect(await heard()).toBe("vn 1 +1@tor2+tor1");
  const sorted = (await claims()).sort((a, b) => (a.source < b.source ? -1 : 1));
  expect(sorted).toEqual([
    { source: "nve:tor1", best: false, standby: { place: 1, active: false, lost: true } },
    { source: "nve:tor2", best: true, standby: { place: 2, active: true, lost: false } },
  ]);
  await declare({ places: ["tor1", "tor2"], revert: true });
  const back = await nva.nve("tor1", "10.0.0.1");
  await back.told({ joinedVns: [1], claims: [active()] });
  await expect.poll(() => watch.inbox.seen.map(readable).at(-1)).toBe("vn 1 +1@tor1+tor2");
  await tor2.told({ withdrawn: [{ vnId: 1, mac: macOf(1) }] });
  await expect.poll(() => watch.inbox.seen.map(readable).at(-1)).toBe("vn 1 +1@tor1");
});

test("M9: a restart of the NVA changes nothing of it: not what is declared, nor what is active", async () => {
  await declare({ places: ["tor2", "tor1"], revert: false });
  await (await nva.nve("tor1", "10.0.0.1")).told({ joinedVns: [1], claims: [active()] });
  await (await nva.nve("tor2", "10.0.0.2")).told({ joinedVns: [1], claims: [active()] });
  const before = await claims();
  expect(before.map(({ best }) => best)).toEqual([true, false]);
  await nva.restart();
  const sorted = (await claims()).sort((a, b) => (a.source < b.source ? -1 : 1));
  expect(sorted).toEqual(before);
});
