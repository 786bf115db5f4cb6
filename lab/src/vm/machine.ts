import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Refused } from "@nve/program/errors";
import { execIn, nodeState } from "../labs.ts";
import { spawnIn } from "../namespaces.ts";
import { end, isAlive, type ProcessId, processId } from "../processes.ts";
import { complaint } from "../shell.ts";
import { stateFolder } from "../state.ts";
import { tapOf, type Vm } from "./declared.ts";
import { guestImage, guestWords, READY } from "./image.ts";
import { guestKernel, QEMU } from "./qemu.ts";

/** A QEMU in a server's namespaces. */
export type Machine = { vm: string; server: string; process: ProcessId };

/** For the guest to come up: 1.5 s on an idle machine, and there may be a lot of others on a busy one. */
const BOOT_MS = 180_000;
const POLL_MS = 20;
const QUIT_MS = 3_000;

/** Where a VM's sockets are, in the node: for hypervisor-agent, for us (each has one listener), and for who sends it here. */
const inNode = (vm: string) => ({
  agent: `/run/qemu/${vm}.qmp`,
  lab: `/run/qemu/${vm}.lab`,
  incoming: `/run/qemu/${vm}.incoming`,
  pid: `/run/qemu/${vm}.pid`,
});

/** The same, as they are reached from outside of the node, and from other nodes. */
export function socketsOf(lab: string, server: string, vm: string) {
  const { holder } = nodeState(lab, server);
  const here = (path: string) => `/proc/${holder.pid}/root${path}`;
  const { agent, lab: ours, incoming, pid } = inNode(vm);
  return { agent: here(agent), lab: here(ours), incoming: here(incoming), pid: here(pid) };
}

/** What the guest's console has said. */
export const consoleOf = (lab: string, server: string, vm: string): string =>
  join(stateFolder, lab, `${server}.${vm}.console`);

/**
 * Starts a VM's QEMU on a server, and its tap: it boots, or waits to be sent what another one is. Resolves when its
 * monitor is there. @throws Refused with its last words
 */
export async function launch(
  lab: string,
  server: string,
  vm: Vm,
  from?: Machine,
): Promise<Machine> {
  const image = imageFile();
  if (machineOf(lab, server, vm.name) !== undefined)
    throw new Refused(`there is a QEMU of VM ${vm.name} on ${server} already`);
  await clear(lab, server, vm.name);
  await inServer(lab, server, ["mkdir", "-p", "/run/qemu"]);
  await inServer(lab, server, ["ip", "tuntap", "add", "dev", tapOf(vm.name), "mode", "tap"]);
  try {
    await inServer(lab, server, ["ip", "link", "set", tapOf(vm.name), "up"]);
    const log = openSync(consoleOf(lab, server, vm.name), "w");
    const words = [QEMU, ...machineWords(vm, image), ...memoryWords(vm, from)];
    const options = { cwd: "/", detached: true, stdio: ["ignore" as const, log, log] };
    const child = spawnIn(nodeState(lab, server), words, options);
    closeSync(log);
    child.on("error", () => {}); // then there is no pid
    child.unref();
    const id = child.pid === undefined ? undefined : processId(child.pid);
    if (id === undefined) throw new Refused(`${vm.name}: QEMU cannot be started on ${server}`);
    const machine = { vm: vm.name, server, process: id };
    const { lab: monitor, incoming } = socketsOf(lab, server, vm.name);
    const sockets = from === undefined ? [monitor] : [monitor, incoming];
    await whenTrue(lab, machine, "has no monitor", () => sockets.every((path) => existsSync(path)));
    return machine;
  } catch (error) {
    await clear(lab, server, vm.name);
    throw error;
  }
}

/** Until the guest answers on its addresses. @throws Refused with the end of its console */
export const booted = (lab: string, machine: Machine): Promise<void> =>
  whenTrue(lab, machine, "does not come up", () => said(lab, machine).includes(READY));

/** Ends its QEMU, also one whose VM has gone elsewhere, and takes its tap away. */
export async function quit(lab: string, { vm, server, process }: Machine): Promise<void> {
  await end([process], QUIT_MS);
  await clear(lab, server, vm);
}

