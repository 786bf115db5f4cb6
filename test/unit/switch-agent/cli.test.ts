import { runProgram } from "@nve/program/program";
import type { FdbEntry, StaticBinding, StationStatus } from "@nve/protocol-spec/proto/agent";
import { switchAgent } from "@nve/switch-agent/cli/switch-agent";
import type { AgentClient } from "@nve/switch-agent/cli/world";
import type { Command } from "commander";
import { afterEach, expect, test, vi } from "vitest";

const agent: AgentClient = {
  status: async () => ({
    version: "0.1.0",
    nveId: "tor1",
    vtep: "192.0.2.1",
    startedUnixMs: 0n,
    nvaState: "lost",
    nvaAddress: "nva:7470",
    nvaReason: "connect ECONNREFUSED",
    certificateValidToUnixMs: 0n,
    certificateFault: "",
    nvaRevision: 7n,
    dataplane: "ebpf",
    dataplaneState: "in sync",
    ports: 1,
    vns: 1,
    vnics: 1,
    localMacs: 1,
    remoteMacs: 0,
    warnings: [],
  }),
  ports: async () => [
    {
      interface: "swp1",
      state: "up",
      evb: true,
      groupId: true,
      r: 3,
      rte: 14,
      rwd: 20,
      rka: 20,
      neighbors: [],
      counters: { "malformed.vdp.short": 2n },
      vnics: 1,
      tagsLent: 1,
      tagsFree: 4092,
      reason: "",
      stations: [],
    },
  ],
  vnics: async () => [
    {
      vnic: "vnic-1",
      port: "swp1",
      station: "52:54:00:aa:00:01",
      state: "associated",
      sinceUnixMs: 0n,
      hypervisor: "server1",
      vmName: "db1",
      origin: "vdp",
      authenticated: false,
      vns: [
        {
          vnId: 5001,
          vnName: "",
          guestTag: 0,
          uplink: "",
          mtu: 0,
          tag: 2,
          macs: [{ mac: "02:00:00:00:00:0a", ips: ["10.0.0.1"] }],
        },
        { vnId: 5002, vnName: "", guestTag: 0, uplink: "", mtu: 0, tag: 3, macs: [] },
      ],
    },
  ],
  vns: async () => [],
  fdb: async (vnId) => {
    asked = vnId;
    return [];
  },
  bind: async (request) => {
    bound = request;
    return { ...binding, ...request, state: "refused", reason: "no VN 5002" };
  },
  unbind: async (...place) => {
    unbound = place;
  },
  bindings: async () => [binding],
  refusals: async () => [
    {
      atUnixMs: 1000n,
      port: "swp1",
      vnic: "vnic-2",
      vnId: 6001,
      code: 5,
      reason: "no VN 6001\u001b[31m",
    },
  ],
  counters: async () => ({ vns: [], drops: { "no-such-tag": 3n }, nva: {}, meters: [] }),
  peers: async () => [
    {
      ...{ vtep: "192.0.2.2", nves: ["tor2"], vnIds: [10001, 10002] },
      ...{ need: 1550, pathMtu: 1400, state: "black-hole", sinceUnixMs: 0n },
    },
  ],
  tables: async () => [
    { name: "macs", entries: 3n, size: 524288n, octets: 128, memory: 8_389_000n, refused: 0n },
    { name: "vns", entries: 1n, size: 2n, octets: 224, memory: 0n, refused: 7n },
  ],
  capture: () => {
    throw new Error("not asked here");
  },
  trace: async () => {
    throw new Error("not asked here");
  },
  stop: async (remove) => {
    stopped = remove;
  },
  close: () => {},
};

const binding: StaticBinding = {
  port: "swp5",
  tag: 0,
  vnId: 5001,
  vnName: "",
  state: "bound",
  reason: "",
  origin: "config",
  macs: [],
  strict: false,
  vnic: "11111111-1111-5111-8111-111111111111",
};

