import { call } from "@nve/program";
import {
  ApplyRequest,
  CreateVnRequest,
  type Event,
  FollowEventsRequest,
  Kind,
  ListEventsRequest,
  Policy,
  PutResourceRequest,
  Resource,
  VnicSpec,
  VnSpec,
} from "@nve/protocol-spec/proto/northbound";
import { AdmitRequest, DenialCode } from "@nve/protocol-spec/proto/nve";
import { Admission, DuplicateAction } from "@nve/protocol-spec/proto/types";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { claim, macOf, type Rig, rig, uuid } from "./rig.ts";

// Who may attach, addresses that several have, and what is remembered of it, through gRPC.

const first = "00000000-0000-4000-8000-0000000000f1";
const second = "00000000-0000-4000-8000-0000000000f2";

let nva: Rig;
beforeEach(async () => {
  nva = await rig("lmdb");
  await call(nva.northbound, nva.northbound.createVn, CreateVnRequest.create({ alias: "blue" }));
});
afterEach(() => nva.stop());

const put = (kind: Kind, key: string, of: Resource["of"]) =>
  call(
    nva.northbound,
    nva.northbound.putResource,
    PutResourceRequest.create({ resource: Resource.create({ key: { kind, key }, of }) }),
  );
const putVn = (more: Partial<VnSpec>) =>
  put(Kind.KIND_VN, "default/blue", {
    $case: "vn",
    value: VnSpec.create({ tenant: "default", alias: "blue", ...more }),
  });
const putVnic = (vnic: string) =>
  put(Kind.KIND_VNIC, vnic, {
    $case: "vnic",
    value: VnicSpec.create({ vnic: uuid(vnic), vns: [{ vn: "default/blue", macs: [] }] }),
  });
const events = async (more: Partial<ListEventsRequest> = {}): Promise<Event[]> =>
  (await call(nva.northbound, nva.northbound.listEvents, ListEventsRequest.create(more))).events;
const said = async (action: string): Promise<string[]> =>
  (await events({ action, pageSize: 1000 })).map(
    (event) => `${event.actor} ${event.action} ${event.object}${event.refused ? " refused" : ""}`,
  );
const disconnected = async (nve: Awaited<ReturnType<Rig["nve"]>>) => {
  const { message } = await nve.inbox.next(({ message: m }) => m?.$case === "disconnect");
  if (message?.$case !== "disconnect") throw new Error("no Disconnect");
  return message.value;
};

test("H26: a policy that is put disconnects whom it keeps out, with its name, and nobody else", async () => {
  const tor1 = await nva.nve("tor1", "10.0.0.1");
  const lab = { vnic: uuid(first), hypervisor: "lab1" };
  await tor1.told({
    joinedVns: [1],
    claims: [claim(1, lab), claim(2, { vnic: uuid(second), hypervisor: "srv1" })],
  });
  const value = Policy.create({ name: "no-lab", deny: true, hypervisors: ["lab*"] });
  await put(Kind.KIND_POLICY, "no-lab", { $case: "policy", value });
  const reason = `policy "no-lab" keeps VNIC ${first} of hypervisor "lab1" at tor1 out of VN default/blue`;
  expect(await disconnected(tor1)).toEqual({ vnId: 1, vnics: [uuid(first)], reason });
  expect(await said("vnic.")).toEqual([
    `nve:tor1 vnic.attach ${first}`,
    `nve:tor1 vnic.attach ${second}`,
    `nva vnic.disconnect ${first}`,
    `nva vnic.detach ${first}`,
  ]);
  const { response } = { response: await admitted(lab) };
  expect(response).toMatchObject({
    $case: "denied",
    value: { code: DenialCode.DENIAL_CODE_NOT_ALLOWED, reason },
  });
});

async function admitted(more: Partial<AdmitRequest>) {
  const client = nva.nveClient();
  const vn = { $case: "vnId" as const, value: 1 };
  const request = AdmitRequest.create({ nveId: "tor1", vn, ...more });
  return (await call(client, client.admit, request)).verdict;
}

