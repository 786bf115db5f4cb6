import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type grpc from "@grpc/grpc-js";
import { systemClock } from "@nve/linux/clock";
import { createLog } from "@nve/program/log";
import { type Serving, serve, unary } from "@nve/program/rpc";
import {
  IpAddress,
  ipOctets,
  Mac,
  macOctets,
  NveId,
  Uuid,
  uuidOctets,
  VnId,
} from "@nve/protocol-spec";
import {
  type AdmitRequest,
  DenialCode,
  type LookupRequest,
  type LookupResponse,
  type NvaMessage,
  type NveMessage,
  NveService,
  type WatchEvent,
  type WatchRequest,
  type Report as WireReport,
} from "@nve/protocol-spec/proto/nve";
import { NvaClient } from "@nve/switch-agent/nva-client/client";
import type { LocalClaim, NveEvent, Report } from "@nve/switch-agent/nve";
import { afterEach, beforeEach, expect, test } from "vitest";

const vn = VnId(5001);
const a = Mac("02:00:00:00:00:0a");
const b = Mac("02:00:00:00:00:0b");
const vnic = Uuid("00000000-0000-4000-8000-000000000001");
const self = { nve: NveId("tor1"), vtep: IpAddress("192.0.2.1") };
const storeId = Buffer.alloc(16, 7);
const nothing: Report = { claims: [], withdrawn: [], joined: [], left: [] };
const claim = (mac: Mac): LocalClaim => ({
  vn,
  mac,
  ips: [IpAddress("10.0.0.1")],
  vnic,
  hypervisor: "server1",
  port: "swp1",
  suspended: false,
});
const ask = { vn, vnic, hypervisor: "server1", port: "swp1", content: new Map() };

type Connect = grpc.ServerDuplexStream<NveMessage, NvaMessage>;
type Watch = grpc.ServerDuplexStream<WatchRequest, WatchEvent>;

/** An NVA that says what the test says. */
class FakeNva {
  readonly hellos: NveMessage[] = [];
  readonly reports: WireReport[] = [];
  readonly watched: WatchRequest[] = [];
  readonly asked: AdmitRequest[] = [];
  connect: Connect | undefined;
  watch: Watch | undefined;
  version = 1;
  acknowledging = true;
  /** How many questions there were in each message. */
  readonly questions: number[] = [];
  admissions = true;
  answering = true;
  readonly lookedUp: LookupRequest[] = [];
  found: LookupResponse["answer"];
  serving: Serving | undefined;

  async open(address: string): Promise<void> {
    this.serving = await serve(address, [
      {
        definition: NveService,
        implementation: {
          connect: (call: Connect) => this.#connect(call),
          watch: (call: Watch) => {
            this.watch = call;
            call.on("data", (request: WatchRequest) => this.watched.push(request));
            call.on("error", () => {});
          },
          admit: unary((request: AdmitRequest) => this.#admit(request)),
          lookup: unary((request: LookupRequest) => {
            this.lookedUp.push(request);
            return { answer: this.found, revision: 1n };
          }),
        },
      },
    ]);
  }

  say(event: WatchEvent["event"]): void {
    this.watch?.write({ event });
  }

  #connect(call: Connect): void {
    this.connect = call;
    call.on("error", () => {});
    call.on("data", (said: NveMessage) => {
      const { message } = said;
      if (message?.$case === "hello") {
        this.hellos.push(said);
        const { version, admissions } = this;
        const welcome = { version, storeId, holdMs: 1000, admissions };
        call.write({ message: { $case: "welcome", value: welcome } });
      } else if (message?.$case === "admissions") {
        this.questions.push(message.value.requests.length);
        const responses = message.value.requests.map((request) => this.#admit(request));
        const value = { serial: message.value.serial, responses };
        if (this.answering) call.write({ message: { $case: "verdicts", value } });
      } else if (message?.$case === "report") {
        this.reports.push(message.value);
        const ack = { serial: message.value.serial, revision: 1n, refused: [], moving: [] };
        if (this.acknowledging) call.write({ message: { $case: "ack", value: ack } });
      }
    });
  }

  #admit(request: AdmitRequest) {
    this.asked.push(request);
    if (request.vn?.$case === "vnId" && request.vn.value === vn) {
      return { verdict: { $case: "granted" as const, value: { ...wireVn, vnId: vn } } };
    }
    const denied = { code: DenialCode.DENIAL_CODE_NO_SUCH_VN, reason: "no such VN" };
    return { verdict: { $case: "denied" as const, value: denied } };
  }
}

