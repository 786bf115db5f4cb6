import { Worker } from "node:worker_threads";

/** Sees from outside the thread when an input never ends. */
export type Watchdog = { begin(octets: Uint8Array): void };

const LIMIT_MS = 10_000;
const MOST = 8192;

/** @param file where the input is written, as hex digits, before the process is killed */
export function startWatchdog(file: () => string): Watchdog {
  const shared = new SharedArrayBuffer(8 + MOST);
  const [counter, input] = [new Int32Array(shared, 0, 2), new Uint8Array(shared, 8)];
  const worker = new Worker(WATCH, { eval: true, workerData: { shared, limitMs: LIMIT_MS } });
  worker.unref();
  let named = "";
  return {
    begin: (octets) => {
      input.set(octets.subarray(0, MOST));
      counter[1] = Math.min(octets.length, MOST);
      Atomics.add(counter, 0, 1);
      if (named === file()) return;
      named = file();
      worker.postMessage(named);
    },
  };
}

const WATCH = `
  const { parentPort, workerData: { shared, limitMs } } = require("node:worker_threads");
  const { mkdirSync, writeFileSync, writeSync } = require("node:fs");
  const { dirname } = require("node:path");
  const [counter, input] = [new Int32Array(shared, 0, 2), new Uint8Array(shared, 8)];
  let file, last = -1;
  parentPort.on("message", (name) => { file = name; });
  setInterval(() => {
    const now = Atomics.load(counter, 0);
    if (now !== last || file === undefined) { last = now; return; }
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, Buffer.from(input.slice(0, counter[1])).toString("hex") + "\\n");
    writeSync(2, "never ends: " + file + "\\n");
    process.kill(process.pid, "SIGKILL");
  }, limitMs);
`;
