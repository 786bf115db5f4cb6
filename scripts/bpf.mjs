#!/usr/bin/env node
// Compiles the BPF programs of the packages: <package>/src/**/programs/x.bpf.c -> <package>/build/x.bpf.o,
// when missing or older than a source. Needs clang and libbpf-dev; the objects themselves run without them.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const headers = join(root, "linux/src/bpf/include");
const folders = [
  { programs: "switch-agent/src/dataplane/ebpf/programs", build: "switch-agent/build" },
  { programs: "hypervisor-agent/src/vm-port/ebpf/programs", build: "hypervisor-agent/build" },
];

/** Builds what is missing or old. @returns the objects built; @throws Error with one line that says what to do. */
export function buildBpf() {
  const stale = folders.flatMap(({ programs, build }) =>
    objects(join(root, programs), join(root, build)),
  );
  const wanted = stale.filter(
    ({ object, newest }) => !existsSync(object) || modified(object) < newest,
  );
  if (wanted.length > 0) checkTools();
  for (const { source, object } of wanted) compile(source, object);
  return wanted.map(({ object }) => object);
}

function objects(programs, build) {
  if (!existsSync(programs)) return [];
  const inputs = [
    ...files(programs, /\.[ch]$/),
    ...files(headers, /\.h$/),
    fileURLToPath(import.meta.url),
  ];
  const newest = Math.max(...inputs.map(modified));
  return files(programs, /\.bpf\.c$/).map((source) => ({
    source,
    object: join(build, basename(source).replace(/\.c$/, ".o")),
    newest,
  }));
}

const files = (folder, pattern) =>
  readdirSync(folder)
    .filter((name) => pattern.test(name))
    .map((name) => join(folder, name));

const modified = (path) => statSync(path).mtimeMs;

function checkTools() {
  const missing = [];
  if (spawnSync("clang", ["--version"]).error) missing.push("clang");
  if (!existsSync("/usr/include/bpf/bpf_helpers.h")) missing.push("libbpf-dev");
  if (missing.length > 0) {
    throw new Error(`BPF programs cannot be compiled: run apt-get install -y ${missing.join(" ")}`);
  }
}

function compile(source, object) {
  mkdirSync(join(object, ".."), { recursive: true });
  const fresh = `${object}.${process.pid}`; // renamed when whole: another build may run at the same time
  const flags = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", `-I${headers}`];
  const run = spawnSync("clang", [...flags, ...multiarch(), "-c", source, "-o", fresh], {
    encoding: "utf8",
  });
  if (run.status !== 0) {
    rmSync(fresh, { force: true });
    throw new Error(`clang failed on ${source}\n${run.stderr}`);
  }
  renameSync(fresh, object);
}

/** Where Debian keeps <asm/types.h>, which clang does not look for with -target bpf. */
function multiarch() {
  const machine = { x64: "x86_64", arm64: "aarch64" }[process.arch] ?? process.arch;
  const folder = `/usr/include/${machine}-linux-gnu`;
  return existsSync(folder) ? [`-I${folder}`] : [];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  try {
    for (const object of buildBpf()) process.stdout.write(`built ${object}\n`);
  } catch (error) {
    process.stderr.write(`error: ${error.message}\n`);
    process.exitCode = 1;
  }
}
