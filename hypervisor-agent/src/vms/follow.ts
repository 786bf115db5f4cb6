import { linkMonitor, systemClock } from "@nve/linux";
import { Refused } from "@nve/program/errors";
import type { Log } from "@nve/program/log";
import type { Config } from "../config.ts";
import { LibvirtEvents } from "../libvirt/events.ts";
import { DomainFollower } from "../libvirt/follower.ts";
import type { Lifecycle } from "../libvirt/lifecycle.ts";
import { domainsOf } from "../libvirt/virsh.ts";
import { QmpWatcher } from "../qmp/watcher.ts";
import type { DrivenAgent, Driver } from "./driven.ts";
import { type Interfaces, VnicKeeper } from "./keeper.ts";

type Followed = Pick<Config, "qemu" | "libvirt">;

/** VNICs follow their VMs, as the config says, until the returned function is called. */
export function followVms(
  { qemu, libvirt }: Followed,
  agent: DrivenAgent,
  log: Log,
  interfaceExists: (name: string) => boolean,
): () => void {
  const clock = systemClock;
  const watch = (name: string, changed: () => void) => linkMonitor().watch(name, changed);
  const interfaces: Interfaces = { interfaceExists, watch };
  const open: { close(): void }[] = [];
  const keeper = (by: Driver, stagesOnly: boolean): VnicKeeper => {
    const made = new VnicKeeper({ agent, by, clock, log, interfaces, stagesOnly });
    open.push(made);
    return made;
  };
  if (qemu !== undefined) {
    const keep = keeper("qmp", false);
    const want: VnicKeeper["want"] = (...wish) => keep.want(...wish);
    open.push(new QmpWatcher({ ...qemu, clock, log, want }));
  }
  if (libvirt !== undefined) {
    const [staged, adopted] = [keeper("libvirt", true), keeper("libvirt", false)];
    const follower = new DomainFollower({
      ...{ agent, clock, log, vms: libvirt.vms, domains: domainsOf(libvirt) },
      keep: (...wish) => staged.want(...wish),
      adopt: (...wish) => adopted.want(...wish),
    });
    open.push(follower);
    const hear = (event: Lifecycle): void => follower.hear(event);
    const begun = (): void => void follower.adopt();
    open.push(new LibvirtEvents({ ...libvirt, clock, log, hear, begun }));
  }
  return () => {
    for (const one of open.reverse()) one.close();
  };
}

/** A VM that libvirt moves here would stay prepared for ever, were its events not heard. @throws Refused */
export function allowed({ libvirt }: Followed): (by: Driver) => void {
  return (by) => {
    if (by !== "libvirt" || libvirt !== undefined) return;
    throw new Refused(
      "this agent does not hear libvirt's events: add `libvirt: {}` to its config, and start it anew",
    );
  };
}