const wireVn = {
  vnId: 5001,
  name: Buffer.alloc(16, 1),
  alias: "red",
  vni: 7001,
  tenant: "t",
  service: 1,
  mtu: 0,
  flood: 1,
  revision: 1n,
  profile: undefined,
  groups: [],
};
const location = (nveId: string, vtep: string) => ({
  nveId,
  vteps: [Buffer.from(ipOctets(vtep))],
  encapsulations: [1],
});
const mapping = (mac: Mac, ...locations: ReturnType<typeof location>[]) => ({
  vnId: 5001,
  mac: Buffer.from(macOctets(mac)),
  ips: [],
  prefixes: [],
  locations,
  sequence: 1n,
  vnic: Buffer.alloc(16),
  sticky: false,
  anycast: false,
  suspended: false,
  stale: false,
});
const delta = {
  vnId: 5001,
  revision: 2n,
  vn: undefined,
  vnGone: false,
  mappings: [],
  withdrawn: [],
  members: [],
  membersLeft: [],
};
const cursor = (revision: bigint) => ({ storeId, revision });

let folder: string;
let nva: FakeNva;
let client: NvaClient;
let events: NveEvent[];
let all: Report;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "nve-nva-client-"));
  nva = new FakeNva();
  events = [];
  all = nothing;
});
afterEach(async () => {
  client.close();
  await nva.serving?.close();
  rmSync(folder, { recursive: true });
});

function open(...names: string[]): void {
  client = new NvaClient({
    addresses: names.map((name) => `unix:${folder}/${name}`),
    self,
    incarnation: new Uint8Array(16).fill(9),
    clock: systemClock,
    log: createLog("test", "silent"),
    random: () => 0,
    all: () => all,
    onEvent: (event) => events.push(event),
    settled: async () => {},
  });
}

/** Waits until it is so. */
async function until(what: string, is: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!is()) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function connected(): Promise<void> {
  await nva.open(`unix:${folder}/one`);
  open("one");
  await until("connected", () => client.state.is === "connected");
  await until("watch opened", () => nva.watched.length > 0);
}

test("H18: a session begins with who we are and all there is, and goes on with what changes", async () => {
  all = { ...nothing, claims: [claim(a)], joined: [vn] };
  await connected();
  await client.synced([]);
  expect(nva.hellos[0]?.message).toMatchObject({
    value: { versionMin: 1, versionMax: 1, location: { nveId: "tor1" } },
  });
  expect(nva.reports).toMatchObject([{ serial: 1n, joinedVns: [5001], complete: true }]);
  client.report({ ...nothing, withdrawn: [{ vn, mac: a }], left: [vn] });
  await client.synced([]);
  expect(nva.reports[1]).toMatchObject({ serial: 2n, leftVns: [5001], complete: false });
});

test("A15: an address where nothing answers, not even to refuse, is left for another within a second", async () => {
  const mute = createServer(() => undefined); // as a host that is cut off: a connection never comes about
  await new Promise<void>((resolve) => mute.listen(join(folder, "mute.sock"), resolve));
  try {
    await nva.open(`unix:${join(folder, "nva.sock")}`);
    const begun = performance.now();
    open("mute.sock", "nva.sock");
    await until("connected", () => client.state.is === "connected");
    expect(performance.now() - begun).toBeLessThan(2_000); // silence is noticed later
    expect(nva.hellos).toHaveLength(1);
  } finally {
    mute.close();
  }
});

test("H25: a watch that stands still while the session lives: the NVA is lost, and another is tried", async () => {
  await connected();
  const alive = setInterval(() => {
    nva.connect?.write({ message: { $case: "alive", value: {} } });
  }, 500);
  try {
    await until("lost", () => client.state.is === "lost");
    expect(client.state.reason).toMatch(/^nothing heard of the watch for \d{4} ms$/);
    await until("connected again", () => nva.hellos.length > 1);
  } finally {
    clearInterval(alive);
  }
});

