import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * Runs a TypeScript module in a Node process of its own, with the packages' sources; when `netns` is given, within
 * that namespace. The process has to end by itself. @returns its stdout. @throws after `timeoutMs`
 */
export async function runModule(
  path: string,
  {
    args = [],
    netns,
    timeoutMs = 10_000,
  }: { args?: string[]; netns?: string; timeoutMs?: number } = {},
): Promise<string> {
  const config = {
    root,
    configFile: false,
    logLevel: "error",
    ssr: { noExternal: [/^@nve/], resolve: { conditions: ["source"] } },
  };
  const settings = JSON.stringify(config).replace("[{}]", "[/^@nve/]");
  const script = `import { runnerImport } from "vite"; await runnerImport(${JSON.stringify(path)}, ${settings});`;
  const node = [process.execPath, "--input-type=module", "-e", script, "--", ...args];
  const [command = "", ...rest] = netns ? ["ip", "netns", "exec", netns, ...node] : node;
  const { stdout } = await promisify(execFile)(command, rest, {
    cwd: root,
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  return stdout;
}
