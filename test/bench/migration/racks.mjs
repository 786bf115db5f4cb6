// Racks of our own agents, each node a network namespace: ToRs with their servers, a router between the ToRs, one NVA.
//
//   vms-s1 ══ s1 ── tor1 ── spine ── tor2 ── s3 ══ vms-s3      ══: a cable for each VNIC: tap-<n> on the server, v<n> in the VM
//                            nva
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { down } from "@nve/lab/down";
import { labState, nodeState } from "@nve/lab/labs";
import { namespaceOf, parseTopology } from "@nve/lab/topology";
import { up } from "@nve/lab/up";
import { call, connect } from "@nve/program/rpc";
import { HypervisorAgentClient, SwitchAgentClient } from "@nve/protocol-spec/proto/agent";
import { NorthboundClient } from "@nve/protocol-spec/proto/northbound";
import { file, until } from "../nva/rig.mjs";

const NVA = "198.51.100.1:7470";
/** Longer than any VNIC may take, on a busy machine, too: what takes longer has failed. */
const CALL_MS = 60_000;
const signals = ["SIGINT", "SIGTERM"];

export const tap = (vnic) => `tap-${vnic}`;
export const port = (vnic) => `v${vnic}`;

/**
 * @param racks names of the servers of each rack; rack n has ToR `tor<n>`, from 1 on
 * @param cables server and VNIC of each
 * @param attach how hypervisor-agents attach their programs: auto, tcx, clsact
 */
export async function openRacks({ racks, cables, forwardSeconds = 1, attach = "auto" }) {
  const lab = `bench-move-${process.pid}`;
  const folder = mkdtempSync(join(tmpdir(), "bench-move-"));
  const clients = [];
  const close = async () => {
    for (const signal of signals) process.off(signal, interrupted);
    for (const client of clients) client.close();
    try {
      if (process.env.BENCH_PROFILE !== undefined) await ended(lab);
    } finally {
      await down(lab);
    }
    rmSync(folder, { recursive: true, force: true });
  };
  const interrupted = () => void close().then(() => process.exit(1));
  for (const signal of signals) process.on(signal, interrupted);
  try {
    const topology = topologyOf(folder, { racks, cables, forwardSeconds, attach });
    await up(parseTopology(JSON.stringify({ name: lab, topology }), folder, lab), folder);
    const api = (kind, node, program) => {
      const { pid } = nodeState(lab, node).holder;
      const client = connect(kind, `unix:/proc/${pid}/root/run/split-nve/${program}.sock`);
      clients.push(client);
      return (method, request = {}) => call(client, client[method], request, CALL_MS);
    };
    const servers = new Map(
      racks.flat().map((name) => [name, api(HypervisorAgentClient, name, "hypervisor-agent")]),
    );
    const tors = new Map(
      racks.map((_, n) => [`tor${n + 1}`, api(SwitchAgentClient, `tor${n + 1}`, "switch-agent")]),
    );
    const nva = api(NorthboundClient, "nva", "nva");
    await until("EVB at all servers", async () => {
      const all = await Promise.all([...servers.values()].map((server) => server("status")));
      return all.every(({ uplinks }) => uplinks.every(({ evb }) => evb));
    });
    const at = (server, vnic) => `${namespaceOf(lab, `vms-${server}`)}:${port(vnic)}`;
    const process_ = (node) => nodeState(lab, node).process?.pid;
    return { lab, folder, servers, tors, nva, at, pidOf: process_, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What a hypervisor says of a VNIC {name, vnId, mac, ip} on one server. */
export function hypervisor(agent) {
  const treeOf = ({ vnId, mac, ip }, stage) => [
    { vnId, vnName: "", guestTag: 0, macs: [{ mac, ips: [ip] }], ...(stage && { stage }) },
  ];
  const stage = (name) => (vnic) =>
    agent("changeVnic", { vnic: vnic.uuid, add: treeOf(vnic, name), remove: [] });
  const attach = (vnic, how) =>
    agent("attachVnic", {
      ...{ vnic: vnic.uuid, interface: tap(vnic.name), vmName: "", uplink: "" },
      vns: treeOf(vnic, how),
    });
  return {
    attach: (vnic) => attach(vnic),
    prepare: (vnic) => attach(vnic, "prepared"),
    suspend: stage("suspended"),
    activate: stage("active"),
    detach: ({ uuid }) => agent("detachVnic", { vnic: uuid }),
  };
}

/** So that each program leaves its profile: they are asked to end, and waited for. */
async function ended(lab) {
  const pids = labState(lab).nodes.flatMap(({ process: one }) => one?.pid ?? []);
  for (const pid of pids) process.kill(pid, "SIGTERM");
  await until("the programs to end", () => !pids.some((pid) => existsSync(`/proc/${pid}`)), 30_000);
}

function topologyOf(folder, { racks, cables, forwardSeconds, attach }) {
  const nodes = {};
  const links = [];
  const node = (name, program, config, exec) => {
    const sysctls = { "net.ipv6.conf.default.disable_ipv6": 1 };
    nodes[name] = { kind: "linux", sysctls, ...(exec?.length > 0 && { exec }) };
    if (program === undefined) return;
    const path = join(folder, `${name}.yaml`);
    writeFileSync(path, JSON.stringify(config));
    nodes[name].cmd = `${program} run --config ${path}`;
    if (process.env.BENCH_PROFILE !== undefined)
      nodes[name].env = { NODE_OPTIONS: `--import ${file("../vdp/profile.mjs")}` };
  };
  const link = (a, b, mtu) => links.push({ endpoints: [a, b], mtu });
  const migration = { holdSeconds: 30, forwardSeconds, forwardMostSeconds: 20 };
  const listen = { address: `0.0.0.0:${NVA.split(":")[1]}`, insecure: true };
  node("nva", "nva", { listen, store: { use: "memory" }, migration, log: "warn" }, [
    "ip addr add 198.51.100.1/24 dev eth0",
    "ip route add 10.0.0.0/8 via 198.51.100.254",
  ]);
  const spine = ["ip addr add 198.51.100.254/24 dev e0"];
  link("nva:eth0", "spine:e0", 1600);
  for (const [n, servers] of racks.entries()) {
    const [name, net] = [`tor${n + 1}`, `10.1.${n + 1}`];
    spine.push(`ip addr add ${net}.1/24 dev e${n + 1}`);
    link(`${name}:u0`, `spine:e${n + 1}`, 1600);
    const ports = servers.map((server) => ({ name: server }));
    const reached = { addresses: [NVA], insecure: true };
    node(name, "switch-agent", { nve: name, vtep: `${net}.11`, nva: reached, ports, log: "warn" }, [
      `ip addr add ${net}.11/24 dev u0`,
      `ip route add default via ${net}.1`,
    ]);
    for (const server of servers) {
      const virtualSwitch = { driver: "ebpf", attach };
      const config = {
        hypervisor: server,
        uplinks: [{ name: "eth0" }],
        virtualSwitch,
        log: "warn",
      };
      node(server, "hypervisor-agent", config);
      node(`vms-${server}`);
      link(`${server}:eth0`, `${name}:${server}`, 1600);
    }
  }
  for (const { server, vnic } of cables)
    link(`${server}:${tap(vnic)}`, `vms-${server}:${port(vnic)}`, 1500);
  node("spine", undefined, undefined, spine);
  nodes.spine.sysctls["net.ipv4.ip_forward"] = 1;
  return { nodes, links };
}
