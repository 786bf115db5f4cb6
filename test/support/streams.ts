import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A program in a namespace, its output to be read by `linesOf`. */
export const spawnIn = (namespace: string, command: string, ...args: string[]): ChildProcess =>
  spawn("ip", ["netns", "exec", namespace, command, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });

/** Its lines one after another; undefined at the end. */
export function linesOf(child: ChildProcess): { next(): Promise<string | undefined> } {
  if (child.stdout === null) throw new Error("its output is not to be read");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    next: async () => {
      const { done, value } = await lines.next();
      return done ? undefined : value;
    },
  };
}
