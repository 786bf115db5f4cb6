import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "@nve/linux/clock";
import { NvaConfig } from "@nve/nva/config";
import { startNva } from "@nve/nva/nva";
import { answers } from "@nve/program/answers";
import { createLog } from "@nve/program/log";
import { build } from "vite";
import { type Authorities, type Fault, holdSeconds, migration } from "./authorities.ts";

/** On a machine that has other things to do a program may need 15 s and more until it answers. */
const startMs = 60_000;

const root = fileURLToPath(new URL("../..", import.meta.url));

/** One authority in this process, that loses nothing because nothing happens to it. */
export async function memoryNva(): Promise<Authorities> {
  const folder = mkdtempSync(join(tmpdir(), "model-"));
  const address = `unix:${join(folder, "nva.sock")}`;
  const config = NvaConfig.parse({
    socket: address,
    store: { use: "memory" },
    holdSeconds,
    migration,
  });
  const nva = await startNva(config, systemClock, createLog("model", "silent"));
  return {
    store: "memory",
    faults: [],
    addresses: () => [address],
    heal: async () => {},
    logs: () => "",
    stop: async () => {
      await nva.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** One authority in a process of its own that is killed, stopped and paused. */
export async function lmdbNva(): Promise<Authorities> {
  const folder = mkdtempSync(join(tmpdir(), "model-"));
  const program = await bundleNva();
  const nva = nvaProcess(folder, program.path, "nva", { use: "lmdb", path: join(folder, "store") });
  await nva.start();
  const restart = (signal: "SIGKILL" | "SIGTERM") => async () => {
    await nva.stop(signal);
    await nva.start();
  };
  const faults: Fault[] = [
    { name: "kill -9 and restart", weight: 3, strike: restart("SIGKILL") },
    { name: "stop and restart", weight: 1, strike: restart("SIGTERM") },
    { name: "pause", weight: 1, strike: (random) => nva.pause(random.below(1500)) },
  ];
  return {
    store: "lmdb",
    faults,
    addresses: () => [nva.address],
    heal: async () => {},
    logs: () => nva.lastLines(200_000),
    stop: async () => {
      await nva.stop("SIGKILL");
      rmSync(folder, { recursive: true });
      program.remove();
    },
  };
}

/** A `nva run`. */
export type NvaProcess = {
  readonly address: string;
  /** Resolves when it answers. */
  start(): Promise<void>;
  stop(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
  pause(ms: number): Promise<void>;
  /** Of its log, so many octets at most. */
  lastLines(most: number): string;
};

export function nvaProcess(
  folder: string,
  program: string,
  id: string,
  store: object,
  more: object = {},
): NvaProcess {
  const socket = join(folder, `${id}.sock`);
  const config = join(folder, `${id}.yaml`);
  const settings = {
    id,
    socket: `unix:${socket}`,
    store,
    holdSeconds,
    migration,
    log: "info",
    ...more,
  };
  writeFileSync(config, JSON.stringify(settings));
  const log = openSync(join(folder, `${id}.log`), "a");
  const lastLines = (most: number): string =>
    readFileSync(join(folder, `${id}.log`), "utf8").slice(-most);
  let child: ChildProcess | undefined;
  return {
    address: `unix:${socket}`,
    lastLines,
    start: async () => {
      child = spawn(process.execPath, [program, "run", "--config", config], {
        stdio: ["ignore", log, log],
      });
      endWithUs(child);
      for (const end = performance.now() + startMs; !(await answers(socket)); ) {
        if (child.exitCode !== null || performance.now() > end)
          throw new Error(`${id} does not start (exit code ${child.exitCode}): ${lastLines(2000)}`);
        await after(10);
      }
    },
    stop: async (signal) => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill(signal);
      await ended;
    },
    pause: async (ms) => {
      child?.kill("SIGSTOP");
      await after(ms);
      child?.kill("SIGCONT");
    },
  };
}

const children = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

/** It goes with this process, unless that is killed. */
function endWithUs(child: ChildProcess): void {
  children.add(child);
  child.once("exit", () => children.delete(child));
}

export const after = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

/** The `nva` program from the sources as they are, in one file. */
export async function bundleNva(): Promise<{ path: string; remove: () => void }> {
  const folder = join(root, "test/build"); // below node_modules' folder, for what is not bundled
  const name = `model-nva-${process.pid}.mjs`;
  await build({
    root,
    configFile: false,
    logLevel: "error",
    resolve: { conditions: ["source"] },
    ssr: { noExternal: [/^@nve/], resolve: { conditions: ["source"] } },
    build: {
      ssr: join(root, "nva/src/main.ts"),
      outDir: folder,
      emptyOutDir: false,
      minify: false,
      target: "node20",
      rollupOptions: { output: { entryFileNames: name, codeSplitting: false } },
    },
  });
  const path = join(folder, name);
  return { path, remove: () => rmSync(path, { force: true }) };
}
