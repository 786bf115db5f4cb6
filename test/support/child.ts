import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * Runs a TypeScript module in a Node process of its own, with the packages' sources. The process has to end by
 * itself. @param via a command to run it with, such as `ip netns exec <name>`. @returns its stdout. @throws after
 * `timeoutMs`
 */
export async function runModule(
  path: string,
  { via = [], timeoutMs = 10_000 }: { via?: readonly string[]; timeoutMs?: number } = {},
): Promise<string> {
  const script = `
    import { runnerImport } from "vite";
    await runnerImport(${JSON.stringify(path)}, {
      root: ${JSON.stringify(root)},
      configFile: false,
      logLevel: "error",
      ssr: { noExternal: [/^@nve/], resolve: { conditions: ["source"] } },
    });`;
  const [command = "", ...rest] = [...via, process.execPath, "--input-type=module", "-e", script];
  const { stdout } = await promisify(execFile)(command, rest, {
    cwd: root,
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  return stdout;
}
