import { networkInterfaces } from "node:os";
import { linkMonitor, systemClock } from "@nve/linux";
import type { Log } from "@nve/program/log";
import { leave, untilSignal } from "@nve/program/program";
import { serve } from "@nve/program/rpc";
import { type IpAddress, type Mac, NveId } from "@nve/protocol-spec";
import type { HypervisorStatus } from "@nve/protocol-spec/proto/agent";
import {
  type Nve,
  nveService,
  statusOf as nveStatusOf,
  openNve,
  plainPort,
  watchInterface,
} from "@nve/switch-agent/local";
import type { Config } from "../config.ts";
import { controlService } from "../control.ts";
import { Starting } from "../starting.ts";
import { version } from "../version.ts";
import { type DrivenAgent, driven } from "../vms/driven.ts";
import { allowed, followVms } from "../vms/follow.ts";
import type { LocalNveConfig } from "./config.ts";
import { LocalAgent } from "./local-agent.ts";

/** How long the NVA has to confirm that all VNICs are gone when the agent ends. */
const FAREWELL_MS = 1000;

/** What the agent asks of the machine's interfaces. */
type Interfaces = {
  interfaceExists(name: string): boolean;
  macBehind(name: string): Promise<Mac | undefined>;
};

type Local = { agent: LocalAgent; known: DrivenAgent; nve: Nve; startedUnixMs: number };

/**
 * The agent of a server that is its own NVE (A8), until a signal: the control socket has the services of both.
 * @throws Refused
 */
export async function runLocal(
  config: Config,
  own: LocalNveConfig,
  log: Log,
  parts: Interfaces,
): Promise<void> {
  let running: Local | undefined;
  let unfollow = (): void => {};
  const starting = new Starting<Local>();
  const controlled = starting.started.then(({ nve }) => ({ nve, ports: () => portsOf(nve) }));
  const serving = await serve(config.socket, [
    controlService(
      async () => (await starting.ready()).known,
      async () => statusOf(config, await starting.ready()),
      parts.macBehind,
    ),
    nveService(controlled),
  ]);
  try {
    running = await open(config, own, log, parts);
    starting.isOver(running);
    unfollow = followVms(config, running.known, log, parts.interfaceExists);
    const { nve, vtep } = running.nve.self;
    log.info({ socket: serving.address, nve, vtep }, "running");
    const signal = await untilSignal();
    log.info({ signal }, "ending");
  } finally {
    unfollow();
    await serving.close();
    await running?.agent.stop(FAREWELL_MS);
    await running?.nve.close();
    leave();
  }
}

async function open(
  config: Config,
  { id = NveId(config.hypervisor), vtep, nva, dataplane, checkIps }: LocalNveConfig,
  log: Log,
  { interfaceExists }: Interfaces,
): Promise<Local> {
  const { hypervisor } = config;
  const nve = await openNve({ self: { nve: id, vtep }, nva, dataplane, version, log });
  const clock = systemClock;
  const mtuOf = (name: string) => linkMonitor().find(name)?.mtu;
  const notOfVm = (name: string) => hostsOwn(name, vtep);
  const interfaces = { interfaceExists, notOfVm, mtuOf, watchInterface };
  const agent = new LocalAgent({ hypervisor, nve, checkIps, clock, log, ...interfaces });
  return { agent, known: driven(agent, allowed(config)), nve, startedUnixMs: Date.now() };
}

/** What would cut the server off, were it in a VN. */
function hostsOwn(name: string, vtep: IpAddress): string | undefined {
  const addresses = networkInterfaces()[name] ?? [];
  if (addresses.some(({ address }) => address === vtep)) {
    return `${name} carries the VTEP ${vtep}: a VM's interface is wanted`;
  }
  return addresses.some(({ internal }) => internal)
    ? `${name} is the loopback interface: a VM's is wanted`
    : undefined;
}

const portsOf = (nve: Nve) => [...nve.core.ports.keys()].map((name) => plainPort(nve, name));

async function statusOf(
  { hypervisor }: Config,
  { nve, startedUnixMs }: Local,
): Promise<HypervisorStatus> {
  const { drops } = await nve.dataplane.counters();
  return {
    version,
    id: hypervisor,
    startedUnixMs: BigInt(startedUnixMs),
    uplinks: [],
    interfaces: [],
    drops: Object.fromEntries(Object.entries(drops).map(([why, n]) => [why, BigInt(n)])),
    localNve: nveStatusOf({ nve, ports: () => portsOf(nve) }),
  };
}
