import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { until as untilBefore } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";
import { tlsLab } from "../support/tls-lab.ts";
import { useTwoRacks, vm } from "../support/two-racks.ts";

// One lab for the file; the tests build on each other, in this order.
const files = tlsLab();
const lab = useTwoRacks(join(files.folder, "two-racks.clab.yml"));
const programs = labPrograms(lab);
afterAll(() => rmSync(files.folder, { recursive: true }));

/** The machine may be busy. */
const until = <T>(what: string, probe: () => Promise<T | undefined>) =>
  untilBefore(what, probe, 20_000);
const ADDRESS = "198.51.100.1:7470";
type NveRow = { nve: string; state: string; since: string };
const nves = async () => (await lab.show("nva", "nva", "nve", "list")) as NveRow[];
const connected = () =>
  until("both NVEs to be connected", async () => {
    const rows = (await nves()).filter(({ state }) => state === "connected");
    return rows.length === 2 ? rows : undefined;
  });
const status = async (tor: string) =>
  (await lab.show(tor, "switch-agent", "status")) as { nvaState: string; nvaReason: string };
const nvaStatus = async () =>
  (await lab.show("nva", "nva", "status")) as {
    certificateValidTo: string;
    certificateFault: string;
  };
const pki = (...words: string[]) => lab.run("nva", "nva", "pki", ...words);
/** Options with which a client of that name asks over TCP. */
const shown = (name: string) =>
  (["cert", "key", "ca"] as const).flatMap((one) => [
    `--${one}`,
    join(files.pki, name, `${one === "cert" ? "certificate" : one}.pem`),
  ]);

test("A19, A1: two racks whose NVEs and NVA show each other certificates: VMs reach each other, and nothing of it can be read on the way", async () => {
  const seen = await lab.capture("nva", "eth1", "tcp port 7470");
  for (const tor of ["tor1", "tor2"]) {
    await programs.stop(tor);
    await programs.start(tor);
  }
  await connected();
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3");
  await lab.attach("red1");
  await lab.attach("red3");
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  expect((await seen.lines()).length).toBeGreaterThan(10);
  const octets = readFileSync(seen.path);
  for (const word of ["tor1", "split_nve", "eth1", "red", "srv1"])
    expect(octets.includes(word), word).toBe(false);
});

test("A13: over TCP clients do what their role lets them; without a certificate nothing", async () => {
  await pki("issue", files.pki, "client", "alice", "--role", "viewer");
  await pki("issue", files.pki, "client", "root", "--role", "admin");
  const ask = (name: string, ...words: string[]) =>
    lab.exec("nva", "nva", ...words, "--address", ADDRESS, ...shown(name));
  expect(await ask("client/alice", "vn", "list")).toMatchObject({ code: 0 });
  expect(await ask("client/alice", "vn", "create", "green")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('"alice" has the role viewer, and this needs admin'),
  });
  expect(await ask("client/root", "vn", "create", "green")).toMatchObject({ code: 0 });
  const plain = await lab.exec("nva", "nva", "vn", "list", "--address", ADDRESS, "--insecure");
  expect(plain).toMatchObject({ code: 1, stderr: expect.stringContaining("it wants TLS") });
});

test("A19: CA, keys and certificates are replaced while VMs talk: no session ends, no packet is lost", async () => {
  const before = await connected();
  const validTo = (await nvaStatus()).certificateValidTo;
  const talk = lab.exec("red1", "ping", "-n", "-i0.02", "-c300", "-W1", vm("red3").ip);
  const ca = () => readFileSync(join(files.pki, "nve/tor1/ca.pem"), "utf8");
  const old = ca();
  await pki("rotate", files.pki);
  await pki("rotate", files.pki, "nva-1", "tor1", "tor2", "alice", "root");
  await pki("rotate", files.pki, "--finish");
  expect(ca()).not.toBe(old);
  await until("the NVA to have taken them", async () => {
    const { certificateFault, certificateValidTo } = await nvaStatus();
    return (certificateFault === "" && certificateValidTo > validTo) || undefined;
  });
  const { stdout } = await talk;
  expect(stdout).toContain("300 packets transmitted, 300 received");
  const after = await connected();
  for (const { nve, since } of before) {
    const now = after.find((row) => row.nve === nve)?.since ?? "";
    expect(Math.abs(Date.parse(now) - Date.parse(since)), nve).toBeLessThan(1_000);
  }
});

test("A19, H25: the NVA is restarted with the new ones: the NVEs come back to it with theirs", async () => {
  await programs.stop("nva", "SIGKILL");
  await until("tor1 to miss it", async () =>
    (await status("tor1")).nvaState === "lost" ? true : undefined,
  );
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  await programs.start("nva");
  await connected();
  await lab.attach("red2");
  expect(await lab.ping("red3", vm("red2").ip), "told by the NVA anew").toBe(true);
});

test("H26: a switch that says it is another gets no session, and says why", async () => {
  const config = join(files.folder, "tor2/config.yaml");
  const right = readFileSync(config, "utf8");
  await programs.stop("tor2");
  const wrong = join(files.folder, "wrong.yaml");
  writeFileSync(wrong, right.replace("nve: tor2", "nve: tor1"));
  await programs.start("tor2", "switch-agent", "run", "--config", wrong);
  const reason = await until("the reason", async () => {
    const { nvaReason } = await status("tor2");
    return nvaReason.includes("certificate") ? nvaReason : undefined;
  });
  expect(reason).toBe('the certificate is of NVE "tor2", and the NVE says that it is "tor1"');
  expect((await nves()).find(({ nve }) => nve === "tor1")).toMatchObject({ state: "connected" });
  await programs.stop("tor2");
  writeFileSync(wrong, right.replace(files.tls("nve/tor2"), "insecure: true"));
  await programs.start("tor2", "switch-agent", "run", "--config", wrong);
  await until("the reason", async () =>
    (await status("tor2")).nvaReason.includes("perhaps it wants TLS") ? true : undefined,
  );
  await programs.stop("tor2");
  await programs.start("tor2");
  await connected();
});
