import { beforeAll, describe, expect, test } from "vitest";
import { until, useLab } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";
import type { CountRow, FdbRow, TagRow, Vnic } from "../support/two-racks.ts";

// One lab for the file; the tests build on each other, in this order.
const lab = useLab("access-network");
const programs = labPrograms(lab);
const VN = { red: 10001, blue: 10002 } as const;

/** A VM of lab/access-network: `red1` is in VN red, on srv1, with 10.9.0.1. */
type Vm = `${"red" | "blue"}${1 | 2 | 3 | 4}`;
const vnOf = (vm: Vm) => VN[vm.startsWith("red") ? "red" : "blue"];
const numberOf = (vm: Vm) => vm.slice(-1);
const serverOf = (vm: Vm) => `srv${numberOf(vm)}`;
const ipOf = (vm: Vm) => `10.9.0.${numberOf(vm)}`;
const macOf = (vm: Vm) => `02:00:00:00:0${vnOf(vm) - 10_000}:0${numberOf(vm)}`;

const show = async <T>(node: string, ...command: string[]) =>
  (await lab.show(node, ...command)) as T;

async function attach(vm: Vm, ...more: string[]): Promise<Vnic> {
  const what = ["--vn", String(vnOf(vm)), "--mac", macOf(vm), "--ip", ipOf(vm)];
  const words = ["hypervisor-agent", "vnic", "attach", `tap-${vm}`, ...what, ...more];
  await lab.run(serverOf(vm), ...words);
  const all = await show<Vnic[]>(serverOf(vm), "hypervisor-agent", "vnic", "list");
  const found = all.find((one) => one.interface === `tap-${vm}`);
  if (found === undefined) throw new Error(`${serverOf(vm)} has no VNIC on tap-${vm}`);
  return found;
}

const detach = (vm: Vm) => lab.run(serverOf(vm), "hypervisor-agent", "vnic", "detach", `tap-${vm}`);

type SwitchVnic = { vnic: string; port: string; station: string; hypervisor: string };
const switchVnics = () => show<SwitchVnic[]>("tor1", "switch-agent", "show", "vnics");
const tags = () => show<TagRow[]>("tor1", "switch-agent", "show", "tags");

type Uplink = { evb: boolean; groupId: boolean };
const agreed = (...servers: string[]) =>
  until(`EVB at ${servers.join(", ")}`, async () => {
    const all = await Promise.all(
      servers.map((server) => show<Uplink[]>(server, "hypervisor-agent", "show", "uplinks")),
    );
    return all.flat().every(({ evb, groupId }) => evb && groupId) || undefined;
  });

/** Which MAC address a VM has in its ARP cache. */
const neighbour = async (vm: Vm, ip: string): Promise<string | undefined> =>
  /lladdr (\S+)/.exec(await lab.run(vm, "ip", "neigh", "show", ip))?.[1];

const ecpCount = async (server: string, counter: string): Promise<number> => {
  const all = await show<CountRow[]>(server, "hypervisor-agent", "show", "counters");
  return all.find((one) => one.counter === counter)?.value ?? 0;
};

beforeAll(async () => {
  for (const [name, id] of Object.entries(VN)) {
    await lab.run("nva", "nva", "vn", "create", name, "--id", `${id}`, "--vni", `${id + 60_000}`);
  }
  await agreed("srv1", "srv2", "srv3", "srv4");
});

