import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { type Capture, readCapture, startCapture } from "@nve/lab/capture";
import { down } from "@nve/lab/down";
import { findTopology } from "@nve/lab/find";
import { execIn } from "@nve/lab/labs";
import type { Outcome } from "@nve/lab/shell";
import { readTopology } from "@nve/lab/topology";
import { up } from "@nve/lab/up";
import { afterAll, beforeAll } from "vitest";

/** A lab that a test file has to itself. */
export type TestLab = {
  /** Of its own, so that it disturbs no other lab on the machine. */
  name: string;
  /** Runs a command in a node; its exit code is a value. */
  exec(node: string, ...command: string[]): Promise<Outcome>;
  /** Runs a command in a node, which must succeed. @returns what it printed */
  run(node: string, ...command: string[]): Promise<string>;
  /** Runs an agent's command with --json. @returns what it shows */
  show(node: string, ...command: string[]): Promise<unknown>;
  /** Whether one of `count` echo requests, 100 ms apart, is answered. */
  ping(from: string, to: string, count?: number): Promise<boolean>;
  /** Captures from the moment that this resolves. */
  capture(node: string, port: string, filter?: string): Promise<LabCapture>;
};

type LabCapture = {
  path: string;
  /** Ends the capture. @returns a line for each frame, as `tcpdump -nn -e` prints it */
  lines(): Promise<readonly string[]>;
};

/**
 * Brings a topology up before the tests of this file and down after them, also when they fail.
 * @param topology a name under lab/, or the path of a topology file
 */
export function useLab(topology: string): TestLab {
  const name = `${basename(topology, ".clab.yml")}-t${process.pid}`;
  const folder = mkdtempSync(join(tmpdir(), "lab-"));
  const captures: Capture[] = [];
  let begun = 0;

  beforeAll(async () => {
    const path = findTopology(topology);
    await up(readTopology(path, name), path);
  });
  afterAll(async () => {
    await Promise.all(captures.map((capture) => capture.stop()));
    await down(name);
    rmSync(folder, { recursive: true });
  });

  const exec: TestLab["exec"] = (node, ...command) => execIn(name, node, command);

  const run: TestLab["run"] = async (node, ...command) => {
    const { code, stdout, stderr } = await exec(node, ...command);
    if (code === 0) return stdout;
    throw new Error(`${node}: \`${command.join(" ")}\` ended with ${code}: ${stderr || stdout}`);
  };

  return {
    name,
    exec,
    run,
    show: async (node, ...command) => JSON.parse(await run(node, ...command, "--json")),
    ping: async (from, to, count = 3) => {
      const words = ["ping", "-n", "-i0.1", "-W1", `-c${count}`, to];
      return (await exec(from, ...words)).code === 0;
    },
    capture: async (node, port, filter) => {
      begun += 1;
      const path = join(folder, `${begun}.pcap`);
      const capture = await startCapture(name, node, port, path, filter);
      captures.push(capture);
      const lines = async () => {
        await capture.stop();
        const printed = await readCapture(path, ["-e"]);
        return printed.filter((line) => !line.startsWith("\t0x"));
      };
      return { path, lines };
    },
  };
}

/**
 * Looks again and again until there is something to see.
 *
 * @param probe what is looked for, or undefined when it is not there yet
 * @throws Error that names `what` after the deadline
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 5000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
