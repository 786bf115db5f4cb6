import { systemClock } from "@nve/linux";
import { createLog, Refused, readConfig, untilSignal } from "@nve/program";
import { Command } from "commander";
import { NvaConfig } from "../config.ts";
import { startNva } from "../nva.ts";

export function runCommand(): Command {
  return new Command("run")
    .description("run an NVA until SIGINT or SIGTERM")
    .requiredOption("--config <file>", "YAML or JSON; nva/README.md lists the keys")
    .action(async ({ config: path }: { config: string }) => run(readConfig(path, NvaConfig)))
    .addHelpText("after", "\nExample:\n  nva run --config /etc/split-nve/nva.yaml");
}

async function run(config: NvaConfig): Promise<void> {
  const log = createLog(config.id, config.log);
  const signal = untilSignal();
  const nva = await startNva(config, systemClock, log);
  const end = await Promise.race([signal, nva.failed]);
  if (end instanceof Error) log.fatal({ err: end }, "the store has failed");
  else log.info({ signal: end }, "stopping");
  await nva.stop();
  if (end instanceof Error)
    throw new Refused(
      `the store has failed: ${end.message}. Look after its disk, then start again`,
    );
}