test("H26: whom the NVA wants to go is an event, as far as it can be read; a claim says what its station proved", async () => {
  const proven = { ...claim(a), station: b, authenticated: true } as const;
  all = { ...nothing, claims: [proven, claim(b)] };
  await connected();
  const bad = Buffer.from([1, 2, 3]);
  const vnics = [Buffer.from(uuidOctets(vnic)), bad];
  const value = { vnId: vn, vnics, reason: "not\u001b[31m registered" };
  nva.connect?.write({ message: { $case: "disconnect", value: { ...value, vnId: 0 } } });
  nva.connect?.write({ message: { $case: "disconnect", value } });
  await until("told", () => events.some(({ on }) => on === "disconnect"));
  const told = events.filter(({ on }) => on === "disconnect");
  expect(told).toEqual([{ on: "disconnect", vn, vnics: [vnic], reason: expect.any(String) }]);
  expect(JSON.stringify(told)).not.toContain("001b");
  await until("reported", () => nva.reports.length > 0);
  expect(nva.reports[0]?.claims).toMatchObject([
    { station: Buffer.from(macOctets(b)), authenticated: true },
    { station: undefined },
  ]);
});

test("A7: the NVA grants or denies, with its reason", async () => {
  await connected();
  expect(await client.admit(ask, 1000)).toMatchObject({
    is: "granted",
    info: { vn: 5001, vni: 7001, alias: "red" },
  });
  expect(await client.admit({ ...ask, vn: VnId(6001) }, 1000)).toMatchObject({
    is: "denied",
    code: 5,
    reason: "the NVA says no: no such VN",
    unknownVn: true,
  });
});

test("A7: what is asked in one turn is one message; an NVA that takes none is asked one by one", async () => {
  await connected();
  const three = () => Promise.all([1, 2, 3].map(() => client.admit(ask, 1000)));
  for (const verdict of await three()) expect(verdict.is).toBe("granted");
  expect(nva.questions).toEqual([3]);
  client.close();
  nva.admissions = false;
  open("one");
  await until("connected", () => client.state.is === "connected");
  for (const verdict of await three()) expect(verdict.is).toBe("granted");
  expect(nva.questions).toEqual([3]);
  expect(nva.asked).toHaveLength(6);
});

test("A7: questions that are not answered are over with their time, or with the session", async () => {
  await connected();
  nva.answering = false;
  expect(await client.admit(ask, 50)).toEqual({ is: "unreachable", reason: "no answer in time" });
  const verdict = client.admit(ask, 10_000);
  await until("asked", () => nva.questions.length === 2);
  nva.connect?.end();
  expect(await verdict).toMatchObject({ is: "unreachable", reason: "the NVA ended the session" });
});

test("an answer waits for what was reported until then, not for what was reported later", async () => {
  await connected();
  await client.synced([]);
  nva.acknowledging = false;
  client.report({ ...nothing, claims: [claim(a)] });
  const first = client.synced([]).then(() => "stored");
  await until("reported", () => nva.reports.length === 2);
  client.report({ ...nothing, claims: [claim(b)] });
  const second = client.synced([]).then(() => "stored");
  const ack = (serial: bigint) =>
    nva.connect?.write({
      message: { $case: "ack", value: { serial, revision: 1n, refused: [], moving: [] } },
    });
  ack(2n);
  expect(await first).toBe("stored");
  const soon = new Promise((resolve) => setTimeout(() => resolve("waits"), 50));
  expect(await Promise.race([second, soon])).toBe("waits");
  ack(3n);
  expect(await second).toBe("stored");
});

test("A7: an NVA that is away is unreachable, after the time that there is", async () => {
  open("nobody");
  expect(await client.admit(ask, 50)).toMatchObject({ is: "unreachable" });
});

test("A7: a question that comes while the NVA comes is answered", async () => {
  open("one");
  const verdict = client.admit(ask, 4000);
  await nva.open(`unix:${folder}/one`);
  expect(await verdict).toMatchObject({ is: "granted" });
});

test("A15: an address that does not answer is left for the next", async () => {
  await nva.open(`unix:${folder}/two`);
  open("one", "two");
  await until("connected", () => client.state.is === "connected");
  expect(client.state.address).toContain("two");
  expect(events).toEqual([
    { on: "nva", connected: true },
    { on: "suspended", mode: "deliver" },
  ]);
});

