import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hypervisorAgent } from "@nve/hypervisor-agent/cli/hypervisor-agent";
import type { AgentClient, World } from "@nve/hypervisor-agent/cli/world";
import { Refused } from "@nve/program/errors";
import { runProgram } from "@nve/program/program";
import type { HypervisorStatus, Vnic } from "@nve/protocol-spec/proto/agent";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";

const vnic: Vnic = {
  vnic: "aaaaaaaa-0000-4000-8000-00000000000a",
  interface: "tap0",
  uplink: "eth0",
  state: "associated",
  reason: "",
  vmName: "db1",
  pinnedUplink: "",
  drivenBy: "qmp",
  vns: [
    {
      vnId: 5001,
      vnName: "",
      guestTag: 0,
      uplink: "eth0",
      mtu: 0,
      tag: 101,
      macs: [{ mac: "02:00:00:00:00:0a", ips: ["10.0.0.1", "fd00::1"] }],
    },
    {
      vnId: 5002,
      vnName: "",
      guestTag: 20,
      uplink: "",
      mtu: 0,
      tag: 0,
      macs: [{ mac: "02:00:00:00:00:0b", ips: [] }],
    },
  ],
};

const status: HypervisorStatus = {
  version: "0.1.0",
  id: "server1",
  startedUnixMs: 1_700_000_000_000n,
  uplinks: [
    {
      interface: "eth0",
      state: "up",
      evb: true,
      groupId: true,
      r: 3,
      rte: 14,
      rwd: 20,
      rka: 20,
      neighbors: [
        {
          chassisId: "tor1",
          portId: "swp1",
          systemName: "tor1",
          systemDescription: "bad\u001b[31m",
          managementAddress: "192.0.2.1",
          mac: "52:54:00:bb:00:02",
          ttl: 120,
          portDescription: "access port swp1",
          capabilities: ["bridge"],
        },
      ],
      counters: { "lldp.in": 4n },
      vnics: 1,
      tagsLent: 1,
      tagsFree: 0,
      reason: "",
      stations: [],
    },
  ],
  interfaces: [{ interface: "tap0", in: 7n, out: 8n }],
  drops: { "not-bound": 2n },
  localNve: undefined,
};

/** Runs one command line against an agent that answers with the above; says what was asked and printed. */
async function cli(line: string, answers: Partial<AgentClient> = {}) {
  const asked: unknown[] = [];
  const lines: string[] = [];
  const client: AgentClient = {
    attach: async (...request) => {
      asked.push(["attach", ...request]);
      return vnic;
    },
    change: async (...request) => {
      asked.push(["change", ...request]);
      return vnic;
    },
    detach: async (...request) => {
      asked.push(["detach", ...request]);
    },
    vnics: async () => [vnic],
    status: async () => status,
    close: () => asked.push("closed"),
    ...answers,
  };
  const world: World = {
    agent: async (socket) => {
      asked.push(socket);
      return client;
    },
    print: (text) => lines.push(text),
    run: async (config) => {
      asked.push(["run", config]);
    },
  };
  const errors: string[] = [];
  const spy = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    errors.push(String(text));
    return true;
  });
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    lines.push(String(text));
    return true;
  });
  process.exitCode = 0;
  await runProgram(hypervisorAgent(world), ["node", "hypervisor-agent", ...line.split(" ")]);
  const exitCode = process.exitCode;
  process.exitCode = 0;
  spy.mockRestore();
  return { asked, text: lines.join("\n"), errors: errors.join(""), exitCode };
}

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = 0;
});

const attach = "vnic attach tap0 --vn 5001 --mac 02-00-00-00-00-0A";
const vns = [
  {
    vnId: 5001,
    vnName: "",
    guestTag: 0,
    macs: [{ mac: "02:00:00:00:00:0a", ips: [] as string[] }],
  },
];

