import { call } from "@nve/program";
import { CreateVnRequest, NveState } from "@nve/protocol-spec/proto/northbound";
import { AdmitRequest, DenialCode } from "@nve/protocol-spec/proto/nve";
import { SuspendedMode } from "@nve/protocol-spec/proto/types";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { claim, ip, macOf, type Rig, rig, uuid } from "./rig.ts";

let nva: Rig;
beforeEach(async () => {
  nva = await rig();
  await call(nva.northbound, nva.northbound.createVn, CreateVnRequest.create({ alias: "blue" }));
});
afterEach(() => nva.stop());

const claims = async () => {
  const answer = await call(nva.northbound, nva.northbound.listClaims, {
    vn: undefined,
    pageSize: 1000,
    pageToken: "",
  });
  return answer.claims.map(({ claim: c, source, best, stale }) => ({
    n: c?.mac.readUInt16BE(4),
    source,
    best,
    stale,
  }));
};
const nves = async () => (await call(nva.northbound, nva.northbound.listNves, {})).nves;

describe("a session", () => {
  test("begins with Hello and Welcome, in the version that both speak (A16)", async () => {
    const tor = nva.connect();
    tor.hello("tor1", "10.0.0.1", { versionMin: 1, versionMax: 9 });
    const { message } = await tor.inbox.next();
    const status = await call(nva.northbound, nva.northbound.status, {});
    expect(message).toEqual({
      $case: "welcome",
      value: {
        version: 1,
        storeId: status.storeId,
        holdMs: 10_000,
        admissions: true,
        suspended: SuspendedMode.SUSPENDED_MODE_DELIVER,
      },
    });
    expect(await nves()).toMatchObject([
      { location: { nveId: "tor1" }, state: NveState.NVE_STATE_CONNECTED },
    ]);
  });

  test("H18: a report is acknowledged, in order, with the revision at which it is stored", async () => {
    const tor = await nva.nve("tor1", "10.0.0.1");
    for (let i = 1; i <= 100; i++) tor.report({ claims: [claim(i)] });
    const acks = [];
    for (let i = 1; i <= 100; i++) {
      const { message } = await tor.inbox.next(({ message: m }) => m?.$case === "ack");
      if (message?.$case === "ack") acks.push(message.value);
    }
    expect(acks.map(({ serial }) => Number(serial))).toEqual(acks.map((_, i) => i + 1));
    const revisions = acks.map(({ revision }) => revision);
    expect(revisions).toEqual([...revisions].sort((a, b) => Number(a - b)));
    expect(await claims()).toHaveLength(100);
  });

  test("A7: questions in one message are answered in one, each by itself", async () => {
    const tor = await nva.nve("tor1", "10.0.0.1");
    const ask = (vn: AdmitRequest["vn"]) => AdmitRequest.create({ nveId: "tor1", vn });
    const requests = [
      ask({ $case: "vnId", value: 1 }),
      ask(undefined),
      ask({ $case: "vnId", value: 77 }),
    ];
    tor.send({ $case: "admissions", value: { serial: 7n, requests } });
    const { message } = await tor.inbox.next(({ message: m }) => m?.$case === "verdicts");
    expect(message).toMatchObject({
      value: {
        serial: 7n,
        responses: [
          { verdict: { $case: "granted", value: { vnId: 1 } } },
          { verdict: { $case: "unusable", value: expect.stringContaining("neither VN ID") } },
          { verdict: { $case: "denied", value: { code: DenialCode.DENIAL_CODE_NO_SUCH_VN } } },
        ],
      },
    });
  });

  test("V10: more questions in one message than there may be end the session, with the reason", async () => {
    const tor = await nva.nve("tor1", "10.0.0.1");
    const requests = Array.from({ length: 257 }, () => AdmitRequest.create({ nveId: "tor1" }));
    tor.send({ $case: "admissions", value: { serial: 1n, requests } });
    expect(await tor.inbox.ended).toContain("257 requests, not 256 at most");
  });

  test("a claim in an unknown VN is refused by itself", async () => {
    const tor = await nva.nve("tor1", "10.0.0.1");
    const ack = await tor.told({ claims: [claim(1, { vnId: 9 }), claim(2)] });
    expect(ack.refused).toEqual([{ key: { vnId: 9, mac: macOf(1) }, reason: "no VN 9" }]);
    expect(await claims()).toMatchObject([{ n: 2 }]);
  });

  test("both sides say that they are alive each second", async () => {
    const tor = await nva.nve("tor1", "10.0.0.1");
    for (let second = 0; second < 10; second++) {
      nva.clock.advance(1000);
      await tor.inbox.next(({ message }) => message?.$case === "alive");
      await tor.told({}); // what is sent before is read before
    }
    expect(await nves()).toMatchObject([{ state: NveState.NVE_STATE_CONNECTED }]);
  });

  test("three seconds of silence: lost; served as stale for the hold time; then gone", async () => {
    const tor = await nva.nve("tor1", "10.0.0.1");
    await tor.told({ joinedVns: [1], claims: [claim(1)] });
    const other = nva.watch("tor2");
    other.ask({ add: [{ vnId: 1, cursor: undefined }] });
    await other.until("snapshotEnd");
    nva.clock.advance(2999);
    expect(await nves()).toMatchObject([{ state: NveState.NVE_STATE_CONNECTED }]);
    nva.clock.advance(1);
    expect(await tor.inbox.ended).toMatch(/^14 nothing heard/);
    await other.delta((text) => text === "vn 1 +1@tor1 stale");
    expect(await nves()).toMatchObject([{ state: NveState.NVE_STATE_STALE, claims: 1 }]);
    nva.clock.advance(9_999);
    expect(await claims()).toEqual([{ n: 1, source: "nve:tor1", best: true, stale: true }]);
    nva.clock.advance(1);
    await other.delta((text) => text === "vn 1 left tor1 -1");
    expect(await nves()).toEqual([]);
  });

  test("back in time, complete: what is named again is fresh, the rest is dropped", async () => {
    const first = await nva.nve("tor1", "10.0.0.1");
    await first.told({ joinedVns: [1], claims: [claim(1), claim(2)], complete: true });
    first.call.end();
    await first.inbox.ended;
    const second = await nva.nve("tor1", "10.0.0.1");
    await second.told({ joinedVns: [1], claims: [claim(1)], complete: true });
    expect(await claims()).toEqual([{ n: 1, source: "nve:tor1", best: true, stale: false }]);
  });

  test("of one NVE id the newer session wins, the older is told why it ends", async () => {
    const older = await nva.nve("tor1", "10.0.0.1");
    await older.told({ joinedVns: [1], claims: [claim(1)] });
    const newer = await nva.nve("tor1", "10.0.0.9");
    expect(await older.inbox.ended).toMatch(/^10 a newer session of NVE "tor1"/);
    await newer.told({ joinedVns: [1], claims: [claim(2)], complete: true });
    expect(await claims()).toMatchObject([{ n: 2, stale: false }]);
    expect(await nves()).toMatchObject([{ location: { vteps: [ip("10.0.0.9")] } }]);
  });
});

