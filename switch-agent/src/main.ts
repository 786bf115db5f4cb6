import { runProgram } from "@nve/program/program";
import { connectAgent } from "./cli/client.ts";
import { switchAgent } from "./cli/switch-agent.ts";

await runProgram(
  switchAgent({
    agent: connectAgent,
    print: (line) => process.stdout.write(`${line}\n`),
    cleanup: async (pins) => (await import("./cleanup.ts")).cleanup(pins),
    run: async (config, link) => (await import("./run.ts")).run(config, link),
  }),
);