let bound: unknown;
let unbound: unknown;
let asked: number | undefined;
let ran: unknown[] = [];
let stopped: boolean | undefined;
afterEach(() => {
  process.exitCode = undefined;
});

const lines = (...argv: string[]): Promise<string[]> => linesOf(agent, ...argv);

async function linesOf(asked: AgentClient, ...argv: string[]): Promise<string[]> {
  const printed: string[] = [];
  const program = switchAgent({
    agent: async () => asked,
    print: (line) => printed.push(line),
    run: async (...how) => {
      ran = how;
    },
    cleanup: async (pins) => (pins === undefined ? ["pin fdb", "interface nve-vxlan"] : []),
  });
  silence(program);
  await runProgram(program, ["node", "switch-agent", ...argv]);
  return printed;
}

function silence(command: Command): void {
  command.configureOutput({ writeErr: () => {} });
  command.commands.forEach(silence);
}

test("H6: show vnics has a line for each address, and one for a VN without", async () => {
  expect(await lines("show", "vnics")).toEqual([
    "VNIC    PORT  STATE       VN    TAG  MAC                IP        VM   HYPERVISOR  STATION            SINCE",
    "vnic-1  swp1  associated  5001  2    02:00:00:00:00:0a  10.0.0.1  db1  server1     52:54:00:aa:00:01  -",
    "vnic-1  swp1  associated  5002  3    -                  -         db1  server1     52:54:00:aa:00:01  -",
  ]);
});

test("H3: show ports has a row for a port of several stations, and one for each of them; show counters, too", async () => {
  const station: StationStatus = {
    mac: "52:54:00:aa:00:01",
    systemName: "server1",
    evb: true,
    groupId: true,
    r: 3,
    rte: 12,
    rwd: 20,
    rka: 20,
    vnics: 1,
    counters: { "ecp.requests-in": 7n },
  };
  const [port] = await agent.ports();
  if (port === undefined) throw new Error("no port");
  const second = { ...station, mac: "52:54:00:aa:00:02", systemName: "", evb: false, vnics: 0 };
  const shared = { ...agent, ports: async () => [{ ...port, stations: [station, second] }] };
  expect(await linesOf(shared, "show", "ports")).toEqual([
    "PORT  STATE  EVB  GROUP-ID  R  RTE  RWD  RKA  VNICS  TAGS-LENT  TAGS-FREE  NEIGHBOR",
    "swp1  up     yes  yes       3  14   20   20   1      1          4092       -",
    "swp1  up     yes  yes       3  12   20   20   1      -          -          server1 52:54:00:aa:00:01",
    "swp1  up     no   yes       3  12   20   20   0      -          -          52:54:00:aa:00:02",
  ]);
  const all = (await linesOf(shared, "show", "counters")).join("\n");
  expect(all).toMatch(/swp1 52:54:00:aa:00:01 +ecp.requests-in +7/);
  const [json = ""] = await linesOf(shared, "show", "counters", "--json");
  expect(JSON.parse(json)).toMatchObject({
    ports: [{ port: "swp1", stations: [{ mac: station.mac }, { mac: second.mac }] }],
  });
});

test("--json prints what the agent says", async () => {
  const [json = ""] = await lines("show", "vnics", "--json");
  expect(JSON.parse(json)).toMatchObject([{ vnic: "vnic-1", vns: [{ tag: 2 }, { tag: 3 }] }]);
});

test("show refusals names code and reason, without a peer's control characters", async () => {
  const [, row] = await lines("show", "refusals");
  expect(row).toBe("1970-01-01T00:00:01.000Z  swp1  vnic-2  6001  5     no VN 6001?[31m");
});

test("show counters names drops and malformed frames", async () => {
  const all = (await lines("show", "counters")).join("\n");
  expect(all).toMatch(/dropped +no-such-tag +3/);
  expect(all).toMatch(/swp1 +malformed.vdp.short +2/);
});

