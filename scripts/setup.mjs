// From a fresh clone to something that runs: system packages, npm packages, native socket, BPF objects, build.
// Plain Node without npm packages, since it is what installs them. What is there already is left alone.
//
//   node scripts/setup.mjs [demo|test|unit]
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { canBuildPcap, missing, nodeTooOld, onPath } from "./doctor.mjs";
import { giveToOwner } from "./owner.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const stampPath = join(root, "node_modules/.setup-stamp");

/** What runs is built, not what tests it: `npm run check` builds all. */
const programs = ["nva", "switch-agent", "hypervisor-agent", "lab"];

/** One sentence for the operator: what is wrong and what to do. */
export class CannotSetUp extends Error {}

/** @param {"demo" | "test" | "unit"} purpose "unit" needs nothing from outside npm @throws CannotSetUp */
export async function setup(purpose) {
  const old = nodeTooOld();
  if (old) throw new CannotSetUp(old);
  const all = purpose !== "unit";
  try {
    if (all) await step("system packages", (tell) => systemPackages(purpose, tell)); // before npm, which builds pcap with them
    await step("npm packages", npmPackages);
    if (all) await step("native socket", native);
    if (all) await step("BPF programs", bpf);
    if (purpose === "test") await step("guest's kernel", guest);
    await step("programs", build);
  } finally {
    if (didSomething) giveToOwner();
  }
}

const native = async () => (await import("./native.mjs")).buildNative() === "built";
const bpf = async () => (await import("./bpf.mjs")).buildBpf().length > 0;

/** For the tests in a guest; without it they are skipped, and say so. */
async function guest(tell) {
  if (process.env.NVE_NO_APT === "1") return false;
  try {
    return (await import("./guest-kernel.mjs")).fetchGuestKernel();
  } catch (error) {
    tell(`left out: ${error.message}`);
    return false;
  }
}

let didSomething = false;

/**
 * Runs one step and prints a line with its time. A step returns whether there was anything to do; what takes a while
 * it tells before.
 */
async function step(name, work) {
  const begin = performance.now();
  const print = (text) => say(`  ${name.padEnd(18)}${text}\n`);
  const line = (how) => {
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    didSomething ||= how !== "up to date";
    print(`${how.padEnd(12)}${seconds.padStart(6)} s`);
  };
  try {
    line((await work(print)) ? "done" : "up to date");
  } catch (error) {
    line("failed");
    const unwritable = whyUnwritable();
    if (unwritable)
      throw new CannotSetUp(
        `cannot write in ${root} (${unwritable}): packages and builds go there, so use a clone that is yours`,
      );
    if (error instanceof CannotSetUp) throw error;
    throw new CannotSetUp(`${name}: ${error.message}`, { cause: error });
  }
}

function systemPackages(purpose, tell) {
  const wanted = missing(purpose);
  if (wanted.length === 0) return false;
  const may = process.getuid() === 0 && process.env.NVE_NO_APT !== "1" && onPath("apt-get");
  if (may) {
    const packages = wanted.map((need) => need.debian);
    tell(`apt-get install ${packages.join(" ")}`);
    keepStopped(wanted);
    install(packages);
  }
  const left = missing(purpose);
  const required = left.filter((need) => need.without === undefined);
  if (required.length > 0) {
    const absent = required.map((need) => need.what).join(", ");
    throw new CannotSetUp(
      `missing: ${absent}. Paste this, then try again:\n\n${pasteLine(left)}\n`,
    );
  }
  if (left.length > 0) {
    const without = [...new Set(left.map((need) => need.without))].join(", and ");
    say(`  left out: ${without} (to have it: ${pasteLine(left)})\n`);
  }
  return may;
}

function pasteLine(needed) {
  const sudo = process.getuid() === 0 ? "" : "sudo ";
  const names = needed.map((need) => need.debian).join(" ");
  const services = servicesOf(needed);
  const mask = services.length > 0 ? `${sudo}systemctl mask ${services.join(" ")}; ` : "";
  return `${mask}${sudo}apt-get update && ${sudo}apt-get install -y ${names}`;
}

/** Tests start these programs themselves, in namespaces of their own: the machine gets no daemon from us. */
function keepStopped(wanted) {
  const services = servicesOf(wanted);
  if (services.length > 0) spawnSync("systemctl", ["mask", ...services]);
}

const servicesOf = (needed) => needed.flatMap((need) => need.services ?? []);

/** All of it, or what can be had: what is missing afterwards, the caller sees by looking again. */
function install(packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args) => spawnSync("apt-get", ["-q", ...args], { env, encoding: "utf8" });
  apt("update");
  const options = ["install", "-y", "--no-install-recommends"];
  const outcome = apt(...options, ...packages);
  if (outcome.status === 0) return;
  process.stderr.write(`apt-get: ${lastLines(outcome.stderr, 3)}\n`);
  for (const name of packages) apt(...options, name); // one that cannot be had must not keep the others away
}

