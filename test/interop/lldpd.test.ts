import { nodeState } from "@nve/lab/labs";
import { end } from "@nve/lab/processes";
import { expect, test } from "vitest";
import { until, useLab } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";
import { describeWith } from "../support/stranger.ts";

// One lab for the file; the tests build on each other, in this order.
describeWith(["lldpd", "lldpcli"], "lldpd", () => {
  const lab = useLab("lldpd");

  /** What lldpd shows of its neighbours, by its own interface; several behind one are told apart. */
  const seenByLldpd = async (): Promise<Seen[]> => {
    const { lldp }: Lldpcli = JSON.parse(
      await lab.run("other", "lldpcli", "show", "neighbors", "-f", "json"),
    );
    return [lldp.interface ?? []].flat().flatMap((one) =>
      Object.entries(one).map(([via, { chassis, port }]) => ({
        via,
        system: Object.keys(chassis)[0] ?? "",
        address: Object.values(chassis)[0]?.["mgmt-ip"],
        capability: Object.values(chassis)[0]?.capability,
        port: port.id.value,
      })),
    );
  };
  const tor: Seen = {
    via: "eth1",
    system: "tor",
    address: "192.0.2.11",
    capability: { type: "Bridge", enabled: true },
    port: "eth1",
  };
  const srv: Seen = {
    via: "eth2",
    system: "srv",
    address: "2001:db8::21",
    capability: { type: "Station", enabled: true },
    port: "eth1",
  };
  const other = { systemName: "other", managementAddress: "203.0.113.9" };
  const shownBy = async (node: string, agent: string) =>
    (await lab.show(node, agent, "show", "neighbors")) as object[];

  test("A9: lldpd sees both agents once each: system name, port, capability, management address", async () => {
    const seen = await until("two neighbours", async () => {
      const all = await seenByLldpd();
      return all.length >= 2 ? all : undefined;
    });
    expect(seen).toEqual([tor, srv]);
  });

  test("what is said to the nearest bridge is ordinary LLDP; lldpd keeps the agents beside their EVB LLDPDUs", async () => {
    const plain = "ether proto 0x88cc and ether dst 01:80:c2:00:00:0e and not ether src";
    const [mac = ""] = (await lab.run("other", "cat", "/sys/class/net/eth1/address")).split("\n");
    const capture = await lab.capture("other", "eth1", `${plain} ${mac}`);
    await lab.run("other", "lldpcli", "configure", "lldp", "tx-interval", "1"); // and it speaks now
    await until(
      "lldpd at the switch",
      async () => (await shownBy("tor", "switch-agent")).length > 0 || undefined,
    );
    const lines = await until("the switch's answer", async () => {
      const { stdout } = await lab.exec("other", "tcpdump", "-nn", "-v", "-r", capture.path);
      return stdout.includes("System Name") ? stdout : undefined;
    });
    expect(lines).not.toContain("Organization specific");
    expect(await seenByLldpd()).toEqual([tor, srv]);
  });

  test("A9: both agents show lldpd as their neighbour, and take it for no EVB peer", async () => {
    await until(
      "lldpd at the server",
      async () => (await shownBy("srv", "hypervisor-agent")).length > 0 || undefined,
    );
    expect(await shownBy("tor", "switch-agent")).toEqual([expect.objectContaining(other)]);
    expect(await shownBy("srv", "hypervisor-agent")).toEqual([expect.objectContaining(other)]);
    expect(await lab.show("tor", "switch-agent", "show", "ports")).toEqual([
      expect.objectContaining({ interface: "eth1", state: "up", evb: false }),
    ]);
  });

  test("an agent that ends for good is gone from lldpd at once, and lldpd from the agents when it ends", async () => {
    await labPrograms(lab).end("tor", "switch-agent", "stop", "--remove");
    await until(
      "lldpd to forget the switch",
      async () => (await seenByLldpd()).every(({ system }) => system !== "tor") || undefined,
    );
    expect(await seenByLldpd()).toEqual([srv]);
    const { process: lldpd } = nodeState(lab.name, "other");
    if (lldpd === undefined) throw new Error("no lldpd");
    await end([lldpd], 5000);
    await until(
      "the server to forget lldpd",
      async () => (await shownBy("srv", "hypervisor-agent")).length === 0 || undefined,
      8000,
    );
  });
});

type Seen = {
  via: string;
  system: string;
  address: string | undefined;
  capability: object | undefined;
  port: string;
};
type Lldpcli = {
  lldp: {
    interface?: Interfaces | Interfaces[];
  };
};
type Interfaces = Record<
  string,
  {
    chassis: Record<string, { "mgmt-ip"?: string; capability?: object }>;
    port: { id: { value: string } };
  }
>;