/** The QEMU of a VM on a server; none: it has ended, or there never was one. */
export function machineOf(lab: string, server: string, vm: string): Machine | undefined {
  try {
    const pid = Number(readFileSync(socketsOf(lab, server, vm).pid, "utf8"));
    const process = pid > 0 ? processId(pid) : undefined;
    return process && { vm, server, process };
  } catch {
    return undefined;
  }
}

/** Sockets, too: of one that was killed they are there still. */
async function clear(lab: string, server: string, vm: string): Promise<void> {
  await execIn(lab, server, ["rm", "-f", ...Object.values(inNode(vm))]);
  await execIn(lab, server, ["ip", "link", "del", tapOf(vm)]);
}

/** Not under /run, which is each node's own. */
function imageFile(): string {
  const path = `${guestKernel}.initramfs`;
  const octets = guestImage();
  if (existsSync(path) && readFileSync(path).equals(octets)) return path;
  writeFileSync(`${path}.${process.pid}`, octets);
  renameSync(`${path}.${process.pid}`, path);
  return path;
}

function machineWords({ name, mac, addresses, memoryMb }: Vm, image: string): readonly string[] {
  const { agent, lab, pid } = inNode(name);
  const console = "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check";
  return [
    ...[
      "-name",
      name,
      "-pidfile",
      pid,
      "-machine",
      "q35,memory-backend=memory",
      "-accel",
      "tcg",
      "-smp",
      "1",
      "-m",
      String(memoryMb),
    ],
    ...["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"],
    ...["-kernel", join(guestKernel, "vmlinuz"), "-initrd", image],
    ...["-append", `${console} ${guestWords(addresses)}`],
    ...["-netdev", `tap,id=net0,ifname=${tapOf(name)},script=no,downscript=no`],
    ...["-device", `virtio-net-pci,netdev=net0,mac=${mac},romfile=`],
    ...["-qmp", `unix:${agent},server=on,wait=off`, "-qmp", `unix:${lab},server=on,wait=off`],
  ];
}

/**
 * The VM's memory, which all its QEMUs of this machine have in common: it is not copied. (Copied it would be as between
 * machines; but with QEMU 7.2 in software a move under load now and then left the guest with a broken ring of
 * virtio-net, or dead, as if pages that are written meanwhile were forgotten.)
 */
function memoryWords({ name, memoryMb }: Vm, from: Machine | undefined): readonly string[] {
  const common = `id=memory,size=${memoryMb}M,share=on`;
  if (from === undefined) return ["-object", `memory-backend-memfd,${common}`];
  const path = memoryOf(from.process.pid);
  if (path === undefined)
    throw new Refused(`${name}: its QEMU on ${from.server} has no memory to share`);
  const incoming = `unix:${inNode(name).incoming}`;
  return ["-object", `memory-backend-file,${common},mem-path=${path}`, "-incoming", incoming];
}

function memoryOf(pid: number): string | undefined {
  const folder = `/proc/${pid}/fd`;
  const isMemory = (fd: string): boolean => {
    try {
      return readlinkSync(join(folder, fd)).startsWith("/memfd:memory-backend");
    } catch {
      return false; // closed meanwhile
    }
  };
  const fd = readdirSync(folder).find(isMemory);
  return fd === undefined ? undefined : join(folder, fd);
}

async function inServer(lab: string, server: string, command: readonly string[]): Promise<void> {
  const outcome = await execIn(lab, server, command);
  if (outcome.code !== 0)
    throw new Refused(`${server}: ${command.join(" ")}: ${complaint(outcome)}`);
}

async function whenTrue(
  lab: string,
  machine: Machine,
  trouble: string,
  isSo: () => boolean,
): Promise<void> {
  const deadline = performance.now() + BOOT_MS;
  while (!isSo()) {
    const why = !isAlive(machine.process)
      ? "has ended"
      : performance.now() > deadline
        ? trouble
        : undefined;
    if (why !== undefined) {
      const last = said(lab, machine).trim().split("\n").slice(-5).join("\n  ");
      throw new Refused(`${machine.vm} on ${machine.server} ${why}:\n  ${last}`);
    }
    await pause();
  }
}

function said(lab: string, { server, vm }: Machine): string {
  try {
    return readFileSync(consoleOf(lab, server, vm), "utf8");
  } catch {
    return "";
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, POLL_MS));