function npmPackages(tell) {
  const now = {
    lock: createHash("sha256")
      .update(readFileSync(join(root, "package-lock.json")))
      .digest("hex"),
    node: process.versions.modules, // pcap is compiled for one of these
    pcap: canBuildPcap(), // a failed optional package stays away until the next `npm ci`
  };
  if (!npmStale(now)) return false;
  tell("npm ci");
  const [command, ...args] = npm();
  const outcome = spawnSync(
    command,
    [...args, "ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"],
    {
      cwd: root,
      encoding: "utf8",
    },
  );
  if (outcome.error) throw outcome.error;
  if (outcome.status !== 0) throw new CannotSetUp(npmFailure(outcome.stderr));
  writeFileSync(stampPath, JSON.stringify(now));
  return true;
}

/** npm's own words, without its stack traces; a network that is not there in ours. */
function npmFailure(stderr) {
  const unreachable = /\b(ECONN\w+|ENOTFOUND|EAI_AGAIN|E\w*TIMEDOUT|ENETUNREACH)\b/.exec(
    stderr,
  )?.[1];
  const url = /request to (\S+) failed/.exec(stderr)?.[1];
  if (unreachable)
    return (
      `npm cannot fetch ${url ?? "packages"} (${unreachable}): is there a network, does it want a proxy ` +
      "(`npm config set proxy …`), is `npm config get registry` right?"
    );
  const words = stderr.split("\n").filter((line) => !/^npm (warn|error\s+at |error *$)/.test(line));
  return `\`npm ci\` failed:\n${lastLines(words.join("\n"), 12)}`;
}

function npmStale(now) {
  const installed = join(root, "node_modules/.package-lock.json");
  if (!existsSync(installed) || !isWhole()) return true;
  if (!existsSync(stampPath)) {
    // Someone's own `npm ci`: good when it came after the lockfile.
    if (modified(installed) < modified(join(root, "package-lock.json"))) return true;
    writeFileSync(stampPath, JSON.stringify({ ...now, pcap: false }));
  }
  const stamp = JSON.parse(readFileSync(stampPath, "utf8"));
  const pcapMissing = now.pcap && !stamp.pcap && !existsSync(join(root, "node_modules/pcap"));
  return stamp.lock !== now.lock || stamp.node !== now.node || pcapMissing;
}

/** Is there a folder for each package that the lockfile has for every machine? */
function isWhole() {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  return Object.entries(packages).every(
    ([place, { optional }]) => optional || existsSync(join(root, place, "package.json")),
  );
}

function whyUnwritable() {
  try {
    accessSync(root, constants.W_OK);
    return undefined;
  } catch (error) {
    return error.code;
  }
}

/** The npm that runs us, else the one on PATH. */
function npm() {
  const own = process.env.npm_execpath;
  return own && basename(own) === "npm-cli.js" ? [process.execPath, own] : ["npm"];
}

/** tsc finds out by itself what is old, but not that its output was deleted. */
function build() {
  const before = newestBuild();
  const force = programs.every((name) => existsSync(join(root, name, "dist"))) ? [] : ["--force"];
  try {
    execFileSync(join(root, "node_modules/.bin/tsc"), ["--build", ...force, ...programs], {
      cwd: root,
      encoding: "utf8",
      stdio: "pipe",
    });
  } catch (error) {
    throw new Error(`the build failed:\n${error.stdout ?? error.message}`);
  }
  return newestBuild() !== before;
}

function newestBuild() {
  const infos = programs.map((name) => join(root, name, "tsconfig.tsbuildinfo"));
  return Math.max(...infos.map((path) => (existsSync(path) ? modified(path) : 0)));
}

const modified = (path) => statSync(path).mtimeMs;
const lastLines = (text, count) => text.trimEnd().split("\n").slice(-count).join("\n");

/** Where progress goes. */
let say = (text) => process.stdout.write(text);

/** For the scripts that begin with it: sets up, or says why not and ends with 1. `quiet`: standard output is for others. */
export async function setupOrExit(purpose, { quiet = false } = {}) {
  const begin = performance.now();
  if (quiet) say = (text) => process.stderr.write(text);
  say("Setting up\n");
  try {
    await setup(purpose);
    say(`Set up in ${((performance.now() - begin) / 1000).toFixed(1)} s\n\n`);
  } catch (error) {
    if (!(error instanceof CannotSetUp)) throw error;
    process.stderr.write(`\nerror: ${error.message}\n`);
    process.exit(1);
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const purpose = process.argv[2] ?? "test";
  if (!["demo", "test", "unit"].includes(purpose)) {
    process.stderr.write("usage: npm run setup [-- demo|test|unit]\n");
    process.exit(2);
  }
  await setupOrExit(purpose);
}
