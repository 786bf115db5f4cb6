import { beforeAll, expect, test } from "vitest";
import { until, useLab } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";

// One lab for the file: srv1 has an uplink to each ToR. VN red is at home on eth0 (tor1), blue on eth1 (tor2).
const lab = useLab("two-uplinks");
const programs = labPrograms(lab);

const RED = 10001;
const BLUE = 10002;
const mac = (n: number): string => `02:00:00:00:00:0${n}`;

type Row = {
  interface: string;
  state: string;
  reason: string;
  vns: { vnId: number; uplink: string }[];
};
type Fdb = { vnId: number; mac: string; where: string; port: string; nveId: string };

const attach = (server: string, vm: string, vn: number, n: number, ...more: string[]) =>
  lab.run(
    server,
    "hypervisor-agent",
    "vnic",
    "attach",
    `tap-${vm}`,
    "--vn",
    String(vn),
    "--mac",
    mac(n),
    ...more,
  );

async function over(): Promise<Record<string, string>> {
  const rows = (await lab.show("srv1", "hypervisor-agent", "vnic", "list")) as Row[];
  return Object.fromEntries(
    rows.map((row) => [row.interface, `${row.state} ${row.vns.map(({ uplink }) => uplink)}`]),
  );
}

const fdbAt = async (tor: string, n: number): Promise<Fdb | undefined> =>
  ((await lab.show(tor, "switch-agent", "show", "fdb")) as Fdb[]).find(
    (row) => row.vnId === RED && row.mac === mac(n),
  );

const claimants = async (n: number): Promise<string[]> => {
  const rows = (await lab.show("nva", "nva", "mapping", "list")) as {
    vnId: number;
    mac: string;
    locations: { nve: string }[];
  }[];
  const found = rows.find((row) => row.vnId === RED && row.mac === mac(n));
  return (found?.locations ?? []).map(({ nve }) => nve);
};

const link = (state: "up" | "down") => lab.run("srv1", "ip", "link", "set", "eth0", state);

/** Echo requests every 20 ms. @returns how many were not answered, and the longest time without an answer, ms */
async function pinging(from: string, to: string, seconds: number) {
  const count = String(seconds * 50);
  const { stdout } = await lab.exec(from, "ping", "-n", "-D", "-i0.02", "-W1", `-c${count}`, to);
  const at = [...stdout.matchAll(/^\[([\d.]+)\] \d+ bytes from/gm)].map(([, time]) => Number(time));
  const gaps = at.slice(1).map((time, n) => (time - (at[n] ?? time)) * 1000);
  return { lost: Number(count) - at.length, gapMs: Math.round(Math.max(...gaps)) };
}

const during = async <T>(work: Promise<T>, change: () => Promise<unknown>): Promise<T> => {
  await new Promise((resolve) => setTimeout(resolve, 500)); // some answers come first
  await change();
  return work;
};

beforeAll(async () => {
  for (const [name, id] of [
    ["red", RED],
    ["blue", BLUE],
  ] as const) {
    await lab.run(
      "nva",
      "nva",
      "vn",
      "create",
      name,
      "--id",
      String(id),
      "--vni",
      String(id + 60_000),
    );
  }
  await until("srv1 to hear both ToRs", async () => {
    const rows = (await lab.show("srv1", "hypervisor-agent", "show", "uplinks")) as {
      reason: string;
    }[];
    return rows.every(({ reason }) => reason === "") || undefined;
  });
  await attach("srv1", "red1", RED, 1);
  await attach("srv1", "blue1", BLUE, 1);
  await attach("srv2", "red2", RED, 2);
  await attach("srv2", "blue2", BLUE, 2);
  await attach("srv3", "red3", RED, 3);
});

test("Req-3: the VNs of a server are spread over its uplinks, each VN over one", async () => {
  expect(await over()).toEqual({ "tap-red1": "associated eth0", "tap-blue1": "associated eth1" });
  for (const [from, to] of [
    ["red1", 2],
    ["red1", 3],
    ["blue1", 2],
  ] as const) {
    expect(await lab.ping(from, `10.0.0.${to}`), `${from} to ${to}`).toBe(true);
  }
  expect(await claimants(1)).toEqual(["tor1"]);
});

