import { argument } from "@nve/program/program";
import { OutOfRange } from "@nve/protocol-spec/errors";
import { Command } from "commander";
import type { World } from "./world.ts";

type Options = { vms: string; state: string; timeout: number };

/** What libvirt's qemu hook runs (docs/vm-events.md). It prints nothing: of `migrate`, output would be the new XML. */
export function libvirtHookCommand(world: World): Command {
  return new Command("libvirt-hook")
    .description("what /etc/libvirt/hooks/qemu runs: connects and disconnects libvirt's guests")
    .argument("<guest>", "name of the domain; its XML is on the standard input")
    .argument("<operation>", "prepare, start, started, stopped, release, migrate, …")
    .argument("[suboperation]", "begin or end")
    .argument("[extra]", "why it has stopped, or -")
    .option(
      "--vms <folder>",
      "files for guests without metadata, as <guest>.yaml",
      "/etc/split-nve/vms",
    )
    .option(
      "--state <folder>",
      "where guests are noted that are about to arrive",
      "/run/split-nve/libvirt",
    )
    .option(
      "--timeout <seconds>",
      "for the switch to connect one NIC, 1 to 60",
      argument(Seconds),
      10,
    )
    .action(
      async (
        guest: string,
        operation: string,
        _sub: string | undefined,
        _extra: string | undefined,
        options: Options,
        command: Command,
      ) => {
        const { socket } = command.optsWithGlobals<{ socket: string }>();
        const { answerLibvirt } = await import("../libvirt/answer.ts");
        await answerLibvirt({ ...options, guest, operation }, () => world.agent(socket));
      },
    );
}

function Seconds(n: number): number {
  if (n >= 1 && n <= 60) return n;
  throw new OutOfRange(`a timeout of ${n} is not in 1..60 seconds`);
}