describe("what cannot be is refused to that call, and the NVA goes on", () => {
  const good = "10.0.0.1";
  test.each([
    ["a Report before Hello", "3 Report before Hello", (s: Session) => s.report({})],
    [
      "a second Hello",
      "3 Hello: a session has one only",
      (s: Session) => {
        s.hello("a", good);
        s.hello("a", good);
      },
    ],
    [
      "no common version",
      "9 this NVA speaks version 1",
      (s: Session) => s.hello("a", good, { versionMin: 2, versionMax: 3 }),
    ],
    [
      "no location",
      "3 location: missing",
      (s: Session) => s.hello("a", good, { location: undefined }),
    ],
    ["a bad NVE id", "3 NVE id", (s: Session) => s.hello("a b", good)],
    [
      "a short incarnation",
      "3 incarnation: a UUID has 16",
      (s: Session) => s.hello("a", good, { incarnation: Buffer.alloc(3) }),
    ],
    [
      "a short MAC",
      "3 mac: a MAC address has 6 octets, not 3",
      (s: Session) => said(s, { claims: [claim(1, { mac: Buffer.alloc(3) })] }),
    ],
    [
      "a long IP",
      "3 ip: an IP address has 4 or 16",
      (s: Session) => said(s, { claims: [claim(1, { ips: [Buffer.alloc(5)] })] }),
    ],
    [
      "VN ID 0",
      "3 VN ID 0 is not in",
      (s: Session) => said(s, { claims: [claim(1, { vnId: 0 })] }),
    ],
    ["joining VN ID 2^24", "3 VN ID 16777216", (s: Session) => said(s, { joinedVns: [2 ** 24] })],
    [
      "a serial left out",
      "3 Report: serial 7 where 1 is due",
      (s: Session) => said(s, { serial: 7n }),
    ],
    [
      "a control character",
      "3 port: at most 64",
      (s: Session) => said(s, { claims: [claim(1, { port: "e\x1b[2J" })] }),
    ],
  ])("%s", async (_, reason, offend) => {
    const tor = nva.connect();
    offend(tor);
    expect(await tor.inbox.ended).toContain(reason);
    expect(await claims()).toEqual([]);
    await (await nva.nve("tor9", "10.0.0.9")).told({ claims: [claim(9)] });
  });

  test("octets that are no message", async () => {
    const client = nva.nveClient();
    const junk = client.makeBidiStreamRequest(
      "/split_nve.v1.Nve/Connect",
      (octets: Buffer) => octets,
      (octets: Buffer) => octets,
    );
    const failed = new Promise((resolve) => junk.on("error", resolve));
    junk.write(Buffer.from("ffffffffffffffff", "hex"));
    expect(await failed).toMatchObject({ code: expect.any(Number) });
    await nva.nve("tor9", "10.0.0.9");
  });

  type Session = ReturnType<Rig["connect"]>;
  function said(session: Session, report: Parameters<Session["report"]>[0]): void {
    session.hello("tor1", good);
    session.report(report);
  }
});

