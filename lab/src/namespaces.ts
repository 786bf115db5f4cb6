import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { Refused } from "@nve/program/errors";
import { ENTER, labMark, nodeMark, type ProcessId, processId } from "./processes.ts";
import { complaint, type Outcome, run } from "./shell.ts";
import type { Bind, TopologyLink, TopologyNode } from "./topology.ts";
import { namespaceOf } from "./topology.ts";

/** The agents' commands come first, so that `switch-agent …` means this working copy's. */
const commands = resolve(import.meta.dirname, "../../node_modules/.bin");

const holderTimeoutMs = 10_000;
const kernelNames = "/run/netns";

/** The namespaces' names on this machine, of labs and of others. */
export function namespaces(): readonly string[] {
  return existsSync(kernelNames) ? readdirSync(kernelNames) : [];
}

/** @throws Refused with the kernel's reason; those before it in the list are there then. */
export async function addNamespaces(names: readonly string[]): Promise<void> {
  await batch(names.map((name) => `netns add ${name}`));
}

export async function removeNamespaces(names: readonly string[]): Promise<void> {
  const present = new Set(namespaces());
  await batch(names.filter((name) => present.has(name)).map((name) => `netns del ${name}`));
}

/** The lab that a namespace was made for: written on its loopback interface. */
export async function labOf(namespace: string): Promise<string | undefined> {
  const { stdout } = await run("ip", ["-n", namespace, "link", "show", "lo"]);
  return /alias split-nve-lab (\S+)/.exec(stdout)?.[1];
}

/**
 * Starts the process that keeps a node's namespaces: network (which is there already), mounts and host name. In it
 * /run is empty and the node's own, /sys shows its interfaces, and the binds are in place.
 */
export async function hold(lab: string, node: TopologyNode): Promise<ProcessId> {
  node.binds.forEach(checkBind);
  const namespace = namespaceOf(lab, node.name);
  const unshare = ["unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c"];
  const child = spawn(
    "nsenter",
    [`--net=${kernelNames}/${namespace}`, ...unshare, holderScript(lab, node)],
    { cwd: "/", env: environment(lab, node), detached: true, stdio: ["ignore", "pipe", "pipe"] },
  );
  await ready(child, node.name);
  const id = child.pid === undefined ? undefined : processId(child.pid);
  if (id === undefined) throw new Refused(`${node.name}: its holder process ended at once`);
  return id;
}

/** Makes all links, both ends of each up. */
export async function addLinks(lab: string, links: readonly TopologyLink[]): Promise<void> {
  await batch(
    links.map(({ ends: [a, b], mtu }) => {
      const at = (node: string) => `netns ${namespaceOf(lab, node)} mtu ${mtu}`;
      return `link add name ${a.interface} ${at(a.node)} type veth peer name ${b.interface} ${at(b.node)}`;
    }),
  );
  const ends = new Map<string, string[]>();
  for (const end of links.flatMap((link) => link.ends))
    ends.set(end.node, [...(ends.get(end.node) ?? []), `link set ${end.interface} up`]);
  await Promise.all([...ends].map(([node, lines]) => batch(lines, ["-n", namespaceOf(lab, node)])));
}

/** Where a command goes so that it runs in a node: before its own words. */
function enter(holder: ProcessId): readonly string[] {
  return [ENTER, "--target", String(holder.pid), "--mount", "--net", "--uts", "--"];
}

/** What a command in a node sees of the outside. */
function environment(lab: string, node: { name: string; env: Readonly<Record<string, string>> }) {
  const { PATH = "/usr/sbin:/usr/bin:/sbin:/bin", ...outside } = process.env;
  const path = `${commands}:${PATH}`;
  return { ...outside, PATH: path, ...node.env, [labMark]: lab, [nodeMark]: node.name };
}

/** A node of a lab as a command needs it. */
export type Inside = {
  lab: string;
  node: string;
  holder: ProcessId;
  env: Readonly<Record<string, string>>;
};

