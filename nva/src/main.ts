import { runProgram } from "@nve/program";
import { nvaProgram } from "./cli/main.ts";

await runProgram(nvaProgram());
