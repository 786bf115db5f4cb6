import { NotFound, Refused } from "@nve/program/errors";
import { labState } from "../labs.ts";
import { readTopology } from "../topology.ts";
import { declaredVms, type Vm } from "./declared.ts";
import { machineOf, socketsOf } from "./machine.ts";
import { openMonitor } from "./monitor.ts";
import { recorded } from "./records.ts";

/** The VMs of a lab that is up: those that its topology file declares, and those that it was given since. */
export function vmsOf(lab: string): readonly Vm[] {
  const declared = declaredVms(readTopology(labState(lab).topology, lab));
  const added = recorded(lab).filter((vm) => !declared.some(({ name }) => name === vm.name));
  return [...declared, ...added];
}

/** @throws NotFound with the VMs that there are */
export function vmNamed(lab: string, name: string): Vm {
  const all = vmsOf(lab);
  const found = all.find((vm) => vm.name === name);
  if (found !== undefined) return found;
  const names = all.map((vm) => vm.name).join(", ");
  throw new NotFound(
    names === ""
      ? `lab ${lab} has no VMs: a label nve.vm.<name> of a server declares one (lab/README.md)`
      : `lab ${lab} has no VM ${name}: it has ${names}`,
  );
}

/** QEMU's own word: `running`, `inmigrate` (waits to be sent), `postmigrate` (was sent away) … */
export type Place = { server: string; status: string };

/** Each server with a QEMU of the VM. @throws Refused when one does not say how it is */
export async function placesOf(lab: string, vm: string): Promise<readonly Place[]> {
  const servers = labState(lab).nodes.filter(({ cmd }) => cmd?.[0] === "hypervisor-agent");
  const found = servers.map(async ({ node }): Promise<Place[]> => {
    if (machineOf(lab, node, vm) === undefined) return [];
    const monitor = await openMonitor(socketsOf(lab, node, vm).lab);
    try {
      return [{ server: node, status: await monitor.status() }];
    } finally {
      monitor.close();
    }
  });
  return (await Promise.all(found)).flat();
}

/** Where the VM runs. @throws Refused when it does not */
export async function serverOf(lab: string, vm: string): Promise<string> {
  const places = await placesOf(lab, vm);
  const running = places.find(({ status }) => status === "running" || status === "paused");
  if (running !== undefined) return running.server;
  throw new Refused(`VM ${vm} does not run: \`npx lab vm start ${lab} ${vm}\``);
}
