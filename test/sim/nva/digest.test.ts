import { call, createLog } from "@nve/program";
import { IpAddress, Mac, NveId, VnId } from "@nve/protocol-spec";
import { CreateVnRequest } from "@nve/protocol-spec/proto/northbound";
import { NvaClient } from "@nve/switch-agent/nva-client/client";
import { Fdb, type NveEvent, type RemoteChange } from "@nve/switch-agent/nve";
import { afterEach, beforeEach, expect, test } from "vitest";
import { claim, ip, macOf, type Rig, rig } from "./rig.ts";

// A real NVA, and the client and tables of a real NVE, on one clock.

const vn = VnId(1);
const hour = 3_600_000;
let nva: Rig;
let fdb: Fdb;
let client: NvaClient;
let snapshots: number;

beforeEach(async () => {
  nva = await rig();
  await call(nva.northbound, nva.northbound.createVn, CreateVnRequest.create({ alias: "blue" }));
  fdb = new Fdb();
  snapshots = 0;
});
afterEach(async () => {
  client.close();
  await nva.stop();
});

/** `tor2`, in VN 1. */
async function open(pull = false): Promise<void> {
  client = new NvaClient({
    addresses: [nva.address],
    self: { nve: NveId("tor2"), vtep: IpAddress("10.0.0.2") },
    incarnation: new Uint8Array(16).fill(2),
    clock: nva.clock,
    log: createLog("test", "silent"),
    random: () => 0,
    all: () => ({ claims: [], withdrawn: [], joined: [vn], left: [] }),
    onEvent: take,
    settled: async () => {},
    told: (vnId, most) => fdb.told(vnId, most),
    digestMs: 10_000,
  });
  fdb.watch(vn);
  client.watch([vn], pull);
  await until(() => fdb.complete(vn));
}

function take(event: NveEvent): void {
  if (event.on === "remote") fdb.apply(event.change);
  if (event.on === "snapshot-begin") fdb.beginSnapshot(event.vn);
  if (event.on !== "snapshot-end") return;
  fdb.endSnapshot(event.vn);
  snapshots += 1;
}

/** Time goes on, a second at a time at most, until it is so. */
async function until(is: () => boolean): Promise<void> {
  for (let ms = 0; !is(); ms += 500) {
    if (ms > hour) throw new Error("never within an hour");
    nva.clock.advance(500);
    for (let turn = 0; turn < 20 && !is(); turn++)
      await new Promise((resolve) => setImmediate(resolve));
  }
}
const counts = () => client.digests;
const compared = (n: number) => until(() => counts().compared >= n);

/** `tor1`, which stays alive while time goes on. */
async function tor1() {
  const nve = await nva.nve("tor1", "10.0.0.1");
  const stay = (): void => {
    nve.alive();
    nva.clock.at((nva.clock.now() + 500) as never, stay);
  };
  stay();
  return nve;
}
const claims = (n: number) =>
  Array.from({ length: n }, (_, at) => claim(at, { ips: [ip(`10.1.${at >> 8}.${at & 255}`)] }));
const corrupt = (change: Partial<RemoteChange>) =>
  fdb.apply({ vn, mappings: [], withdrawn: [], members: [], membersLeft: [], ...change });
const known = Mac("02:00:00:00:00:07");

test("A16: what an NVE was told comes to what the NVA has, also after thousands of changes", async () => {
  const nve = await tor1();
  await nve.told({ joinedVns: [1], claims: claims(3000) });
  await open();
  await compared(1);
  await nve.told({ claims: [claim(5, { sticky: true, ips: [ip("10.9.0.1"), ip("fd00::1")] })] });
  await nve.told({ withdrawn: [1, 2, 3].map((n) => ({ vnId: 1, mac: macOf(n) })) });
  await until(() => fdb.remotes(vn).size === 2997);
  await compared(3);
  expect([counts().differing, snapshots]).toEqual([0, 1]);
});

test("A16: a mapping that was lost here without a word is found missing, and told anew", async () => {
  const nve = await tor1();
  await nve.told({ joinedVns: [1], claims: claims(50) });
  await open();
  await compared(1);
  corrupt({ withdrawn: [known] });
  expect(fdb.remotes(vn).has(known)).toBe(false);
  await until(() => snapshots === 2);
  expect(fdb.remotes(vn).get(known)).toMatchObject({ nve: "tor1" });
  expect(counts().differing).toBe(1);
  await compared(counts().compared + 1);
  expect(counts().differing).toBe(1);
});

test("A16: a mapping to a wrong place, and a member that is none, are found and repaired", async () => {
  const nve = await tor1();
  await nve.told({ joinedVns: [1], claims: claims(5) });
  await open();
  const [wrong, vtep] = [NveId("tor9"), IpAddress("10.0.0.9")];
  corrupt({ mappings: [{ mac: Mac("02:00:00:00:00:01"), ips: [], nve: wrong, vtep }] });
  corrupt({ members: [{ nve: wrong, vtep }] });
  await until(() => snapshots === 2);
  expect([...fdb.remotes(vn).values()].map((one) => one.nve)).toEqual(Array(5).fill("tor1"));
  expect([...fdb.members(vn).keys()]).toEqual(["tor1"]);
});

test("A16, A18: of a VN in pull the members are compared", async () => {
  const nve = await tor1();
  await nve.told({ joinedVns: [1], claims: claims(5) });
  await open(true);
  await compared(2);
  expect(counts().differing).toBe(0);
  corrupt({ membersLeft: [NveId("tor1")] });
  await until(() => snapshots === 2);
  expect([...fdb.members(vn).keys()]).toEqual(["tor1"]);
});

test("V10: who asks for too many VNs, or for what can be none, is told so; a VN that there is not is left out", async () => {
  await open();
  const nve = nva.nveClient();
  const ask = (vnIds: number[]) => call(nve, nve.digests, { vnIds });
  await expect(ask(Array.from({ length: 1001 }, (_, n) => n + 1))).rejects.toThrow(
    "1001 VNs, not 1000 at most",
  );
  await expect(ask([0])).rejects.toThrow("VN ID 0");
  expect(await ask([1, 2, 1])).toMatchObject({ digests: [{ vnId: 1, members: 1, mappings: 0 }] });
});