/** Starts a command in a node. */
export function spawnIn(
  { lab, node, holder, env }: Inside,
  command: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  const [program = "", ...args] = [...enter(holder), ...command];
  return spawn(program, args, { ...options, env: environment(lab, { name: node, env }) });
}

/** Runs a command in a node to its end; its exit code is a value. */
export function runIn(
  { lab, node, holder, env }: Inside,
  command: readonly string[],
): Promise<Outcome> {
  const [program = "", ...args] = [...enter(holder), ...command];
  return run(program, args, { env: environment(lab, { name: node, env }) });
}

function checkBind({ source, target }: Bind): void {
  if (!existsSync(source)) throw new Refused(`bind: ${source} does not exist`);
  if (source.startsWith("/run/"))
    throw new Refused(
      `bind: ${source} lies under /run, which is each node's own: move it elsewhere`,
    );
  if (target.startsWith("/run/")) return;
  if (!existsSync(target))
    throw new Refused(
      `bind: ${target} must exist on this machine (a node sees the machine's files), or lie under /run`,
    );
  if (statSync(source).isDirectory() !== statSync(target).isDirectory())
    throw new Refused(`bind: ${source} and ${target} must both be files or both be folders`);
}

function holderScript(lab: string, node: TopologyNode): string {
  return [
    "set -e",
    `echo ${node.name} > /proc/sys/kernel/hostname`,
    `ip link set lo alias 'split-nve-lab ${lab}' up`,
    ...Object.entries(node.sysctls).map(
      ([key, value]) => `echo ${quoted(value)} > /proc/sys/${key.replaceAll(".", "/")}`,
    ),
    "mount -t tmpfs -o mode=755 tmpfs /run",
    "mount -t sysfs sysfs /sys",
    "mount -t bpf bpf /sys/fs/bpf 2>/dev/null || :", // a kernel without it: agents that pin maps say so
    ...node.binds.flatMap(bindScript),
    "echo ready",
    "exec sleep infinity >/dev/null 2>&1",
  ].join("\n");
}

function bindScript({ source, target, readOnly }: Bind): readonly string[] {
  const [from, to] = [quoted(source), quoted(target)];
  const place = statSync(source).isDirectory()
    ? `mkdir -p ${to}`
    : `mkdir -p "$(dirname ${to})"; [ -e ${to} ] || : > ${to}`;
  return [
    place,
    `mount --bind ${from} ${to}`,
    ...(readOnly ? [`mount -o remount,bind,ro ${to}`] : []),
  ];
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Resolves when the holder has said that all is in place; it goes on without us then. */
function ready(holder: ChildProcess, node: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let complaint = "";
    const fail = (why: string) => {
      clearTimeout(timer);
      holder.kill("SIGKILL");
      reject(new Refused(`${node}: its namespaces cannot be set up: ${why}`));
    };
    const timer = setTimeout(
      () => fail(`no answer in ${holderTimeoutMs / 1000} s`),
      holderTimeoutMs,
    );
    holder.stderr?.setEncoding("utf8").on("data", (text: string) => {
      complaint += text;
    });
    holder.on("error", (error) => fail(error.message));
    holder.on("close", (code) => fail(complaint.trim() || `exit code ${code}`));
    holder.stdout?.once("data", () => {
      clearTimeout(timer);
      holder.removeAllListeners("close");
      holder.stdout?.destroy();
      holder.stderr?.destroy();
      holder.unref();
      resolve();
    });
  });
}

async function batch(lines: readonly string[], options: readonly string[] = []): Promise<void> {
  if (lines.length === 0) return;
  // In a session of its own: ^C at the terminal must not stop it half way, least of all while we take down.
  const input = `${lines.join("\n")}\n`;
  const outcome = await run("ip", [...options, "-batch", "-"], { input, detached: true });
  if (outcome.code === 0) return;
  const line = lines[Number(/Command failed -:(\d+)/.exec(outcome.stderr)?.[1]) - 1];
  throw new Refused(`ip ${line ?? "-batch"}: ${complaint(outcome)}`);
}
