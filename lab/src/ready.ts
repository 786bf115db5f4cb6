import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { basename } from "node:path";
import { Refused } from "@nve/program/errors";
import { execIn, nodeState } from "./labs.ts";
import { isAlive, isEntering } from "./processes.ts";
import { type LabState, logOf } from "./state.ts";
import type { TopologyNode } from "./topology.ts";
import { words } from "./words.ts";

const readyTimeoutMs = 20_000;
const pollMs = 25;
/** How long a program that cannot be asked has to have run: one that is missing, or stumbles, has ended by then. */
const settleMs = 200;
const agents = ["nva", "switch-agent", "hypervisor-agent"];

/** Calls `onReady` as each node's program gets ready. @throws Refused when one ends, or it takes too long */
export async function allReady(
  state: LabState,
  nodes: readonly TopologyNode[],
  onReady: (node: string) => void,
  stopIf: () => void,
): Promise<void> {
  const begin = performance.now();
  const deadline = begin + readyTimeoutMs;
  let waiting = nodes;
  while (waiting.length > 0) {
    const hasSettled = performance.now() > begin + settleMs;
    const ready = await Promise.all(waiting.map((node) => isReady(state, node, hasSettled)));
    for (const [i, node] of waiting.entries()) if (ready[i]) onReady(node.name);
    waiting = waiting.filter((_, i) => !ready[i]);
    stopIf();
    if (waiting.length > 0 && performance.now() > deadline) throw late(state.lab, waiting);
    if (waiting.length > 0) await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  for (const node of nodes) aliveIn(state, node);
}

function late(lab: string, waiting: readonly TopologyNode[]): Refused {
  const names = waiting.map((node) => node.name);
  const logs = names.map((name) => lastLog(lab, name)).join("");
  return new Refused(`not ready after ${readyTimeoutMs / 1000} s: ${names.join(", ")}${logs}`);
}

/** Label `nve.ready` is the command that tells; else an agent's control socket does; else that it goes on running. */
async function isReady(state: LabState, node: TopologyNode, hasSettled: boolean): Promise<boolean> {
  const { holder, process } = aliveIn(state, node);
  const command = words(node.labels["nve.ready"] ?? "");
  if (typeof command !== "string") return (await execIn(state.lab, node.name, command)).code === 0;
  const program = basename(node.cmd?.[0] ?? "");
  if (!agents.includes(program)) return hasSettled && !isEntering(process);
  return answers(`/proc/${holder.pid}/root/run/split-nve/${program}.sock`);
}

/** @throws Refused with its last words when the node's program has ended */
function aliveIn(state: LabState, node: TopologyNode) {
  const found = nodeState(state.lab, node.name);
  const { process } = found;
  if (process !== undefined && isAlive(process)) return { ...found, process };
  throw new Refused(
    `${node.name}: \`${node.cmd?.join(" ")}\` has ended${lastLog(state.lab, node.name)}`,
  );
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.on("error", () => resolve(false));
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}

function lastLog(lab: string, node: string): string {
  let text = "";
  try {
    text = readFileSync(logOf(lab, node), "utf8");
  } catch {
    // It has no log: then there is nothing to show.
  }
  const lines = text
    .trim()
    .split("\n")
    .slice(-5)
    .filter((line) => line !== "");
  return lines.map((line) => `\n  ${node}: ${line}`).join("");
}
