// An NVE joins a VN of 100,000 mappings: until all of them are in its kernel. A real NVA and a real switch-agent, in a network
// namespace.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { call, connect } from "@nve/program/rpc";
import { SwitchAgentClient } from "@nve/protocol-spec/proto/agent";
import { kernelMap } from "./kernel-map.mjs";
import {
  after,
  bin,
  claimAll,
  cpuMs,
  createVns,
  nveSession,
  program,
  round,
  rss,
  until,
  withNva,
} from "./rig.mjs";

/** The map `fdb` of tor.h. */
const FDB = { name: "fdb", keyOctets: 12 };

export async function coldSync(mappings) {
  if (process.getuid() !== 0) throw new Error("needs root, for a network namespace");
  const space = `bench-nva-${process.pid}`;
  const ip = (line) => execFileSync("ip", line.split(" "));
  const inside = ["ip", "netns", "exec", space];
  try {
    ip(`netns add ${space}`);
    ip(`-n ${space} link set lo up`);
    ip(`-n ${space} link add p0 type veth peer name p1`);
    ip(`-n ${space} link add u0 type veth peer name u1`);
    for (const name of ["p0", "p1", "u0", "u1"]) ip(`-n ${space} link set ${name} up`);
    ip(`-n ${space} addr add 192.0.2.1/24 dev u0`);
    return await withNva("lmdb", (nva) => measured(nva, inside, mappings), { spawnWith: inside });
  } finally {
    execFileSync("ip", ["netns", "del", space]);
  }
}

async function measured(nva, inside, mappings) {
  await createVns(nva, 1);
  const session = await nveSession(nva.socket, "tor2", "192.0.2.2");
  await claimAll(session, { count: mappings });
  const socket = `unix:${join(nva.folder, "agent.sock")}`;
  const path = join(nva.folder, "agent.yaml");
  const config = {
    nve: "tor1",
    vtep: "192.0.2.1",
    nva: { addresses: [nva.address], insecure: true },
    ports: [{ name: "p0", static: [] }],
    stateDir: join(nva.folder, "state"),
    socket,
    log: "info",
  };
  writeFileSync(path, JSON.stringify(config));
  const words = [...inside, ...bin("switch-agent"), "run", "--config", path];
  const agent = program(nva.folder, "agent", words);
  try {
    await until("the switch-agent's session", () => /NVA connected/.test(agent.log())).catch(
      (error) => {
        throw new Error(`${error.message}: ${agent.log()}`);
      },
    );
    if (process.env.BENCH_PROFILE !== undefined) await after(2000); // a profile begins a while after the start
    return { mappings, ...(await synced(nva, agent, socket, mappings)) };
  } finally {
    await agent.stop();
    session.close();
  }
}

async function synced(nva, agent, socket, mappings) {
  const count = kernelMap(agent.child.pid, FDB.name, FDB.keyOctets);
  const startMb = round(rss(agent) / 1e6);
  const client = connect(SwitchAgentClient, socket);
  const [cpu, nvaCpu] = [cpuMs(agent), cpuMs(nva)];
  const begin = performance.now();
  const bind = { port: "p0", tag: 0, vnId: 1, vnName: "", macs: [], strict: false };
  const bound = call(client, client.bindPort, bind, 50_000);
  let first;
  for (let n = 0; n < mappings; n = count()) {
    if (n > 0) first ??= performance.now() - begin;
    if (performance.now() - begin > 50_000) throw new Error(`${n} mappings after 50 s`);
    await after(20);
  }
  const ms = performance.now() - begin;
  await bound;
  client.close();
  const status = readFileSync(`/proc/${agent.child.pid}/status`, "utf8");
  return {
    allMs: Math.round(ms),
    firstMs: first && Math.round(first),
    perSecond: Math.round((mappings / ms) * 1000),
    agentCpuMs: cpuMs(agent) - cpu,
    nvaCpuMs: cpuMs(nva) - nvaCpu,
    agentStartMb: startMb,
    agentPeakMb: round((1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1])) / 1e6),
    agentHeldMb: round(rss(agent) / 1e6),
    nvaMb: round(rss(nva) / 1e6),
  };
}
