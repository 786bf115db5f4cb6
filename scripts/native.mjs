// Compiles linux/native to linux/build/socket.node when that is missing or older than its sources.
// Needs a C compiler and node_modules/node-api-headers, nothing else: no node-gyp, no Python, no Node headers.
import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const linux = fileURLToPath(new URL("../linux/", import.meta.url));
const sources = readdirSync(join(linux, "native")).map((name) => join(linux, "native", name));
const output = join(linux, "build/socket.node");

/** @returns {"built" | "fresh"} @throws Error with one line that says what to install */
export function buildNative() {
  if (isFresh()) return "fresh";
  mkdirSync(dirname(output), { recursive: true });
  const draft = `${output}.${process.pid}`; // renamed when whole: two programs may build at the same time
  try {
    const flags = ["-O2", "-Wall", "-Wextra", "-std=gnu11", "-fPIC", "-shared"];
    execFileSync(compiler(), [...flags, "-I", headers(), ...sources.filter(isC), "-o", draft], {
      stdio: "pipe",
    });
    renameSync(draft, output);
  } catch (error) {
    rmSync(draft, { force: true });
    if (!error.stderr?.length) throw error;
    throw new Error(`cannot compile linux/native:\n${error.stderr}`);
  }
  return "built";
}

function isFresh() {
  return (
    existsSync(output) &&
    sources.every((source) => statSync(output).mtimeMs >= statSync(source).mtimeMs)
  );
}

const isC = (path) => path.endsWith(".c");

function compiler() {
  const choices = [process.env.CC, "cc", "gcc", "clang"].filter(Boolean);
  const found = choices.find(
    (cc) => spawnSync(cc, ["--version"], { stdio: "ignore" }).status === 0,
  );
  if (found) return found;
  throw new Error("no C compiler for linux/native: run apt-get install -y clang libc6-dev");
}

function headers() {
  try {
    const require = createRequire(import.meta.url);
    return join(dirname(require.resolve("node-api-headers/package.json")), "include");
  } catch {
    throw new Error("node-api-headers is missing in node_modules: run npm ci");
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    buildNative();
  } catch (error) {
    process.stderr.write(`error: ${error.message}\n`);
    process.exit(1);
  }
}