test("Req-3: a link dies: its VN goes on over the other ToR within a second, for VMs behind either", async ({
  annotate,
}) => {
  const [near, far, beside] = await during(
    Promise.all([
      pinging("red2", "10.0.0.1", 4),
      pinging("red3", "10.0.0.1", 4),
      pinging("blue2", "10.0.0.1", 4),
    ]),
    () => link("down"),
  );
  await annotate(JSON.stringify({ near, far, beside }));
  expect(near.gapMs).toBeLessThan(1000);
  expect(far.gapMs, "behind the ToR of the dead link").toBeLessThan(1000);
  expect(beside.lost, "of the VN that was not over that link").toBe(0);
  expect(await over()).toEqual({ "tap-red1": "associated eth1", "tap-blue1": "associated eth1" });
  expect(await claimants(1)).toEqual(["tor2"]);
  expect(await fdbAt("tor2", 1)).toMatchObject({ where: "local", port: "eth1" });
});

test("Req-3: why an uplink is not used is shown", async () => {
  const shown = await lab.run("srv1", "hypervisor-agent", "show", "uplinks");
  expect(shown).toMatch(/^eth0 +down .* the uplink is down$/m);
});

test("Req-3: the late end of the lost NVE's claim changes nothing", async () => {
  await until(
    "tor1 to give up the silent VSI",
    async () => {
      const row = await fdbAt("tor1", 1);
      return row?.where === "remote" || undefined;
    },
    30_000,
  );
  expect(await claimants(1)).toEqual(["tor2"]);
  expect(await lab.ping("red3", "10.0.0.1")).toBe(true);
});

test("Req-3: the link is back: its VN comes home after the set time, without a gap and without a duplicate", async ({
  annotate,
}) => {
  const capture = await lab.capture(
    "red1",
    "eth0",
    "icmp[icmptype] == icmp-echo and dst 10.0.0.255",
  );
  const [near, far] = await during(
    Promise.all([
      pinging("red2", "10.0.0.1", 7),
      pinging("red3", "10.0.0.1", 7),
      lab.exec("red2", "ping", "-n", "-b", "-i0.01", "-c600", "10.0.0.255"),
    ]),
    () => link("up"),
  );
  await annotate(JSON.stringify({ near, far }));
  expect(await over()).toEqual({ "tap-red1": "associated eth0", "tap-blue1": "associated eth1" });
  expect(await claimants(1)).toEqual(["tor1"]);
  expect(near.gapMs).toBeLessThan(500);
  expect(far.gapMs).toBeLessThan(500);
  const seen = (await capture.lines()).map((line) => / seq (\d+)/.exec(line)?.[1] ?? line);
  expect(seen.length).toBeGreaterThan(550);
  expect(seen.length, "each broadcast once").toBe(new Set(seen).size);
});

test("Req-3: a switch-agent that ends for good says so: its VN goes at once, and home when it is there again", async ({
  annotate,
}) => {
  const near = await during(pinging("red2", "10.0.0.1", 4), () =>
    programs.end("tor1", "switch-agent", "stop", "--remove"),
  );
  await annotate(JSON.stringify({ near }));
  expect(near.gapMs).toBeLessThan(1000);
  expect((await over())["tap-red1"]).toBe("associated eth1");
  await programs.start("tor1");
  await until(
    "red to be at home",
    async () => (await over())["tap-red1"] === "associated eth0" || undefined,
    20_000,
  );
  expect(await lab.ping("red1", "10.0.0.2")).toBe(true);
});

test("Req-3: a VNIC of two VNs goes over both uplinks, and a change that is refused leaves both as they were", async () => {
  const add = (vn: number, n: number) =>
    lab.exec(
      "srv1",
      "hypervisor-agent",
      "vnic",
      "add",
      "tap-red1",
      "--vn",
      String(vn),
      "--mac",
      mac(n),
    );
  expect(await add(BLUE, 8)).toMatchObject({ code: 0 });
  expect((await over())["tap-red1"]).toBe("associated eth0,eth1");
  const refused = await add(10_004, 9); // at home on eth0; nobody has made it
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/NVE refused VNs 10001, 10004: .*VDP error 5/);
  expect((await over())["tap-red1"]).toBe("associated eth0,eth1");
  expect(await lab.ping("red1", "10.0.0.2")).toBe(true);
});

test("Req-3: a VNIC that is pinned goes over its uplink alone, and detach tells its NVE", async () => {
  await lab.run("srv1", "hypervisor-agent", "vnic", "detach", "tap-red1");
  expect(await fdbAt("tor1", 1)).toBeUndefined();
  await attach("srv1", "red1", RED, 1, "--uplink", "eth1");
  expect((await over())["tap-red1"]).toBe("associated eth1");
  expect(await lab.ping("red1", "10.0.0.3")).toBe(true);
});
