import type { ChildProcess } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { nodeState } from "@nve/lab/labs";
import { spawnIn } from "@nve/lab/namespaces";
import { decode, readFrame, Vni, VXLAN_PORT, vxlanOctets } from "@nve/protocol-spec";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  crowd,
  type Domain,
  domainLab,
  domains,
  placesOf,
  vms,
  vn,
} from "../support/domain-lab.ts";
import { testFrame } from "../support/frames.ts";
import { until, useLab } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";

// Two NV domains in one lab, in which everything has the same name and address; the tests go in this order.
const files = domainLab();
const lab = useLab(files.path);
const programs = labPrograms(lab);
const crowds = new Map<Domain, Crowd>();
afterAll(() => {
  for (const { child } of crowds.values()) child.kill("SIGKILL");
  rmSync(files.folder, { recursive: true });
});

type NveRow = { nve: string; state: string; since: string; claims: number };
type MappingRow = { vnId: number; mac: string; locations: { nve: string; vteps: string[] }[] };
const nves = async (domain: Domain) =>
  (await lab.show(`${domain}nva`, "nva", "nve", "list")) as NveRow[];
const connected = async (domain: Domain) =>
  (await nves(domain)).filter(({ state }) => state === "connected");
const mappings = async (domain: Domain) =>
  (await lab.show(`${domain}nva`, "nva", "mapping", "list", "--vn", String(vn.id))) as MappingRow[];
const status = async (tor: string) =>
  (await lab.show(tor, "switch-agent", "status")) as { nvaState: string; nvaReason: string };

/** Which VTEP has each of the two VMs. */
const places = async (domain: Domain) =>
  (await mappings(domain)).map(({ mac, locations }) => [mac, ...(locations[0]?.vteps ?? [])]);
const expected = (domain: Domain) => vms.map(({ mac }, n) => [mac, placesOf(domain).vteps[n]]);

async function attach(server: string, n: 0 | 1): Promise<void> {
  const { mac, ip } = vms[n];
  const which = ["--vn", String(vn.id), "--mac", mac, "--ip", ip];
  await lab.run(server, "hypervisor-agent", "vnic", "attach", "tap", ...which);
}

/** VN "red", and those of the crowd. */
function domainText(domain: Domain): string {
  const ids = Array.from({ length: crowd.vns }, (_, n) => crowd.firstVn + n);
  const others = ids.map((id) => `  crowd/vn${id}: { id: ${id}, vni: ${id} }`);
  return [`vns:`, `  ${domain}-tenant/red: { id: ${vn.id}, vni: ${vn.vni} }`, ...others, ""].join(
    "\n",
  );
}

const pingsBetweenVms = (domain: Domain) => lab.ping(`${domain}vm1`, vms[1].ip, 20);

beforeAll(async () => {
  for (const domain of domains) {
    const file = join(files.folder, `${domain}.yaml`);
    writeFileSync(file, domainText(domain));
    await lab.run(`${domain}nva`, "nva", "apply", "-f", file, "--yes");
  }
});

test("V12, A1: two domains on one underlay, each with its NVA and its switches: the same VN, VNI, MAC and IP addresses in both, and each works", async () => {
  for (const domain of domains) {
    for (const n of [0, 1] as const)
      await until(
        `${domain}srv${n + 1} to attach its VM`,
        () =>
          attach(`${domain}srv${n + 1}`, n).then(
            () => true as const,
            () => undefined,
          ),
        20_000,
      );
    expect(await pingsBetweenVms(domain)).toBe(true);
  }
  for (const domain of domains) {
    expect(await places(domain)).toEqual(expected(domain));
    expect((await connected(domain)).map(({ nve }) => nve)).toEqual(["tor1", "tor2"]);
  }
});

test("P11, V12: no frame of a domain reaches the other, though VNI and addresses are equal: neither flooded nor sent there by hand", async () => {
  const [own = ""] = placesOf("a").vteps;
  const [strange = ""] = placesOf("b").vteps;
  const heard = await lab.capture("bvm1", "eth0", "ether proto 0x88b5");
  const crossed = await lab.capture("btor1", "eth3", `udp port ${VXLAN_PORT} and src ${own}`);
  const here = await lab.capture("avm2", "eth0", "ether proto 0x88b5");
  const sender = join(import.meta.dirname, "../support/send-frames.mjs");
  const hex = Buffer.from(testFrame(undefined)).toString("hex");
  await lab.run("avm1", process.execPath, sender, "eth0", hex); // a broadcast
  await until("its own domain to hear it", async () => {
    const counted = await lab.show("ator2", "switch-agent", "show", "counters");
    return /"overlayIn": ?[1-9]/.test(JSON.stringify(counted)) || undefined;
  });
  expect((await here.lines()).length).toBe(1);
  expect(await crossed.lines()).toEqual([]);

  // What a switch of one domain sends to one of the other all the same is a stranger's there.
  const frame = decode(testFrame(undefined), readFrame);
  const datagram = Buffer.from(vxlanOctets({ vni: Vni(vn.vni), frame })).toString("hex");
  const by = join(import.meta.dirname, "../support/send-datagrams.mjs");
  await lab.run("ator1", process.execPath, by, strange, String(VXLAN_PORT), datagram);
  await until("it to be dropped", async () => {
    const { drops } = (await lab.show("btor1", "switch-agent", "show", "counters")) as {
      drops: Record<string, number>;
    };
    return drops["stranger-vtep"] === 1 || undefined;
  });
  expect(await heard.lines()).toEqual([]);
});

