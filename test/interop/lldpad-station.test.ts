import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { nodeState } from "@nve/lab/labs";
import { spawnIn } from "@nve/lab/namespaces";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until, useLab } from "../support/lab.ts";
import { lldpadStation, type VdpMode, type VdpOutcome } from "../support/lldpad.ts";
import { describeWith } from "../support/stranger.ts";
import type { FdbRow, MappingRow, RefusalRow, TagRow } from "../support/two-racks.ts";

const VN = 5001;
const vm1 = { mac: "02:00:00:00:00:01", ip: "10.0.0.1" };
const vm2 = { mac: "02:00:00:00:00:02", ip: "10.0.0.2" };
const uuid = (n: number): string =>
  `fa9b7fff-b0a0-4893-abcd-beef4ff18f${String(n).padStart(2, "0")}`;
/** The VSI of vm1, from the second test on. */
const vsi1 = uuid(1);

// One lab for the file; the tests build on each other, in this order.
describeWith(["lldpad", "vdptool", "lldptool"], "lldpad", () => {
  const lab = useLab("lldpad-station");
  const station = lldpadStation(lab, "station", "eth1");
  const rows = async <T>(node: string, ...command: string[]) =>
    (await lab.show(node, ...command)) as T[];
  const tor1 = {
    vnics: () => rows<SwitchVnic>("tor1", "switch-agent", "show", "vnics"),
    tags: () => rows<TagRow>("tor1", "switch-agent", "show", "tags"),
    fdb: () => rows<FdbRow>("tor1", "switch-agent", "show", "fdb"),
    refusals: () => rows<RefusalRow>("tor1", "switch-agent", "show", "refusals"),
    count: async (counter: string): Promise<number> => {
      const { ports } = (await lab.show("tor1", "switch-agent", "show", "counters")) as Counters;
      return ports[0]?.counters[counter] ?? 0;
    },
  };
  const mappings = () => rows<MappingRow>("nva", "nva", "mapping", "list");
  const vnic = async (of: string) => (await tor1.vnics()).find((one) => one.vnic === of);
  const reaches = () => until("a ping", async () => (await ping()) || undefined, 8000);
  const ping = () => lab.ping("vm1", vm2.ip, 2);

  let tagger: ChildProcess;
  const tagFrames = async (tag: number | "none") => {
    tagger.stdin?.write(`${tag}\n`);
    if (tagger.stdout !== null) await once(tagger.stdout, "data");
  };

  /** Associates vm1 with any tag. */
  const associate = () =>
    station.ask("assoc", {
      uuid: vsi1,
      filters: [`0-${vm1.mac}-${VN}`],
      oui: [`cisco,ipv4_addr=${vm1.ip}`],
    });
  const tagOf = ({ filters: [filter = ""] }: VdpOutcome): number => Number.parseInt(filter, 10);

  beforeAll(() => {
    const words = [join(import.meta.dirname, "../support/tag-frames.mjs"), "tap-vm1", vm1.mac];
    tagger = spawnIn(nodeState(lab.name, "station"), [process.execPath, ...words, "eth1"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
  });
  afterAll(async () => {
    tagger.stdin?.end();
    if (tagger.exitCode === null) await once(tagger, "exit");
  });

  test("A9: lldpad and the switch agree on EVB: GroupIDs, and the larger of both sides' timers", async () => {
    await lab.run("nva", "nva", "vn", "create", "red", "--id", String(VN), "--vni", "70001");
    await until("EVB at the switch", async () => {
      const [port] = await rows<{ groupId: boolean }>("tor1", "switch-agent", "show", "ports");
      return port?.groupId || undefined;
    });
    expect(await rows("tor1", "switch-agent", "show", "ports")).toEqual([
      expect.objectContaining({ evb: true, groupId: true, r: 3, rte: 12, rwd: 16, rka: 18 }),
    ]);
    expect(await station.neighbourEvb()).toMatch(/bgid[\s\S]*rte:12[\s\S]*rwd:16[\s\S]*rka:18/);
  });

  test("H1, H11: a null VID is answered with a lent tag; lldpad's Cisco TLV gives the VNIC's IP to the tree and the NVA", async () => {
    const outcome = await associate();
    expect(outcome).toMatchObject({ code: 0, mode: "assoc" });
    const tag = tagOf(outcome);
    expect(tag).toBeGreaterThanOrEqual(2);
    expect(await station.held("assoc")).toEqual([
      { uuid: vsi1, filters: [`${tag}-${vm1.mac}-${VN}`] },
    ]);
    expect(await tor1.tags()).toEqual([expect.objectContaining({ port: "eth1", tag, vn: VN })]);
    expect(await vnic(vsi1)).toMatchObject({
      state: "associated",
      vns: [{ vnId: VN, tag, macs: [{ mac: vm1.mac, ips: [vm1.ip] }] }],
    });
    expect(await mappings()).toEqual([
      expect.objectContaining({ vnId: VN, mac: vm1.mac, ips: [vm1.ip] }),
    ]);
  });

  test("P1: the lent tag carries the VM's traffic to a VM behind another ToR", async () => {
    const words = ["vnic", "attach", "tap-vm2", "--vn", String(VN), "--mac", vm2.mac];
    await lab.run("srv2", "hypervisor-agent", ...words, "--ip", vm2.ip);
    expect(await ping()).toBe(false); // untagged frames are nobody's
    await tagFrames(await tagNow());
    await reaches();
  });

  test("keepalives: for more than three periods nothing changes, on either side", async () => {
    const before = await vnic(vsi1);
    const capture = await lab.capture("tor1", "eth1", "ether proto 0x8940");
    const first = await tor1.count("vdp.requests-in");
    const start = performance.now();
    await until(
      "four keepalives",
      async () => (await tor1.count("vdp.requests-in")) >= first + 4 || undefined,
      20_000,
    );
    expect(performance.now() - start).toBeGreaterThan(3 * 2621);
    expect(await vnic(vsi1)).toEqual(before);
    expect(await station.held("assoc")).toHaveLength(1);
    expect(await ping()).toBe(true);
    const frames = await capture.lines(); // each is a request, its ack, the answer and its ack
    expect(frames.length).toBeGreaterThanOrEqual(16);
    expect(await tor1.count("vdp.refused")).toBe(0);
  });

  const mac = "02:00:00:00:00:0a";
  test.each([
    { format: 1, asked: () => "TAG", given: "TAG" },
    { format: 2, asked: () => `TAG-${mac}`, given: `TAG-${mac}` },
    { format: 3, asked: () => `0--${VN}`, given: `TAG--${VN}` },
    { format: 4, asked: () => `0-${mac}-${VN}`, given: `TAG-${mac}-${VN}` },
  ])(
    "V8: from pre-associate over reservation and associate to de-associate, in any filter format",
    async ({ format, asked, given }) => {
      const tag = await tagNow(); // that of vm1: one VN has one tag on a port (A4)
      const withTag = (filter: string) => filter.replace("TAG", String(tag));
      const request = { uuid: uuid(10 + format), filters: [withTag(asked())] };
      const again = { ...request, filters: [withTag(given)] }; // vdptool wants to be told what was lent
      const steps: [VdpMode, string][] = [
        ["preassoc", "pre-associated"],
        ["preassoc-rr", "pre-associated-rr"],
        ["assoc", "associated"],
      ];
      for (const [i, [mode, state]] of steps.entries()) {
        const outcome = await station.ask(mode, i === 0 ? request : again);
        expect(outcome).toMatchObject({ code: 0, mode });
        expect(tagOf(outcome)).toBe(tag);
        const shown = await vnic(request.uuid);
        expect(shown).toMatchObject({ vns: [{ vnId: VN, tag }] });
        expect(shown?.state).toBe(state);
        const has = (await mappings()).some((row) => row.mac === mac);
        expect(has).toBe(mode === "assoc" && given.includes(mac)); // claimed when active, if it has a MAC
      }
      expect(await station.ask("deassoc", again)).toMatchObject({ code: 0, mode: "deassoc" });
      expect(await vnic(request.uuid)).toBeUndefined();
      for (const mode of ["preassoc", "preassoc-rr", "assoc"] as const) {
        expect((await station.held(mode)).map((one) => one.uuid)).not.toContain(request.uuid);
      }
      await until(
        "the claim to go",
        async () => (await mappings()).every((row) => row.mac !== mac) || undefined,
      );
    },
  );

  test("what names no VN is refused: a null VID or a tag never lent, in formats without GroupID", async () => {
    for (const [i, filter] of [
      "0",
      "0-02:00:00:00:00:0b",
      "99",
      "99-02:00:00:00:00:0b",
    ].entries()) {
      const outcome = await station.ask("assoc", { uuid: uuid(20 + i), filters: [filter] });
      expect(outcome).toMatchObject({ code: 0, mode: "deassoc", error: notValid });
    }
    expect(await tor1.vnics()).toHaveLength(1);
    const [first, , third] = (await tor1.refusals()).reverse();
    expect(first?.reason).toContain("neither a GroupID nor a VID");
    expect(third?.reason).toContain("tag 99 was never lent");
  });

  test("H26: an unknown VN is refused with error 5, which vdptool shows, and leaves nothing", async () => {
    const outcome = await station.ask("assoc", {
      uuid: uuid(30),
      filters: [`0-02:00:00:00:00:0c-7777`],
    });
    expect(outcome).toMatchObject({ code: 0, mode: "deassoc", error: notValid });
    expect(await tor1.refusals()).toContainEqual(
      expect.objectContaining({ vnId: 7777, code: 5, vnic: uuid(30) }),
    );
    expect(await tor1.vnics()).toHaveLength(1);
    expect(await station.held("assoc")).toHaveLength(1);
  });

  test("while the NVA is away an unknown VN gets error 3, and the VSI that is there stays", async () => {
    const nva = nodeState(lab.name, "nva").process?.pid;
    if (nva === undefined) throw new Error("no NVA");
    process.kill(nva, "SIGSTOP");
    try {
      const request = { uuid: uuid(31), filters: [`0-02:00:00:00:00:0d-7778`] };
      const outcome = await station.ask("assoc", request);
      expect(outcome).toMatchObject({ mode: "deassoc", error: "Unable to contact VSI Mgr" });
      expect(await ping()).toBe(true);
    } finally {
      process.kill(nva, "SIGCONT");
    }
  });

  test("Req-13: lldpad's hints are taken: S marks the claim as suspended, M changes nothing yet, and keepalives repeat them", async () => {
    for (const [n, hints, flags] of [
      [35, "from", ["suspended"]],
      [36, "to", []],
    ] as const) {
      const hinted = `02:00:00:00:03:${n}`;
      const request = { uuid: uuid(n), filters: [`0-${hinted}-${VN}`], hints };
      expect(await station.ask("assoc", request)).toMatchObject({ code: 0, mode: "assoc" });
      const claim = async () => (await mappings()).find(({ mac }) => mac === hinted);
      expect(await claim()).toMatchObject({ flags });
      const before = await vnic(request.uuid);
      const first = await tor1.count("vdp.requests-in");
      await until(
        "keepalives",
        async () => (await tor1.count("vdp.requests-in")) > first + 2 || undefined,
      );
      expect(await vnic(request.uuid)).toEqual(before);
      const again = { ...request, filters: [`${await tagNow()}-${hinted}-${VN}`] };
      expect(await station.ask("deassoc", again)).toMatchObject({ code: 0, mode: "deassoc" });
    }
  });

  test("many VSIs asked for at once, which lldpad sends one per ECP timeout, are all granted one tag", async () => {
    const many = Array.from({ length: 8 }, (_, i) => ({
      uuid: uuid(40 + i),
      filters: [`0-02:00:00:00:01:0${i}-${VN}`],
    }));
    await Promise.all(many.map((one) => station.post("assoc", one)));
    const tag = await tagNow();
    await until("all granted", async () => (await station.held("assoc")).length === 9 || undefined);
    expect(await tor1.tags()).toEqual([expect.objectContaining({ tag, vnics: 9 })]);
    const lent = many.map((one) => ({
      ...one,
      filters: one.filters.map((filter) => filter.replace(/^0-/, `${tag}-`)),
    }));
    await Promise.all(lent.map((one) => station.post("deassoc", one)));
    await until("all gone", async () => (await tor1.vnics()).length === 1 || undefined);
    expect(await tor1.tags()).toEqual([expect.objectContaining({ tag, vnics: 1 })]);
    expect(await station.held("deassoc")).toEqual([]);
  });

  test("a link flap: lldpad says its VSIs again, the tag stays and carries on", async () => {
    const tag = await tagNow();
    const before = await tor1.count("vdp.requests-in");
    await lab.run("tor1", "ip", "link", "set", "eth1", "down");
    await until("lldpad to see it", async () => {
      const { stdout } = await lab.exec("station", "ip", "-o", "link", "show", "eth1");
      return stdout.includes("NO-CARRIER") || undefined;
    });
    await lab.run("tor1", "ip", "link", "set", "eth1", "up");
    await until(
      "the VSI again",
      async () => (await tor1.count("vdp.requests-in")) > before || undefined,
    );
    expect(await tagNow()).toBe(tag);
    await reaches();
    expect(await tor1.vnics()).toHaveLength(1);
    expect(await tor1.tags()).toEqual([expect.objectContaining({ tag, vnics: 1 })]);
    expect(await station.held("assoc")).toHaveLength(1);
  });

  test("lldpad restarted: asked anew before the keepalive timeout it has the tag of before", async () => {
    const tag = await tagNow();
    await station.stop("SIGTERM"); // LLDP with TTL 0, no De-Associate
    await station.start();
    expect(await station.held("assoc")).toEqual([]);
    const outcome = await associate();
    expect(tagOf(outcome)).toBe(tag);
    expect(await tor1.tags()).toEqual([expect.objectContaining({ tag, vnics: 1 })]);
    await reaches();
  });

  test("lldpad killed: after the keepalive timeout nothing is left, at the switch and the NVA; asked anew it is lent a tag anew", async () => {
    await station.stop("SIGKILL");
    await until(
      "the switch to free the VSI",
      async () => (await tor1.vnics()).length === 0 || undefined,
      10_000,
    );
    expect(await tor1.tags()).toEqual([]);
    expect((await tor1.fdb()).filter(({ where }) => where === "local")).toEqual([]);
    await until(
      "the NVA to forget it",
      async () => (await mappings()).every((row) => row.mac !== vm1.mac) || undefined,
    );
    await station.start();
    const outcome = await associate();
    expect(outcome.mode).toBe("assoc");
    await tagFrames(tagOf(outcome));
    await reaches();
  });

  test("P11: the VN is deleted at the NVA: the switch de-associates, lldpad honours it, the tag carries nothing", async () => {
    expect(await station.held("assoc")).toHaveLength(1);
    await lab.run("nva", "nva", "vn", "delete", String(VN), "--force");
    await until(
      "lldpad to drop it",
      async () => (await station.held("assoc")).length === 0 || undefined,
    );
    expect(await tor1.vnics()).toEqual([]);
    expect(await tor1.tags()).toEqual([]);
    expect(await ping()).toBe(false);
    const before = await tor1.count("vdp.requests-in");
    const outcome = await associate();
    expect(outcome).toMatchObject({ mode: "deassoc", error: notValid });
    expect(await tor1.count("vdp.requests-in")).toBe(before + 1); // and it does not ask by itself
  });

  async function tagNow(): Promise<number> {
    const tag = (await vnic(vsi1))?.vns[0]?.tag;
    if (tag === undefined) throw new Error("vm1 has no tag");
    return tag;
  }
});

const notValid = "Invalid VID, GroupID or MAC address field";

type SwitchVnic = {
  vnic: string;
  state: string;
  vns: { vnId: number; tag: number; macs: { mac: string; ips: string[] }[] }[];
};
type Counters = { ports: { counters: Record<string, number> }[] };
