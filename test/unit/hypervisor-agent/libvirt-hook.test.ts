import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AgentClient } from "@nve/hypervisor-agent/cli/world";
import { mustNotFail, runHook } from "@nve/hypervisor-agent/libvirt/hook";
import { vmFileSchema } from "@nve/hypervisor-agent/vms/file";
import { parseConfig } from "@nve/program/config";
import { Refused } from "@nve/program/errors";
import type { Vnic } from "@nve/protocol-spec/proto/agent";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const MACS = ["52:54:00:00:00:01", "52:54:00:00:00:02"] as const;
const domain = (metadata = true): string => {
  const vnics = MACS.map((mac) => `<v:vnic mac="${mac}"><v:vn id="7"/></v:vnic>`).join("");
  const ours = `<metadata><v:vnics xmlns:v="urn:split-nve:vnics:1">${vnics}</v:vnics></metadata>`;
  const nics = MACS.map(
    (mac, i) => `<interface><mac address="${mac}"/><target dev="vnet${i}"/></interface>`,
  );
  return `<domain><name>vm1</name><uuid>c7a5fdbd-cdaf-9455-926a-d65c16db1809</uuid>${metadata ? ours : ""}<devices>${nics.join("")}</devices></domain>`;
};

let folder = "";
let asked: string[] = [];
let there: Pick<Vnic, "vnic" | "interface" | "vmName" | "drivenBy">[] = [];
/** The interface that the agent does not take. */
let refused = "";
let away = false;

const client = {
  attach: async (request: { vnic: string; interface: string; vns: { stage?: string }[] }) => {
    asked.push(`attach ${request.interface} ${request.vns[0]?.stage}`);
    if (request.interface === refused) throw new Refused("the NVE refused VN 7: no such VN");
    there.push({ ...request, vmName: "vm1", drivenBy: "libvirt" });
    return request;
  },
  detach: async (vnic: string) => {
    asked.push(`detach ${there.find((one) => one.vnic === vnic)?.interface}`);
    there = there.filter((one) => one.vnic !== vnic);
  },
  vnics: async () => there,
  close: () => asked.push("close"),
} as unknown as AgentClient;

const hook = (operation: string, xml = domain()): Promise<void> =>
  runHook(
    { guest: "vm1", operation, xml, vms: folder, state: join(folder, "state"), timeoutMs: 1000 },
    async () => {
      if (away) throw new Refused("no agent at the socket");
      return client;
    },
  );

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hook-"));
  asked = [];
  there = [];
  refused = "";
  away = false;
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("libvirt's qemu hook", () => {
  test("a domain that starts: its NICs are connected once they are there, and gone when it stops", async () => {
    await hook("prepare");
    expect(asked).toEqual([]);
    await hook("start");
    await hook("started");
    await hook("stopped");
    await hook("release");
    expect(asked.filter((one) => one !== "close")).toEqual([
      "attach vnet0 active",
      "attach vnet1 active",
      "detach vnet0",
      "detach vnet1",
    ]);
  });

  test("H23: a domain that arrives is prepared; the next time that it starts, it is active", async () => {
    for (const operation of ["migrate", "prepare", "start", "started"]) await hook(operation);
    expect(asked).toContain("attach vnet0 prepared");
    await hook("stopped");
    await hook("start");
    expect(asked).toContain("attach vnet0 active");
  });

  test("all NICs or none: one that is refused stops the start, and leaves nothing", async () => {
    refused = "vnet1";
    await expect(hook("start")).rejects.toThrow("the NVE refused VN 7");
    expect(there).toEqual([]);
    expect(asked.at(-1)).toBe("close");
  });

  test("one that runs already is connected, and what is connected is left as it is", async () => {
    await hook("start");
    asked = [];
    await hook("reconnect");
    await hook("attach");
    expect(asked).toEqual(["close", "close"]);
  });

  test("a domain that is none of ours does not even need an agent", async () => {
    away = true;
    for (const operation of ["prepare", "migrate", "start", "started", "stopped", "restore"])
      await hook(operation, domain(false));
  });

  test("one of ours does not start without an agent", async () => {
    away = true;
    await expect(hook("start")).rejects.toThrow("no agent");
    await expect(hook("stopped")).rejects.toThrow("no agent");
  });

  test("a file of its name describes a domain without metadata, and no name leads out of the folder", async () => {
    const vnics = [{ mac: MACS[0], vn: 7 }];
    mkdirSync(join(folder, "sub"));
    writeFileSync(join(folder, "vm1.yaml"), JSON.stringify({ vnics }));
    await hook("start", domain(false));
    expect(asked).toEqual(["attach vnet0 active", "close"]);
    await runHook(
      {
        ...{ guest: "../vm1", operation: "start", xml: domain(false), state: folder },
        ...{ vms: join(folder, "sub"), timeoutMs: 1 },
      },
      async () => client,
    );
    expect(asked).toHaveLength(2);
  });

  test("what libvirt kills a running guest for is never said", () => {
    expect(["reconnect", "attach", "started"].map(mustNotFail)).toEqual([true, true, true]);
    expect(["prepare", "start", "migrate", "stopped"].some(mustNotFail)).toBe(false);
  });
});

describe("a VM's file", () => {
  const read = (text: string) => parseConfig(text, vmFileSchema, "vm1.yaml");

  test("one VN is said beside the NIC, several each with its guest tag", () => {
    const text = `
vnics:
  - { interface: tap0, mac: 02:00:00:00:00:01, vn: 7, ips: [10.0.0.1, 10.0.0.8-10.0.0.9] }
  - { interface: tap1, nic: nic1, vns: [{ vn: 7, guestTag: 10 }, { vn: 8, guestTag: 20 }] }
`;
    expect(read(text).vnics).toMatchObject([
      { mac: "02:00:00:00:00:01", vns: [{ vn: 7, ips: ["10.0.0.1", "10.0.0.8/31"] }] },
      {
        nic: "nic1",
        vns: [
          { vn: 7, guestTag: 10 },
          { vn: 8, guestTag: 20 },
        ],
      },
    ]);
  });

  test.each([
    ["{}", "vnics is a list"],
    ["vnics: []", "name one NIC at least"],
    ["vnics: [{ mac: 02:00:00:00:00:01 }]", "vn, or vns"],
    ["vnics: [{ vn: 7 }]", "mac, or nic"],
    ["vnics: [{ mac: 01:00:00:00:00:01, vn: 7 }]", "is no address of a station"],
    ["vnics: [{ mac: 02:00:00:00:00:01, vn: 0 }]", "VN ID 0"],
    ["vnics: [{ mac: 02:00:00:00:00:01, vn: 7, guestTag: 4095 }]", "guest tag 4095"],
    ["vnics: [{ mac: 02:00:00:00:00:01, vns: [{ vn: 7 }], ips: [10.0.0.1] }]", "stand in vns"],
    ["vnics: [{ mac: 02:00:00:00:00:01, vn: 7, ip: 10.0.0.1 }]", 'unknown key "ip"'],
    ["qmp: relative\nvnics: [{ mac: 02:00:00:00:00:01, vn: 7 }]", "full path of a socket"],
  ])("%s is refused in clear words", (text, why) => {
    expect(() => read(text)).toThrow(why);
  });
});