test("A16: an NVA of another version is not spoken to", async () => {
  nva.version = 2;
  await nva.open(`unix:${folder}/one`);
  open("one");
  await until("said why", () => client.state.reason.includes("version 2"));
  expect(events).toEqual([]);
});

test("A17: a snapshot and what comes after it reach the core, without ourselves", async () => {
  await connected();
  client.watch([vn]);
  await until("watched", () => nva.watched.some(({ add }) => add.length > 0));
  const known = client.synced([vn]);
  nva.say({ $case: "snapshotBegin", value: { vnId: 5001, cursor: cursor(1n) } });
  nva.say({
    $case: "delta",
    value: {
      ...delta,
      vn: wireVn,
      mappings: [
        mapping(a, location("tor2", "192.0.2.2")),
        mapping(b, location("tor1", "192.0.2.1")),
        { ...mapping(a), mac: Buffer.alloc(5) },
      ],
      members: [location("tor1", "192.0.2.1"), location("tor2", "192.0.2.2")],
    },
  });
  nva.say({ $case: "snapshotEnd", value: { vnId: 5001, cursor: cursor(1n) } });
  await known;
  const tor2 = { nve: "tor2", vtep: "192.0.2.2" };
  expect(events.slice(2)).toEqual([
    { on: "snapshot-begin", vn },
    {
      on: "vn",
      info: { vn, vni: 7001, alias: "red", name: "01010101-0101-0101-0101-010101010101" },
    },
    {
      on: "remote",
      change: {
        vn,
        mappings: [{ mac: a, ips: [], ...tor2 }],
        withdrawn: [b],
        members: [tor2],
        membersLeft: [],
        digests: {
          mappings: [a, b].map((mac) => [mac, expect.any(Uint8Array)]),
          members: ["tor1", "tor2"].map((nve) => [nve, expect.any(Uint8Array)]),
        },
      },
    },
    { on: "snapshot-end", vn },
  ]);
  nva.say({ $case: "delta", value: { ...delta, vnGone: true } });
  await until("gone", () => events.at(-1)?.on === "vn-gone");
});

test("A17: after a loss the watch goes on from where it was, and the report is whole again", async () => {
  await connected();
  client.watch([vn]);
  await until("watched", () => nva.watched.some(({ add }) => add.length > 0));
  nva.say({ $case: "snapshotEnd", value: { vnId: 5001, cursor: cursor(3n) } });
  nva.say({ $case: "bookmark", value: cursor(5n) });
  await until("applied", () => client.state.applied === 5n);
  await until("applied is told", () => nva.watched.some(({ applied }) => applied === 5n));
  all = { ...nothing, claims: [claim(a)], joined: [vn] };
  nva.watched.length = 0;
  nva.reports.length = 0;
  nva.connect?.end();
  await until("lost", () => events.some((event) => event.on === "nva" && !event.connected));
  await until("watched again", () => nva.watched.some(({ add }) => add.length > 0));
  expect(nva.watched[0]?.add).toEqual([{ vnId: 5001, cursor: cursor(5n) }]);
  await until("reported again", () => nva.reports.length > 0);
  expect(nva.reports[0]).toMatchObject({ serial: 1n, complete: true, joinedVns: [5001] });
});

/** The watch is lost: what the next one begins with. */
async function addedAfterLoss() {
  nva.watched.length = 0;
  nva.watch?.end();
  await until("watched again", () => nva.watched.some(({ add }) => add.length > 0));
  return nva.watched.find(({ add }) => add.length > 0)?.add; // what was applied may be told before
}

test("A17: a snapshot that broke off begins anew: there is no cursor for it", async () => {
  await connected();
  client.watch([vn]);
  await until("watched", () => nva.watched.some(({ add }) => add.length > 0));
  nva.say({ $case: "snapshotBegin", value: { vnId: 5001, cursor: cursor(3n) } });
  nva.say({ $case: "bookmark", value: cursor(5n) });
  await until("applied", () => client.state.applied === 5n);
  expect(await addedAfterLoss()).toEqual([{ vnId: 5001, cursor: undefined }]);
});

