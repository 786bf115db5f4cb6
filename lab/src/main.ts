import { runProgram } from "@nve/program";
import { program } from "./cli/program.ts";

await runProgram(program());
