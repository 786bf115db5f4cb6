import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { systemClock } from "@nve/linux/clock";
import { nvaProgram } from "@nve/nva/cli/main";
import { realOutside } from "@nve/nva/cli/outside";
import { NvaConfig } from "@nve/nva/config";
import { startNva } from "@nve/nva/nva";
import { call, connect, createLog, type Log } from "@nve/program";
import { Tls } from "@nve/program/tls";
import { readTls, type TlsFiles } from "@nve/program/tls-files";
import { IpAddress, NveId } from "@nve/protocol-spec";
import { CreateVnRequest, Kind, NorthboundClient } from "@nve/protocol-spec/proto/northbound";
import { AdmitRequest, LookupRequest, NveClient } from "@nve/protocol-spec/proto/nve";
import { NvaClient } from "@nve/switch-agent/nva-client/client";
import type { Command } from "commander";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  certificates,
  clientSubject,
  nvaSubject,
  nveSubject,
  type TestCa,
} from "../../support/certificates.ts";
import { session, watching } from "./rig.ts";

let folder: string;
let made: ReturnType<typeof certificates>;
let ca: TestCa;
let files: TlsFiles;
let log: Log;
let said: string;
let address: string;
let socket: string;
const closing: (() => unknown)[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "nva-tls-"));
  made = certificates();
  ca = made.ca();
  files = ca.files(nvaSubject);
  said = "";
  const to = new PassThrough();
  to.on("data", (chunk) => {
    said += chunk;
  });
  log = createLog("test", "info", to);
  socket = `unix:${folder}/nva.sock`;
  const config = NvaConfig.parse({
    socket,
    listen: { address: "127.0.0.1:0", tls: files },
    store: { use: "memory" },
  });
  const nva = await startNva(config, systemClock, log);
  closing.push(() => nva.stop());
  address = nva.addresses[1] ?? "";
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  made.remove();
  rmSync(folder, { recursive: true });
});

/** On a busy machine too. */
const waiting = { timeout: 4_000 };
const logged = (pattern: RegExp) => expect.poll(() => said, waiting).toMatch(pattern);

function tls(of: TlsFiles): Tls {
  const opened = new Tls(of, { log, settleMs: 1, everyMs: 20 });
  closing.push(() => opened.close());
  return opened;
}
function nveClient(...names: Parameters<typeof nveSubject>): NveClient {
  const client = connect(NveClient, address, tls(ca.files(nveSubject(...names))));
  closing.push(() => client.close());
  return client;
}
function northbound(subject: Parameters<TestCa["files"]>[0]): NorthboundClient {
  const client = connect(NorthboundClient, address, tls(ca.files(subject)));
  closing.push(() => client.close());
  return client;
}
const vn = CreateVnRequest.create({ alias: "blue" });

