import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { Refused } from "@nve/program/errors";
import { startCapture } from "../capture.ts";
import { labFolder } from "../find.ts";
import { nodeState } from "../labs.ts";
import { runIn, spawnIn } from "../namespaces.ts";
import { run } from "../shell.ts";
import { ECHO_PORT } from "./image.ts";
import { type Pings, pingsIn, type StreamSeen } from "./timeline.ts";

/** What another node of the lab does with the VM all the while. */
export type Probes = {
  end(): Promise<{ pings: Pings; stream: StreamSeen }>;
  /** At once, whatever was seen. */
  stop(): void;
};

const START_MS = 10_000;
const streamer = join(labFolder, "dist/vm/echo-stream.js");

/** A ping each millisecond and a TCP connection; resolves when both are answered. @throws Refused when they are not */
export async function startProbes(lab: string, from: string, ip: string): Promise<Probes> {
  const node = nodeState(lab, from);
  const what = `${from} does not reach ${ip}: is the VM attached, and ${from} too?`;
  const tries = ["-c", "10", "-i", "0.2", "-w", String(START_MS / 1000)];
  if ((await runIn(node, ["ping", "-q", "-n", ...tries, ip])).code !== 0) throw new Refused(what);
  const capture = await captured(lab, from, "any", `host ${ip} and (${ECHO})`);
  const start = (output: "ignore" | "pipe", ...words: string[]) =>
    spawnIn(node, words, { stdio: ["ignore", output, "ignore"] });
  const pinging = start("ignore", "ping", "-q", "-n", "-i", "0.001", "-s", "16", ip);
  const streaming = start("pipe", process.execPath, streamer, ip, String(ECHO_PORT));
  const said = linesOf(streaming);
  const stop = () => {
    pinging.kill("SIGKILL");
    streaming.kill("SIGKILL");
    capture.stop();
  };
  try {
    await within(START_MS, what, said.some(/^flows/));
  } catch (error) {
    stop();
    throw error;
  }
  return {
    end: async () => {
      streaming.kill("SIGTERM");
      const stream = JSON.parse((await said.all()).at(-1) ?? "") as StreamSeen;
      pinging.kill("SIGINT");
      const { lines, missed } = await capture.end();
      return { pings: pingsIn(lines, missed), stream };
    },
    stop,
  };
}

/** When the first echo request goes out of an interface to a VM, from now on. */
export async function watchArrival(lab: string, server: string, tap: string) {
  const { stop, end } = await captured(lab, server, tap, ECHO_REQUEST);
  /** Unix time in milliseconds; undefined: none did. */
  const firstMs = async (): Promise<number | undefined> => {
    const seconds = /^(\d+\.\d+) /.exec((await end()).lines[0] ?? "")?.[1];
    return seconds === undefined ? undefined : Number(seconds) * 1000;
  };
  return { stop, firstMs };
}

const ECHO_REQUEST = "icmp[0] == 8 or icmp6[0] == 128";
/** Enough of a ping for its number. */
const PING_OCTETS = 96;
const ECHO = `${ECHO_REQUEST} or icmp[0] == 0 or icmp6[0] == 129`;

/** A capture of which nothing is left when it has been read, or stopped. */
async function captured(lab: string, node: string, port: string, filter: string) {
  const folder = mkdtempSync(join(tmpdir(), "nve-capture-")); // under /run a node has its own
  const path = join(folder, "frames.pcap");
  const drop = () => rmSync(folder, { recursive: true, force: true });
  const capture = await startCapture(lab, node, port, path, filter, PING_OCTETS).catch((error) => {
    drop();
    throw error;
  });
  return {
    stop: () => void capture.stop().then(drop),
    /** As tcpdump prints them with -tt. */
    end: async () => {
      const missed = await capture.stop();
      const { stdout } = await run("tcpdump", ["-r", path, "-nn", "-tt"]);
      drop();
      return { lines: stdout.split("\n"), missed };
    },
  };
}

function linesOf(child: ChildProcess) {
  if (child.stdout === null) throw new Error("its output is not to be read");
  const lines: string[] = [];
  const reader: Interface = createInterface({ input: child.stdout });
  reader.on("line", (line) => lines.push(line));
  const closed = new Promise<void>((resolve) => reader.on("close", () => resolve()));
  return {
    /** Resolves with the first line that is so; never without one. */
    some: (is: RegExp) =>
      new Promise<void>((resolve) => {
        reader.on("line", (line) => is.test(line) && resolve());
      }),
    all: async () => {
      await closed;
      return lines;
    },
  };
}

async function within<T>(ms: number, otherwise: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Refused(otherwise)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
