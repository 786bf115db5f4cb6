import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { basename } from "node:path";
import { Refused } from "@nve/program/errors";
import { execIn, nodeState } from "./labs.ts";
import { isAlive } from "./processes.ts";
import { type LabState, logOf } from "./state.ts";
import type { TopologyNode } from "./topology.ts";
import { words } from "./words.ts";

const readyTimeoutMs = 20_000;
const pollMs = 25;
const agents = ["nva", "switch-agent", "hypervisor-agent"];

/** Calls `onReady` as each node's program gets ready. @throws Refused when one ends, or it takes too long */
export async function allReady(
  state: LabState,
  nodes: readonly TopologyNode[],
  onReady: (node: string) => void,
  stopIf: () => void,
): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs;
  let waiting = nodes;
  while (waiting.length > 0) {
    const ready = await Promise.all(waiting.map((node) => isReady(state, node)));
    for (const [i, node] of waiting.entries()) if (ready[i]) onReady(node.name);
    waiting = waiting.filter((_, i) => !ready[i]);
    stopIf();
    if (waiting.length > 0 && performance.now() > deadline) throw late(state.lab, waiting);
    if (waiting.length > 0) await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function late(lab: string, waiting: readonly TopologyNode[]): Refused {
  const names = waiting.map((node) => node.name);
  const logs = names.map((name) => lastLog(lab, name)).join("");
  return new Refused(`not ready after ${readyTimeoutMs / 1000} s: ${names.join(", ")}${logs}`);
}

/** Label `nve.ready` is the command that tells; else an agent's control socket does; else its running. */
async function isReady(state: LabState, node: TopologyNode): Promise<boolean> {
  const { holder, process } = nodeState(state.lab, node.name);
  if (process === undefined || !isAlive(process))
    throw new Refused(
      `${node.name}: \`${node.cmd?.join(" ")}\` has ended${lastLog(state.lab, node.name)}`,
    );
  const command = words(node.labels["nve.ready"] ?? "");
  if (typeof command !== "string") return (await execIn(state.lab, node.name, command)).code === 0;
  const program = basename(node.cmd?.[0] ?? "");
  return (
    !agents.includes(program) || answers(`/proc/${holder.pid}/root/run/split-nve/${program}.sock`)
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
