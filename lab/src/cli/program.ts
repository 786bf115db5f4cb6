import { createReadStream, existsSync } from "node:fs";
import { constants } from "node:os";
import { Refused, Usage } from "@nve/program/errors";
import { type Output, show } from "@nve/program/output";
import { Command } from "commander";
import { down } from "../down.ts";
import { findTopology, labFolder, topologies } from "../find.ts";
import { untilInterrupted } from "../interrupt.ts";
import { labsPresent, mustBeRoot, nodeState } from "../labs.ts";
import { spawnIn } from "../namespaces.ts";
import { logOf, readState } from "../state.ts";
import { type NodeStatus, statusOf } from "../status.ts";
import { readTopology } from "../topology.ts";
import { up } from "../up.ts";
import { addVmCommands } from "./vm.ts";

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const json = ["--json", "print JSON"] as const;

/** The `lab` command: runs containerlab topologies in network namespaces. */
export function program(): Command {
  const lab = new Command("lab")
    .enablePositionalOptions()
    .description(
      "Runs containerlab topology files in network namespaces of this machine (needs root).",
    )
    .addHelpText(
      "after",
      `\nTopologies of this repository, in ${labFolder}: ${topologies().join(", ")}`,
    );
  lab
    .command("up <topology>")
    .description("bring a topology up; what is made is taken away again when it fails or on ^C")
    .option("--name <lab>", "call the lab so, in place of the file's own name")
    .option(...json)
    .action(upCommand);
  lab
    .command("down [lab...]")
    .description("take labs down, also what a crash left of them")
    .option("--all", "every lab on this machine")
    .action(downCommand);
  lab
    .command("list")
    .description("labs that are up, and topologies to bring up")
    .option(...json)
    .action(listCommand);
  lab
    .command("status [lab]")
    .description("nodes and their programs, with memory and CPU")
    .option(...json)
    .action(statusCommand);
  lab
    .command("exec <lab> <node> <command...>")
    .description("run a command in a node: `npx lab exec two-racks red1 -- ping -c1 10.0.1.2`")
    .passThroughOptions()
    .action(execCommand);
  lab
    .command("logs <lab> <node>")
    .description("what a node's program has printed")
    .action(logsCommand);
  addVmCommands(lab);
  return lab;
}

async function upCommand(given: string, options: { name?: string; json?: boolean }): Promise<void> {
  const path = findTopology(given);
  const topology = readTopology(path, options.name);
  const say = options.json ? () => {} : print;
  const state = await untilInterrupted((signal) => up(topology, path, { say, signal }));
  if (options.json) print(JSON.stringify(state, null, 2));
  else
    print(
      `lab ${state.lab} is up: \`npx lab status ${state.lab}\`, \`npx lab exec ${state.lab} <node> -- <command>\`, ` +
        `\`npx lab down ${state.lab}\``,
    );
}

async function downCommand(given: readonly string[], { all }: { all?: boolean }, command: Command) {
  mustBeRoot();
  if (all === undefined && given.length === 0)
    command.error("error: name a lab, or say --all (`npx lab list` shows what is up)", {
      exitCode: 2,
    });
  const labs = all ? await labsPresent() : given.map(nameOf);
  for (const lab of labs) print((await down(lab)) ? `lab ${lab} is down` : `lab ${lab} was not up`);
  if (labs.length === 0) print("no lab is up");
}

/** `npx lab down <path>` works, too: with what `npx lab up` was given. */
function nameOf(given: string): string {
  return /\.ya?ml$/.test(given) && existsSync(given) ? readTopology(given).name : given;
}

type Listed = { lab: string; state: string; nodes?: number; topology?: string };

async function listCommand(options: { json?: boolean }): Promise<void> {
  const present = await labsPresent();
  const rows: Listed[] = present.map((lab) => {
    const state = readState(lab);
    if (state === undefined) return { lab, state: "left over" };
    return { lab, state: state.phase, nodes: state.nodes.length, topology: state.topology };
  });
  for (const name of topologies())
    if (!present.includes(name))
      rows.push({ lab: name, state: "down", topology: findTopology(name) });
  show<Listed>(
    rows,
    [
      { head: "LAB", of: (row) => row.lab },
      { head: "STATE", of: (row) => row.state },
      { head: "NODES", of: (row) => row.nodes },
      { head: "TOPOLOGY", of: (row) => row.topology },
    ],
    output(options),
  );
}

async function statusCommand(
  given: string | undefined,
  options: { json?: boolean },
): Promise<void> {
  const lab = given ?? (await theOnlyLab());
  const [mega, tenth] = [1024 * 1024, (n: number | undefined) => n?.toFixed(1)];
  show<NodeStatus>(
    statusOf(lab),
    [
      { head: "NODE", of: (row) => row.node },
      { head: "STATE", of: (row) => row.state },
      { head: "PID", of: (row) => row.pid },
      { head: "MEMORY MB", of: (row) => tenth(row.rssBytes && row.rssBytes / mega) },
      { head: "CPU %", of: (row) => tenth(row.cpuPercent) },
      { head: "CPU S", of: (row) => tenth(row.cpuSeconds) },
      { head: "NAMESPACE", of: (row) => row.namespace },
      { head: "COMMAND", of: (row) => row.cmd },
    ],
    output(options),
  );
}

async function theOnlyLab(): Promise<string> {
  const labs = await labsPresent();
  const [lab] = labs;
  if (lab !== undefined && labs.length === 1) return lab;
  if (labs.length === 0) throw new Refused("no lab is up");
  throw new Usage(`say which lab: ${labs.join(", ")}`);
}

async function execCommand(lab: string, node: string, given: readonly string[]): Promise<void> {
  mustBeRoot();
  const words = given[0] === "--" ? given.slice(1) : given;
  const child = spawnIn(nodeState(lab, node), words, { stdio: "inherit" });
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(name, () => child.kill(name)); // the command decides what it means
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) =>
      resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)),
    );
  });
}

async function logsCommand(lab: string, node: string): Promise<void> {
  nodeState(lab, node);
  const path = logOf(lab, node);
  if (!existsSync(path)) throw new Refused(`${node} runs no program: it has no log`);
  for await (const chunk of createReadStream(path)) process.stdout.write(chunk);
}

const output = (options: { json?: boolean }): Output => ({ json: options.json ?? false, print });
