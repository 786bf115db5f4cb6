import { once } from "node:events";
import { chmodSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, connect as netConnect, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { connect as connectTls, createSecureContext } from "node:tls";
import { call, connect, createLog, serve, unary } from "@nve/program";
import { Tls } from "@nve/program/tls";
import { readTls, type TlsFiles } from "@nve/program/tls-files";
import {
  NorthboundClient,
  NorthboundService,
  NvaStatus,
} from "@nve/protocol-spec/proto/northbound";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  certificates,
  clientSubject,
  nvaSubject,
  nveSubject,
  over,
  type TestCa,
} from "../../support/certificates.ts";

let folder: ReturnType<typeof certificates>;
let ca: TestCa;
let said: string;
const closing: (() => unknown)[] = [];

beforeEach(() => {
  folder = certificates();
  ca = folder.ca();
  said = "";
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  folder.remove();
});

function heard() {
  const to = new PassThrough();
  to.on("data", (chunk) => {
    said += chunk;
  });
  return createLog("test", "debug", to);
}

function tls(files: TlsFiles): Tls {
  const made = new Tls(files, { log: heard(), settleMs: 1, everyMs: 20 });
  closing.push(() => made.close());
  return made;
}

async function server(files: TlsFiles | undefined, address = "127.0.0.1:0") {
  const log = heard();
  const secure = { tls: files === undefined ? undefined : tls(files), log };
  const status = unary(() => NvaStatus.fromPartial({ vns: 7 }));
  const serving = await serve(
    address,
    [{ definition: NorthboundService, implementation: { status } }],
    secure,
  );
  closing.push(() => serving.close());
  return serving.address;
}

function ask(address: string, files: TlsFiles | undefined) {
  const client = connect(NorthboundClient, address, files === undefined ? undefined : tls(files));
  closing.push(() => client.close());
  return call(client, client.status, {}, 3_000);
}

const alice = clientSubject("alice", "viewer");

test("both show a certificate of the other's CA: they talk", async () => {
  const address = await server(ca.files(nvaSubject));
  expect(await ask(address, ca.files(alice))).toMatchObject({ vns: 7 });
});

test("plain TCP, said so on both sides, and a second call on the same connection", async () => {
  const address = await server(undefined);
  expect(await ask(address, undefined)).toMatchObject({ vns: 7 });
  expect(await ask(address, undefined)).toMatchObject({ vns: 7 });
  expect(said).toBe("");
});

/** What was logged, when it has been. */
const logged = async (pattern: RegExp) =>
  expect.poll(() => said, { timeout: 4_000 }).toMatch(pattern);