test("status says how long the certificate lasts", async () => {
  expect((await lines("status")).join("\n")).toMatch(/certificate: +none: plain TCP/);
  const status = { ...(await agent.status()), certificateValidToUnixMs: 1000n };
  const expired = { ...agent, status: async () => ({ ...status, certificateFault: "it is over" }) };
  expect((await linesOf(expired, "status")).join("\n")).toMatch(
    /certificate: +valid to 1970-01-01T00:00:01Z: it is over/,
  );
});

test("status says why the NVA is not there", async () => {
  expect((await lines("status")).join("\n")).toContain("lost, nva:7470 (connect ECONNREFUSED)");
});

test("show fdb takes a VN ID, and one that is none is a usage error", async () => {
  await lines("show", "fdb", "--vn", "5001");
  expect(asked).toBe(5001);
  await lines("show", "fdb", "--vn", "0");
  expect(process.exitCode).toBe(2);
});

test("H17: show fdb says who says so, of an IP where that is another; show conflicts what is not believed", async () => {
  const entry: FdbEntry = {
    vnId: 5001,
    vni: 15001,
    mac: "02:00:00:00:00:0a",
    ips: ["10.0.0.1", "10.0.0.2"],
    where: "local",
    port: "swp5",
    tag: 0,
    vtep: "",
    nveId: "",
    vnic: "",
    applied: true,
    moved: false,
    provenance: { by: "static", sinceUnixMs: 0n, untilUnixMs: 0n },
    ipProvenance: {
      "10.0.0.1": { by: "static", sinceUnixMs: 0n, untilUnixMs: 0n },
      "10.0.0.2": { by: "arp", sinceUnixMs: 1000n, untilUnixMs: 301_000n },
    },
  };
  const seen = { by: "source", sinceUnixMs: 1000n, untilUnixMs: 301_000n };
  const conflict = { ...entry, where: "conflict", port: "swp6", ips: [], provenance: seen };
  const entries = [entry, conflict];
  const fdb = await linesOf({ ...agent, fdb: async () => entries }, "show", "fdb");
  expect(fdb.map((line) => line.split(/ {2,}/).slice(2))).toEqual([
    ["MAC", "IP", "WHERE", "AT", "NVE", "VNIC", "APPLIED", "BY", "SINCE", "UNTIL"],
    [entry.mac, "10.0.0.1 10.0.0.2(arp)", "local", "swp5:0", "-", "-", "yes", "static", "-", "-"],
  ]);
  const shown = await linesOf({ ...agent, fdb: async () => entries }, "show", "conflicts");
  expect(shown.map((line) => line.split(/ {2,}/))).toEqual([
    ["VN", "MAC", "SEEN-AT", "SAID-AT", "SINCE", "UNTIL"],
    ["5001", entry.mac, "swp6:0", "swp5:0", "1970-01-01T00:00:01.000Z", "1970-01-01T00:05:01.000Z"],
  ]);
  expect(await lines("show", "conflicts")).toEqual(["no conflict"]);
});

test.each(["ports", "vns", "tags", "neighbors", "fdb"])(
  "show %s prints something",
  async (what) => {
    expect(await lines("show", what)).not.toEqual([]);
  },
);

test("run takes the config and, if told, another link driver", async () => {
  await lines("run", "--config", "x.yaml", "--link", "pcap");
  expect(ran).toEqual(["x.yaml", "pcap"]);
  await lines("run", "--config", "x.yaml", "--link", "pigeon");
  expect(process.exitCode).toBe(2);
});