describe("an NVE", () => {
  test("H26: is who its certificate says, at the VTEPs that it has", async () => {
    const nve = session(nveClient("tor1", "10.0.1.11").connect());
    nve.hello("tor1", "10.0.1.11");
    const { message } = await nve.inbox.next();
    expect(message?.$case).toBe("welcome");
    expect(await nve.told({ claims: [], complete: true })).toMatchObject({ serial: 1n });
    await logged(/"nve":"tor1".*"session began"/);
  });

  test("H26: with another id it gets no session, and that of the real one goes on", async () => {
    const real = session(nveClient("tor1", "10.0.1.11").connect());
    real.hello("tor1", "10.0.1.11");
    await real.inbox.next();
    const thief = session(nveClient("tor2", "10.0.1.12").connect());
    thief.hello("tor1", "10.0.1.12");
    expect(await thief.inbox.ended).toBe(
      '7 the certificate is of NVE "tor2", and the NVE says that it is "tor1"',
    );
    await logged(/"reason":"the certificate is of NVE \\"tor2\\".*session refused/);
    expect(await real.told({ complete: true })).toMatchObject({ serial: 1n });
  });

  test("H26: with a VTEP that its certificate does not have it gets no session; without any it may have each", async () => {
    const wrong = session(nveClient("tor1", "10.0.1.11").connect());
    wrong.hello("tor1", "10.0.9.9");
    expect(await wrong.inbox.ended).toMatch(
      /^7 NVE "tor1" says VTEP 10.0.9.9, and its certificate has 10.0.1.11/,
    );
    const free = session(nveClient("tor2").connect());
    free.hello("tor2", "10.0.9.9");
    expect((await free.inbox.next()).message?.$case).toBe("welcome");
  });

  test("H26: watches and asks for itself alone", async () => {
    const client = nveClient("tor1", "10.0.1.11");
    const stranger = watching(client.watch(), "tor2");
    stranger.ask({ nveId: "tor2" });
    expect(await stranger.inbox.ended).toMatch(/^7 the certificate is of NVE "tor1"/);
    const own = watching(client.watch(), "tor1");
    own.ask({ nveId: "tor1" });
    await own.until("bookmark");
    const ask = AdmitRequest.create({ nveId: "tor2", vn: { $case: "vnId", value: 1 } });
    await expect(call(client, client.admit, ask)).rejects.toThrow(
      /^the certificate is of NVE "tor1"/,
    );
    await expect(call(client, client.admit, { ...ask, nveId: "tor1" })).resolves.toMatchObject({
      verdict: { $case: "denied" },
    });
    const nve = session(client.connect());
    nve.hello("tor1", "10.0.1.11");
    await nve.inbox.next();
    nve.send({ $case: "admissions", value: { serial: 1n, requests: [ask] } });
    expect(await nve.inbox.ended).toMatch(/^7 the certificate is of NVE "tor1"/);
  });

  test("A13: is no client of the northbound API, nor a client an NVE", async () => {
    const client = northbound(nveSubject("tor1"));
    await expect(call(client, client.listVns, { pageSize: 0, pageToken: "" })).rejects.toThrow(
      "listVns is refused: nve:tor1 is an NVE, no client",
    );
    await logged(/"actor":"nve:tor1","method":"listVns"/);
    const admin = connect(NveClient, address, tls(ca.files(clientSubject("root", "admin"))));
    closing.push(() => admin.close());
    const asNve = session(admin.connect());
    asNve.hello("tor1", "10.0.1.11");
    expect(await asNve.inbox.ended).toBe(
      '7 connect is refused: it is for NVEs, and "root" is a client',
    );
  });

  test("A17: its certificate is replaced while its session goes on; the next one shows the new", async () => {
    const own = ca.files(nveSubject("tor1", "10.0.1.11"));
    const opened = tls(own);
    const client = agent(opened);
    await expect.poll(() => client.state.is, waiting).toBe("connected");
    const next = ca.files(nveSubject("tor1", "10.0.1.11"));
    renameSync(next.key, own.key);
    renameSync(next.certificate, own.certificate);
    const nvaNext = ca.files(nvaSubject);
    renameSync(nvaNext.key, files.key);
    renameSync(nvaNext.certificate, files.certificate);
    await expect.poll(() => said.match(/new certificates taken/g)?.length, waiting).toBe(2);
    expect(client.state.is).toBe("connected");
    expect(said).not.toMatch(/NVA lost/);
    const again = agent(opened);
    await expect.poll(() => again.state.is, waiting).toBe("connected");
  });

  test("without TLS, of another CA, or with an expired certificate: the agent says why it has no NVA", async () => {
    const strange = { ...made.ca().files(nveSubject("tor1")), ca: files.ca };
    const hour = 3_600_000;
    const late = { from: Date.now() - 2 * hour, to: Date.now() - hour };
    for (const [shown, why] of [
      [undefined, /it closed the connection at once: perhaps it wants TLS/],
      [tls(strange), /the client's certificate is of no CA that is trusted here/],
      [tls(made.ca().files(nveSubject("tor1"))), /the server's certificate is of no CA/],
      [tls(ca.files(nveSubject("tor1"), late)), /the client's certificate has expired/],
    ] as const) {
      const client = agent(shown);
      await expect.poll(() => client.state.reason, waiting).toMatch(why);
      client.close();
    }
  });
});

function agent(shown: Tls | undefined): NvaClient {
  const nothing = { claims: [], withdrawn: [], joined: [], left: [] };
  const client = new NvaClient({
    addresses: [address],
    tls: shown,
    self: { nve: NveId("tor1"), vtep: IpAddress("10.0.1.11") },
    incarnation: new Uint8Array(16).fill(9),
    clock: systemClock,
    log,
    random: () => 0,
    all: () => nothing,
    onEvent: () => undefined,
    settled: async () => {},
  });
  closing.push(() => client.close());
  return client;
}

describe("a client", () => {
  const all = { pageSize: 0, pageToken: "" };
  const key = (kind: Kind) => ({ kind, key: "x" });

  test("a viewer looks, and changes nothing", async () => {
    const viewer = northbound(clientSubject("alice", "viewer"));
    expect(await call(viewer, viewer.listVns, all)).toEqual({ vns: [], nextPageToken: "" });
    await expect(call(viewer, viewer.createVn, vn)).rejects.toThrow(
      'createVn is refused: "alice" has the role viewer, and this needs admin',
    );
    expect(await call(viewer, viewer.listVns, all)).toMatchObject({ vns: [] });
    await logged(/"actor":"cert:alice","method":"createVn","reason":"createVn is refused/);
    const nve = connect(NveClient, address, tls(ca.files(clientSubject("alice", "viewer"))));
    closing.push(() => nve.close());
    await expect(call(nve, nve.lookup, LookupRequest.create({ vnId: 7 }))).rejects.toThrow(
      /neither MAC nor IP/,
    );
  });

  test("an operator sees to VNICs and bindings; VNs are the administrator's", async () => {
    const operator = northbound(clientSubject("bob", "operator"));
    await expect(call(operator, operator.createVn, vn)).rejects.toThrow(/this needs admin/);
    const remove = (kind: Kind, force = false) =>
      call(operator, operator.deleteResource, { key: key(kind), force }).catch(String);
    expect(await remove(Kind.KIND_VN)).toMatch(/this needs admin/);
    expect(await remove(Kind.KIND_VNIC)).not.toMatch(/needs/);
    expect(await remove(Kind.KIND_VNIC, true)).toMatch(/this needs admin/);
    const disguised = {
      key: key(Kind.KIND_VNIC),
      revision: 0n,
      of: { $case: "tenant", value: { name: "x", description: "", maxVns: 0 } },
    } as const;
    await expect(call(operator, operator.putResource, { resource: disguised })).rejects.toThrow(
      /this needs admin/,
    );
    const apply = { resources: [], prune: true, force: false, dryRun: false };
    await expect(call(operator, operator.apply, apply)).rejects.toThrow(/this needs admin/);
  });

  test("an administrator does all; the unix socket too, without a certificate", async () => {
    const admin = northbound(clientSubject("root", "admin"));
    expect(await call(admin, admin.createVn, vn)).toMatchObject({ alias: "blue" });
    const local = connect(NorthboundClient, socket);
    closing.push(() => local.close());
    expect(await call(local, local.createVn, { ...vn, alias: "red" })).toMatchObject({ vnId: 2 });
  });

  test("a certificate of our CA that names nobody here may do nothing", async () => {
    const nobody = ca.files({ ...clientSubject("x", "admin"), id: "not a name" });
    const shown = { current: readTls(nobody) }; // a program of ours would refuse it for itself
    const client = connect(NorthboundClient, address, shown);
    closing.push(() => client.close());
    await expect(call(client, client.status, {})).rejects.toThrow(
      /^status is refused: its certificate has the name .* is not like/,
    );
  });
});

describe("nva …", () => {
  async function lines(...words: string[]): Promise<string[]> {
    const printed: string[] = [];
    const program = nvaProgram({ ...realOutside, print: (line) => printed.push(line) });
    const quiet = (one: Command): void => {
      one.exitOverride().configureOutput({ writeErr: () => {} });
      for (const below of one.commands) quiet(below);
    };
    quiet(program);
    await program.parseAsync(["node", "nva", ...words]);
    return printed;
  }
  const shown = ({ certificate, key, ca: trusted }: TlsFiles) => [
    ...["--address", address, "--cert", certificate],
    ...["--key", key, "--ca", trusted],
  ];

  test("shows a certificate, by options or by the environment", async () => {
    const alice = ca.files(clientSubject("alice", "viewer"));
    const status = JSON.parse((await lines("status", "--json", ...shown(alice))).join(""));
    expect(Date.parse(status.certificateValidTo)).toBeGreaterThan(Date.now());
    const variables = {
      NVA_ADDRESS: address,
      NVA_CERT: alice.certificate,
      NVA_KEY: alice.key,
      NVA_CA: alice.ca,
    };
    Object.assign(process.env, variables);
    try {
      expect((await lines("status")).join()).toMatch(/certificate valid to/);
      await expect(lines("vn", "create", "blue")).rejects.toThrow(/this needs admin/);
    } finally {
      for (const name of Object.keys(variables)) delete process.env[name];
    }
  });

  test("without a certificate it says what to say; --insecure finds TLS there", async () => {
    await expect(lines("status", "--address", address)).rejects.toThrow(
      /: to talk TLS say --cert, --key, --ca too/,
    );
    await expect(lines("status", "--address", address, "--insecure")).rejects.toThrow(
      /perhaps it wants TLS/,
    );
    const { certificate } = files;
    await expect(lines("status", "--address", address, "--cert", certificate)).rejects.toThrow(
      /say --key, --ca too/,
    );
  });
});
