import { Refused } from "@nve/program/errors";
import type { Vm } from "./declared.ts";
import { booted, launch, machineOf, quit } from "./machine.ts";
import { placesOf } from "./place.ts";
import { getGuestKernel, noQemu } from "./qemu.ts";
import { record } from "./records.ts";

/** @throws Refused when guests cannot be run here, with what mends it. A kernel for them that is missing is got. */
export function mustHaveGuests(): void {
  const why = noQemu();
  if (why !== undefined) throw new Refused(`this lab has real VMs: ${why}`);
  getGuestKernel();
}

/** Boots a VM on its server; resolves when it answers on its addresses. @throws Refused with its console's last words */
export async function startVm(lab: string, vm: Vm): Promise<void> {
  const [there] = await placesOf(lab, vm.name);
  if (there !== undefined)
    throw new Refused(`VM ${vm.name} is on ${there.server} already (${there.status})`);
  const machine = await launch(lab, vm.server, vm);
  try {
    await booted(lab, machine);
    record(lab, vm);
  } catch (error) {
    await quit(lab, machine);
    throw error;
  }
}

/** Ends a VM wherever it is, as a power cut does. @returns the servers that it was on */
export async function stopVm(lab: string, vm: string): Promise<readonly string[]> {
  const places = await placesOf(lab, vm);
  for (const { server } of places) {
    const machine = machineOf(lab, server, vm);
    if (machine !== undefined) await quit(lab, machine);
  }
  return places.map(({ server }) => server);
}
