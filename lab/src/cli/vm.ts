import { Refused } from "@nve/program/errors";
import { type Output, show } from "@nve/program/output";
import type { Command } from "commander";
import { untilInterrupted } from "../interrupt.ts";
import { mustBeRoot, nodeState } from "../labs.ts";
import { type Vm, vmOf } from "../vm/declared.ts";
import { type Migrated, migrate } from "../vm/migrate.ts";
import { placesOf, vmNamed, vmsOf } from "../vm/place.ts";
import { mustHaveGuests, startVm, stopVm } from "../vm/start.ts";
import { downtimeLines, momentLine } from "../vm/words.ts";

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const json = ["--json", "print JSON"] as const;
type Common = { json?: boolean };
const output = (options: Common): Output => ({ json: options.json ?? false, print });

/** `lab vm …` and `lab migrate`: real VMs in a lab that is up. */
export function addVmCommands(lab: Command): void {
  const vm = lab.command("vm").description("real VMs (QEMU) of a lab that is up");
  vm.command("list <lab>")
    .description("VMs, and the server that each is on")
    .option(...json)
    .action(listCommand);
  vm.command("start <lab> <vm>")
    .description("boot a VM that the topology declares, or a new one with --on, --mac and --ip")
    .option("--on <server>", "where a new one begins")
    .option("--mac <mac>", "of its NIC")
    .option("--ip <address/length...>", "its addresses: 10.0.1.25/24")
    .option("--memory <MB>", "64 to 4096", "96")
    .option(...json)
    .action(startCommand);
  vm.command("stop <lab> <vm>")
    .description("end a VM, as a power cut does: its VNIC stays attached until it is detached")
    .option(...json)
    .action(stopCommand);
  lab
    .command("migrate <lab> <vm> <server>")
    .description("migrate a VM that runs to another server, and show what took how long")
    .option(
      "--from <node>",
      "a node that pings the VM each millisecond, and holds a TCP connection to it",
    )
    .option(...json)
    .action(migrateCommand);
}

type Listed = { vm: string; server: string; state: string; mac: string; addresses: string };

async function listCommand(lab: string, options: Common): Promise<void> {
  mustBeRoot();
  const rows = vmsOf(lab).map(async ({ name, mac, addresses }): Promise<Listed[]> => {
    const places = await placesOf(lab, name);
    const all = places.length === 0 ? [{ server: "", status: "off" }] : places;
    return all.map(({ server, status }) => ({
      ...{ vm: name, server, state: status, mac, addresses: addresses.join(" ") },
    }));
  });
  show<Listed>(
    (await Promise.all(rows)).flat(),
    [
      { head: "VM", of: (row) => row.vm },
      { head: "SERVER", of: (row) => row.server },
      { head: "STATE", of: (row) => row.state },
      { head: "MAC", of: (row) => row.mac },
      { head: "ADDRESSES", of: (row) => row.addresses },
    ],
    output(options),
    "no VMs",
  );
}

type Starting = Common & { on?: string; mac?: string; ip?: string[]; memory: string };

async function startCommand(lab: string, name: string, options: Starting, command: Command) {
  mustBeRoot();
  const vm =
    options.on === undefined ? vmNamed(lab, name) : added(lab, name, options.on, options, command);
  mustHaveGuests();
  await startVm(lab, vm);
  if (options.json) print(JSON.stringify({ vm: name, server: vm.server }));
  else print(`VM ${name} runs on ${vm.server}, on tap-${name}: \`npx lab vm list ${lab}\``);
}

function added(lab: string, name: string, on: string, options: Starting, command: Command): Vm {
  const { mac, ip, memory } = options;
  if (mac === undefined || ip === undefined)
    command.error("error: a new VM needs --mac and --ip", { exitCode: 2 });
  if (vmsOf(lab).some((vm) => vm.name === name))
    throw new Refused(`lab ${lab} has a VM ${name} already`);
  nodeState(lab, on);
  return vmOf(on, name, `mac=${mac} ip=${ip.join(",")} memory=${memory}`);
}

async function stopCommand(lab: string, name: string, options: Common): Promise<void> {
  mustBeRoot();
  const { name: vm } = vmNamed(lab, name);
  const servers = await stopVm(lab, vm);
  if (options.json) print(JSON.stringify({ vm, servers }));
  else print(servers.length === 0 ? `VM ${vm} did not run` : `VM ${vm} is off`);
}

async function migrateCommand(
  lab: string,
  name: string,
  server: string,
  options: Common & { from?: string },
): Promise<void> {
  mustBeRoot();
  mustHaveGuests();
  const vm = vmNamed(lab, name);
  const migrated = await untilInterrupted((signal) =>
    migrate(lab, vm, server, { probeFrom: options.from, signal }),
  );
  if (options.json) print(JSON.stringify(migrated, null, 2));
  else tell(migrated, print);
}

function tell(migrated: Migrated, line: (text: string) => void): void {
  const [first] = migrated.moments;
  for (const moment of migrated.moments) line(momentLine(moment, first?.unixMs ?? 0));
  for (const text of downtimeLines(migrated)) line(text);
}
