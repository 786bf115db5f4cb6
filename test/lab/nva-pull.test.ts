import { appendFileSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findTopology } from "@nve/lab/find";
import { nodeState } from "@nve/lab/labs";
import { spawnIn } from "@nve/lab/namespaces";
import { Mac } from "@nve/protocol-spec";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testFrame } from "../support/frames.ts";
import { until } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";
import { useTwoRacks, VN, vm } from "../support/two-racks.ts";

// One lab for the file: red in pull, at tor1 unknown unicast is dropped, at tor2 flooded; blue in push. The tests build
// on each other, in this order.
const folder = mkdtempSync(join(tmpdir(), "pull-"));
cpSync(dirname(findTopology("two-racks")), folder, { recursive: true });
for (const [tor, unknown] of [
  ["tor1", "drop"],
  ["tor2", "flood"],
] as const)
  appendFileSync(
    join(folder, tor, "config.yaml"),
    `vns:\n  - { vn: ${VN.red}, learning: pull, unknown: ${unknown} }\ndigestSeconds: 1\n`,
  );
const lab = useTwoRacks(join(folder, "two-racks.clab.yml"));
afterAll(() => rmSync(folder, { recursive: true }));

const nva = (...words: string[]) => lab.run("nva", "nva", ...words);
const stranger = Mac("02:00:00:00:99:01");

type ShownVn = {
  vnId: number;
  learning: string;
  unknown: string;
  profile?: { name: string; acl: string[]; dscp: number; ipsPerMac: number; notEnforced: string[] };
};
const vnOf = async (tor: string, vn: number) =>
  ((await lab.show(tor, "switch-agent", "show", "vns")) as ShownVn[]).find(
    ({ vnId }) => vnId === vn,
  );
/** `pull.asked`, … of a ToR. */
const counted = async (tor: string, what: string) => {
  const { nva: counts } = (await lab.show(tor, "switch-agent", "show", "counters")) as {
    nva: Record<string, number>;
  };
  return Number(counts[what] ?? 0);
};
const remotes = async (tor: string, vn: number) =>
  (await lab.fdb(tor)).filter(({ vnId, where }) => vnId === vn && where === "remote");
/** Whether anything comes back within a second of the first echo request. */
const reached = async (from: string, to: string) =>
  (await lab.exec(from, "ping", "-n", "-i0.1", "-c1", "-w1", to)).code === 0;

beforeAll(async () => {
  await nva("profile", "create", "gold", "--dscp", "46", "--ips-per-mac", "2");
  await lab.createVns();
  await nva("vn", "update", "red", "--profile", "gold");
  await lab.ready("srv1", "srv2", "srv3", "srv4");
});

test("A18: one NVE has a VN in pull and one in push at once: of the one it is told nothing, of the other all", async () => {
  for (const name of ["red1", "red3", "blue1", "blue3"]) await lab.attach(name);
  expect(await vnOf("tor1", VN.red)).toMatchObject({ learning: "pull", unknown: "drop" });
  expect(await vnOf("tor1", VN.blue)).toMatchObject({ learning: "push" });
  await until("blue3 at tor1", async () => (await remotes("tor1", VN.blue))[0]);
  expect(await remotes("tor1", VN.red)).toEqual([]);
  expect(await lab.ping("blue1", vm("blue3").ip)).toBe(true);
});

test("A18: who is spoken to is asked for, and answers within a second; then nobody else is known", async () => {
  expect(await reached("red1", vm("red3").ip)).toBe(true);
  expect(await remotes("tor1", VN.red)).toMatchObject([{ mac: vm("red3").mac, applied: true }]);
  expect(await counted("tor1", "pull.found")).toBeGreaterThan(0);
  expect(await lab.ping("red3", vm("red1").ip, 1)).toBe(true);
  await lab.attach("red4");
  expect(await remotes("tor1", VN.red)).toHaveLength(1);
});

