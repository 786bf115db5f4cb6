import { execFileSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pkiCommand } from "@nve/nva/cli/pki";
import { lockFolder } from "@nve/nva/store/lock";
import { certified } from "@nve/program/certified";
import { readTls } from "@nve/program/tls-files";
import { Command } from "commander";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

let at: string;
let folder: string;

beforeEach(() => {
  at = mkdtempSync(join(tmpdir(), "nve-pki-"));
  folder = join(at, "deep", "pki");
});
afterEach(() => rmSync(at, { recursive: true, force: true }));

/** What `nva pki …` prints; for people beside it, and the exit code, in `said`. */
const said = { notes: [] as string[], exitCode: 0 };
async function pki(...words: string[]): Promise<string> {
  const lines: string[] = [];
  Object.assign(said, { notes: [], exitCode: 0 });
  const outside = {
    print: (line: string) => lines.push(line),
    note: (line: string) => said.notes.push(line),
    exitWith: (code: number) => Object.assign(said, { exitCode: code }),
  };
  const program = new Command("nva").addCommand(pkiCommand(outside));
  for (const one of [program, ...program.commands, ...program.commands.flatMap((c) => c.commands)])
    one.exitOverride().configureOutput({ writeErr: () => {}, writeOut: (s) => lines.push(s) });
  await program.parseAsync(["node", "nva", "pki", ...words]);
  return lines.join("\n");
}
const list = async () => JSON.parse(await pki("list", folder, "--json"));
const certificate = (name: string) =>
  new X509Certificate(readFileSync(join(folder, name, "certificate.pem")));
const filesOf = (name: string) => ({
  certificate: join(folder, name, "certificate.pem"),
  key: join(folder, name, "key.pem"),
  ca: join(folder, name, "ca.pem"),
});
const countIn = (file: string) => readFileSync(file, "utf8").match(/BEGIN CERT/g)?.length;

