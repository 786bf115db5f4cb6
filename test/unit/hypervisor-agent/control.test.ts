import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Agent, Limit, VnicView } from "@nve/hypervisor-agent/agent";
import { connectAgent } from "@nve/hypervisor-agent/cli/client";
import type { AgentClient } from "@nve/hypervisor-agent/cli/world";
import { controlService } from "@nve/hypervisor-agent/control";
import { Starting } from "@nve/hypervisor-agent/starting";
import { NotFound, Refused } from "@nve/program/errors";
import { connect, type Serving, serve } from "@nve/program/rpc";
import { IpAddress, Mac, Uuid, Vid, VnId } from "@nve/protocol-spec";
import { HypervisorAgentClient } from "@nve/protocol-spec/proto/agent";
import { afterEach, beforeEach, expect, test } from "vitest";

const vnic = Uuid("aaaaaaaa-0000-4000-8000-00000000000a");
const mac = Mac("02:00:00:00:00:0a");
const view: VnicView = {
  vnic,
  interface: "tap0",
  pinned: undefined,
  over: new Map([[VnId(5), "eth0"]]),
  state: "associated",
  reason: undefined,
  vm: "db1",
  tree: [{ vn: VnId(5), macs: [{ mac, ips: [IpAddress("10.0.0.1")] }] }],
  tagged: [{ vn: VnId(5), mac, vid: Vid(105) }],
  mtus: new Map([[VnId(5), 1450]]),
};
const shown = {
  vnic,
  interface: "tap0",
  uplink: "eth0",
  state: "associated",
  reason: "",
  vmName: "db1",
  pinnedUplink: "",
  vns: [
    {
      vnId: 5,
      vnName: "",
      guestTag: 0,
      uplink: "eth0",
      mtu: 1450,
      tag: 105,
      macs: [{ mac, ips: ["10.0.0.1"] }],
    },
  ],
};
const wanted = {
  vnic: "",
  vmName: "",
  uplink: "",
  interface: "tap0",
  vns: [{ vnId: 5, vnName: "", guestTag: 0, macs: [{ mac, ips: [] }] }],
};

let folder: string;
let serving: Serving;
let client: AgentClient;
let asked: unknown[];
let limits: Limit[];
let agent: Agent;

beforeEach(async () => {
  asked = [];
  limits = [];
  agent = {
    attach: async (request, limit) => {
      asked.push(request);
      limits.push(limit);
      return view;
    },
    change: async (request) => {
      asked.push(request);
      return view;
    },
    detach: async (name) => {
      asked.push(name);
    },
    vnics: () => [view],
    stop: async () => {},
  };
  folder = mkdtempSync(join(tmpdir(), "hypervisor-agent-"));
  const service = controlService(
    () => agent,
    () => Promise.reject(new Error("not asked for")),
  );
  serving = await serve(`unix:${join(folder, "agent.sock")}`, [service]);
  client = await connectAgent(serving.address);
});

afterEach(async () => {
  client.close();
  await serving.close();
  rmSync(folder, { recursive: true });
});

test("attach goes to the agent as values, and its VNIC comes back as text", async () => {
  expect(await client.attach(wanted, 5000)).toEqual(shown);
  expect(asked).toEqual([{ interface: "tap0", tree: [{ vn: 5, macs: [{ mac, ips: [] }] }] }]);
});

test("the agent knows how long the caller waits, and answers before that", async () => {
  await client.attach(wanted, 5000);
  expect(limits[0]?.timeoutMs).toBeGreaterThan(4500);
  expect(limits[0]?.timeoutMs).toBeLessThanOrEqual(5250);
});

test("a caller that hangs up is noticed", async () => {
  const raw = connect(HypervisorAgentClient, serving.address);
  const gone = new Promise<void>((resolve) => {
    agent.attach = (_, { cancelled }) =>
      new Promise((_resolve, reject) => {
        cancelled?.addEventListener("abort", () => {
          resolve();
          reject(new Refused("gone"));
        });
        call.cancel();
      });
  });
  const call = raw.attachVnic(wanted, () => {});
  await gone;
  raw.close();
});

async function callStarting(patienceMs?: number) {
  const path = `unix:${join(folder, "starting.sock")}`;
  const starting = new Starting<Agent>(patienceMs);
  const ready = () => starting.ready();
  const status = async () => {
    await starting.ready();
    throw new Error("not asked for");
  };
  const early = await serve(path, [controlService(ready, status)]);
  const caller = await connectAgent(path);
  const close = async () => {
    caller.close();
    await early.close();
  };
  return { starting, caller, close };
}

test("who asks an agent that is starting waits for it", async () => {
  const { starting, caller, close } = await callStarting();
  const answer = caller.vnics();
  setTimeout(() => starting.isOver(agent), 50);
  expect(await answer).toEqual([shown]);
  await close();
});

test("what nobody waits for any more when the agent has started is not done", async () => {
  const path = `unix:${join(folder, "starting.sock")}`;
  const starting = new Starting<Agent>();
  const answers = [starting.ready()];
  const early = await serve(path, [
    controlService(
      () => answers.shift() ?? agent,
      () => Promise.reject(new Error("not asked for")),
    ),
  ]);
  const caller = await connectAgent(path);
  await expect(caller.attach(wanted, -400)).rejects.toThrow(); // waits 100 ms
  await caller.vnics(); // then it has heard of that
  starting.isOver(agent);
  await caller.vnics();
  expect(asked).toEqual([]);
  caller.close();
  await early.close();
});