test("A17: a VN that was left and is watched again begins anew after a loss: what came last may be of before", async () => {
  await connected();
  client.watch([vn]);
  await until("watched", () => nva.watched.some(({ add }) => add.length > 0));
  client.unwatch([vn]);
  client.watch([vn]);
  await until("again", () => nva.watched.filter(({ add }) => add.length > 0).length === 2);
  nva.say({ $case: "snapshotEnd", value: { vnId: 5001, cursor: cursor(3n) } }); // of the first time
  nva.say({ $case: "bookmark", value: cursor(5n) });
  await until("applied", () => client.state.applied === 5n);
  expect(await addedAfterLoss()).toEqual([{ vnId: 5001, cursor: undefined }]);
});

test("V10: a slow NVA is not flooded with reports", async () => {
  await connected();
  await client.synced([]);
  nva.acknowledging = false;
  const before = nva.reports.length;
  for (let i = 0; i < 50; i++) {
    client.report({ ...nothing, claims: [claim(i % 2 ? a : b)] });
  }
  await until("the window is full", () => nva.reports.length - before >= 4);
  for (let i = 0; i < 3; i++) await client.admit(ask, 1000);
  expect(nva.reports.length - before).toBe(4);
});

test("A18: of a VN in pull only what is selected is asked for, and believed; a loss does not change that", async () => {
  await connected();
  client.watch([vn], true);
  client.select(vn, [a], []);
  client.select(vn, [b], [a]);
  await until(
    "selected",
    () => nva.watched.filter(({ select }) => select !== undefined).length === 2,
  );
  const octets = (mac: Mac) => Buffer.from(macOctets(mac));
  expect(nva.watched.find(({ add }) => add.length > 0)?.add[0]).toMatchObject({
    only: { macs: [] },
  });
  expect(nva.watched.at(-1)?.select).toEqual({ vnId: vn, add: [octets(b)], remove: [octets(a)] });
  const both = [a, b].map((mac) => mapping(mac, location("tor2", "192.0.2.2")));
  nva.say({ $case: "delta", value: { ...delta, mappings: both } });
  await until("told", () => events.some(({ on }) => on === "remote"));
  const told = events.find((event) => event.on === "remote");
  expect(told?.on === "remote" && told.change.mappings.map(({ mac }) => mac)).toEqual([b]);
  const before = nva.watched.length;
  nva.watch?.emit("error", { code: 14, details: "lost" });
  await until("resumed", () => nva.watched.slice(before).some(({ add }) => add.length > 0));
  const resumed = nva.watched.slice(before).find(({ add }) => add.length > 0);
  expect(resumed?.add).toMatchObject([{ vnId: vn, only: { macs: [octets(b)] } }]);
});

test("A18: an address is looked up: where it is, nowhere and for how long, or no answer that can be used", async () => {
  await connected();
  const ask = (wanted: Parameters<typeof client.lookup>[1]) => client.lookup(vn, wanted, 1000);
  nva.found = { $case: "found", value: mapping(b, location("tor2", "192.0.2.2")) };
  expect(await ask({ ip: IpAddress("10.0.0.9") })).toMatchObject({
    is: "found",
    mac: b,
    change: { vn, mappings: [{ mac: b, nve: "tor2", vtep: "192.0.2.2" }], withdrawn: [] },
  });
  expect(nva.lookedUp.at(-1)?.address?.$case).toBe("ip");
  nva.found = { $case: "found", value: mapping(b, location("tor1", "192.0.2.1")) };
  expect(await ask({ mac: b })).toMatchObject({ change: { mappings: [], withdrawn: [b] } });
  for (const [lifetimeMs, believed] of [
    [0, 1000],
    [5000, 5000],
    [0xffff_ffff, 3_600_000],
  ] as const) {
    nva.found = { $case: "none", value: { lifetimeMs } };
    expect(await ask({ mac: b })).toEqual({ is: "none", lifetimeMs: believed });
  }
  nva.found = { $case: "found", value: { ...mapping(b), mac: Buffer.alloc(5) } };
  expect(await ask({ mac: b })).toEqual({ is: "unreachable" });
  nva.found = undefined;
  expect(await ask({ mac: b })).toEqual({ is: "unreachable" });
  client.close();
  expect(await ask({ mac: b })).toEqual({ is: "unreachable" });
});
