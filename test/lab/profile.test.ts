import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { useTwoRacks, VN, vm } from "../support/two-racks.ts";

// red1 and red2 are behind tor1, red3 behind tor2. The tests go in this order.
const lab = useTwoRacks();
const folder = mkdtempSync(join(tmpdir(), "profile-"));
afterAll(() => rmSync(folder, { recursive: true }));

type Shown = { vnId: number; profile?: { acl: string[]; dscp?: number; policeKbps: number } };
type MeterRow = { vnic: string; vnId: number; framesIn: string; acl: string; policed: string };

const domain = (profile: string) => `profiles: { guarded: ${profile} }
tenants: { acme: {} }
vns:
  acme/red: { id: ${VN.red}, vni: 70001, profile: guarded }
`;

/** Applies a profile and waits until both switches have it. */
async function applied(profile: string, isIt: (shown: Shown["profile"]) => boolean): Promise<void> {
  const file = join(folder, "domain.yaml");
  writeFileSync(file, domain(profile));
  const { code, stderr } = await lab.exec("nva", "nva", "apply", "-f", file, "--yes");
  expect([code, stderr]).toEqual([0, ""]);
  for (const tor of ["tor1", "tor2"]) {
    await until(`the profile at ${tor}`, async () => {
      const vns = (await lab.show(tor, "switch-agent", "show", "vns")) as Shown[];
      const red = vns.find(({ vnId }) => vnId === VN.red);
      return red === undefined || isIt(red.profile) || undefined;
    });
  }
}

const meters = async (tor: string): Promise<MeterRow[]> =>
  (await lab.show(tor, "switch-agent", "show", "counters", "--vnic")) as MeterRow[];
const sum = (rows: readonly MeterRow[], what: "acl" | "policed"): number =>
  rows.reduce((all, row) => all + Number(row[what]), 0);
const [red1, red3] = [vm("red1"), vm("red3")];

beforeAll(async () => {
  await lab.ready("srv1", "srv2", "srv3");
  await applied("{}", () => true);
  for (const one of ["red1", "red2", "red3"]) await lab.attach(one);
  expect(await lab.ping("red1", red3.ip, 20)).toBe(true);
});

test("H25: a profile that `nva apply` changes forbids traffic that flows, and allows it again", async () => {
  await applied("{ acl: [{ deny: to-vnic, protocol: icmp }] }", (now) => now?.acl.length === 1);
  expect(await lab.ping("red1", red3.ip, 2)).toBe(false);
  expect(await lab.ping("red1", vm("red2").ip, 2)).toBe(false);
  const shown = await lab.run("tor2", "switch-agent", "show", "counters");
  expect(shown).toMatch(/dropped +acl +[1-9]/);
  await applied(
    `{ acl: [{ allow: both, protocol: icmp, source: ${red1.ip} }, { allow: both, protocol: icmp, destination: ${red1.ip} }, { deny: both, protocol: icmp }] }`,
    (now) => now?.acl.length === 3,
  );
  expect(await lab.ping("red1", red3.ip, 5)).toBe(true);
  expect(await lab.ping("red2", red3.ip, 2)).toBe(false);
  expect(sum(await meters("tor1"), "acl")).toBeGreaterThan(0);
});

test("H25: a VNIC sends no more than its profile lets it, and its packets have the profile's DSCP", async () => {
  await applied(
    "{ qos: { police: 100kbit, burstOctets: 3000, dscp: 46 } }",
    (now) => now?.policeKbps === 100 && now.dscp === 46,
  );
  const capture = await lab.capture(
    "red3",
    "eth0",
    "icmp[icmptype] == icmp-echo and ip[1] & 0xfc == 184",
  );
  const flood = ["ping", "-n", "-q", "-f", "-c200", "-s1400", "-W1", red3.ip];
  const { stdout } = await lab.exec("red1", ...flood);
  const lost = Number(/([\d.]+)% packet loss/.exec(stdout)?.[1]);
  expect(lost).toBeGreaterThan(20);
  expect(lost).toBeLessThan(100);
  const lines = await capture.lines();
  expect(lines.length).toBeGreaterThan(2);
  const rows = (await meters("tor1")).filter(({ vnId }) => vnId === VN.red);
  expect(sum(rows, "policed")).toBeGreaterThan(0);
  await applied("{}", (now) => now?.policeKbps === 0);
  const free = await lab.exec("red1", ...flood);
  expect(free.stdout).toContain(" 0% packet loss");
});
