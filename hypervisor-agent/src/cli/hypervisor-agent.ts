import { serverAddress } from "@nve/program/address";
import { doctorCommand } from "@nve/program/doctor";
import { keyCommand } from "@nve/program/key-command";
import { textArgument } from "@nve/program/program";
import { Command } from "commander";
import { DEFAULT_SOCKET } from "../socket.ts";
import { version } from "../version.ts";
import { libvirtHookCommand } from "./libvirt-hook.ts";
import { showCommand, statusCommand } from "./show.ts";
import { vnicCommand } from "./vnic.ts";
import type { World } from "./world.ts";

/** The command line. What it talks to and where it prints come from outside, so that a test is: an argv, lines. */
export function hypervisorAgent(world: World): Command {
  const program = new Command("hypervisor-agent")
    .description(
      "Connects the VMs of this server to virtual networks, through the switch it is cabled to",
    )
    .version(version)
    .option("--json", "print JSON in place of tables", false)
    .option(
      "--socket <address>",
      "control socket of the running agent: unix:<path> or host:port",
      textArgument(serverAddress),
      DEFAULT_SOCKET,
    )
    .addHelpText("after", EXAMPLES);
  program
    .command("run")
    .description("run the agent in the foreground, until SIGTERM or SIGINT")
    .requiredOption("--config <file>", "YAML or JSON; hypervisor-agent/README.md lists the keys")
    .action(({ config }: { config: string }) => world.run(config));
  program.addCommand(vnicCommand(world));
  program.addCommand(statusCommand(world));
  program.addCommand(showCommand(world));
  program.addCommand(libvirtHookCommand(world));
  program.addCommand(doctorCommand(features, world.print));
  program.addCommand(keyCommand(world.print));
  return program;
}

/** Loaded only when asked for: the other commands need nothing of the kernel. */
const features = async () => (await import("@nve/linux/features")).probeFeatures();

const EXAMPLES = `
Examples:
  hypervisor-agent run --config /etc/split-nve/hypervisor-agent.yaml
  hypervisor-agent vnic attach tap0 --vn 5001 --mac 02:00:00:00:00:0a --ip 10.0.0.1
  hypervisor-agent vnic list
  hypervisor-agent vnic detach tap0
  hypervisor-agent show neighbors --json
  hypervisor-agent key new /etc/split-nve/eth0.key
`;