test("A18: who is nowhere is asked for once: none is counted, and not asked again within its lifetime", async () => {
  const asked = await counted("tor1", "pull.asked");
  const dropped = await lab.dropped("tor1", "unknown-mac");
  await lab.send("red1", "eth0", testFrame(undefined, stranger));
  await until("a none", async () => (await counted("tor1", "pull.none")) || undefined);
  await until("the next to be shown, and not asked for", async () => {
    await lab.send("red1", "eth0", testFrame(undefined, stranger));
    return (await counted("tor1", "pull.known-none")) || undefined;
  });
  expect(await counted("tor1", "pull.asked")).toBe(asked + 1);
  expect(await lab.dropped("tor1", "unknown-mac")).toBeGreaterThan(dropped);
});

test("A18: a VM that moves is followed, without another question", async () => {
  const { mac, ip } = vm("red3");
  const moved = await lab.addVm({ vm: "red3b", server: "srv2", vn: "red", mac, ip });
  const at = (tor: string, where: string) =>
    until(`${mac} ${where} at ${tor}`, async () =>
      (await lab.fdb(tor)).find(
        (row) => row.vnId === VN.red && row.mac === mac && row.where === where,
      ),
    );
  await at("tor1", "remote");
  await lab.detach("red3");
  await lab.attach(moved);
  await at("tor1", "local");
  expect(await reached("red1", ip)).toBe(true);
  expect(await lab.ping("red4", ip)).toBe(true); // tor2 has to ask
  const asked = await counted("tor1", "pull.asked");
  await lab.detach(moved);
  await lab.attach("red3");
  await at("tor1", "remote");
  expect(await counted("tor1", "pull.asked")).toBe(asked);
  expect(await reached("red1", ip)).toBe(true);
});

test("H25: a VN's profile comes with the VN, and a change of it is pushed", async () => {
  const { profile } = (await vnOf("tor1", VN.red)) ?? {};
  expect(profile).toMatchObject({ name: "gold", dscp: 46, ipsPerMac: 2, notEnforced: [] });
  const rule = "deny: from-vnic, protocol: tcp, destinationPorts: 25";
  await nva("profile", "update", "gold", "--acl", rule, "--dscp", "10");
  const changed = await until("the change at tor1", async () => {
    const now = (await vnOf("tor1", VN.red))?.profile;
    return now?.dscp === 10 ? now : undefined;
  });
  expect(changed).toMatchObject({
    acl: ["deny from-vnic protocol 6 to any port 25"],
    notEnforced: [],
  });
  expect(await lab.run("tor1", "switch-agent", "show", "vns")).not.toContain("not enforced");
});

test("H25: what is beyond the limits of the profile is refused in words", async () => {
  const { code, stderr } = await lab.tryAttach("red2", "--ip", "10.0.1.201", "--ip", "10.0.1.202");
  expect([code, stderr]).toEqual([1, expect.stringMatching(/profile|limit/)]);
});

test("A16: a mapping that an NVE lost without a word is found missing by its digest, and told anew", async () => {
  const loser = join(import.meta.dirname, "../support/lose-mapping.mjs");
  await labPrograms(lab).stop("tor1");
  const { cmd = [], ...state } = nodeState(lab.name, "tor1");
  const env = ["env", `NODE_OPTIONS=--import ${loser}`];
  const agent = spawnIn(state, [...env, ...cmd], { stdio: "ignore" });
  const { mac, ip } = vm("blue3");
  const isKnown = async () => (await remotes("tor1", VN.blue)).some((row) => row.mac === mac);
  const answers = async () => (await lab.exec("tor1", "switch-agent", "status")).code === 0;
  await until("tor1 to answer", async () => (await answers()) || undefined, 20_000);
  await until("blue3 at tor1 again", async () => (await isKnown()) || undefined, 20_000);
  const compared = async (more: number) => {
    const least = (await counted("tor1", "digest.compared")) + more;
    const now = () => counted("tor1", "digest.compared");
    await until("VNs to be compared", async () => (await now()) >= least || undefined, 10_000);
  };
  await compared(2);
  expect(await counted("tor1", "digest.differing")).toBe(0);
  agent.kill("SIGUSR2");
  await until(
    "the loss to be found",
    async () => (await counted("tor1", "digest.differing")) || undefined,
  );
  await until("blue3 to be known again", async () => (await isKnown()) || undefined);
  await compared(2);
  expect(await counted("tor1", "digest.differing")).toBe(1);
  expect(await lab.ping("blue1", ip, 10)).toBe(true);
}, 60_000);
