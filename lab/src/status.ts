import { labState } from "./labs.ts";
import { isAlive, usageOf } from "./processes.ts";
import type { NodeState } from "./state.ts";

export type NodeStatus = {
  node: string;
  namespace: string;
  /** "running" or "ended" for a program; "idle" for a node that runs none; "gone" without its namespaces. */
  state: "running" | "ended" | "idle" | "gone";
  pid?: number;
  cmd?: string;
  rssBytes?: number;
  /** Since its start; of all its threads. */
  cpuSeconds?: number;
  /** Of one core, on average since its start. */
  cpuPercent?: number;
};

export function statusOf(lab: string): readonly NodeStatus[] {
  return labState(lab).nodes.map(nodeStatus);
}

function nodeStatus({ node, namespace, holder, process, cmd }: NodeState): NodeStatus {
  const common = { node, namespace, ...(cmd === undefined ? {} : { cmd: cmd.join(" ") }) };
  if (holder === undefined || !isAlive(holder)) return { ...common, state: "gone" };
  if (cmd === undefined) return { ...common, state: "idle" };
  const usage = process && usageOf(process);
  if (process === undefined || usage === undefined) return { ...common, state: "ended" };
  const { rssBytes, cpuSeconds, ageSeconds } = usage;
  const cpuPercent = Math.round((1000 * cpuSeconds) / ageSeconds) / 10;
  return { ...common, state: "running", pid: process.pid, rssBytes, cpuSeconds, cpuPercent };
}