test("V12, A19: a switch of one domain gets no session and no mapping at the other's NVA, and says why", async () => {
  const config = join(files.folder, "btor2/config.yaml");
  const astray = join(files.folder, "astray.yaml");
  const right = readFileSync(config, "utf8");
  writeFileSync(astray, right.replace(placesOf("b").nva, placesOf("a").nva));
  const before = await nves("a");
  await programs.stop("btor2");
  await programs.start("btor2", "switch-agent", "run", "--config", astray);
  const reason = await until(
    "it to say why it has no NVA",
    async () => {
      const { nvaState, nvaReason } = await status("btor2");
      return nvaState !== "connected" && nvaReason !== "" ? nvaReason : undefined;
    },
    20_000,
  );
  expect(reason).toMatch(/certificate.*CA/);
  expect(await lab.show("btor2", "switch-agent", "show", "fdb")).toEqual([]);
  isAsBefore(before, await nves("a"));
  expect(await places("a")).toEqual(expected("a"));
  await programs.stop("btor2");
  await programs.start("btor2");
  await until(
    "it to be in its own domain again",
    async () => ((await connected("b")).length === 2 ? true : undefined),
    20_000,
  );
  await until(
    "its VM to be back",
    async () => ((await places("b")).length === 2 ? true : undefined),
    20_000,
  );
  expect(await pingsBetweenVms("b")).toBe(true);
});

test("V12, V10: each NVA serves hundreds of NVEs and thousands of VNICs beside, the same VNs and MACs in both, and the racks go on", async () => {
  for (const domain of domains) crowds.set(domain, startCrowd(domain));
  const vnics = crowd.nves * crowd.vnicsPerNve;
  for (const [domain, { ready }] of crowds) {
    expect(await ready, domain).toMatchObject({ ready: crowd.nves, vnics });
    const all = await connected(domain);
    expect(all.length).toBe(crowd.nves + 2);
    expect(all.reduce((sum, { claims }) => sum + claims, 0)).toBe(vnics + 2);
    expect(residentOctets(`${domain}nva`)).toBeLessThan(500e6);
    expect(await pingsBetweenVms(domain)).toBe(true);
    await lab.run(`${domain}srv1`, "hypervisor-agent", "vnic", "detach", "tap");
    await attach(`${domain}srv1`, 0);
    expect(await pingsBetweenVms(domain)).toBe(true);
  }
}, 60_000);

test("V12: one domain's NVA dies: the other's sessions and VMs notice nothing, its own VMs go on, and it comes back", async () => {
  const before = await connected("a");
  await programs.stop("bnva", "SIGKILL");
  const { stdout } = await lab.exec("avm1", "ping", "-n", "-i0.02", "-c100", "-W1", vms[1].ip);
  expect(stdout).toContain("100 packets transmitted, 100 received");
  expect(crowds.get("a")?.ended).toEqual([]);
  isAsBefore(before, await connected("a"));
  await until("domain b to miss its NVA", async () =>
    (await status("btor1")).nvaState === "connected" ? undefined : true,
  );
  expect(await pingsBetweenVms("b")).toBe(true);
  await programs.start("bnva");
  await until(
    "its switches to be back",
    async () =>
      (await connected("b")).filter(({ nve }) => nve.startsWith("tor")).length === 2 || undefined,
    20_000,
  );
  expect(await places("b")).toEqual(expected("b"));
  expect(await pingsBetweenVms("a")).toBe(true);
});

/** The same sessions as before. */
function isAsBefore(before: readonly NveRow[], now: readonly NveRow[]): void {
  expect(now.map(({ nve, state }) => [nve, state])).toEqual(
    before.map(({ nve, state }) => [nve, state]),
  );
  for (const [n, { nve, since }] of before.entries())
    expect(Math.abs(Date.parse(now[n]?.since ?? "") - Date.parse(since)), nve).toBeLessThan(1_000);
}

type Crowd = { child: ChildProcess; ready: Promise<unknown>; ended: unknown[] };

/** 200 NVEs of a domain, behind the router. */
function startCrowd(domain: Domain): Crowd {
  const { nva, crowd: net } = placesOf(domain);
  const script = join(import.meta.dirname, "../support/nve-crowd.mjs");
  const { nves, vnicsPerNve, vns, firstVn } = crowd;
  const numbers = [nves, vnicsPerNve, vns, firstVn].map(String);
  const words = [process.execPath, script, `${nva}:7470`, files.pki(domain), net, ...numbers];
  const child = spawnIn(nodeState(lab.name, "spine"), words, {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended: unknown[] = [];
  const ready = new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the crowd of ${domain} ended with ${code}`)));
    if (child.stdout === null) return reject(new Error("no output"));
    createInterface(child.stdout).on("line", (line) => {
      const said: unknown = JSON.parse(line);
      if (line.startsWith('{"ready"')) resolve(said);
      else {
        ended.push(said);
        reject(new Error(line));
      }
    });
  });
  ready.catch(() => {});
  return { child, ready, ended };
}

function residentOctets(node: string): number {
  const pid = nodeState(lab.name, node).process?.pid;
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return 1024 * Number(/VmRSS:\s+(\d+)/.exec(text)?.[1]);
}
