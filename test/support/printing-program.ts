import { runProgram } from "@nve/program";
import { Command } from "commander";

/** For `runModule`: prints more than a pipe holds. */
await runProgram(
  new Command("prints").action(() => {
    for (let i = 0; i < 100; i++) process.stdout.write(`${"x".repeat(1_000)}\n`);
  }),
  ["node", "prints"],
);
