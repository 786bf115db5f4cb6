import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { nodeState } from "@nve/lab/labs";
import { spawnIn } from "@nve/lab/namespaces";
import { type TestLab, until } from "./lab.ts";

/** Ends and starts the programs of a lab's nodes. What is started here the lab ends with itself. */
export type LabPrograms = {
  stop(node: string, signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** The same by a command in the node. */
  end(node: string, ...command: string[]): Promise<void>;
  /** Resolves when it answers at its control socket. Without a command: the topology's own. */
  start(node: string, ...command: string[]): Promise<void>;
};

export function labPrograms(lab: TestLab): LabPrograms {
  const started = new Map<string, ChildProcess>();
  const ended = async (node: string, act: (pid: number) => unknown): Promise<void> => {
    const pid = started.get(node)?.pid ?? nodeState(lab.name, node).process?.pid;
    if (pid === undefined) throw new Error(`${node} runs no program`);
    started.delete(node);
    await act(pid);
    await until(`the program of ${node} to end`, () => !existsSync(`/proc/${pid}`) || undefined);
  };
  return {
    stop: (node, signal = "SIGTERM") => ended(node, (pid) => process.kill(pid, signal)),
    end: (node, ...command) => ended(node, () => lab.run(node, ...command)),
    start: async (node, ...command) => {
      const state = nodeState(lab.name, node);
      const words = command.length > 0 ? command : (state.cmd ?? []);
      started.set(node, spawnIn(state, words, { stdio: "ignore" }));
      const [program = ""] = words;
      await until(
        `${program} to answer`,
        async () => (await lab.exec(node, program, "status")).code === 0 || undefined,
        60_000, // on a busy machine
      );
    },
  };
}