test("H26: a registered VN lets in who is registered; one that is registered no more goes, as one that is away does when it is back", async () => {
  await putVn({ admission: Admission.ADMISSION_REGISTERED });
  expect(await admitted({ vnic: uuid(first) })).toMatchObject({ $case: "denied" });
  await putVnic(first);
  expect(await admitted({ vnic: uuid(first) })).toMatchObject({ $case: "granted" });
  const tor1 = await nva.nve("tor1", "10.0.0.1");
  const ack = await tor1.told({ claims: [claim(1, { vnic: uuid(first) })], complete: true });
  expect(ack.refused).toEqual([]);
  tor1.call.cancel();
  await call(nva.northbound, nva.northbound.deleteResource, {
    key: { kind: Kind.KIND_VNIC, key: first },
    force: true,
    expected: undefined,
  });
  const again = await nva.nve("tor1", "10.0.0.1");
  again.report({ claims: [claim(1, { vnic: uuid(first) })], complete: true });
  expect((await disconnected(again)).reason).toMatch(/is not registered$/);
});

/** Three moves between two NVEs. */
async function contest(): Promise<void> {
  const [tor1, tor2] = [await nva.nve("tor1", "10.0.0.1"), await nva.nve("tor2", "10.0.0.2")];
  const take = (nve: typeof tor1, vnic: string, sequence: bigint) =>
    nve.told({ claims: [claim(1, { vnic: uuid(vnic), sequence })] });
  for (const sequence of [1n, 3n]) {
    await take(tor1, first, sequence);
    await take(tor2, second, sequence + 1n);
  }
}

const freezing = (freezeMs: number): Partial<VnSpec> => ({
  duplicates: {
    moves: 3,
    windowMs: 60_000,
    action: DuplicateAction.DUPLICATE_ACTION_FREEZE,
    freezeMs,
  },
});
const duplicates = async () =>
  (await call(nva.northbound, nva.northbound.listDuplicates, { vn: undefined })).duplicates;

test("A19: what is frozen for a second is free after a second, though nothing else happens", async () => {
  await putVn(freezing(1000));
  await contest();
  expect(await duplicates()).toMatchObject([{ frozen: true, mac: macOf(1) }]);
  const isFree = async (): Promise<boolean> => {
    if (nva.clock.now() > 1900) throw new Error("it is frozen still"); // before sessions end for silence
    nva.clock.advance(20); // its timers; the time that is told is the machine's
    return (await duplicates()).length === 0;
  };
  await vi.waitUntil(isFree, { timeout: 4000, interval: 20 });
  expect(await said("duplicate.")).toEqual([
    "nva duplicate.found default/blue/02:00:00:00:00:01",
    "nva duplicate.cleared default/blue/02:00:00:00:00:01",
  ]);
});

test("A19: two NVEs that take an address from each other are found out, listed, and cleared", async () => {
  await putVn(freezing(0));
  await contest();
  const { clearDuplicate } = nva.northbound;
  expect(await duplicates()).toMatchObject([
    { vnId: 1, mac: macOf(1), frozen: true, moves: 3, sources: ["nve:tor1", "nve:tor2"] },
  ]);
  await nva.restart();
  expect(await duplicates()).toHaveLength(1);
  const clear = (n: number) =>
    call(nva.northbound, clearDuplicate, {
      vn: { ref: { $case: "alias", value: "blue" } },
      mac: macOf(n),
    });
  await expect(clear(2)).rejects.toThrow("02:00:00:00:00:02 is no duplicate in VN default/blue");
  await clear(1);
  expect(await duplicates()).toEqual([]);
  expect(await said("duplicate.")).toEqual([
    "nva duplicate.found default/blue/02:00:00:00:00:01",
    "local duplicate.cleared default/blue/02:00:00:00:00:01",
  ]);
});

test("H26: with a VN that is deleted by force its VNICs go, which is remembered of each", async () => {
  const tor1 = await nva.nve("tor1", "10.0.0.1");
  const claims = [1, 2].map((n) => claim(n, { vnic: uuid(first) }));
  await tor1.told({ joinedVns: [1], claims: [...claims, claim(3, { vnic: uuid(second) })] });
  const vn = { ref: { $case: "alias" as const, value: "blue" } };
  await call(nva.northbound, nva.northbound.deleteVn, { vn, force: true });
  const gone = await events({ action: "vnic.disconnect" });
  expect(gone.map(({ object, reason }) => [object, reason])).toEqual([
    [first, "the VN was deleted"],
    [second, "the VN was deleted"],
  ]);
  expect(await said("vn.delete")).toEqual(["local vn.delete default/blue"]);
});