test("A11: bind names port, VN, VLAN and what is there; the outcome is a line with the reason", async () => {
  const words = ["--vlan", "20", "--mac", "02:00:00:00:00:0A=10.0.0.1,10.0.0.8/31", "--strict"];
  const printed = await lines("bind", "swp5", "--vn", "5002", ...words, "--no-wait");
  expect(bound).toEqual({
    port: "swp5",
    tag: 20,
    vnId: 5002,
    vnName: "",
    macs: [{ mac: "02:00:00:00:00:0a", ips: ["10.0.0.1", "10.0.0.8/31"] }],
    strict: true,
  });
  expect(printed).toEqual([
    "PORT  VLAN  VN    STATE    BY      MACS                           REASON",
    "swp5  20    5002  refused  config  02:00:00:00:00:0a (no others)  no VN 5002",
  ]);
});

/** The agent's answers, one after another; the last one again and again. */
function deciding(...states: readonly [state: string, reason?: string][]): AgentClient {
  const left = [...states];
  const next = (): StaticBinding => {
    const [state, reason = ""] = (left.length > 1 ? left.shift() : left[0]) ?? ["gone"];
    return { ...binding, origin: "api", state, reason };
  };
  return { ...agent, bind: async () => next(), bindings: async () => [next()] };
}

/** What is printed, said as an error, and the exit code. */
async function outcomeOf(asked: AgentClient, ...argv: string[]) {
  const errors = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    const printed = await linesOf(asked, ...argv);
    const said = errors.mock.calls.map(([text]) => String(text)).join("");
    return { printed, said, code: process.exitCode ?? 0 };
  } finally {
    errors.mockRestore();
  }
}
const bind = ["bind", "swp5", "--vn", "5001"];

test("A11: bind waits for the decision, and its exit code tells it", async () => {
  const late = deciding(["deciding"], ["waiting", "the NVA cannot be asked"], ["bound"]);
  expect(await outcomeOf(late, ...bind, "--json")).toMatchObject({ said: "", code: 0 });
  const refused = await outcomeOf(deciding(["deciding"], ["refused", "no VN 5001"]), ...bind);
  expect(refused).toEqual({
    printed: [
      "PORT  VLAN      VN    STATE    BY   MACS  REASON",
      "swp5  untagged  5001  refused  api  -     no VN 5001",
    ],
    said: "error: swp5, untagged: refused: no VN 5001. It is kept and asked for again, until `switch-agent unbind swp5`\n",
    code: 1,
  });
  const unbound = { ...deciding(["deciding"]), bindings: async () => [] };
  expect(await outcomeOf(unbound, ...bind)).toMatchObject({
    said: expect.stringContaining("it was unbound meanwhile"),
    code: 1,
  });
});

test("A11: bind --no-wait asks once, and is done when the binding is kept", async () => {
  const once = { ...deciding(["deciding"]), bindings: () => Promise.reject(new Error("asked")) };
  expect(await outcomeOf(once, ...bind, "--no-wait")).toMatchObject({ said: "", code: 0 });
  const refused = deciding(["refused", "no VN 5001"]);
  expect(await outcomeOf(refused, ...bind, "--no-wait")).toMatchObject({ said: "", code: 0 });
});

test("A11: what is not decided is not waited for without end", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  try {
    const never = deciding(["waiting", "the NVA cannot be asked"]);
    const { bindings } = never;
    const timed: AgentClient = {
      ...never,
      bindings: () => {
        vi.advanceTimersByTime(5_000);
        return bindings();
      },
    };
    expect(await outcomeOf(timed, ...bind)).toMatchObject({
      said: expect.stringMatching(/not decided in 10 s: the NVA cannot be asked\. It is kept/),
      code: 1,
    });
  } finally {
    vi.useRealTimers();
  }
});

test("a port without protocol agrees on no times", async () => {
  const [port] = await agent.ports();
  if (port === undefined) throw new Error("no port");
  const plain = { ...port, interface: "swp5", evb: false, groupId: false };
  const ports = async () => [{ ...plain, r: 0, rte: 0, rwd: 0, rka: 0 }];
  const [head = "", row = ""] = await linesOf({ ...agent, ports }, "show", "ports");
  expect(head.split(/ +/).slice(4, 8)).toEqual(["R", "RTE", "RWD", "RKA"]);
  expect(row.split(/ +/).slice(4, 8)).toEqual(["-", "-", "-", "-"]);
  const [json = ""] = await linesOf({ ...agent, ports }, "show", "ports", "--json");
  expect(JSON.parse(json)).toMatchObject([{ r: null, rte: null, rwd: null, rka: null }]);
});