describe("an access network with three servers on one port", () => {
  test("Req-2: the ToR shows each of the stations apart, with what it has agreed with it", async () => {
    const neighbors = await show<{ port: string; systemName: string; mac: string }[]>(
      "tor1",
      "switch-agent",
      "show",
      "neighbors",
    );
    expect(neighbors.map(({ port, systemName }) => `${port} ${systemName}`).sort()).toEqual([
      "eth1 srv1",
      "eth1 srv2",
      "eth1 srv3",
    ]);
    expect(new Set(neighbors.map(({ mac }) => mac)).size).toBe(3);
  });

  test("H3: VNICs of one VN on two stations get the same tag, and each is its own station's", async () => {
    const capture = await lab.capture("sw", "eth4", "ether proto 0x8940");
    const red1 = await attach("red1");
    const red2 = await attach("red2");
    expect(red1.vns[0]?.tag).toBeGreaterThan(1);
    expect(red2.vns[0]?.tag).toBe(red1.vns[0]?.tag);
    expect(await tags()).toEqual([expect.objectContaining({ vn: VN.red, port: "eth1", vnics: 2 })]);
    const shown = await switchVnics();
    expect(shown.map(({ hypervisor }) => hypervisor).sort()).toEqual(["srv1", "srv2"]);
    expect(new Set(shown.map(({ station }) => station)).size).toBe(2);
    const lines = await capture.lines();
    expect(lines.length).toBeGreaterThanOrEqual(8); // request, ack, answer, ack: of each
    for (const line of lines) expect(line, "Req-1: to single addresses").not.toMatch(/> 01:80:c2/);
  });

  test("H3: a VM reaches one on another station, past the ToR, and one behind the other ToR", async () => {
    await attach("red4");
    expect(await lab.ping("red1", ipOf("red2"))).toBe(true);
    expect(await lab.ping("red1", ipOf("red4"))).toBe(true);
    expect(await lab.ping("red2", ipOf("red4"))).toBe(true);
    expect(await lab.ping("red4", ipOf("red1"))).toBe(true);
    const capture = await lab.capture("tor1", "eth1", "vlan and icmp");
    expect(await lab.ping("red1", ipOf("red2"))).toBe(true);
    expect(await capture.lines()).toEqual([]);
  });

  test("H3: two VNs with the same IP addresses on the same stations stay apart", async () => {
    await attach("blue1");
    await attach("blue3");
    await attach("blue4");
    const lent = await tags();
    expect(new Set(lent.map(({ tag }) => tag)).size).toBe(2);
    expect(await lab.ping("blue1", ipOf("blue3"))).toBe(true);
    expect(await lab.ping("blue1", ipOf("blue4"))).toBe(true);
    expect(await lab.ping("red1", ipOf("red4"))).toBe(true);
    expect(await neighbour("blue1", ipOf("blue4"))).toBe(macOf("blue4"));
    expect(await neighbour("red1", ipOf("red4"))).toBe(macOf("red4"));
    expect(await lab.ping("red1", ipOf("blue3"), 2)).toBe(false);
    expect(await lab.ping("blue1", ipOf("red2"), 2)).toBe(false);
  });

  test("Req-2: no station has answered or read what was another's", async () => {
    for (const server of ["srv1", "srv2", "srv3"]) {
      expect(await ecpCount(server, "ecp.strangers"), server).toBe(0);
      expect(await ecpCount(server, "ecp.given-up"), server).toBe(0);
    }
  });

  test("Req-2: the same VSI ID from two stations are two VSIs: one leaves, the other stays", async () => {
    const name = "7f3c2c0e-5d1b-4a39-9c7e-0d5a4a7f0001";
    await detach("red1");
    await detach("red2");
    await attach("red1", "--vnic", name);
    await attach("red2", "--vnic", name);
    const both = (await switchVnics()).filter(({ vnic }) => vnic === name);
    expect(both.map(({ hypervisor }) => hypervisor).sort()).toEqual(["srv1", "srv2"]);
    await detach("red1");
    const left = (await switchVnics()).filter(({ vnic }) => vnic === name);
    expect(left.map(({ hypervisor }) => hypervisor)).toEqual(["srv2"]);
    expect(await lab.ping("red2", ipOf("red4"))).toBe(true);
    await attach("red1");
  });

  test("H3: a station's link flaps: it is back by itself with its tag, and the others notice nothing", async () => {
    const before = await tags();
    const stations = await stationsUp();
    await lab.run("srv1", "ip", "link", "set", "eth1", "down");
    await lab.run("srv1", "ip", "link", "set", "eth1", "up");
    await agreed("srv1");
    await until(
      "traffic again",
      async () => (await lab.ping("red1", ipOf("red4"), 1)) || undefined,
    );
    expect(await tags()).toEqual(before);
    expect(await lab.ping("blue3", ipOf("blue4"))).toBe(true);
    expect(await stationsUp()).toEqual(stations);
    for (const server of ["srv2", "srv3"]) {
      expect(await ecpCount(server, "ecp.given-up"), server).toBe(0);
    }
  });

  test("H3: the ToR's own link flaps: all stations say it again, and all tags are as before", async () => {
    const before = await tags();
    await lab.run("tor1", "ip", "link", "set", "eth1", "down");
    await lab.run("tor1", "ip", "link", "set", "eth1", "up");
    await until("EVB with all three", async () => (await stationsUp()).length === 3 || undefined);
    await until(
      "traffic again",
      async () => (await lab.ping("red2", ipOf("red4"), 1)) || undefined,
    );
    expect(await tags()).toEqual(before);
  });

  test("Req-2: a station that dies without a word loses its VSIs after the keepalive timeout; the others' stay", async () => {
    const mine = async (server: string) =>
      (await switchVnics()).filter(({ hypervisor }) => hypervisor === server).length;
    expect([await mine("srv1"), await mine("srv2"), await mine("srv3")]).toEqual([2, 1, 1]);
    await programs.stop("srv2", "SIGKILL");
    await until("its VSI to be gone", async () => (await mine("srv2")) === 0 || undefined, 10_000);
    expect([await mine("srv1"), await mine("srv3")]).toEqual([2, 1]);
    const fdb = await show<FdbRow[]>("tor1", "switch-agent", "show", "fdb");
    expect(fdb.map(({ mac }) => mac)).not.toContain(macOf("red2"));
    expect(await lab.ping("red1", ipOf("red4"))).toBe(true);
    expect(await lab.ping("blue3", ipOf("blue4"))).toBe(true);
  });

  test("Req-2: it comes again, and is served", async () => {
    await programs.start("srv2");
    await agreed("srv2");
    await attach("red2");
    expect(await lab.ping("red2", ipOf("red1"))).toBe(true);
    expect(await lab.ping("red2", ipOf("red4"))).toBe(true);
  });

  test("H3: a ToR that was killed and started again has all its stations' VNICs back by itself", async () => {
    const before = (await switchVnics()).map(({ vnic }) => vnic).sort();
    await programs.stop("tor1", "SIGKILL");
    await programs.start("tor1");
    await until(
      "all VNICs",
      async () => {
        const now = (await switchVnics()).map(({ vnic }) => vnic).sort();
        return JSON.stringify(now) === JSON.stringify(before) || undefined;
      },
      10_000,
    );
    await until("traffic", async () => (await lab.ping("red2", ipOf("red4"), 1)) || undefined);
    const lent = await tags();
    expect(new Set(lent.map(({ vn }) => vn)).size).toBe(2);
    expect(lent).toHaveLength(2);
  });
});

type Station = { mac: string; systemName: string; evb: boolean; vnics: number };
/** Those with whom the ToR has agreed on EVB. */
const stationsUp = async (): Promise<Station[]> => {
  const [port] = await show<{ stations: Station[] }[]>("tor1", "switch-agent", "show", "ports");
  return (port?.stations ?? [])
    .filter(({ evb }) => evb)
    .map(({ mac, systemName, evb, vnics }) => ({ mac, systemName, evb, vnics }));
};
