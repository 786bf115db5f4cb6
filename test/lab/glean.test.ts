import { join } from "node:path";
import { Mac } from "@nve/protocol-spec";
import { beforeAll, describe, expect, test } from "vitest";
import { broadcast, testFrame } from "../support/frames.ts";
import { until, useLab } from "../support/lab.ts";
import { advertisementFrom, arpFrom, dhcp6Reply, dhcpAck } from "../support/sighted.ts";
import type { FdbRow, MappingRow } from "../support/two-racks.ts";

// One lab for the file; tor1 forgets what it gleaned after 8 seconds of silence.
const lab = useLab("gleaning");
const sender = join(import.meta.dirname, "../support/send-frames.mjs");

const VN = 10001;
const bare1 = Mac("02:00:00:00:00:01");
const bare2 = Mac("02:00:00:00:00:02");
const bare3 = Mac("02:00:00:00:00:03");
const red4 = { mac: Mac("02:00:00:00:00:04"), ip: "10.0.1.24" };

type Provenance = { by: string; sinceUnixMs: number; untilUnixMs: number };
type Row = FdbRow & { provenance: Provenance; ipProvenance: Record<string, Provenance> };
type Claim = { mac: string; source: string; ips: string[]; best: boolean; flags: string[] };

const rows = async <T>(node: string, ...command: string[]) =>
  (await lab.show(node, ...command)) as T[];
const at = async (tor: string, mac: Mac) =>
  (await rows<Row>(tor, "switch-agent", "show", "fdb")).find((row) => row.mac === mac);
const conflicts = (tor: string) => rows<Row>(tor, "switch-agent", "show", "conflicts");
const mapping = async (mac: Mac) =>
  (await rows<MappingRow>("nva", "nva", "mapping", "list")).find((row) => row.mac === mac);
const send = async (node: string, ...frames: Uint8Array[]) => {
  const words = frames.map((frame) => Buffer.from(frame).toString("hex"));
  await lab.run(node, process.execPath, sender, "eth0", ...words);
};
const frameFrom = (mac: Mac) => testFrame(undefined, broadcast, mac);

/** Waits until a ToR has a MAC where `is` says. */
const shows = (tor: string, mac: Mac, is: (row: Row | undefined) => boolean, timeoutMs = 5000) =>
  until(
    `${mac} on ${tor} as it should be`,
    async () => {
      const row = await at(tor, mac);
      return is(row) ? { row } : undefined;
    },
    timeoutMs,
  );
const isGone = (row: Row | undefined) => row === undefined;
const isAt = (port: string) => (row: Row | undefined) =>
  row?.where === "local" && row.port === port && row.applied;
const isBehind = (nve: string) => (row: Row | undefined) => row?.nveId === nve && row.applied;

beforeAll(async () => {
  await lab.run("nva", "nva", "vn", "create", "red", "--id", String(VN), "--vni", "70001");
  for (const tor of ["tor1", "tor2"]) {
    await until(
      `the ports of ${tor} to be bound`,
      async () => {
        const all = await rows<{ state: string }>(tor, "switch-agent", "show", "bindings");
        return all.every(({ state }) => state === "bound") || undefined;
      },
      15_000,
    );
  }
  const words = ["vnic", "attach", "tap-red4", "--vn", String(VN), "--mac", red4.mac];
  await lab.run("srv2", "hypervisor-agent", ...words, "--ip", red4.ip);
}, 60_000);

test("H16: a silent host is nowhere until its first frame, then known at the far rack and reached from there", async () => {
  expect([await at("tor1", bare1), await at("tor2", bare1)]).toEqual([undefined, undefined]);
  const before = Date.now();
  await send("bare1", frameFrom(bare1));
  const { row } = await shows("tor2", bare1, isBehind("tor1"));
  expect(row).toMatchObject({ where: "remote", provenance: { by: "nva" } });
  const near = await at("tor1", bare1);
  expect(near).toMatchObject({
    where: "local",
    port: "eth1",
    tag: 0,
    provenance: { by: "source" },
  });
  const { sinceUnixMs = 0, untilUnixMs = 0 } = near?.provenance ?? {};
  expect(sinceUnixMs).toBeGreaterThan(before);
  expect(untilUnixMs).toBeGreaterThan(Date.now());
  expect(untilUnixMs).toBeLessThan(Date.now() + 8100);
  expect(await lab.ping("red4", "10.0.1.21")).toBe(true);
  expect(await lab.ping("bare3", "10.0.1.21")).toBe(true);
});

