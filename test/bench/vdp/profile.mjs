// Loaded before a program (`--import`): a CPU profile from a while after its start to its end. Not from the start, because
// the kernel's BPF verifier gives up when the profiler's signals come (EAGAIN).
import { mkdirSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector";

const folder = process.env.BENCH_PROFILE ?? ".";
const session = new Session();
session.connect();
setTimeout(() => {
  session.post("Profiler.enable");
  session.post("Profiler.setSamplingInterval", { interval: 500 });
  session.post("Profiler.start");
}, 1500).unref();
process.on("exit", () => {
  session.post("Profiler.stop", (error, result) => {
    if (error !== null) return;
    mkdirSync(folder, { recursive: true });
    const name = process.argv[1]
      ?.split("/")
      .at(-1)
      ?.replace(/\.m?js$/, "");
    writeFileSync(`${folder}/${name}.${process.pid}.cpuprofile`, JSON.stringify(result.profile));
  });
});