test("an agent that takes long to start says so", async () => {
  const { caller, close } = await callStarting(20);
  await expect(caller.vnics()).rejects.toThrow(/is starting/);
  await expect(caller.status()).rejects.toThrow(/is starting/);
  await close();
});

test("the agent's reason is the caller's error", async () => {
  agent.attach = () => Promise.reject(new Refused("the NVE has no tag left"));
  await expect(client.attach(wanted, 5000)).rejects.toThrow(new Refused("the NVE has no tag left"));
});

test.each([
  ["no VN ID", { ...wanted, vns: [{ vnId: 0, vnName: "", guestTag: 0, macs: [] }] }, /VN ID 0/],
  [
    "no MAC",
    { ...wanted, vns: [{ vnId: 1, vnName: "", guestTag: 0, macs: [{ mac: "x", ips: [] }] }] },
    /not a MAC/,
  ],
  [
    "no IP",
    { ...wanted, vns: [{ vnId: 1, vnName: "", guestTag: 0, macs: [{ mac, ips: ["x"] }] }] },
    /not an IP/,
  ],
  ["no interface name", { ...wanted, interface: "a/b" }, /not the name of a network interface/],
  ["no UUID", { ...wanted, vnic: "7" }, /not a UUID/],
])("%s is refused in words and never reaches the agent", async (_, request, why) => {
  await expect(client.attach(request, 5000)).rejects.toThrow(why);
  expect(asked).toEqual([]);
});

test("H15: without a MAC it is that of the interface's other end, or the caller is told why not", async () => {
  const unnamed = {
    ...wanted,
    vns: [{ vnId: 5, vnName: "", guestTag: 0, macs: [{ mac: "", ips: [] }] }],
  };
  await expect(client.attach(unnamed, 5000)).rejects.toThrow(
    /--mac is missing.*tap0 is not to be seen/,
  );
  const path = `unix:${join(folder, "seeing.sock")}`;
  const none = () => Promise.reject(new Error("not asked for"));
  const seeing = await serve(path, [
    controlService(
      () => agent,
      none,
      async () => mac,
    ),
  ]);
  const caller = await connectAgent(path);
  await caller.attach(unnamed, 5000);
  expect(asked).toMatchObject([{ tree: [{ macs: [{ mac }] }] }]);
  caller.close();
  await seeing.close();
});

test("a VNIC is named by its UUID or by its interface", async () => {
  await client.detach("tap0");
  await client.detach(vnic);
  expect(asked).toEqual([vnic, vnic]);
  await expect(client.detach("tap7")).rejects.toThrow(NotFound);
});

test("H6, H7: a change names what is added and the nodes that are removed", async () => {
  const remove = [
    { vnId: 6, vnName: "", mac: "", ip: "" },
    { vnId: 5, vnName: "", mac, ip: "fd00:0::1" },
  ];
  await client.change({ vnic: "tap0", add: wanted.vns, remove }, 5000);
  expect(asked).toEqual([
    {
      vnic,
      add: [{ vn: 5, macs: [{ mac, ips: [] }] }],
      remove: [{ vn: 6 }, { vn: 5, mac, ip: "fd00::1" }],
    },
  ]);
});

test("list is what the agent has", async () => {
  expect(await client.vnics()).toEqual([shown]);
});

test("H4: a VN comes by its VN ID or its VN Name, and goes back as what is known of it", async () => {
  const name = Uuid("cccccccc-0000-4000-8000-000000005001");
  agent.attach = async (request) => {
    asked.push(request);
    return { ...view, tree: request.tree };
  };
  const byName = { vnId: 0, vnName: name, guestTag: 0, macs: [{ mac, ips: [] }] };
  const shown = await client.attach({ ...wanted, vns: [byName] }, 5000);
  expect(asked).toMatchObject([{ tree: [{ vn: name }] }]);
  expect(shown.vns).toMatchObject([{ vnId: 0, vnName: name }]);
  const neither = { vnId: 0, vnName: "", guestTag: 0, macs: [{ mac, ips: [] }] };
  await expect(client.attach({ ...wanted, vns: [neither] }, 5000)).rejects.toThrow(/VN ID 0/);
  const odd = { ...byName, vnName: "blue" };
  await expect(client.attach({ ...wanted, vns: [odd] }, 5000)).rejects.toThrow(/not a UUID/);
});

test("the VM's name comes along, when it can be shown", async () => {
  await client.attach({ ...wanted, vmName: "db 1" }, 5000);
  expect(asked).toMatchObject([{ vm: "db 1" }]);
  for (const vmName of ["a\nb", " x", "ü".repeat(101)]) {
    await expect(client.attach({ ...wanted, vmName }, 5000)).rejects.toThrow(/a VM's name/);
  }
});

test("H8: prefixes and ranges are taken, a range as prefixes", async () => {
  const ips = ["10.0.0.1", "10.1.0.0/16", "10.2.0.5-10.2.0.7"];
  const vns = [{ vnId: 5, vnName: "", guestTag: 0, macs: [{ mac, ips }] }];
  await client.attach({ ...wanted, vns }, 5000);
  const taken = ["10.0.0.1", "10.1.0.0/16", "10.2.0.5", "10.2.0.6/31"];
  expect(asked).toMatchObject([{ tree: [{ macs: [{ ips: taken }] }] }]);
  const odd = [{ vnId: 5, vnName: "", guestTag: 0, macs: [{ mac, ips: ["10.0.0.1/24"] }] }];
  await expect(client.attach({ ...wanted, vns: odd }, 5000)).rejects.toThrow(/10.0.0.0\/24 meant/);
});