test("what administrators change is remembered with who, what and what was different, over a restart too", async () => {
  await putVn({ mtu: 1400 });
  await nva.restart();
  await putVn({ mtu: 1500 });
  const [created, ...updates] = await events({ action: "vn." });
  expect(created).toMatchObject({ actor: "local", action: "vn.create", object: "default/blue" });
  expect(updates.map(({ action, detail }) => [action, JSON.parse(detail)])).toEqual([
    ["vn.update", { mtu: { before: 0, after: 1400 } }],
    ["vn.update", { mtu: { before: 1400, after: 1500 } }],
  ]);
  const revisions = (await events({ action: "vn." })).map(({ revision }) => Number(revision));
  expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
  expect(revisions[0]).toBeGreaterThan(0);
  const ids = (await events()).map(({ id }) => Number(id));
  expect(ids).toEqual(ids.map((_, i) => i + 1));
});

test("events come in pages, from a number on, as far as they begin with what is asked for", async () => {
  for (let i = 0; i < 25; i++)
    await call(
      nva.northbound,
      nva.northbound.createVn,
      CreateVnRequest.create({ alias: `vn${i}` }),
    );
  const page = await events({ pageSize: 10, object: "default/vn" });
  expect(page.map(({ object }) => object)).toEqual(
    Array.from({ length: 10 }, (_, i) => `default/vn${i}`),
  );
  const next = await events({ after: page.at(-1)?.id ?? 0n, object: "default/vn1" });
  expect(next.map(({ object }) => object)).toEqual(
    Array.from({ length: 10 }, (_, i) => `default/vn1${i}`),
  );
  await expect(events({ pageSize: 1001 })).rejects.toThrow("page_size: 1001 is above 1000");
  const { listEvents } = nva.northbound;
  const beyond = ListEventsRequest.create({ after: (1n << 64n) - 1n });
  expect(await call(nva.northbound, listEvents, beyond)).toEqual({ events: [], last: 26n });
});

test("who follows is told what was after a number, then what happens; one that does not read costs nobody anything", async () => {
  const seen: string[] = [];
  const stuck = nva.northbound.followEvents(FollowEventsRequest.create({ after: 1n }));
  stuck.on("error", () => undefined);
  const call2 = nva.northbound.followEvents(
    FollowEventsRequest.create({ after: 1n, action: "vn.create" }),
  );
  call2.on("error", () => undefined);
  const all = new Promise<void>((resolve) => {
    call2.on("data", ({ object }: Event) => {
      seen.push(object);
      if (seen.length === 2_200) resolve();
    });
  });
  for (let begin = 0; begin < 2_200; begin += 1_100)
    await call(nva.northbound, nva.northbound.apply, applied(begin, 1_100));
  await all;
  expect(seen).toEqual([...seen].sort((a, b) => numberIn(a) - numberIn(b)));
  call2.cancel();
  stuck.cancel();
}, 30_000);

function applied(begin: number, count: number): ApplyRequest {
  const resources = Array.from({ length: count }, (_, i) => {
    const alias = `vn${begin + i}`;
    const of = { $case: "vn" as const, value: VnSpec.create({ tenant: "default", alias }) };
    return Resource.create({ key: { kind: Kind.KIND_VN, key: `default/${alias}` }, of });
  });
  return ApplyRequest.create({ resources });
}

const numberIn = (object: string): number => Number(object.slice("default/vn".length));

test("H26: a flood of refusals is answered each, and written down once with how often", async () => {
  await putVn({ admission: Admission.ADMISSION_REGISTERED });
  for (let i = 0; i < 50; i++) await admitted({ vnic: uuid(first) });
  expect(await said("vnic.refuse")).toEqual([`nve:tor1 vnic.refuse ${first} refused`]);
  nva.clock.advance(60_000);
  await admitted({ vnic: uuid(first) });
  await nva.restart();
  const [, later] = await events({ action: "vnic.refuse" });
  expect(JSON.parse(later?.detail ?? "")).toMatchObject({ repeated: 49 });
});