describe("vnic", () => {
  test("attach asks for one VN with one MAC, and shows what came of it", async () => {
    const { asked, text, exitCode } = await cli(attach);
    const request = { vnic: "", interface: "tap0", vns, vmName: "", uplink: "" };
    expect(asked[1]).toEqual(["attach", request, 20_000]);
    expect(asked.at(-1)).toBe("closed");
    expect(text).toContain("associated");
    expect(exitCode).toBe(0);
  });

  test("H4: attach takes a VN Name, and nothing that is neither a name nor an ID", async () => {
    const name = "cccccccc-0000-4000-8000-000000005001";
    const { asked } = await cli(attach.replace("5001", name));
    expect(asked[1]).toMatchObject(["attach", { vns: [{ vnId: 0, vnName: name }] }, 20_000]);
    for (const wrong of ["blue", "0", "16777216", "cccc-1"]) {
      expect(await cli(attach.replace("5001", wrong)), wrong).toMatchObject({ exitCode: 2 });
    }
  });

  test("Req-3: attach takes the name of the only uplink to be used", async () => {
    const { asked } = await cli(`${attach} --uplink eth1`);
    expect(asked[1]).toMatchObject(["attach", { uplink: "eth1" }, 20_000]);
  });

  test("attach takes the VM's name", async () => {
    const { asked } = await cli(`${attach} --vm-name db1`);
    expect(asked[1]).toMatchObject(["attach", { vmName: "db1" }, 20_000]);
  });

  test("attach takes IPs, a VNIC Name, a time limit and another socket", async () => {
    const { asked } = await cli(
      `${attach} --ip 10.0.0.1 fd00::1 --vnic ${vnic.vnic} --timeout 5 --socket unix:/tmp/x`,
    );
    expect(asked[0]).toBe("unix:/tmp/x");
    expect(asked[1]).toEqual([
      "attach",
      {
        vnic: vnic.vnic,
        interface: "tap0",
        vmName: "",
        uplink: "",
        vns: [
          {
            vnId: 5001,
            vnName: "",
            guestTag: 0,
            macs: [{ mac: "02:00:00:00:00:0a", ips: ["10.0.0.1", "fd00::1"] }],
          },
        ],
      },
      5000,
    ]);
  });

  test("H10: attach and add take the guest's own tag for the VN", async () => {
    const tagged = [{ ...vns[0], guestTag: 10 }];
    const attached = await cli(`${attach} --guest-tag 10`);
    expect(attached.asked[1]).toMatchObject(["attach", { vns: tagged }, 20_000]);
    const added = await cli("vnic add tap0 --vn 5001 --mac 02:00:00:00:00:0a --guest-tag 10");
    expect(added.asked[1]).toEqual(["change", { vnic: "tap0", add: tagged, remove: [] }, 20_000]);
    for (const wrong of ["0", "4095", "1.5", "-1", "ten"]) {
      const { asked, exitCode } = await cli(`${attach} --guest-tag ${wrong}`);
      expect({ asked, exitCode }, wrong).toEqual({ asked: [], exitCode: 2 });
    }
    const { errors } = await cli(`${attach} --guest-tag 4095`);
    expect(errors).toContain("guest tag 4095 is not in 1..4094; untagged frames need none");
  });

  test("H15: attach without --mac leaves it to the agent", async () => {
    const { asked } = await cli("vnic attach svc0 --vn 5001 --ip 10.0.0.1");
    expect(asked[1]).toMatchObject([
      "attach",
      { vns: [{ macs: [{ mac: "", ips: ["10.0.0.1"] }] }] },
      20_000,
    ]);
  });

  test("add without --mac says why it is needed", async () => {
    const { asked, errors, exitCode } = await cli("vnic add tap0 --vn 5001");
    expect(errors).toMatch(/--mac is missing: say the MAC address that the VM uses/);
    expect(exitCode).toBe(2);
    expect(asked).toEqual([]);
  });

  test("a refusal is one line and exit code 1, and the connection is closed", async () => {
    const { asked, errors, exitCode } = await cli(attach, {
      attach: () => Promise.reject(new Refused("the NVE has no tag left (VDP error 2)")),
    });
    expect(errors).toBe("error: the NVE has no tag left (VDP error 2)\n");
    expect(exitCode).toBe(1);
    expect(asked.at(-1)).toBe("closed");
  });

  test.each([
    ["vnic attach tap0 --vn 0 --mac 02:00:00:00:00:0a", /VN ID 0/],
    ["vnic attach tap0 --vn 16777216 --mac 02:00:00:00:00:0a", /VN ID/],
    ["vnic attach tap0 --vn 1 --mac 02:00", /not a MAC address/],
    ["vnic attach tap0 --vn 1 --mac 02:00:00:00:00:0a --ip 10.0.0.256", /not an IP address/],
    ["vnic attach tap0 --mac 02:00:00:00:00:0a", /--vn/],
    [`${attach} --vnic 7`, /not a UUID/],
    [`${attach} --timeout 0`, /timeout/],
    ["vnic attach --vn 1", /interface/],
    ["vnic fly", /unknown command/],
  ])("%s is a usage error", async (line, why) => {
    const { asked, errors, exitCode } = await cli(line);
    expect(errors).toMatch(why);
    expect(exitCode).toBe(2);
    expect(asked).toEqual([]);
  });

  test("H6: add asks for more below a VNIC, named by its interface too", async () => {
    const { asked } = await cli("vnic add tap0 --vn 5001 --mac 02:00:00:00:00:0a");
    expect(asked[1]).toEqual(["change", { vnic: "tap0", add: vns, remove: [] }, 20_000]);
  });

  test.each([
    ["--vn 5001", [{ vnId: 5001, vnName: "", mac: "", ip: "" }]],
    [
      "--vn 5001 --mac 02:00:00:00:00:0a",
      [{ vnId: 5001, vnName: "", mac: "02:00:00:00:00:0a", ip: "" }],
    ],
    [
      "--vn 5001 --mac 02:00:00:00:00:0a --ip 10.0.0.1 --ip 10.0.0.2",
      [
        { vnId: 5001, vnName: "", mac: "02:00:00:00:00:0a", ip: "10.0.0.1" },
        { vnId: 5001, vnName: "", mac: "02:00:00:00:00:0a", ip: "10.0.0.2" },
      ],
    ],
  ])("H7: remove %s names the node", async (options, remove) => {
    const { asked } = await cli(`vnic remove tap0 ${options}`);
    expect(asked[1]).toEqual(["change", { vnic: "tap0", add: [], remove }, 20_000]);
  });

  test("remove --ip without --mac is a usage error", async () => {
    const { errors, exitCode } = await cli("vnic remove tap0 --vn 5001 --ip 10.0.0.1");
    expect(errors).toMatch(/--ip needs --mac/);
    expect(exitCode).toBe(2);
  });

  describe("H8, H12: many addresses come from files", () => {
    const folder = mkdtempSync(join(tmpdir(), "vnic-"));
    afterAll(() => rmSync(folder, { recursive: true }));
    const file = (text: string): string => {
      const path = join(folder, randomUUID());
      writeFileSync(path, text);
      return path;
    };
    const mac = "02:00:00:00:00:0a";

    test("addresses, prefixes and ranges, with remarks, beside those on the line", async () => {
      const path = file("# of the router\n10.1.0.0/16\r\n\nfd00::1 # one\n10.0.0.5-10.0.0.7");
      const { asked } = await cli(`${attach} --ip 10.0.0.1 fd00::1 --ip-file ${path}`);
      const ips = ["10.0.0.1", "fd00::1", "10.1.0.0/16", "10.0.0.5", "10.0.0.6/31"];
      expect(asked[1]).toMatchObject(["attach", { vns: [{ macs: [{ mac, ips }] }] }, 20_000]);
    });

    test("MACs, on the line too", async () => {
      const path = file("02-00-00-00-00-0b\n02:00:00:00:00:0a\n");
      const { asked } = await cli(`${attach} --mac 02:00:00:00:00:0c --mac-file ${path}`);
      const macs = ["a", "c", "b"].map((n) => ({ mac: `02:00:00:00:00:0${n}`, ips: [] }));
      expect(asked[1]).toMatchObject(["attach", { vns: [{ macs }] }, 20_000]);
    });

    test("faults are named with their lines, the first five", async () => {
      const path = file(["10.0.0.1", "10.0.0.5/28", ...Array(9).fill("x")].join("\n"));
      const { errors, exitCode, asked } = await cli(`${attach} --ip-file ${path}`);
      expect(errors).toContain(`${path}:2: "10.0.0.5/28" has bits behind its prefix length`);
      expect(errors).toContain(`${path}:6: "x" is not an IP address`);
      expect(errors).toContain("and 5 more");
      expect(errors).not.toContain(`${path}:7:`);
      expect([exitCode, asked]).toEqual([1, []]);
    });

    test.each([
      ["--ip-file /nowhere", /cannot read \/nowhere: ENOENT/, 1],
      ["--ip-file /dev/zero", /\/dev\/zero has more than 4194304 octets/, 1],
      ["--mac 02:00:00:00:00:0b --ip 10.0.0.1", /2 MACs and --ip: whose IPs are they/, 2],
      ["--ip-file - --mac-file -", /the standard input is one file/, 2],
    ])("%s is refused in words", async (options, why, code) => {
      const { errors, exitCode, asked } = await cli(`${attach} ${options}`);
      expect(errors).toMatch(why);
      expect([exitCode, asked]).toEqual([code, []]);
    });

    test("an empty file removes nothing", async () => {
      const path = file("# nothing\n");
      for (const options of [`--mac-file ${path}`, `--mac ${mac} --ip-file ${path}`]) {
        const { errors, exitCode } = await cli(`vnic remove tap0 --vn 5001 ${options}`);
        expect(errors).toMatch(/names no (MAC|IP)/);
        expect(exitCode).toBe(1);
      }
    });

    test("H6: replace says what comes and what goes", async () => {
      const options = `--vn 5001 --mac ${mac} --ip fd00::1 10.2.0.0/16`;
      const { asked } = await cli(`vnic replace tap0 ${options}`);
      const add = [{ ...vns[0], macs: [{ mac, ips: ["10.2.0.0/16"] }] }];
      const remove = [{ vnId: 5001, vnName: "", mac, ip: "10.0.0.1" }];
      expect(asked[1]).toEqual(["change", { vnic: vnic.vnic, add, remove }, 20_000]);
      const same = await cli(`vnic replace tap0 --vn 5001 --mac ${mac} --ip 10.0.0.1 fd00::1`);
      expect(same.asked.filter(Array.isArray)).toEqual([]);
      expect(same.text).toContain("10.0.0.1");
      const none = await cli(`vnic replace tap0 --vn 5001 --mac ${mac} --ip-file ${file("")}`);
      expect(none.asked[1]).toMatchObject(["change", { add: [], remove: [{}, {}] }, 20_000]);
    });

    test.each([
      [`tap0 --vn 5001 --mac ${mac}`, /say all the IPs/, 2],
      ["tap0 --vn 5001 --ip 10.0.0.1", /say one --mac/, 2],
      ["tap0 --vn 5001 --mac 02:00:00:00:00:0f --ip 10.0.0.1", /no MAC .* `vnic add` adds one/, 2],
      [`tap7 --vn 5001 --mac ${mac} --ip 10.0.0.1`, /no VNIC tap7/, 1],
      [`tap0 --vn 5001 --mac ${mac} --ip-file /dev/null`, /names no IP: nothing is replaced/, 1],
    ])("replace %s is refused in words", async (options, why, code) => {
      const { errors, exitCode } = await cli(`vnic replace ${options}`);
      expect(errors).toMatch(why);
      expect(exitCode).toBe(code);
    });

    test("list shows some of many, and all in JSON", async () => {
      const ips = Array.from({ length: 1000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
      const macs = Array.from({ length: 500 }, (_, i) => ({ mac: `mac-${i}`, ips }));
      const many = { ...vnic, vns: vnic.vns.map((vn) => ({ ...vn, macs })) };
      const { text } = await cli("vnic list", { vnics: async () => [many] });
      expect(text.split("\n")).toHaveLength(11);
      expect(text).toContain("… and 496 more");
      expect(text).toContain("10.0.0.0/24 10.0.1.0/24 10.0.2.0/24 … (1000)");
      const json = await cli("vnic list --json", { vnics: async () => [many] });
      expect(JSON.parse(json.text)[0].vns[0].macs).toHaveLength(500);
    });
  });

  test("detach names it and says so", async () => {
    const { asked, text } = await cli("vnic detach tap0");
    expect(asked[1]).toEqual(["detach", "tap0"]);
    expect(text).toBe("tap0 detached");
  });

  test("list shows a line for each MAC", async () => {
    const { text } = await cli("vnic list");
    expect(text.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      [
        "VNIC",
        "INTERFACE",
        "STATE",
        "VN",
        "GUEST-TAG",
        "TAG",
        "UPLINK",
        "MAC",
        "IP",
        "BY",
        "VM",
        "REASON",
      ],
      [
        vnic.vnic,
        "tap0",
        "associated",
        "5001",
        "-",
        "101",
        "eth0",
        "02:00:00:00:00:0a",
        "10.0.0.1 fd00::1",
        "qmp",
        "db1",
        "-",
      ],
      [
        vnic.vnic,
        "tap0",
        "associated",
        "5002",
        "20",
        "-",
        "-",
        "02:00:00:00:00:0b",
        "-",
        "qmp",
        "db1",
        "-",
      ],
    ]);
  });

  test("list --json is what the agent said", async () => {
    expect(JSON.parse((await cli("vnic list --json")).text)).toEqual([vnic]);
    expect(JSON.parse((await cli("--json vnic list")).text)).toEqual([vnic]);
  });

  test("show takes its name or its interface, and says so when there is none", async () => {
    expect(JSON.parse((await cli("vnic show tap0 --json")).text)).toEqual([vnic]);
    expect((await cli(`vnic show ${vnic.vnic}`)).text).toContain("qmp");
    expect((await cli("vnic show tap9")).errors).toContain("no VNIC tap9");
  });

  test("list of none says so", async () => {
    expect((await cli("vnic list", { vnics: async () => [] })).text).toBe("no VNICs");
  });
});

describe("status and show", () => {
  test("status says in a few lines whether it is well", async () => {
    const { text } = await cli("status");
    expect(text).toMatch(/^hypervisor: +server1$/m);
    expect(text).toMatch(/^uplinks: +eth0 up, NVE there$/m);
    expect(text).toMatch(/^vnics: +1$/m);
  });

  test("A8: on a server that is its own NVE, status says how that is, and there is no uplink", async () => {
    const localNve = {
      version: "0.1.0",
      nveId: "server1",
      vtep: "192.0.2.21",
      startedUnixMs: 0n,
      nvaState: "lost",
      nvaAddress: "nva:7470",
      nvaReason: "connect ECONNREFUSED",
      certificateValidToUnixMs: 0n,
      certificateFault: "",
      nvaRevision: 7n,
      dataplane: "ebpf",
      dataplaneState: "in sync",
      ports: 2,
      vns: 1,
      vnics: 2,
      localMacs: 2,
      remoteMacs: 0,
      warnings: [],
    };
    const own = { status: async () => ({ ...status, uplinks: [], localNve }) };
    const { text } = await cli("status", own);
    expect(text).toContain("server1, on this server, VTEP 192.0.2.21");
    expect(text).toContain("lost, nva:7470 (connect ECONNREFUSED)");
    expect(text).toMatch(/vnics: +2/);
    expect((await cli("show uplinks", own)).text).toBe("no uplinks: the NVE is on this server");
  });

  test("status --json is what the agent said", async () => {
    const said = JSON.parse((await cli("status --json")).text);
    expect(said).toMatchObject({ id: "server1", drops: { "not-bound": 2 } });
  });

  test("show uplinks has what was agreed", async () => {
    expect((await cli("show uplinks")).text).toMatch(/eth0 +up +yes +yes +3 +14 +20 +20 +1 +1/);
  });

  test("show neighbors has who is there, without its control characters", async () => {
    const { text } = await cli("show neighbors");
    expect(text).toMatch(
      /eth0 +tor1 +tor1 +swp1 +52:54:00:bb:00:02 +192.0.2.1 +bridge +120 +access port swp1 +bad\?\[31m/,
    );
  });

  test("show counters has frames and drops", async () => {
    const { text } = await cli("show counters");
    expect(text).toMatch(/eth0 +lldp.in +4/);
    expect(text).toMatch(/tap0 +in +7/);
    expect(text).toMatch(/virtual switch +dropped.not-bound +2/);
  });
});

test("run gets the config file", async () => {
  expect((await cli("run --config a.yaml")).asked).toEqual([["run", "a.yaml"]]);
});

test("--help is no error and has examples", async () => {
  const { text, exitCode } = await cli("--help");
  expect(exitCode).toBe(0);
  expect(text).toContain("Examples:");
  expect(text).toContain("vnic attach tap0");
});
