import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";

/**
 * Network namespaces and veth pairs for tests, named after the process that made them: `nvet-<pid>-<label>`,
 * `nv<pid>x<n>`. They go with the process, and those of processes that were killed go when the next one starts.
 */
export type Namespace = {
  readonly name: string;
  /** Runs a command in it. @returns its output; throws with its errors */
  run(command: string, ...args: string[]): string;
  /** Starts a command in it; it is ended with the namespace. */
  start(command: string, ...args: string[]): ChildProcess;
  /** Kills what was started in it, then removes it; once more does nothing. */
  remove(): void;
};

export function makeNamespace(label: string): Namespace {
  tidyOnce();
  const name = `nvet-${process.pid}-${label}`;
  const children = new Set<ChildProcess>();
  execFileSync("ip", ["netns", "add", name]);
  const inside = (command: string, args: string[]) => ["netns", "exec", name, command, ...args];
  const remove = (): void => {
    if (!atExit.delete(remove)) return;
    for (const child of children) child.kill("SIGKILL");
    quietly("ip", "netns", "del", name);
  };
  atExit.add(remove);
  const namespace: Namespace = {
    name,
    run: (command, ...args) => run("ip", ...inside(command, args)),
    start: (command, ...args) => {
      const child = spawn("ip", inside(command, args), { stdio: ["ignore", "pipe", "pipe"] });
      children.add(child);
      child.once("exit", () => children.delete(child));
      return child;
    },
    remove,
  };
  namespace.run("ip", "link", "set", "lo", "up");
  return namespace;
}

/** Two ends of a cable, both in the test's own namespace, and a bridge for one of them. */
export type Veth = {
  readonly a: string;
  readonly b: string;
  /** Makes both ends, up. */
  make(): void;
  /** Makes a bridge, up, with `b` as its port. */
  makeBridge(): void;
  /** Removes what was made; what is not there is gone. */
  remove(): void;
};

/** Names for a veth pair that is made by `make`, as often as it is removed. */
export function vethPair(): Veth {
  tidyOnce();
  const base = `nv${process.pid}x${++pairs}`;
  const veth: Veth = {
    a: `${base}a`,
    b: `${base}b`,
    make: () => {
      ip(`link add ${veth.a} type veth peer name ${veth.b}`);
      ip(`link set ${veth.a} up`);
      ip(`link set ${veth.b} up`);
    },
    makeBridge: () => {
      ip(`link add ${base}r type bridge`);
      ip(`link set ${base}r up`);
      ip(`link set ${veth.b} master ${base}r`);
    },
    remove: () => {
      for (const name of [veth.a, `${base}r`]) quietly("ip", "link", "del", name);
    },
  };
  atExit.add(veth.remove);
  return veth;
}

/** `ip` with arguments as in a shell, without quoting. @returns its output */
export const ip = (args: string): string => run("ip", ...args.split(" "));

/** @returns the output. @throws Error with what it wrote on stderr */
export function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Whether this process may make namespaces and links. */
export const isRoot = process.getuid?.() === 0;

const atExit = new Set<() => void>();
let pairs = 0;
let tidied = false;

function tidyOnce(): void {
  if (tidied) return;
  tidied = true;
  process.on("exit", () => {
    for (const undo of [...atExit]) undo();
  });
  removeStale();
}

/** Removes what processes that are no more have left behind. */
export function removeStale(): void {
  const isStale = (pid: string | undefined) => pid !== undefined && !existsSync(`/proc/${pid}`);
  for (const line of run("ip", "netns", "list").split("\n")) {
    const [, name = "", pid] = /^(nvet-(\d+)-\S+)/.exec(line) ?? [];
    if (isStale(pid)) quietly("ip", "netns", "del", name);
  }
  for (const line of run("ip", "-o", "link", "show").split("\n")) {
    const [, name = "", pid] = /^\d+: (nv(\d+)x\d+[a-z]+)/.exec(line) ?? [];
    if (isStale(pid)) quietly("ip", "link", "del", name);
  }
}

function quietly(command: string, ...args: string[]): void {
  try {
    run(command, ...args);
  } catch {
    // gone already
  }
}
