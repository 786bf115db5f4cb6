import { rmSync } from "node:fs";
import { join } from "node:path";
import { namespaceOf } from "@nve/lab/topology";
import { afterAll, describe, expect, test } from "vitest";
import { encapsulationLab, vtep } from "../support/encapsulation-lab.ts";
import { until } from "../support/lab.ts";
import { datagramsThatArrive, tcpArrives } from "../support/streams.ts";
import { dissect } from "../support/tshark.ts";
import { useTwoRacks, VNI, vm } from "../support/two-racks.ts";

type Lists = Parameters<typeof encapsulationLab>[0];

/** A lab of its own, with a VM at each switch that wants to speak with the other. */
function pair(lists: Lists, family: 4 | 6) {
  const folder = encapsulationLab(lists, family);
  const lab = useTwoRacks(join(folder, "two-racks.clab.yml"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const node = (name: string) => namespaceOf(lab.name, name);
  return {
    ...lab,
    begin: async () => {
      await lab.createVns();
      await lab.ready("srv1", "srv3");
      for (const name of ["red1", "red3"]) await lab.attach(name);
      for (const tor of ["tor1", "tor2"]) {
        await until(`both VMs at ${tor}`, async () => {
          const macs = (await lab.fdb(tor)).filter(({ applied }) => applied);
          return macs.length === 2 || undefined;
        });
      }
    },
    /** Echoes without a loss, TCP and split datagrams, both ways. */
    bulk: async () => {
      const { stdout } = await lab.exec("red1", "ping", "-c10", "-i0.05", "-W2", vm("red3").ip);
      expect(stdout).toContain(" 0% packet loss");
      for (const [from, to] of [
        ["red1", "red3"],
        ["red3", "red1"],
      ] as const) {
        expect(await tcpArrives(node(from), node(to), vm(to).ip, 5_000_000)).toBe(true);
        expect(await datagramsThatArrive(node(from), node(to), vm(to).ip, 500)).toBe(500);
      }
    },
    remoteNves: async (tor: string) => {
      const rows = (await lab.show(tor, "switch-agent", "show", "vns")) as {
        vni: number;
        remoteNves: string[];
      }[];
      return rows.find(({ vni }) => vni === VNI.red)?.remoteNves;
    },
  };
}

describe("two switches that prefer different encapsulations", () => {
  const lists: Lists = {
    tor1: ["nvgre", "vxlan"],
    tor2: ["mpls-over-gre", "vxlan", "nvgre"],
  };
  const lab = pair(lists, 4);

  test("A24, V9: each sends in the first of its own that the other takes too", async () => {
    await lab.begin();
    const underlay = await lab.capture("spine", "eth1", "ip proto 47 or udp port 4789");
    expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
    await underlay.lines();
    const echo = (filter: string, field: string) =>
      dissect(underlay.path, `icmp && ${filter}`, "ip.src", "ip.dst", field, "icmp.type");
    const nvgre = await echo("gre.proto == 0x6558", "gre.key");
    const vxlan = await echo("vxlan", "vxlan.vni");
    expect(nvgre.length).toBeGreaterThan(0);
    for (const [from, to, key, type] of nvgre) {
      expect(`${from} ${to} ${type}`).toBe(
        `${vtep[4].tor1},${vm("red1").ip} ${vtep[4].tor2},${vm("red3").ip} 8`,
      );
      expect(Number(key) >>> 8).toBe(VNI.red);
    }
    expect(vxlan.length).toBeGreaterThan(0);
    for (const [from, , vni, type] of vxlan) {
      expect(`${from} ${vni} ${type}`).toBe(`${vtep[4].tor2},${vm("red3").ip} ${VNI.red} 0`);
    }
  });

  test("A24, V9: bulk TCP and split datagrams get through, one way in NVGRE and the other in VXLAN", async () => {
    await lab.bulk();
  });

  test("A24: the same where the switches have to split super-packets themselves", async () => {
    for (const tor of ["tor1", "tor2"]) {
      for (const port of ["eth1", "eth3"]) {
        await lab.run(tor, "ip", "link", "set", port, "gso_max_size", "2000");
      }
    }
    await lab.bulk();
  });

  test("V10: how frames go to another NVE is shown", async () => {
    expect(await lab.remoteNves("tor1")).toEqual([`tor2 ${vtep[4].tor2} (nvgre)`]);
    expect(await lab.remoteNves("tor2")).toEqual([`tor1 ${vtep[4].tor1}`]);
  });
});

describe("an underlay of IPv6", () => {
  const lab = pair({ tor1: ["vxlan", "mpls-over-gre"], tor2: ["mpls-over-gre", "vxlan"] }, 6);

  test("M1, A24, V9: VXLAN one way, MPLS over GRE the other, as tshark has them", async () => {
    await lab.begin();
    const underlay = await lab.capture("spine", "eth1", "ip6");
    expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
    await underlay.lines();
    const vxlan = await dissect(underlay.path, "icmp && vxlan", "ipv6.src", "vxlan.vni");
    // tshark takes the 0 that the tenant's MAC begins with for a control word (RFC 4448 §4.6), so it sees no ICMP there.
    const echo = "gre.proto == 0x8847 && mpls.bottom == 1 && frame.len == 160";
    const mpls = await dissect(underlay.path, echo, "ipv6.src", "mpls.label");
    expect(vxlan.length).toBeGreaterThan(0);
    for (const row of vxlan) expect(row).toEqual([vtep[6].tor1, String(VNI.red)]);
    expect(mpls.length).toBeGreaterThan(0);
    for (const row of mpls) expect(row).toEqual([vtep[6].tor2, String(VNI.red)]);
  });

  test("M1: bulk TCP and split datagrams get through", async () => {
    await lab.bulk();
  });
});

describe("two switches with no encapsulation in common", () => {
  const lab = pair({ tor1: ["nvgre"], tor2: ["vxlan"] }, 4);

  test("A24: are not reachable for each other, and that is shown", async () => {
    await lab.createVns();
    await lab.ready("srv1", "srv3");
    for (const name of ["red1", "red3"]) await lab.attach(name);
    const shown = await until("the other NVE", async () => {
      const remotes = await lab.remoteNves("tor1");
      return remotes?.length ? remotes : undefined;
    });
    expect(shown).toEqual([`tor2 ${vtep[4].tor2} (no encapsulation in common)`]);
    const remote = (await lab.fdb("tor1")).find(({ where }) => where === "remote");
    expect(remote).toMatchObject({ vtep: vtep[4].tor2, applied: false });
    expect(await lab.ping("red1", vm("red3").ip, 1)).toBe(false);
  });
});
