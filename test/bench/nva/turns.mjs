// Loaded into an NVA: on SIGUSR2 it appends its longest turn of the event loop since the last one, milliseconds, to a file.
import { appendFileSync } from "node:fs";

let last = performance.now();
let longest = 0;
setInterval(() => {
  const now = performance.now();
  longest = Math.max(longest, now - last - 1);
  last = now;
}, 1).unref();
process.on("SIGUSR2", () => {
  appendFileSync(process.env.BENCH_TURNS, `${longest.toFixed(1)}\n`);
  longest = 0;
});
