import { closeSync, existsSync, openSync, readdirSync, rmSync } from "node:fs";
import { basename, dirname } from "node:path";
import { down } from "@nve/lab/down";
import { nodeState } from "@nve/lab/labs";
import { spawnIn } from "@nve/lab/namespaces";
import { processId, usageOf } from "@nve/lab/processes";
import { run } from "@nve/lab/shell";
import { logOf } from "@nve/lab/state";
import { namespaceOf, readTopology } from "@nve/lab/topology";
import { up } from "@nve/lab/up";
import { call, connect } from "@nve/program/rpc";
import { HypervisorAgentClient, SwitchAgentClient } from "@nve/protocol-spec/proto/agent";
import { CreateVnRequest, NorthboundClient } from "@nve/protocol-spec/proto/northbound";
import { until } from "../../support/lab.ts";
import { type Guests, startGuests } from "./guests.ts";
import { guestOf, type Moved, servers, tors } from "./plan.ts";
import { writeTopology } from "./topology.ts";

/** The network of the soak, its programs' APIs, and what can be done to it. */
export type Rig = {
  readonly name: string;
  readonly nva: NorthboundClient;
  readonly tors: ReadonlyMap<string, SwitchAgentClient>;
  readonly servers: ReadonlyMap<string, HypervisorAgentClient>;
  readonly guests: Guests;
  /** What the programs say, in a folder for each run. */
  readonly logs: string;
  /** Folder of pinned maps of a ToR, as it is seen from here. */
  pins(tor: string): string;
  ifindexes(tor: string): Promise<ReadonlyMap<number, string>>;
  /** To the program of a node. */
  signal(node: string, name: "SIGSTOP" | "SIGCONT"): void;
  kill(node: string): Promise<void>;
  /** Resolves when it answers. */
  start(node: string): Promise<void>;
  link(node: string, name: string, state: "up" | "down"): Promise<void>;
  /** Of the program of a node now. */
  usage(node: string): { fds: number; rssMb: number; pid: number };
  end(): Promise<void>;
};

const socketOf = (lab: string, node: string, program: string): string =>
  `unix:/proc/${nodeState(lab, node).holder.pid}/root/run/split-nve/${program}.sock`;

/** Brings it up with its VNs, and waits until all that talk to each other do. @param name of the lab */
export async function startRig(name: string, vnics: readonly Moved[]): Promise<Rig> {
  const { folder, path } = writeTopology(vnics);
  try {
    await up(readTopology(path, name), path);
    return await ready(name, folder, vnics);
  } catch (error) {
    await down(name);
    rmSync(folder, { recursive: true });
    throw error;
  }
}

async function ready(name: string, folder: string, vnics: readonly Moved[]): Promise<Rig> {
  const nva = connect(NorthboundClient, socketOf(name, "nva", "nva"));
  const atTors = new Map(
    tors.map((tor) => [
      tor.name,
      connect(SwitchAgentClient, socketOf(name, tor.name, "switch-agent")),
    ]),
  );
  const atServers = new Map(
    servers.map((server) => [
      server.name,
      connect(HypervisorAgentClient, socketOf(name, server.name, "hypervisor-agent")),
    ]),
  );
  for (const [vnId, vni] of new Map(vnics.map((one) => [one.vnId, one.vni])))
    await call(nva, nva.createVn, CreateVnRequest.create({ alias: `vn${vnId}`, vnId, vni }));
  for (const [server, client] of atServers)
    await until(
      `${server} to hear its switch`,
      async () => {
        const { uplinks } = await call(client, client.status, {});
        return uplinks.every(({ evb }) => evb) || undefined;
      },
      30_000,
    );
  const ends = vnics.flatMap((vnic) => vnic.places.map((at) => guestOf(vnic, at)));
  const guests = await startGuests(name, ends);
  const programs = programsOf(name);
  return {
    name,
    nva,
    tors: atTors,
    servers: atServers,
    guests,
    logs: dirname(logOf(name, "nva")),
    ...programs,
    pins: (tor) => pinsOf(nodeState(name, tor).holder.pid),
    ifindexes: (tor) => interfacesOf(namespaceOf(name, tor)),
    link: async (node, link, state) => {
      await run("ip", ["-n", namespaceOf(name, node), "link", "set", link, state]);
    },
    end: async () => {
      guests.end();
      for (const client of [nva, ...atTors.values(), ...atServers.values()]) client.close();
      await programs.end();
      await down(name);
      rmSync(folder, { recursive: true });
    },
  };
}

/** The first word of what a node runs is its program, which answers at its socket. */
function programsOf(lab: string) {
  const started = new Map<string, number>();
  const pidOf = (node: string): number => {
    const pid = started.get(node) ?? nodeState(lab, node).process?.pid;
    if (pid === undefined) throw new Error(`${node} runs no program`);
    return pid;
  };
  const start = async (node: string): Promise<void> => {
    const state = nodeState(lab, node);
    const log = openSync(logOf(lab, node), "a");
    const child = spawnIn(state, state.cmd ?? [], { stdio: ["ignore", log, log] });
    closeSync(log);
    if (child.pid === undefined) throw new Error(`${node}: its program does not start`);
    started.set(node, child.pid);
  };
  return {
    start,
    signal: (node: string, name: "SIGSTOP" | "SIGCONT") => void process.kill(pidOf(node), name),
    kill: async (node: string) => {
      const pid = pidOf(node);
      process.kill(pid, "SIGKILL");
      await until(`the program of ${node} to end`, () => !existsSync(`/proc/${pid}`) || undefined);
    },
    usage: (node: string) => {
      const pid = pidOf(node);
      const id = processId(pid);
      const { rssBytes = 0 } = (id && usageOf(id)) ?? {};
      return {
        pid,
        fds: readdirSync(`/proc/${pid}/fd`).length,
        rssMb: Math.round(rssBytes / 2 ** 20),
      };
    },
    end: async () => {
      for (const pid of started.values())
        if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
    },
  };
}

function pinsOf(holder: number): string {
  const root = `/proc/${holder}/root/sys/fs/bpf/split-nve`;
  const [folder] = readdirSync(root).filter((name) => name.startsWith("net-"));
  if (folder === undefined) throw new Error(`nothing is pinned in ${root}`);
  return `${root}/${basename(folder)}`;
}

async function interfacesOf(namespace: string): Promise<Map<number, string>> {
  const { stdout } = await run("ip", ["-n", namespace, "-json", "link"]);
  const links = JSON.parse(stdout) as { ifindex: number; ifname: string }[];
  return new Map(links.map(({ ifindex, ifname }) => [ifindex, ifname]));
}
