import { randomBytes } from "node:crypto";
import {
  controlFrames,
  type Link,
  linkMonitor,
  openPacketLink,
  openPcapLink,
  SystemError,
  systemClock,
  Unavailable,
} from "@nve/linux";
import { trimMalloc } from "@nve/linux/malloc";
import { Refused } from "@nve/program/errors";
import { createLog, type Log } from "@nve/program/log";
import { giveMemoryBack } from "@nve/program/memory";
import { leave, untilSignal } from "@nve/program/program";
import { serve } from "@nve/program/rpc";
import type { Tls } from "@nve/program/tls";
import { SwitchAgent } from "./agent.ts";
import { type Config, readSwitchConfig } from "./config.ts";
import { controlService } from "./control.ts";
import type { Dataplane } from "./dataplane/dataplane.ts";
import { openDataplane } from "./dataplane/open.ts";
import { probeOf } from "./local/config.ts";
import { watchInterface } from "./local/interfaces.ts";
import { NvaClient } from "./nva-client/client.ts";
import { tlsOf } from "./nva-client/tls.ts";
import { checkRights } from "./rights.ts";
import { bindingFile } from "./static/store.ts";
import { version } from "./version.ts";

/** The agent, from its config file until a signal. @throws Refused */
export async function run(configPath: string, link?: Config["link"]): Promise<void> {
  const read = readSwitchConfig(configPath);
  const config = link === undefined ? read : { ...read, link };
  const log = createLog("switch-agent", config.log);
  checkRights();
  const tls = tlsOf(config.nva, log);
  let tellStarted: (agent: SwitchAgent) => void = () => {};
  const started = new Promise<SwitchAgent>((resolve) => {
    tellStarted = resolve;
  });
  let tellStop: (how: "remove" | undefined) => void = () => {};
  const stopping = new Promise<"remove" | undefined>((resolve) => {
    tellStop = resolve;
  });
  // First the socket: a second agent by mistake must not touch what the first has in the kernel.
  const serving = await serve(config.socket, [controlService(started, (how) => tellStop(how))]);
  let dataplane: Dataplane | undefined;
  let agent: SwitchAgent | undefined;
  let keep = config.dataplane.onStop === "keep";
  try {
    dataplane = await openDataplane(config.vtep, config.dataplane, log);
    await linkMonitor().ready; // until then every port would count as absent
    agent = openAgent(config, log, dataplane, tls);
    if (agent.inheritance.isOver) await agent.applier.prune();
    tellStarted(agent);
    const ports = config.ports.map(({ name }) => name);
    log.info({ nve: config.nve, vtep: config.vtep, ports, socket: serving.address }, "running");
    giveMemoryBack(trimMalloc);
    const why = await Promise.race([untilSignal(), stopping]);
    if (why === "remove") keep = false;
    log.info({ why: why ?? "stop", frames: keep ? "go on" : "stop" }, "ending");
  } finally {
    await serving.close();
    await (agent ?? dataplane)?.close(keep ? "keep" : undefined);
    tls?.close();
    leave();
  }
}

function openAgent(
  config: Config,
  log: Log,
  dataplane: Dataplane,
  tls: Tls | undefined,
): SwitchAgent {
  const clock = systemClock;
  const { encapsulations } = config.dataplane;
  const self = { nve: config.nve, vtep: config.vtep, encapsulations };
  const { addresses } = config.nva;
  return new SwitchAgent({
    config,
    version,
    clock,
    log,
    dataplane,
    random: Math.random,
    openLink: (name) => openLink(name, config.link),
    watchInterface,
    probe: probeOf(config.vtep, config.dataplane, Math.random),
    bindings: bindingFile(config.stateDir, config.nve),
    openNva: (wiring) => {
      const incarnation = randomBytes(16);
      const random = Math.random;
      const digestMs = config.digestSeconds * 1000;
      const ours = { addresses, tls, self, incarnation, digestMs };
      return new NvaClient({ ...wiring, ...ours, clock, log, random });
    },
  });
}

function openLink(name: string, kind: Config["link"]): Link {
  const options = { interface: name, etherTypes: controlFrames };
  try {
    return kind === "pcap" ? openPcapLink(options) : openPacketLink(options);
  } catch (cause) {
    if (!(cause instanceof SystemError) && !(cause instanceof Unavailable)) throw cause;
    throw new Refused(`port ${name}: ${cause.message}`, { cause });
  }
}
