import { toJson } from "@nve/program/output";
import { Command } from "commander";
import { asking, type World } from "./world.ts";

/** `stop`: of an agent that runs. */
export function stopCommand(world: World): Command {
  return new Command("stop")
    .description(
      "end the running agent; frames go on or stop, as `dataplane.onStop` in its config says",
    )
    .option(
      "--remove",
      "stop frames, too: nothing is left in the kernel, and servers are told",
      false,
    )
    .action(({ remove }: { remove: boolean }, command: Command) =>
      asking(world, command, async (agent, { json, print }) => {
        await agent.stop(remove);
        print(json ? toJson({ stopping: { remove } }) : "it ends");
      }),
    );
}

/** `cleanup`: after an agent that ran. */
export function cleanupCommand(world: World): Command {
  return new Command("cleanup")
    .description(
      "stop frames that an agent left forwarded: programs, maps, tunnel device, promiscuous ports",
    )
    .option("--pins <path>", "the bpffs, if its config names one")
    .action(async ({ pins }: { pins?: string }, command: Command) => {
      const { json } = command.optsWithGlobals<{ json: boolean }>();
      const removed = await world.cleanup(pins);
      if (json) world.print(toJson({ removed }));
      else
        for (const line of removed.length > 0 ? removed : ["nothing was left"]) world.print(line);
    });
}
