import { Refused } from "@nve/program/errors";
import type { Vnic } from "@nve/protocol-spec/proto/agent";
import { tapOf, type Vm } from "./declared.ts";
import { type Hypervisor, hypervisorOf } from "./hypervisor.ts";
import { launch, machineOf, quit, socketsOf } from "./machine.ts";
import { openMonitor } from "./monitor.ts";
import { CutOff, type Journal, journal, type Moved, move } from "./move.ts";
import { isOver, momentsOf, recordOf } from "./network.ts";
import { type Observed, observe } from "./observe.ts";
import { serverOf } from "./place.ts";
import { type Downtime, type Moment, now, type PingsLost, type StreamSeen } from "./timeline.ts";

/** A migration as it was. Times in milliseconds. */
export type Migrated = {
  vm: string;
  from: string;
  to: string;
  /** Absent: it stayed at one NVE, and the NVA has no part in it (H20). */
  nves?: { from: string; to: string };
  moments: readonly Moment[];
  downtime: Downtime;
  /** From the first word to the destination until the source has been told that the VM is gone. */
  totalMs: number;
  /** Frames that the switch that was left has sent on to the new one (M5). */
  forwarded?: number;
  pings?: PingsLost;
  stream?: StreamSeen;
};

export type Options = {
  /** A node that pings the VM and holds a TCP connection to it all the while. */
  probeFrom?: string | undefined;
  signal: AbortSignal;
};

/** How long it is waited for the NVA to call it over, and for the end of forwarding (M5). */
const SETTLED_MS = 20_000;
const POLL_MS = 200;

/** One migration under way. */
type Move = {
  lab: string;
  vm: Vm;
  vnic: Vnic;
  source: Hypervisor;
  destination: Hypervisor;
  book: Journal;
};

/**
 * Migrates a VM that runs to another server, as a hypervisor does it: prepare there, send it over, tell the switches
 * when it stands still and when it runs, detach. @throws Refused with the reason, and it runs where it was; {@link CutOff}
 */
export async function migrate(
  lab: string,
  vm: Vm,
  to: string,
  { probeFrom, signal }: Options,
): Promise<Migrated> {
  const from = await serverOf(lab, vm.name);
  if (from === to) throw new Refused(`VM ${vm.name} runs on ${to} already`);
  const [source, destination] = [hypervisorOf(lab, from), hypervisorOf(lab, to)];
  let observed: Observed | undefined;
  try {
    const vnic = await vnicOf(source, vm.name);
    observed = await observe(lab, vm, probeFrom);
    const all = { lab, vm, vnic, source, destination, book: journal() };
    const begin = now();
    const moved = await arrive(all, observed, signal);
    await leave(all);
    return await told(all, { begin, over: now() }, moved, observed);
  } finally {
    observed?.stop();
    source.close();
    destination.close();
  }
}

async function vnicOf({ server, vnics }: Hypervisor, vm: string): Promise<Vnic> {
  const vnic = (await vnics()).find((one) => one.interface === tapOf(vm));
  if (vnic !== undefined) return vnic;
  const command = `hypervisor-agent vnic attach ${tapOf(vm)} --vn … --mac … --ip …`;
  throw new Refused(`VM ${vm} is in no virtual network yet: on ${server}, \`${command}\``);
}

/** Until the VM runs at the destination, and frames flow there. What was begun for it there is taken back when it does not come. */
async function arrive(all: Move, observed: Observed, signal: AbortSignal): Promise<Moved> {
  const { lab, vm, vnic, destination, book } = all;
  const old = machineOf(lab, all.source.server, vm.name);
  if (old === undefined)
    throw new Refused(`VM ${vm.name}: its QEMU on ${all.source.server} is gone`);
  const machine = await launch(lab, destination.server, vm, old);
  try {
    book.note(destination.server, "prepare said");
    await destination.prepare(vnic, tapOf(vm.name));
    book.note(destination.server, "prepare answered");
    await observed.watchArrival(destination.server);
    return await send(all, signal);
  } catch (error) {
    if (error instanceof CutOff) {
      await leave(all).catch(() => {}); // what is wrong is told already
      throw error;
    }
    await destination.detach(vnic.vnic).catch(() => {}); // it may never have been prepared
    await quit(lab, machine);
    throw error;
  }
}

async function send(
  { lab, vm, vnic, source, destination, book }: Move,
  signal: AbortSignal,
): Promise<Moved> {
  const at = ({ server }: Hypervisor) => socketsOf(lab, server, vm.name);
  const monitors = await Promise.all([source, destination].map((one) => openMonitor(at(one).lab)));
  const [here, there] = monitors;
  if (here === undefined || there === undefined) throw new Error("two were opened");
  try {
    const status = await here.status();
    if (status !== "running")
      throw new Refused(`VM ${vm.name} is ${status}: only one that runs is migrated`);
    await Promise.all(monitors.map((monitor) => monitor.readyToMigrate()));
    const ends = [
      { monitor: here, hypervisor: source },
      { monitor: there, hypervisor: destination },
    ] as const;
    return await move(...ends, { vnic, to: at(destination).incoming }, book, signal);
  } finally {
    for (const monitor of monitors) monitor.close();
  }
}

async function leave({ lab, vm, vnic, source, book }: Move): Promise<void> {
  book.note(source.server, "detach said");
  await source.detach(vnic.vnic);
  book.note(source.server, "detach answered");
  const machine = machineOf(lab, source.server, vm.name);
  if (machine !== undefined) await quit(lab, machine);
}

async function told(
  { lab, vm, vnic, source, destination, book }: Move,
  { begin, over }: { begin: number; over: number },
  moved: Moved,
  observed: Observed,
): Promise<Migrated> {
  const record = await settled(lab, vnic.vnic, begin);
  const { marks, ...seen } = await observed.end(moved);
  if (seen.arrived)
    book.note(destination.server, "the first ping reaches the VM's tap", marks.arrivedMs);
  const nves = record && { from: record.source.nveId, to: record.destination.nveId };
  const forwarded = nves && (await observed.carried(nves.from, nves.to));
  const moments = [...book.moments, ...(record === undefined ? [] : momentsOf(record))];
  return {
    ...{ vm: vm.name, from: source.server, to: destination.server },
    ...(nves && { nves }),
    moments: moments.sort((a, b) => a.unixMs - b.unixMs),
    ...seen.measured,
    totalMs: over - begin,
    ...(forwarded !== undefined && { forwarded }),
  };
}

/** What the NVA has of it, once it is over for it. */
async function settled(lab: string, vnic: string, begin: number) {
  const deadline = performance.now() + SETTLED_MS;
  for (;;) {
    const record = await recordOf(lab, vnic, begin);
    if (record === undefined || isOver(record) || performance.now() > deadline) return record;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
