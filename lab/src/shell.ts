import { type SpawnOptions, spawn } from "node:child_process";

export type Outcome = { code: number; stdout: string; stderr: string };

/** More than this of one command's output is not kept. */
const maxOutput = 16 * 1024 * 1024;

/**
 * Runs a command to its end; the exit code is a value. One that cannot be started has code 127, one that a signal
 * ended has 128 and the rest of what it printed.
 */
export function run(
  command: string,
  args: readonly string[],
  { input, ...options }: SpawnOptions & { input?: string } = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { ...options, stdio: ["pipe", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      if (stdout.length < maxOutput) stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      if (stderr.length < maxOutput) stderr += text;
    });
    child.stdin?.on("error", () => {}); // it ended before it read all: its exit code tells
    child.stdin?.end(input);
    child.on("error", (error) => resolve({ code: 127, stdout, stderr: error.message }));
    child.on("close", (code) => resolve({ code: code ?? 128, stdout, stderr }));
  });
}

/** The first lines of what a failed command said, in one. */
export function complaint({ stderr, stdout, code }: Outcome): string {
  const said = `${stderr.trim()}\n${stdout.trim()}`.trim().split("\n").slice(0, 3).join("; ");
  return said === "" ? `exit code ${code}` : said;
}