describe("H16: its IPs", () => {
  const claims = () => rows<Claim>("nva", "nva", "claim", "list", "--vn", String(VN));

  test("H16, H18: are known from ARP, ND and DHCP, and the NVA is told that nobody said so", async () => {
    // What is silent is forgotten after seconds: on a busy machine it has to speak more than once.
    const row = await until(`${bare1} on tor1 with all its IPs`, async () => {
      await Promise.all([
        send("bare1", arpFrom(bare1, "10.0.1.21"), advertisementFrom(bare1, "fd00::21")),
        // From the other rack: through the overlay.
        send(
          "bare3",
          dhcpAck(bare3, bare1, "10.0.1.121", 3600),
          dhcp6Reply(bare3, bare1, "fd00::121", 3600),
        ),
      ]);
      const row = await at("tor1", bare1);
      return row?.ips.length === 4 ? row : undefined;
    });
    expect(row.ipProvenance).toMatchObject({
      "10.0.1.21": { by: "arp" },
      "fd00::21": { by: "nd" },
      "10.0.1.121": { by: "dhcp" },
      "fd00::121": { by: "dhcp" },
    });
    const lease = (row.ipProvenance["10.0.1.121"]?.untilUnixMs ?? 0) - Date.now();
    expect(lease / 1000).toBeGreaterThan(3500);
    await until("the NVA to have the IPs", async () => {
      return (await mapping(bare1))?.ips.length === 4 || undefined;
    });
    const claim = (await claims()).find(({ mac }) => mac === bare1);
    expect(claim).toMatchObject({ source: "nve:tor1", best: true, flags: ["gleaned"] });
  });

  test("H17: seen of a MAC whose IPs were said, they are shown and not claimed", async () => {
    await send("bare2", arpFrom(bare2, "10.0.1.99"));
    const { row } = await shows("tor1", bare2, (row) => row?.ips.includes("10.0.1.99") === true);
    expect(row).toMatchObject({
      provenance: { by: "static", untilUnixMs: 0 },
      ipProvenance: { "10.0.1.22": { by: "static" }, "10.0.1.99": { by: "arp" } },
    });
    expect((await mapping(bare2))?.ips).toEqual(["10.0.1.22"]);
  });
});

test("H17: silence makes what was gleaned forgotten at both racks and the NVA; what was said stays", async () => {
  await send("bare1", frameFrom(bare1));
  await shows("tor1", bare1, isAt("eth1"));
  await shows("tor1", bare1, isGone, 16_000);
  await shows("tor2", bare1, isGone);
  expect(await mapping(bare1)).toBeUndefined();
  expect(await at("tor1", bare2)).toMatchObject({ port: "eth2", applied: true });
  expect(await at("tor2", red4.mac)).toMatchObject({ provenance: { by: "signalled" } });
  // Who speaks again is back at once.
  expect(await lab.ping("bare1", red4.ip)).toBe(true);
  await shows("tor2", bare1, isBehind("tor1"));
});

test("H17: a host that is heard is not forgotten", async () => {
  const began = Date.now();
  for (let sent = 0; Date.now() - began < 17_000; sent++) {
    expect(await lab.ping("bare1", red4.ip, 1), `ping ${sent}`).toBe(true);
    expect((await at("tor1", bare1))?.where).toBe("local");
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
}, 40_000);

test("H17: a MAC that was said to be elsewhere is not moved by who uses it, here or on another NVE; it is a conflict", async () => {
  const shown = (mac: Mac, said: string) =>
    until(
      `the conflict of ${mac}`,
      async () => {
        await send("bare1", frameFrom(mac));
        const table = await lab.run("tor1", "switch-agent", "show", "conflicts");
        return table.split("\n").find((line) => line.includes(mac) && line.includes(said));
      },
      15_000,
    );
  await shown(bare2, "eth2:0");
  await shown(red4.mac, "tor2");
  expect(await at("tor1", bare2)).toMatchObject({ where: "local", port: "eth2" });
  expect(await at("tor1", red4.mac)).toMatchObject({ where: "remote", nveId: "tor2" });
  expect((await conflicts("tor1")).map(({ mac, port }) => [mac, port]).sort()).toEqual([
    [bare2, "eth1"],
    [red4.mac, "eth1"],
  ]);
  expect((await mapping(red4.mac))?.locations[0]?.nve).toBe("tor2");
  expect(await lab.ping("bare3", red4.ip)).toBe(true);
  expect(await lab.ping("bare1", "10.0.1.22")).toBe(true);
}, 40_000);

test("H16: what nobody said moves with who sends it, from port to port and from rack to rack and back", async () => {
  const roaming = Mac("02:00:00:00:00:99");
  await send("bare1", frameFrom(roaming));
  await shows("tor2", roaming, isBehind("tor1"));
  const sequence = async () => (await mapping(roaming))?.locations.map(({ nve }) => nve);
  await send("bare2", frameFrom(roaming));
  await shows("tor1", roaming, isAt("eth2"));
  await shows("tor2", roaming, isBehind("tor1"));
  await send("bare3", frameFrom(roaming));
  await shows("tor2", roaming, isAt("eth2"));
  await shows("tor1", roaming, isBehind("tor2"));
  expect(await sequence()).toEqual(["tor2"]);
  await until("it to be back", async () => {
    await send("bare1", frameFrom(roaming)); // once a second a place is heard
    return isAt("eth1")(await at("tor1", roaming)) || undefined;
  });
  await shows("tor2", roaming, isBehind("tor1"));
  expect(await sequence()).toEqual(["tor1"]);
}, 30_000);

test("V10: a flood of sources is counted and does not keep others from being known", async () => {
  const mac = (n: number) => Mac(`02:00:00:01:${hex(n >> 8)}:${hex(n & 0xff)}`);
  const hex = (n: number) => n.toString(16).padStart(2, "0");
  const flood = Array.from({ length: 1500 }, (_, n) => frameFrom(mac(n)));
  for (let n = 0; n < flood.length; n += 500) await send("bare1", ...flood.slice(n, n + 500));
  const newcomer = Mac("02:00:00:00:00:77");
  await send("bare2", frameFrom(newcomer));
  await shows("tor2", newcomer, isBehind("tor1"));
  const { drops } = (await lab.show("tor1", "switch-agent", "show", "counters")) as {
    drops: Record<string, number>;
  };
  expect(drops["glean-overrun"]).toBeGreaterThan(0);
  const gleaned = (await rows<Row>("tor1", "switch-agent", "show", "fdb")).filter(
    ({ port, provenance }) => port === "eth1" && provenance.by === "source",
  );
  expect(gleaned.length).toBeLessThanOrEqual(1024);
}, 30_000);