describe("Admit and Lookup", () => {
  const admit = (
    vn: { $case: "vnId"; value: number } | { $case: "vnName"; value: Buffer } | undefined,
    macs: Buffer[] = [],
  ) => {
    const client = nva.nveClient();
    const addresses = macs.map((mac) => ({ mac, ips: [], prefixes: [] }));
    const request = {
      nveId: "tor1",
      vn,
      vnic: Buffer.alloc(0),
      hypervisor: "",
      port: "",
      addresses,
      station: Buffer.alloc(0),
      authenticated: false,
    };
    return call(client, client.admit, request);
  };

  test("A7: a known VN is granted, by VN ID or name, with its VNI", async () => {
    const { verdict } = await admit({ $case: "vnId", value: 1 });
    expect(verdict).toMatchObject({
      $case: "granted",
      value: { vnId: 1, alias: "blue", vni: 10_001 },
    });
    if (verdict?.$case !== "granted") throw new Error("not granted");
    expect((await admit({ $case: "vnName", value: verdict.value.name })).verdict).toEqual(verdict);
  });

  test("an unknown VN is denied with a reason that names it", async () => {
    const name = "12345678-1234-4234-8234-123456789abc";
    expect((await admit({ $case: "vnId", value: 77 })).verdict).toMatchObject({
      value: { code: 1, reason: expect.stringContaining("VN ID 77") },
    });
    expect((await admit({ $case: "vnName", value: uuid(name) })).verdict).toMatchObject({
      value: { code: 1, reason: expect.stringContaining(name) },
    });
  });

  test("a group address is denied, no VN at all is an error", async () => {
    const verdict = await admit({ $case: "vnId", value: 1 }, [Buffer.from("ffffffffffff", "hex")]);
    expect(verdict).toMatchObject({ verdict: { value: { code: 4 } } });
    await expect(admit(undefined)).rejects.toThrow(/neither VN ID nor VN Name/);
  });

  test("A18: a lookup by MAC or IP finds, or says definitely that there is none, and for how long", async () => {
    const tor = await nva.nve("tor1", "10.0.0.1");
    await tor.told({ claims: [claim(1, { ips: [ip("192.168.0.1"), ip("fd00::1")] })] });
    const client = nva.nveClient();
    const look = (address: { $case: "mac" | "ip"; value: Buffer }, vnId = 1) =>
      call(client, client.lookup, { vnId, address });
    for (const address of [
      { $case: "mac", value: macOf(1) },
      { $case: "ip", value: ip("192.168.0.1") },
      { $case: "ip", value: ip("fd00::1") },
    ] as const)
      expect((await look(address)).answer).toMatchObject({
        value: { mac: macOf(1), locations: [{ nveId: "tor1" }] },
      });
    expect((await look({ $case: "mac", value: macOf(2) })).answer).toEqual({
      $case: "none",
      value: { lifetimeMs: 5000 },
    });
    await expect(look({ $case: "mac", value: macOf(2) }, 5)).rejects.toThrow(/no VN with VN ID 5/);
    await expect(look({ $case: "mac", value: Buffer.alloc(2) })).rejects.toThrow(/6 octets, not 2/);
  });
});
