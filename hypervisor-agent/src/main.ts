import { runProgram } from "@nve/program/program";
import { connectAgent } from "./cli/client.ts";
import { hypervisorAgent } from "./cli/hypervisor-agent.ts";

await runProgram(
  hypervisorAgent({
    agent: connectAgent,
    print: (line) => process.stdout.write(`${line}\n`),
    run: async (config) => (await import("./run.ts")).run(config),
  }),
);
