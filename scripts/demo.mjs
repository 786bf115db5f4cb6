// `npm run demo [-- --keep] [-- --json]`: sets up, then tells the main job as a story (lab/src/demo.ts).
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setupOrExit } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

if (process.getuid() !== 0) {
  process.stderr.write(
    "error: the demo makes network namespaces and loads BPF programs, which needs root. Paste this:\n\n" +
      `sudo env PATH="$PATH" npm run demo\n\n`,
  );
  process.exit(1);
}
await setupOrExit("demo", { quiet: process.argv.includes("--json") });
const demo = spawn(process.execPath, [join(root, "lab/dist/demo.js"), ...process.argv.slice(2)], {
  stdio: "inherit",
});
// ^C reaches the demo, too: it takes the lab down, and we end with it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => demo.kill(signal));
demo.on("exit", (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal];
});
