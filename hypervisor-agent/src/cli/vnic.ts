import { NotFound } from "@nve/program/errors";
import { type Column, few, type Output, show, toJson } from "@nve/program/output";
import { argument, textArgument } from "@nve/program/program";
import { OutOfRange } from "@nve/protocol-spec/errors";
import { Uuid, type Vid } from "@nve/protocol-spec/ids";
import type { Vnic } from "@nve/protocol-spec/proto/agent";
import { Command } from "commander";
import { GuestTag } from "../stations/tree.ts";
import { attachment, type NodeOptions, nodes, replacement, withNode } from "./node.ts";
import { asking, type World } from "./world.ts";

type Waiting = { timeout: number };
type Adding = NodeOptions & Waiting & { guestTag?: Vid };
type Attaching = Adding & { vnic?: Uuid; vmName?: string; uplink?: string; prepare?: boolean };

export function vnicCommand(world: World): Command {
  const vnic = new Command("vnic").description("virtual NICs of this server and their networks");
  vnic.addCommand(attachCommand(world));
  vnic.addCommand(addCommand(world));
  vnic.addCommand(removeCommand(world));
  vnic.addCommand(replaceCommand(world));
  vnic.addCommand(detachCommand(world));
  const activate = "connect a VNIC that is prepared or suspended: its VM runs here";
  vnic.addCommand(stageCommand(world, "activate", "active", activate));
  const suspend = "say that its VM is about to leave for another server; frames go on flowing";
  vnic.addCommand(stageCommand(world, "suspend", "suspended", suspend));
  vnic
    .command("list")
    .description("all VNICs with their networks, lent tags and addresses")
    .action((_: object, command: Command) =>
      asking(world, command, async (agent, out) => showVnics(await agent.vnics(), out)),
    );
  vnic
    .command("show")
    .description("one of them; BY: who drives it, api (these commands), qmp or libvirt")
    .argument("<vnic>", "VNIC Name, or the interface that it is on")
    .action((name: string, _: object, command: Command) =>
      asking(world, command, async (agent, out) =>
        showVnics([named(await agent.vnics(), name)], out),
      ),
    );
  return vnic;
}

function attachCommand(world: World): Command {
  return withGuestTag(withNode(new Command("attach")))
    .description("connect a VM's interface to a VN: returns when frames flow, or says why not")
    .argument("<interface>", "of the VM on this server: tap or veth")
    .option("--vm-name <text>", "name of the VM, shown here and at the switch")
    .option("--vnic <uuid>", "VNIC Name; without it one is made", textArgument(Uuid))
    .option("--uplink <name>", "the only uplink for it; without it its VNs are spread over all")
    .option("--prepare", "only reserve for a VM that is to arrive: `vnic activate` connects it")
    .option("--timeout <seconds>", "give up after", argument(Seconds), 20)
    .addHelpText("after", ATTACH_EXAMPLES)
    .action(async (of: string, options: Attaching, command: Command) => {
      const { vnic = "", timeout, vmName = "", uplink = "" } = options;
      const vns = [attachment(options, command, true)];
      const request = { vnic, interface: of, vns, vmName, uplink };
      await asking(world, command, async (agent, out) =>
        showVnics([await agent.attach(request, timeout * 1000)], out),
      );
    });
}

function addCommand(world: World): Command {
  return withGuestTag(withNode(new Command("add")))
    .description("add a VN, a MAC of a VN, or IPs of a MAC to a VNIC")
    .argument("<vnic>", "VNIC Name, or the interface that it is on")
    .option("--timeout <seconds>", "give up after", argument(Seconds), 20)
    .action(async (vnic: string, options: Adding, command: Command) => {
      const request = { vnic, add: [attachment(options, command)], remove: [] };
      await asking(world, command, async (agent, out) =>
        showVnics([await agent.change(request, options.timeout * 1000)], out),
      );
    });
}

function removeCommand(world: World): Command {
  return withNode(new Command("remove"))
    .description("remove a VN, a MAC of a VN, or IPs of a MAC, with all that it contains")
    .argument("<vnic>", "VNIC Name, or the interface that it is on")
    .option("--timeout <seconds>", "give up after", argument(Seconds), 20)
    .action(async (vnic: string, options: NodeOptions & Waiting, command: Command) => {
      const request = { vnic, add: [], remove: nodes(options, command) };
      await asking(world, command, async (agent, out) =>
        showVnics([await agent.change(request, options.timeout * 1000)], out),
      );
    });
}

function replaceCommand(world: World): Command {
  return withNode(new Command("replace"))
    .description("give a MAC of a VNIC these IPs and no others")
    .argument("<vnic>", "VNIC Name, or the interface that it is on")
    .option("--timeout <seconds>", "give up after", argument(Seconds), 20)
    .action(async (name: string, options: NodeOptions & Waiting, command: Command) =>
      asking(world, command, async (agent, out) => {
        const vnic = named(await agent.vnics(), name);
        const change = replacement(options, vnic, command);
        const isSame = change.add.length + change.remove.length === 0;
        const request = { vnic: vnic.vnic, ...change };
        showVnics([isSame ? vnic : await agent.change(request, options.timeout * 1000)], out);
      }),
    );
}

