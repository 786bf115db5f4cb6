import { Command } from "commander";

export function runCommand(): Command {
  return new Command("run")
    .description("run an NVA until SIGINT or SIGTERM")
    .requiredOption("--config <file>", "YAML or JSON; nva/README.md lists the keys")
    .action(async ({ config }: { config: string }) => {
      const { run } = await import("../run.ts"); // the commands that ask a running NVA need none of it
      await run(config);
    })
    .addHelpText("after", "\nExample:\n  nva run --config /etc/split-nve/nva.yaml");
}
