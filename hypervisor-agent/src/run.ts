import { randomInt } from "node:crypto";
import {
  controlFrames,
  type Link,
  linkMonitor,
  openEdgePort,
  openPacketLink,
  openPcapLink,
  openRtnetlink,
  SystemError,
  systemClock,
  Unavailable,
} from "@nve/linux";
import { interfaceIndex } from "@nve/linux/bpf";
import { trimMalloc } from "@nve/linux/malloc";
import { readConfig } from "@nve/program/config";
import { Refused } from "@nve/program/errors";
import { readKeyFile } from "@nve/program/key-file";
import { createLog, type Log } from "@nve/program/log";
import { giveMemoryBack } from "@nve/program/memory";
import { leave, untilSignal } from "@nve/program/program";
import { serve } from "@nve/program/rpc";
import type { Mac } from "@nve/protocol-spec";
import type { HypervisorStatus } from "@nve/protocol-spec/proto/agent";
import { startAgent } from "./agent.ts";
import { type Config, configSchema, type UplinkConfig } from "./config.ts";
import { controlService } from "./control.ts";
import { uplinkStatusOf } from "./convert.ts";
import { runLocal } from "./local-nve/run.ts";
import { checkRights } from "./rights.ts";
import { Starting } from "./starting.ts";
import { openUplink, type Uplink, type UplinkOptions } from "./uplink.ts";
import { version } from "./version.ts";
import { openEbpfVirtualSwitch } from "./vm-port/ebpf/driver.ts";
import type { VirtualSwitch } from "./vm-port/vm-port.ts";
import { type DrivenAgent, driven } from "./vms/driven.ts";
import { allowed, followVms } from "./vms/follow.ts";

/** How long the NVE has to confirm that all VNICs are gone when the agent ends. */
const FAREWELL_MS = 1000;
/** Until a request that was not answered is made again: doubled each time, up to `max`; until a refused one is. */
const RETRY_MS = { first: 500, max: 10_000, refused: 30_000 };

/** The agent, from its config file until a signal. @throws Refused */
export async function run(configPath: string): Promise<void> {
  const config = readConfig(configPath, configSchema);
  const log = createLog("hypervisor-agent", config.log);
  checkRights();
  if (config.nve !== undefined) {
    return runLocal(config, config.nve, log, { interfaceExists, macBehind });
  }
  let running: Running | undefined;
  let unfollow = (): void => {};
  const starting = new Starting<Running>();
  // First the socket: a second agent by mistake must not touch what the first has in the kernel.
  const service = controlService(
    async () => (await starting.ready()).agent,
    async () => statusOf(config, await starting.ready()),
    macBehind,
  );
  const serving = await serve(config.socket, [service]);
  try {
    running = await start(config, log);
    starting.isOver(running);
    unfollow = followVms(config, running.agent, log, interfaceExists);
    log.info({ socket: serving.address, uplinks: namesOf(config) }, "running");
    giveMemoryBack(trimMalloc);
    const signal = await untilSignal();
    log.info({ signal }, "ending");
  } finally {
    unfollow();
    await serving.close();
    await running?.agent.stop(FAREWELL_MS);
    for (const uplink of running?.uplinks ?? []) uplink.close();
    await running?.virtualSwitch.close();
    leave();
  }
}

type Running = {
  agent: DrivenAgent;
  uplinks: readonly Uplink[];
  virtualSwitch: VirtualSwitch;
  startedUnixMs: number;
};

async function start(config: Config, log: Log): Promise<Running> {
  const virtualSwitch = await openVirtualSwitch(config, log);
  try {
    const { agent, uplinks } = startAgent({
      clock: systemClock,
      virtualSwitch,
      interfaceExists,
      mtuOf: (name) => linkMonitor().find(name)?.mtu,
      log,
      uplinks: namesOf(config),
      failbackMs: config.failbackMs,
      openUplink: (name, perform) => openUplink({ ...uplinkOptions(config, name, log), perform }),
    });
    const known = driven(agent, allowed(config));
    return { agent: known, uplinks, virtualSwitch, startedUnixMs: Date.now() };
  } catch (error) {
    await virtualSwitch.close();
    throw error;
  }
}

async function statusOf(
  { hypervisor }: Config,
  { uplinks, virtualSwitch, startedUnixMs }: Running,
): Promise<HypervisorStatus> {
  const { interfaces, drops } = await virtualSwitch.counters();
  return {
    version,
    id: hypervisor,
    startedUnixMs: BigInt(startedUnixMs),
    uplinks: uplinks.map(uplinkStatusOf),
    interfaces: interfaces.map((one) => ({
      interface: one.interface,
      in: BigInt(one.in),
      out: BigInt(one.out),
    })),
    drops: Object.fromEntries(Object.entries(drops).map(([why, n]) => [why, BigInt(n)])),
    localNve: undefined,
  };
}

function openVirtualSwitch(config: Config, log: Log): Promise<VirtualSwitch> {
  const { attach } = config.virtualSwitch;
  return openEbpfVirtualSwitch({
    uplinks: namesOf(config),
    log,
    ...(attach !== undefined && { attach }),
  });
}

const namesOf = ({ uplinks }: Config): string[] => uplinks.map(({ name }) => name);

function uplinkOptions(config: Config, name: string, log: Log): Omit<UplinkOptions, "perform"> {
  const { link = "packet", auth } = config.uplinks.find((one) => one.name === name) ?? {};
  return {
    ...(auth && { auth: { keys: readKeyFile(auth.key), required: auth.required } }),
    hypervisor: config.hypervisor,
    version,
    ...config.lldp,
    link: openLink({ name, link }),
    clock: systemClock,
    policy: config.evb,
    settings: { vdp: { ...config.vdp, hypervisor: config.hypervisor }, retryMs: RETRY_MS },
    firstSequence: randomInt(0x10000),
    openEdgePort,
    log,
  };
}

function openLink({ name, link }: UplinkConfig): Link {
  const options = { interface: name, etherTypes: controlFrames };
  try {
    return link === "pcap" ? openPcapLink(options) : openPacketLink(options);
  } catch (cause) {
    if (!(cause instanceof SystemError) && !(cause instanceof Unavailable)) throw cause;
    throw new Refused(`uplink ${name}: ${cause.message}`, { cause });
  }
}

/** Of a veth's other end, as the kernel has it now; undefined when that is in another namespace, as a VM's is. */
async function macBehind(name: string): Promise<Mac | undefined> {
  const rtnetlink = openRtnetlink();
  try {
    const links = await rtnetlink.links();
    const peer = links.find((link) => link.name === name)?.peer;
    return links.find(({ index }) => index === peer)?.mac;
  } finally {
    rtnetlink.close();
  }
}

/** Of this network namespace: /sys may be another's. */
function interfaceExists(name: string): boolean {
  return interfaceIndex(name) !== undefined;
}
