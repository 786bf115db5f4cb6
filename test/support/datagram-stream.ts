import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { nodeState } from "@nve/lab/labs";
import { spawnIn } from "@nve/lab/namespaces";

const program = join(import.meta.dirname, "datagram-stream.mjs");
const PORT = "5005";
/** What was under way when the sender ended has come. */
const REST_MS = 300;

export type Streamed = {
  sent: number;
  received: number;
  twice: number;
  gapMs: number;
};

/** Numbered UDP datagrams from one node to another, until `end` counts them. */
export async function startStream(
  lab: string,
  from: string,
  to: { node: string; ip: string },
  perSecond: number,
): Promise<{ end(): Promise<Streamed> }> {
  const [counter, counted] = await begun(lab, to.node, "count", PORT);
  const [sender, sent] = await begun(lab, from, "send", to.ip, PORT, String(perSecond));
  return {
    end: async () => {
      sender.kill();
      const { sent: n } = JSON.parse(await sent()) as { sent: number };
      await new Promise((resolve) => setTimeout(resolve, REST_MS));
      counter.kill();
      return { sent: n, ...JSON.parse(await counted()) };
    },
  };
}

async function begun(
  lab: string,
  node: string,
  ...args: string[]
): Promise<[ChildProcess, () => Promise<string>]> {
  const child = spawnIn(nodeState(lab, node), [process.execPath, program, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.stdout === null) throw new Error("no output");
  const lines = createInterface({ input: child.stdout });
  const next = async (): Promise<string> => String((await once(lines, "line"))[0]);
  await next();
  return [child, next];
}