test("a client of another CA that trusts us is told why, and reaches no service", async () => {
  const address = await server(ca.files(nvaSubject));
  const files = { ...folder.ca().files(alice), ca: ca.files(alice).ca };
  await expect(ask(address, files)).rejects.toThrow(/^the client's certificate is of no CA that/);
  await logged(/"peer":"127.0.0.1","reason":"the client's certificate is of no CA/);
});

test("a client that does not trust the server's CA says so; the server knows only that it went", async () => {
  const address = await server(ca.files(nvaSubject));
  await expect(ask(address, folder.ca().files(alice))).rejects.toThrow(
    /^cannot talk to 127.*: the server's certificate is of no CA that is trusted here/,
  );
  await logged(
    /"peer":"127.0.0.1","reason":"the client went away in the handshake: it may not trust/,
  );
});

test("an expired client, an expired server", async () => {
  const address = await server(ca.files(nvaSubject));
  await expect(ask(address, ca.files(alice, over()))).rejects.toThrow(
    /^the client's certificate has expired: issue another/,
  );
  await logged(/"reason":"the client's certificate has expired/);
  const other = await server(ca.files(nvaSubject, over()));
  await expect(ask(other, ca.files(alice))).rejects.toThrow(
    /: the server's certificate has expired: issue another/,
  );
});

test("plain TCP to a port with TLS, and TLS to one without: both ends say what is wrong", async () => {
  const address = await server(ca.files(nvaSubject));
  await expect(ask(address, undefined)).rejects.toThrow(
    /closed the connection at once: perhaps it wants TLS/,
  );
  await logged(/"level":40.*"peer":"127.0.0.1","reason":"the other side does not speak TLS/);
  const plain = await server(undefined);
  await expect(ask(plain, ca.files(alice))).rejects.toThrow(
    /^cannot talk to .*: the other side does not speak TLS/,
  );
  await logged(/"peer":"127.0.0.1","reason":"the client speaks TLS, and here is plain TCP/);
});

test("who answers must have the address among its names, and be an NVA", async () => {
  const elsewhere = await server(ca.files({ ...nvaSubject, ips: [], dns: ["nva.example"] }));
  await expect(ask(elsewhere, ca.files(alice))).rejects.toThrow(
    /does not have the address that was/,
  );
  const byName = (await server(ca.files({ ...nvaSubject, ips: [] }))).replace(
    "127.0.0.1",
    "localhost",
  );
  expect(await ask(byName, ca.files(alice))).toMatchObject({ vns: 7 });
  const nve = await server(ca.files({ ...nveSubject("tor1", "127.0.0.1") }));
  await expect(ask(nve, ca.files(alice))).rejects.toThrow(/is not for this side of TLS/);
});

test("a client without a certificate is told so", async () => {
  const address = await server(ca.files(nvaSubject));
  const { ca: trusted } = ca.files(alice);
  const context = createSecureContext({ ca: readFileSync(trusted) });
  const bare = { current: { ...readTls(ca.files(alice)), context } };
  const client = connect(NorthboundClient, address, bare);
  closing.push(() => client.close());
  await expect(call(client, client.status, {})).rejects.toThrow(
    "the client has shown no certificate",
  );
  await logged(/"reason":"the client has shown no certificate","msg":"TLS client turned away"/);
});

test("TLS 1.2 is refused", async () => {
  const [, port] = (await server(ca.files(nvaSubject))).split(":");
  const { certificate, key } = ca.files(alice);
  const socket = connectTls({
    port: Number(port),
    host: "127.0.0.1",
    maxVersion: "TLSv1.2",
    rejectUnauthorized: false,
    cert: readFileSync(certificate),
    key: readFileSync(key),
  });
  const [error] = await once(socket, "error");
  expect(String(error)).toMatch(/protocol version/i);
  await logged(/the other side has no TLS 1.3/);
});

test("of a thousand who finish no handshake none costs the next one its place for long", async () => {
  const address = await server(ca.files(nvaSubject));
  const port = Number(address.split(":")[1]);
  const held = Array.from({ length: 1_010 }, () => netConnect(port, "127.0.0.1"));
  closing.push(() => {
    for (const socket of held) socket.destroy();
  });
  for (const socket of held) socket.on("error", () => undefined);
  await expect.poll(() => said, { timeout: 20_000 }).toMatch(/too many unfinished TLS handshakes/);
  await expect(ask(address, ca.files(alice))).rejects.toThrow(/cannot talk to|nobody answers/);
  for (const socket of held) socket.destroy();
  await expect
    .poll(() => ask(address, ca.files(alice)).catch(String), { timeout: 20_000 })
    .toMatchObject({ vns: 7 });
}, 60_000);

test("who connects and goes without a word is no warning", async () => {
  const [, port] = (await server(ca.files(nvaSubject))).split(":");
  const socket = netConnect(Number(port), "127.0.0.1");
  await once(socket, "connect");
  socket.end();
  await logged(/"level":20.*TLS handshake failed/);
  expect(said).not.toMatch(/"level":40/);
});

test("who connects and says nothing, or rubbish, is closed; the others are served", async () => {
  const address = await server(ca.files(nvaSubject));
  const [, port] = address.split(":");
  const [silent, loud] = [
    netConnect(Number(port), "127.0.0.1"),
    netConnect(Number(port), "127.0.0.1"),
  ];
  closing.push(() => silent.destroy());
  loud.on("error", () => undefined);
  loud.write(Buffer.alloc(20_000, 0xa5));
  await once(loud, "close");
  expect(await ask(address, ca.files(alice))).toMatchObject({ vns: 7 });
});

test("damaged handshakes cost their own connection and nothing else", async () => {
  const address = await server(ca.files(nvaSubject));
  const port = Number(address.split(":")[1]);
  const hello = await clientHello();
  const damaged = Array.from({ length: 60 }, (_, i) => {
    const octets = Buffer.from(hello.subarray(0, i % 3 === 0 ? i * 7 : hello.length));
    const at = octets.length === 0 ? 0 : (i * 37) % octets.length;
    if (octets.length > 0) octets.writeUInt8(octets.readUInt8(at) ^ (1 << (i % 8)), at);
    return octets;
  });
  await Promise.all(
    damaged.map(async (octets) => {
      const socket = netConnect(port, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.resume();
      socket.end(octets);
      await once(socket, "close");
    }),
  );
  expect(await ask(address, ca.files(alice))).toMatchObject({ vns: 7 });
});

/** The first flight of a client of ours. */
async function clientHello(): Promise<Buffer> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const client = connectTls({ port, host: "127.0.0.1" });
  client.on("error", () => undefined);
  const [socket] = (await once(listener, "connection")) as [Socket];
  const [octets] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  listener.close();
  return octets;
}

/** Another certificate in the place of one that is in use. */
function replace(old: TlsFiles, by: TlsFiles): void {
  renameSync(by.key, old.key);
  renameSync(by.certificate, old.certificate);
}

test("new files are taken while a session goes on; who connects later sees the new ones", async () => {
  const files = ca.files(nvaSubject);
  const address = await server(files);
  const client = connect(NorthboundClient, address, tls(ca.files(alice)));
  closing.push(() => client.close());
  await call(client, client.status, {});
  const before = await serialAt(address);
  replace(files, ca.files(nvaSubject));
  await logged(/new certificates taken/);
  expect(await call(client, client.status, {}), "the session goes on").toMatchObject({ vns: 7 });
  expect(await serialAt(address)).not.toBe(before);
  expect(await ask(address, ca.files(alice))).toMatchObject({ vns: 7 });
});

test("a client that connects anew shows its new certificate, and trusts its new CA", async () => {
  const next = folder.ca();
  const own = ca.files(alice);
  own.ca = folder.put("own-ca.pem", readFileSync(own.ca, "utf8"));
  const address = await server(ca.files(nvaSubject));
  const client = connect(NorthboundClient, address, tls(own));
  closing.push(() => client.close());
  await call(client, client.status, {});
  await closing.splice(1, 1)[0]?.(); // the server
  replace(own, next.files(alice));
  folder.put("own-ca.pem", next.pair.certificate.toString());
  await logged(/new certificates taken/);
  await server(next.files(nvaSubject), address);
  await expect
    .poll(() => call(client, client.status, {}).catch(String), { timeout: 4_000 })
    .toMatchObject({ vns: 7 });
});

test("a CA that is trusted no more: its clients are turned away from then on", async () => {
  const next = folder.ca();
  const files = next.files(nvaSubject);
  const both = folder.put("both.pem", `${next.pair.certificate}${ca.pair.certificate}`);
  const address = await server({ ...files, ca: both });
  const old = { ...ca.files(alice), ca: both };
  expect(await ask(address, old)).toMatchObject({ vns: 7 });
  folder.put("both.pem", next.pair.certificate.toString());
  await logged(/new certificates taken/);
  await expect(ask(address, old)).rejects.toThrow(/of no CA that is trusted here/);
  expect(await ask(address, next.files(alice))).toMatchObject({ vns: 7 });
});

test("a ticket from before does not help a client whose CA is trusted no more", async () => {
  const files = ca.files(nvaSubject);
  files.ca = folder.put("own-ca.pem", readFileSync(files.ca, "utf8"));
  const address = await server(files);
  const { certificate, key } = ca.files(alice);
  const options = {
    port: Number(address.split(":")[1]),
    host: "127.0.0.1",
    ALPNProtocols: ["h2"],
    rejectUnauthorized: false,
    cert: readFileSync(certificate),
    key: readFileSync(key),
  };
  const first = connectTls(options);
  const [session] = (await once(first, "session")) as [Buffer];
  first.destroy();
  const resumed = connectTls({ ...options, session });
  await once(resumed, "secureConnect");
  expect(resumed.isSessionReused()).toBe(true);
  resumed.destroy();
  folder.put("own-ca.pem", folder.ca().pair.certificate.toString());
  await logged(/new certificates taken/);
  const again = connectTls({ ...options, session });
  await once(again, "secureConnect");
  expect(again.isSessionReused()).toBe(false);
  again.destroy();
});

async function serialAt(address: string): Promise<string> {
  const [, port] = address.split(":");
  const { certificate, key } = ca.files(alice);
  const socket = connectTls({
    port: Number(port),
    host: "127.0.0.1",
    rejectUnauthorized: false,
    cert: readFileSync(certificate),
    key: readFileSync(key),
  });
  await once(socket, "secureConnect");
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

test.each([
  [
    "a certificate that is none",
    (files: TlsFiles) => writeFileSync(files.certificate, "nothing"),
    /no certificate in PEM/,
  ],
  [
    "a key of another",
    (files: TlsFiles) => renameSync(ca.files(alice).key, files.key),
    /is not the key of/,
  ],
  [
    "a key that others may read",
    (files: TlsFiles) => chmodSync(files.key, 0o644),
    /has mode 0644: others must not/,
  ],
  ["no file", (files: TlsFiles) => unlinkSync(files.ca), /tls\.ca: cannot read/],
  [
    "a certificate that is over",
    (files: TlsFiles) => replace(files, ca.files(nvaSubject, over())),
    /is valid from .* only/,
  ],
  [
    "a certificate without a name of ours",
    (files: TlsFiles) => replace(files, ca.files({ ...nvaSubject, id: "no name" })),
    /which is not like/,
  ],
])(
  "%s: the old one stays, one error is logged; the right one is taken then",
  async (_, spoil, why) => {
    const files = { ...ca.files(nvaSubject) };
    files.ca = folder.put("own-ca.pem", readFileSync(files.ca, "utf8"));
    const kept = readFileSync(files.ca, "utf8");
    const address = await server(files);
    spoil(files);
    await logged(why);
    expect(await ask(address, ca.files(alice))).toMatchObject({ vns: 7 });
    expect(said.match(/cannot be used: the old ones stay/g)).toHaveLength(1);
    folder.put("own-ca.pem", kept);
    replace(files, ca.files(nvaSubject));
    await logged(/new certificates taken/);
    expect(() => new Tls(files, { log: heard() }).close()).not.toThrow();
  },
);

test.each([
  ["certificate", "/nowhere/x.pem", /tls\.certificate: cannot read the file: ENOENT/],
  ["key", "/nowhere/x.pem", /tls\.key: cannot read/],
  ["ca", "/", /is no file/],
])("at start a file that cannot be used is refused: %s", (key, path, why) => {
  expect(() => new Tls({ ...ca.files(alice), [key]: path }, { log: heard() })).toThrow(why);
});

test("a warning once a day when a third of the lifetime is left, an error when it is over", async () => {
  const from = Date.now();
  const files = ca.files(alice, { from, to: from + 90 * DAY });
  let now = from + 59 * DAY;
  const watched = new Tls(files, { log: heard(), now: () => now, everyMs: 2 });
  closing.push(() => watched.close());
  expect([said, watched.fault]).toEqual(["", ""]);
  now = from + 61 * DAY;
  await logged(/"level":40.*expires soon/);
  expect(said.match(/expires soon/g)).toHaveLength(1);
  expect(watched.fault).toBe("the certificate expires soon");
  now += DAY;
  await expect.poll(() => said.match(/expires soon/g)).toHaveLength(2);
  now = from + 91 * DAY;
  await logged(/"level":50.*has expired/);
  expect(watched.fault).toBe("the certificate has expired");
});

const DAY = 86_400_000;