test("A11: bind takes a VN Name, and without --vlan the untagged frames", async () => {
  const vn = "66571c6d-f315-4e20-ac2f-1c85d8413f03";
  await lines("bind", "swp5", "--vn", vn, "--no-wait");
  expect(bound).toMatchObject({ tag: 0, vnId: 0, vnName: vn, macs: [], strict: false });
});

test.each([
  ["no VN", "bind swp5"],
  ["a VN that is none", "bind swp5 --vn red"],
  ["a VN ID that is none", "bind swp5 --vn 0"],
  ["a VLAN that is none", "bind swp5 --vn 5001 --vlan 4095"],
  ["a MAC that is none", "bind swp5 --vn 5001 --mac 02:00"],
  ["an IP that is none", "bind swp5 --vn 5001 --mac 02:00:00:00:00:0a=10.0.0"],
  ["strict, and nobody named", "bind swp5 --vn 5001 --strict"],
  ["unbind without a port", "unbind"],
  ["a MAC of a group", "bind swp5 --vn 5001 --mac 01:00:00:00:00:0a"],
  ["a control socket that is none", "bind swp5 --vn 5001 --socket foo"],
  ["a control socket without a path", "bind swp5 --vn 5001 --socket unix:"],
])("%s is a usage error: `%s`", async (_, line) => {
  bound = undefined;
  await lines(...line.split(" "));
  expect(process.exitCode).toBe(2);
  expect(bound).toBeUndefined();
});

test("unbind says what it did", async () => {
  expect(await lines("unbind", "swp5", "--vlan", "20")).toEqual(["swp5, tag 20: unbound"]);
  expect(unbound).toEqual(["swp5", 20]);
  expect(await lines("unbind", "swp5")).toEqual(["swp5, untagged: unbound"]);
  expect(unbound).toEqual(["swp5", 0]);
});

test("show bindings says who bound what, and what became of it", async () => {
  expect(await lines("show", "bindings")).toEqual([
    "PORT  VLAN      VN    STATE  BY      MACS  REASON",
    "swp5  untagged  5001  bound  config  -     -",
  ]);
  const [json = ""] = await lines("show", "bindings", "--json");
  expect(JSON.parse(json)).toEqual([binding]);
});

test("A10: how long packets may be on the way to each other NVE", async () => {
  expect(await lines("show", "peers")).toEqual([
    "VTEP       NVE   VNS          NEED  PATH-MTU  STATE       SINCE",
    "192.0.2.2  tor2  10001,10002  1550  1400      black-hole  -",
  ]);
});

test("V10: how full tables are, and what there was no room for", async () => {
  expect(await lines("show", "tables")).toEqual([
    "TABLE  ENTRIES  SIZE    OCTETS-EACH  MEMORY   REFUSED",
    "macs   3        524288  128          8389000  0",
    "vns    1        2       224          -        7",
  ]);
});

test.each([
  [["stop"], false],
  [["stop", "--remove"], true],
])("%s", async (words, remove) => {
  expect(await lines(...words)).toEqual(["it ends"]);
  expect(stopped).toBe(remove);
});

test("what an agent left is taken away, and told", async () => {
  expect(await lines("cleanup")).toEqual(["pin fdb", "interface nve-vxlan"]);
  expect(await lines("cleanup", "--pins", "/mnt/bpf")).toEqual(["nothing was left"]);
  expect(await lines("cleanup", "--json")).toEqual([
    expect.stringContaining('"interface nve-vxlan"'),
  ]);
});
