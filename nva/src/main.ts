import { runProgram } from "@nve/program/program";
import { nvaProgram } from "./cli/main.ts";

await runProgram(nvaProgram());