describe("init and issue", () => {
  test("a CA and certificates that a program can use, for their owner alone", async () => {
    expect(await pki("init", folder)).toMatch(/^CA made in .*pki, valid to 20\d\d-/);
    await pki("issue", folder, "nve", "tor1", "--ip", "10.0.1.11", "--ip", "2001:db8::1");
    await pki("issue", folder, "nva", "nva-1", "--dns", "nva.example", "--ip", "192.0.2.10");
    expect(await pki("issue", folder, "client", "alice")).toMatch(
      /^client\/alice: valid to .*; bring these to its owner:\n {2}.*alice\/certificate.pem\n/,
    );
    expect(readTls(filesOf("nve/tor1"))).toMatchObject({
      name: { is: "nve", id: "tor1", ips: ["10.0.1.11", "2001:db8::1"] },
    });
    expect(readTls(filesOf("client/alice"))).toMatchObject({
      name: { is: "client", id: "alice", role: "viewer" },
    });
    expect(certificate("nva/nva-1").checkHost("nva.example")).toBe("nva.example");
    expect(certificate("nva/nva-1").checkIP("192.0.2.10")).toBe("192.0.2.10");
    const { asymmetricKeyType, asymmetricKeyDetails } = createPrivateKey(
      readFileSync(filesOf("nve/tor1").key),
    );
    expect([asymmetricKeyType, asymmetricKeyDetails?.namedCurve]).toEqual(["ec", "prime256v1"]);
    for (const one of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const { mode } = statSync(join(one.parentPath, one.name));
      expect(mode & 0o777, one.name).toBe(one.isDirectory() ? 0o700 : 0o600);
    }
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  test("openssl finds them right in its strict mode, for the sides that they are for", async () => {
    if (!existsSync("/usr/bin/openssl")) return;
    await pki("init", folder);
    await pki("issue", folder, "nve", "tor1", "--ip", "10.0.1.11");
    await pki("issue", folder, "nva", "nva-1", "--ip", "10.0.1.1");
    const verify = (name: string, purpose: string) => {
      const { certificate, ca } = filesOf(name);
      const words = ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", ca, certificate];
      return execFileSync("openssl", words, { encoding: "utf8", stdio: "pipe" });
    };
    expect(verify("nve/tor1", "sslclient")).toMatch(/: OK/);
    expect(verify("nva/nva-1", "sslclient")).toMatch(/: OK/);
    expect(verify("nva/nva-1", "sslserver")).toMatch(/: OK/);
    expect(() => verify("nve/tor1", "sslserver")).toThrow(/certificate purpose/);
  });

  test("no certificate outlives its CA", async () => {
    await pki("init", folder, "--days", "10");
    await pki("issue", folder, "nve", "tor1");
    const ca = new X509Certificate(readFileSync(join(folder, "ca.pem")));
    expect(certificate("nve/tor1").validTo).toBe(ca.validTo);
  });

  test("nothing is written over without --force", async () => {
    await pki("init", folder);
    await pki("issue", folder, "nve", "tor1");
    const [ca, own] = [readFileSync(join(folder, "ca.pem")), readFileSync(filesOf("nve/tor1").key)];
    await expect(pki("init", folder)).rejects.toThrow(/has a CA already/);
    await expect(pki("issue", folder, "nve", "tor1")).rejects.toThrow(/has a certificate already/);
    expect(readFileSync(join(folder, "ca.pem"))).toEqual(ca);
    expect(readFileSync(filesOf("nve/tor1").key)).toEqual(own);
    await pki("issue", folder, "nve", "tor1", "--force", "--ip", "10.0.0.1");
    expect(readFileSync(filesOf("nve/tor1").key)).not.toEqual(own);
    await pki("init", folder, "--force");
    expect(await list()).toMatchObject([{ name: "nve/tor1", signedBy: "old CA" }]);
  });

  test.each([
    [["nve", "tor 1"], /"tor 1"/],
    [["nve", ".."], /cannot be the name of a folder/],
    [["server", "x"], /is not nve, nva, hypervisor, etcd or client/],
    [["nva", "x"], /say at which --ip or --dns/],
    [["nve", "x", "--ip", "10.0.0"], /"10.0.0" is not an IP address/],
    [["nva", "x", "--dns", "a,b"], /"a,b" is no host name/],
    [["nve", "x", "--role", "admin"], /--role is for clients/],
    [["client", "x", "--role", "root"], /Allowed choices are viewer, operator, admin/],
    [["client", "x", "--days", "0"], /0 is not in 1\.\.36500/],
  ])("%j is refused, and leaves nothing", async (words, why) => {
    await pki("init", folder);
    await expect(pki("issue", folder, ...words)).rejects.toThrow(why);
    expect(readdirSync(folder).sort()).toEqual(["ca.key", "ca.pem"]);
  });

  test("a folder that others can look into, that has no CA, or whose key is another's", async () => {
    await expect(pki("list", folder)).rejects.toThrow(/has no CA: make one with `nva pki init/);
    await pki("init", folder);
    chmodSync(folder, 0o750);
    await expect(pki("issue", folder, "nve", "tor1")).rejects.toThrow(/`chmod 700` it/);
    chmodSync(folder, 0o700);
    const other = join(at, "other");
    await pki("init", other);
    writeFileSync(join(folder, "ca.key"), readFileSync(join(other, "ca.key")));
    await expect(pki("issue", folder, "nve", "tor1")).rejects.toThrow(/is of no certificate in/);
  });
});

describe("list and rotate", () => {
  test("what was issued, with names, role and days left", async () => {
    await pki("init", folder);
    expect(await pki("list", folder)).toBe("nothing has been issued");
    await pki("issue", folder, "nve", "tor1", "--ip", "10.0.1.11", "--days", "30");
    await pki("issue", folder, "client", "bob", "--role", "admin");
    expect(await list()).toMatchObject([
      { name: "nve/tor1", ips: ["10.0.1.11"], daysLeft: 29, signedBy: "current CA", role: "" },
      { name: "client/bob", role: "admin", files: filesOf("client/bob") },
    ]);
    expect((await pki("list", folder)).split("\n")[0]).toMatch(/^NAME +ROLE +NAMES +VALID TO/);
  });

  test("a name gets a new key and certificate with all that the old one had", async () => {
    await pki("init", folder);
    await pki("issue", folder, "nva", "nva-1", "--ip", "::1", "--dns", "a.example", "--days", "30");
    const [before, key] = [certificate("nva/nva-1"), readFileSync(filesOf("nva/nva-1").key)];
    await pki("rotate", folder, "nva-1");
    const after = certificate("nva/nva-1");
    expect(after.subjectAltName).toBe(before.subjectAltName);
    expect(after.serialNumber).not.toBe(before.serialNumber);
    expect(readFileSync(filesOf("nva/nva-1").key)).not.toEqual(key);
    const days = (Date.parse(after.validTo) - Date.parse(after.validFrom)) / 86_400_000;
    expect(Math.round(days)).toBe(30);
    await expect(pki("rotate", folder, "tor9")).rejects.toThrow(/no certificate of "tor9"/);
  });

  test("of several names all are replaced or none, each once", async () => {
    await pki("init", folder);
    await pki("issue", folder, "nve", "tor1");
    await pki("issue", folder, "nve", "tor2");
    const before = certificate("nve/tor1").serialNumber;
    await expect(pki("rotate", folder, "nve/tor1", "nve/tor9")).rejects.toThrow(/of "nve\/tor9"/);
    expect(certificate("nve/tor1").serialNumber).toBe(before);
    const told = await pki("rotate", folder, "nve/tor1", "tor1", "tor2");
    expect(told.match(/^nve\/tor\d/gm)).toEqual(["nve/tor1", "nve/tor2"]);
  });

  test("a name that is an NVE's and a client's has to be told apart", async () => {
    await pki("init", folder);
    await pki("issue", folder, "nve", "x");
    await pki("issue", folder, "client", "x");
    await expect(pki("rotate", folder, "x")).rejects.toThrow("say which: nve/x, client/x");
    await pki("rotate", folder, "client/x");
  });

  test("another CA: both are trusted until it is finished, and that waits for all certificates", async () => {
    await pki("init", folder);
    await pki("issue", folder, "nve", "tor1");
    await expect(pki("rotate", folder, "--finish")).rejects.toThrow(/there is nothing to finish/);
    expect(await pki("rotate", folder)).toMatch(/^1\. both CAs.*\n2\..*\n3\. .*--finish/);
    const trusted = readFileSync(join(folder, "ca.pem"), "utf8");
    expect(countIn(join(folder, "ca.pem"))).toBe(2);
    expect(readFileSync(filesOf("nve/tor1").ca, "utf8")).toBe(trusted);
    expect(await list()).toMatchObject([{ name: "nve/tor1", signedBy: "old CA" }]);
    await expect(pki("rotate", folder)).rejects.toThrow(/finish with/);
    await expect(pki("rotate", folder, "--finish")).rejects.toThrow(
      /of the old CA are still nve\/tor1/,
    );
    await expect(pki("rotate", folder, "nve/tor1", "--finish")).rejects.toThrow(
      /goes with no name/,
    );
    await pki("rotate", folder, "nve/tor1");
    expect(await list()).toMatchObject([{ name: "nve/tor1", signedBy: "current CA" }]);
    await pki("rotate", folder, "--finish");
    expect(countIn(filesOf("nve/tor1").ca)).toBe(1);
    expect(() => readTls(filesOf("nve/tor1"))).not.toThrow();
    await pki("rotate", folder);
    await pki("rotate", folder, "--finish", "--force");
    expect(await list()).toMatchObject([{ name: "nve/tor1", signedBy: "old CA" }]);
  });
});

describe("what cannot be read", () => {
  const broken = async () => {
    await pki("init", folder);
    for (const name of ["tor1", "tor2", "tor3", "tor4"]) await pki("issue", folder, "nve", name);
    writeFileSync(filesOf("nve/tor1").certificate, "no certificate");
    const pem = readFileSync(filesOf("nve/tor2").certificate, "utf8");
    writeFileSync(filesOf("nve/tor2").certificate, pem.replace(/^M/m, "A"));
    rmSync(filesOf("nve/tor3").certificate);
  };

  test("list says which files and why, exits 1, and lists the others", async () => {
    await broken();
    expect(await list()).toMatchObject([{ name: "nve/tor4" }]);
    expect(said).toEqual({
      exitCode: 1,
      notes: [
        expect.stringMatching(/^error: nve\/tor1 is left out: .*tor1\/certificate.pem has no cert/),
        expect.stringMatching(/^error: nve\/tor2 .*tor2\/certificate.pem has a .* cannot be read$/),
        expect.stringMatching(/^error: nve\/tor3 is left out: cannot read .*tor3.*ENOENT/),
      ],
    });
  });

  test("a certificate in another's folder is not taken for that one's", async () => {
    await pki("init", folder);
    for (const name of ["tor1", "tor2"]) await pki("issue", folder, "nve", name);
    const other = readFileSync(filesOf("nve/tor1").certificate);
    writeFileSync(filesOf("nve/tor2").certificate, other);
    expect(await list()).toHaveLength(1);
    expect(said.notes[0]).toMatch(/nve\/tor2 .*tor2\/certificate.pem is of nve\/tor1$/);
  });

  test("the old CA is not given up for what may be of it, and issuing anew mends that", async () => {
    await broken();
    await pki("rotate", folder);
    await pki("rotate", folder, "tor4");
    await expect(pki("rotate", folder, "--finish")).rejects.toThrow(
      /which CA these are: nve\/tor1 \(.*, nve\/tor2 \(.*, nve\/tor3 \(/,
    );
    expect(countIn(join(folder, "ca.pem"))).toBe(2);
    await expect(pki("rotate", folder, "tor1")).rejects.toThrow(/issue` nve\/tor1 anew/);
    for (const name of ["tor1", "tor2", "tor3"]) await pki("issue", folder, "nve", name, "--force");
    expect(await list()).toHaveLength(4);
    expect(said.exitCode).toBe(0);
    await pki("rotate", folder, "--finish");
  });
});

describe("two runs in one folder", () => {
  test("wait for one another: a CA and its key stay together", async () => {
    await pki("init", folder);
    const outcomes = await Promise.allSettled([pki("rotate", folder), pki("rotate", folder)]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const names = Array.from({ length: 8 }, (_, i) => `tor${i}`);
    await Promise.all(names.map((name) => pki("issue", folder, "nve", name)));
    await Promise.all(names.map(() => pki("issue", folder, "nve", "same", "--force")));
    expect(await list()).toHaveLength(9);
    expect(() => readTls(filesOf("nve/same"))).not.toThrow();
    expect(readdirSync(folder).sort()).toEqual(["ca.key", "ca.pem", "nve"]);
  });

  test("of another process, too: what it holds is changed when it lets go", async () => {
    await pki("init", folder);
    const lock = await lockFolder(folder);
    const work = [
      ["rotate", folder],
      ["issue", folder, "nve", "tor1"],
      ["init", folder, "--force"],
    ];
    const runs = work.map((words) => pki(...words));
    await new Promise((resolve) => setTimeout(resolve, 200)); // that nothing happens takes a while
    expect(readdirSync(folder).sort()).toEqual(["ca.key", "ca.pem", "in-use"]);
    expect(countIn(join(folder, "ca.pem"))).toBe(1);
    await lock.release();
    await Promise.all(runs);
    expect(readdirSync(folder).sort()).toEqual(["ca.key", "ca.pem", "nve"]);
  });
});

describe("whom a certificate is for", () => {
  const text = (names: string, CN?: string) =>
    certified({ subjectaltname: names, subject: CN === undefined ? undefined : { CN } });

  test.each([
    ["URI:split-nve:nve/tor1, IP Address:10.0.0.1", { is: "nve", id: "tor1", ips: ["10.0.0.1"] }],
    ["DNS:a, URI:https://x/, URI:split-nve:nva/n", { is: "nva", id: "n", ips: [] }],
    ["URI:split-nve:client/bob?role=admin", { is: "client", id: "bob", role: "admin", ips: [] }],
    ["URI:split-nve:client/bob", { is: "client", id: "bob", role: "viewer", ips: [] }],
    ["IP Address:2001:DB8:0:0:0:0:0:1, URI:split-nve:nve/a", { is: "nve", ips: ["2001:db8::1"] }],
  ])("%s", (names, found) => {
    expect(text(names)).toMatchObject(found);
  });

  test("the common name counts where there is no such URI, and only then", () => {
    expect(text("", "split-nve:nve/tor1")).toMatchObject({ is: "nve", id: "tor1" });
    expect(text("URI:split-nve:nve/a", "split-nve:client/x?role=admin")).toMatchObject({ id: "a" });
    expect(text("DNS:nve/tor1", "tor1")).toMatch(/names no one here/);
  });

  test.each([
    ["", /names no one here/],
    ["URI:split-nve:nve/a, URI:split-nve:nve/b", /several names/],
    ["URI:split-nve:nve/a?role=admin", /is not like/],
    ["URI:split-nve:nve/", /is not like/],
    ["URI:split-nve:client/a?role=root", /is not like/],
    ["URI:split-nve:nve/a b", /is not like/],
    ["URI:split-nve:router/a", /is not like/],
    // As Node writes a value that could be mistaken for several (CVE-2021-44532).
    ['URI:"split-nve:nve/a, URI:split-nve:client/x?role=admin"', /names no one here/],
    ['DNS:"a\\", URI:split-nve:client/x?role=admin"', /names no one here/],
    ['othername:"x, URI:split-nve:nve/a"', /names no one here/],
  ])("%s names nobody", (names, why) => {
    expect(text(names)).toMatch(why);
  });
});
