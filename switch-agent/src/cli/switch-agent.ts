import { serverAddress } from "@nve/program/address";
import { doctorCommand } from "@nve/program/doctor";
import { keyCommand } from "@nve/program/key-command";
import { textArgument } from "@nve/program/program";
import { Command, Option } from "commander";
import { DEFAULT_SOCKET } from "../socket.ts";
import { version } from "../version.ts";
import { bindCommand, unbindCommand } from "./bind.ts";
import { captureCommand } from "./capture.ts";
import { showCommand } from "./show.ts";
import { statusCommand } from "./status.ts";
import { cleanupCommand, stopCommand } from "./stop.ts";
import { traceCommand } from "./trace.ts";
import type { World } from "./world.ts";

/** The command line. What it talks to and where it prints come from outside, so that a test is: an argv, lines. */
export function switchAgent(world: World): Command {
  const program = new Command("switch-agent")
    .description(
      "The NVE on a switch: lends tags to the VMs of its servers and tunnels their frames",
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
    .requiredOption("--config <file>", "YAML or JSON; switch-agent/README.md lists the keys")
    .addOption(
      new Option("--link <driver>", "how frames are received, in place of the config's").choices([
        "packet",
        "pcap",
      ]),
    )
    .action(({ config, link }: { config: string; link?: "packet" | "pcap" }) =>
      world.run(config, link),
    );
  program.addCommand(statusCommand(world));
  program.addCommand(showCommand(world));
  program.addCommand(traceCommand(world));
  program.addCommand(captureCommand(world));
  program.addCommand(bindCommand(world));
  program.addCommand(unbindCommand(world));
  program.addCommand(stopCommand(world));
  program.addCommand(cleanupCommand(world));
  program.addCommand(doctorCommand(features, world.print));
  program.addCommand(keyCommand(world.print));
  return program;
}

/** Loaded only when asked for: the other commands need nothing of the kernel. */
const features = async () => (await import("@nve/linux/features")).probeFeatures();

const EXAMPLES = `
Examples:
  switch-agent run --config /etc/split-nve/switch-agent.yaml
  switch-agent status
  switch-agent show vnics
  switch-agent show fdb --vn 5001 --json
  switch-agent bind swp5 --vn 5001           a bare-metal server, without protocol
  switch-agent trace swp1 82 --from 02:00:00:00:00:01 --to 02:00:00:00:00:02 --src-ip 10.0.0.1 --dst-ip 10.0.0.2
  switch-agent capture --drops               frames that are dropped, and why
  switch-agent show refusals                 why a VM was not let in
  switch-agent key new /etc/split-nve/swp1.keys
`;