/** Tells the switch how far a VNIC is in a migration (docs/migration.md). */
function stageCommand(world: World, verb: string, stage: string, what: string): Command {
  return new Command(verb)
    .description(what)
    .argument("<vnic>", "VNIC Name, or the interface that it is on")
    .option("--timeout <seconds>", "give up after", argument(Seconds), 20)
    .action(async (name: string, options: Waiting, command: Command) =>
      asking(world, command, async (agent, out) => {
        const vnic = named(await agent.vnics(), name);
        const add = vnic.vns.map(({ vnId, vnName, guestTag, macs }) => ({
          ...(vnId === 0 ? { vnId, vnName } : { vnId, vnName: "" }),
          ...{ guestTag, stage, macs },
        }));
        const request = { vnic: vnic.vnic, add, remove: [] };
        showVnics([await agent.change(request, options.timeout * 1000)], out);
      }),
    );
}

function detachCommand(world: World): Command {
  return new Command("detach")
    .description("disconnect a VNIC from all its networks")
    .argument("<vnic>", "VNIC Name, or the interface that it is on")
    .action((vnic: string, _: object, command: Command) =>
      asking(world, command, async (agent, { json, print }) => {
        await agent.detach(vnic);
        print(json ? toJson({ detached: vnic }) : `${vnic} detached`);
      }),
    );
}

/** @throws NotFound */
function named(all: readonly Vnic[], name: string): Vnic {
  const found = all.find((one) => one.vnic === name || one.interface === name);
  if (found !== undefined) return found;
  throw new NotFound(`no VNIC ${name}: \`vnic list\` shows them`);
}

const withGuestTag = (command: Command): Command =>
  command.option(
    "--guest-tag <tag>",
    "the guest's own 802.1Q tag for this VN, 1 to 4094 (trunk VNIC); without it: untagged frames, or the tag that the VN has there already",
    argument(GuestTag),
  );

function Seconds(n: number): number {
  if (n >= 1 && n <= 3600) return n;
  throw new OutOfRange(`a timeout of ${n} is not in 1..3600 seconds`);
}

type Row = {
  vnic: Vnic;
  vn: number | string;
  guestTag: number;
  tag: number;
  uplink: string;
  mac: string;
  ips: string;
};

function showVnics(vnics: readonly Vnic[], out: Output): void {
  if (out.json) out.print(toJson(vnics));
  else show(vnics.flatMap(rowsOf), VNIC, out, "no VNICs");
}

const VNIC: readonly Column<Row>[] = [
  { head: "VNIC", of: ({ vnic }) => vnic.vnic },
  { head: "INTERFACE", of: ({ vnic }) => vnic.interface },
  { head: "STATE", of: ({ vnic }) => shownState(vnic) },
  { head: "VN", of: ({ vn }) => vn },
  { head: "GUEST-TAG", of: ({ guestTag }) => (guestTag === 0 ? undefined : guestTag) },
  { head: "TAG", of: ({ tag }) => (tag === 0 ? undefined : tag) },
  { head: "UPLINK", of: ({ uplink }) => uplink },
  { head: "MAC", of: ({ mac }) => mac },
  { head: "IP", of: ({ ips }) => ips },
  { head: "BY", of: ({ vnic }) => vnic.drivenBy },
  { head: "VM", of: ({ vnic }) => vnic.vmName },
  { head: "REASON", of: ({ vnic }) => vnic.reason },
];

/** MACs of a VN that are shown one by one, if there are more than twice as many. */
const SHOWN = 4;

const rowsOf = (vnic: Vnic): Row[] =>
  vnic.vns.flatMap(({ vnId, vnName, guestTag, tag, uplink, macs }) => {
    const row = { vnic, vn: vnId === 0 ? vnName : vnId, guestTag, tag, uplink };
    const shown = macs.length > 2 * SHOWN ? macs.slice(0, SHOWN) : macs;
    const rows = shown.map(({ mac, ips }) => ({ ...row, mac, ips: few(ips, " ") }));
    const more = macs.length - shown.length;
    return more === 0 ? rows : [...rows, { ...row, mac: `… and ${more} more`, ips: "" }];
  });

const ATTACH_EXAMPLES = `
Examples:
  hypervisor-agent vnic attach tap0 --vn 5001 --mac 02:00:00:00:00:0a
  hypervisor-agent vnic attach tap0 --vn 5001 --mac 02:00:00:00:00:0a --ip 10.0.0.1 fd00::1 --timeout 5

Many addresses: one address, prefix or range on each line of a file, or of the standard input:
  hypervisor-agent vnic attach tap0 --vn 5001 --mac 02:00:00:00:00:0a --ip-file prefixes.txt
  hypervisor-agent vnic attach tap0 --vn 5001 --mac-file - < macs.txt

A trunk VNIC, with the guest's eth0.10 in one VN and its eth0.20 in another:
  hypervisor-agent vnic attach tap0 --vn 5001 --guest-tag 10 --mac 02:00:00:00:00:0a
  hypervisor-agent vnic add tap0 --vn 5002 --guest-tag 20 --mac 02:00:00:00:00:0a
`;

/** Once it is granted, how far it is in a migration. */
const shownState = ({ state, vns }: Vnic): string =>
  state === "associated" ? (vns.find(({ stage }) => stage !== undefined)?.stage ?? state) : state;
