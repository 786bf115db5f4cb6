import { systemClock } from "@nve/linux/clock";
import { readConfig } from "@nve/program/config";
import { Refused } from "@nve/program/errors";
import { createLog } from "@nve/program/log";
import { giveMemoryBack, processMemory, promptPasses } from "@nve/program/memory";
import { leave, untilSignal } from "@nve/program/program";
import { NvaConfig } from "./config.ts";
import { startNva } from "./nva.ts";

/** `nva run`: until a signal, or until the store fails. @throws Refused */
export async function run(path: string): Promise<void> {
  const config = readConfig(path, NvaConfig);
  const log = createLog(config.id, config.log);
  const signal = untilSignal();
  const nva = await startNva(config, systemClock, log);
  giveMemoryBack(undefined, processMemory(undefined, promptPasses));
  const end = await Promise.race([signal, nva.failed]);
  if (end instanceof Error) log.fatal({ err: end }, "the store has failed");
  else log.info({ signal: end }, "stopping");
  await nva.stop();
  leave();
  if (end instanceof Error)
    throw new Refused(
      `the store has failed: ${end.message}. Look after its disk, then start again`,
    );
}
