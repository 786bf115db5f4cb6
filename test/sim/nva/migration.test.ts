import { call } from "@nve/program/rpc";
import { type Migration, MigrationState } from "@nve/protocol-spec/proto/northbound";
import type { NvaMessage } from "@nve/protocol-spec/proto/nve";
import { DeparturePhase, type Departures, Prepared } from "@nve/protocol-spec/proto/nve";
import { afterEach, expect, test } from "vitest";
import { claim, macOf, type Rig, rig, uuid } from "./rig.ts";

const vnic = uuid("00000000-0000-4000-8000-000000000007");
const address = { vnId: 1, mac: macOf(1) };
let nva: Rig;
afterEach(() => nva.stop());

/** Two NVEs with members of VN 1 and a third that watches it; VNIC 7 is active at tor1. */
async function domain(store?: "lmdb") {
  nva = await rig(store);
  await call(nva.northbound, nva.northbound.createVn, {
    ...{ alias: "blue", tenant: "", name: Buffer.alloc(0), vnId: 1, vni: undefined, mtu: 0 },
  });
  const tor1 = await nva.nve("tor1", "10.0.0.1");
  const tor2 = await nva.nve("tor2", "10.0.0.2");
  await tor1.told({ joinedVns: [1], claims: [claim(1, { vnic, port: "eth1" })], complete: true });
  await tor2.told({ joinedVns: [1], complete: true });
  return { tor1, tor2 };
}

type Nve = Awaited<ReturnType<Rig["nve"]>>;
const departures = async (nve: Nve, fits: (said: Departures) => boolean = () => true) => {
  const isOne = ({ message }: NvaMessage): boolean =>
    message?.$case === "departures" && fits(message.value);
  const { message } = await nve.inbox.next(isOne);
  if (message?.$case !== "departures") throw new Error("no departures");
  return message.value;
};
const migration = async (): Promise<Migration | undefined> => {
  const request = { vn: undefined, vnic, running: false, pageSize: 0, pageToken: "" };
  return (await call(nva.northbound, nva.northbound.listMigrations, request)).migrations[0];
};
const forwarding = DeparturePhase.DEPARTURE_PHASE_FORWARDING;

test("M5, V2: the source is told to forward at the switch-over, until all others in the VN have applied it", async () => {
  const { tor1, tor2 } = await domain();
  const tor3 = await nva.nve("tor3", "10.0.0.3");
  await tor3.told({ joinedVns: [1], complete: true });
  const watch = nva.watch("tor3");
  watch.ask({ add: [{ vnId: 1, cursor: undefined, only: undefined }] });
  await watch.until("snapshotEnd");
  await tor2.told({ prepared: [Prepared.create({ vnic, port: "eth2", addresses: [address] })] });
  expect(await migration()).toMatchObject({ state: MigrationState.MIGRATION_STATE_PREPARED });
  const { revision } = await tor2.told({ claims: [claim(1, { vnic })], unprepared: [vnic] });
  const told = await departures(tor1, ({ departures: some }) => some.length > 0);
  expect(told).toMatchObject({
    all: false,
    departures: [{ vnic, phase: forwarding, destination: { nveId: "tor2" } }],
  });
  expect(told.departures[0]?.addresses).toEqual([address]);
  await tor1.told({ withdrawn: [address] });
  expect(await migration()).toMatchObject({ state: MigrationState.MIGRATION_STATE_SWITCHED_OVER });
  await settle();
  const early = (await migration())?.steps.map(({ what }) => what);
  expect(early).not.toContain("all others know where it is");
  watch.ask({ applied: revision + 10n });
  await settle();
  const row = await migration();
  expect(row?.steps.map(({ what }) => what)).toContain("all others know where it is");
});

test("M2, M5: the destination hears when the source forwards; of one that is lost it is waited for no more", async () => {
  const { tor1, tor2 } = await domain();
  const arrived = ({ message }: NvaMessage): boolean => message?.$case === "arrived";
  const moved = await tor2.told({ claims: [claim(1, { vnic })] });
  expect(moved.moving).toEqual([vnic]);
  tor1.send({ $case: "departed", value: { vnics: [vnic] } });
  expect((await tor2.inbox.next(arrived)).message?.value).toEqual({ vnics: [vnic] });
  const more = await tor2.told({ claims: [claim(1, { vnic, suspended: true })] });
  expect(more.moving).toEqual([]);
  const back = await tor1.told({ claims: [claim(1, { vnic, suspended: true })] });
  expect(back.moving).toEqual([]);
  const again = await tor1.told({ claims: [claim(1, { vnic })] });
  expect(again.moving).toEqual([vnic]);
  tor2.call.end();
  expect((await tor1.inbox.next(arrived)).message?.value).toEqual({ vnics: [vnic] });
});

test("M5, H21: a source whose VM is said to stand still after the switch-over waits for nobody", async () => {
  const { tor1, tor2 } = await domain();
  await tor2.told({ claims: [claim(1, { vnic })] });
  const late = await tor1.told({ claims: [claim(1, { vnic, suspended: true })] });
  expect(late.moving).toEqual([]);
});

test("V2: a session that begins is told all that has moved on from its NVE; another NVA goes on with it", async () => {
  const { tor2 } = await domain("lmdb");
  await tor2.told({ claims: [claim(1, { vnic })] });
  await nva.restart();
  expect(await migration()).toMatchObject({ state: MigrationState.MIGRATION_STATE_SWITCHED_OVER });
  const again = await nva.nve("tor1", "10.0.0.1");
  expect(await departures(again)).toMatchObject({
    all: true,
    departures: [{ phase: forwarding, destination: { nveId: "tor2" } }],
  });
  const other = await nva.nve("tor3", "10.0.0.3");
  expect(await departures(other)).toEqual({ all: true, departures: [] });
});

test("V2: who follows a migration is told how it stands, and each change", async () => {
  const { tor2 } = await domain();
  const states: number[] = [];
  let wake = (): void => {};
  const following = nva.northbound.followMigration({ vnic });
  following.on("data", ({ state }: Migration) => {
    states.push(state);
    wake();
  });
  following.on("error", () => {});
  await tor2.told({ prepared: [Prepared.create({ vnic, addresses: [address] })] });
  await tor2.told({ claims: [claim(1, { vnic })], unprepared: [vnic] });
  while (states.at(-1) !== MigrationState.MIGRATION_STATE_SWITCHED_OVER)
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  following.cancel();
});

test("what cannot be is refused: too many addresses of a reservation, no UUID", async () => {
  const { tor2 } = await domain();
  const addresses = Array.from({ length: 2_000 }, () => address);
  tor2.report({ prepared: [Prepared.create({ vnic, addresses })] });
  expect(await tor2.inbox.ended).toContain("addresses of a VNIC");
  const other = await nva.nve("tor2", "10.0.0.2");
  other.report({ unprepared: [Buffer.from([1])] });
  expect(await other.inbox.ended).toContain("unprepared");
});

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) {
    nva.clock.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
    await migration();
  }
};
