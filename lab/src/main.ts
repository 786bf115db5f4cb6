import { runProgram } from "@nve/program/program";
import { program } from "./cli/program.ts";

await runProgram(program());
