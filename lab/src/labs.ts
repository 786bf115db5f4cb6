import { NotFound, Refused } from "@nve/program/errors";
import { type Inside, labOf, namespaces, runIn } from "./namespaces.ts";
import { isAlive, markedProcesses, nodeMark } from "./processes.ts";
import type { Outcome } from "./shell.ts";
import { knownLabs, type LabState, type NodeState, readState } from "./state.ts";

/** Every lab that is up or has left something: by its state, its processes' mark or its namespaces'. */
export async function labsPresent(): Promise<readonly string[]> {
  const owners = await Promise.all(namespaces().map(labOf));
  const found = [...knownLabs(), ...markedProcesses().keys(), ...owners];
  return [...new Set(found.filter((lab) => lab !== undefined))].sort();
}

/** @throws NotFound with what is there instead */
export function labState(lab: string): LabState {
  const state = readState(lab);
  if (state !== undefined) return state;
  const others = knownLabs();
  throw new NotFound(
    `lab ${lab} is not up (${others.length === 0 ? "none is" : `up: ${others.join(", ")}`}): \`npx lab up ${lab}\``,
  );
}

/** @throws NotFound with the nodes that there are; Refused when the node has died */
export function nodeState(lab: string, node: string): NodeState & Inside {
  const { nodes } = labState(lab);
  const found = nodes.find((one) => one.node === node);
  if (found === undefined) {
    const names = nodes.map((one) => one.node).join(", ");
    throw new NotFound(`no node ${node} in lab ${lab}: it has ${names}`);
  }
  const { holder } = found;
  if (holder === undefined || !isAlive(holder))
    throw new Refused(
      `${node} has no namespaces any more: \`npx lab down ${lab}\`, then \`npx lab up ${lab}\``,
    );
  return { ...found, lab, holder };
}

/** Runs a command in a node of a lab that is up, to its end; its exit code is a value. */
export const execIn = (lab: string, node: string, command: readonly string[]): Promise<Outcome> =>
  runIn(nodeState(lab, node), command);

/** @throws Refused when this user or this place cannot run labs */
export function mustBeRoot(): void {
  const inside = process.env[nodeMark];
  if (inside !== undefined)
    throw new Refused(`this is inside node ${inside} of a lab: leave it first`);
  if (process.getuid?.() !== 0)
    throw new Refused("network namespaces need root: put `sudo` before the command");
}
