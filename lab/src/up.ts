import { closeSync, openSync } from "node:fs";
import { Refused } from "@nve/program/errors";
import { down } from "./down.ts";
import { execIn, mustBeRoot, nodeState } from "./labs.ts";
import { addLinks, addNamespaces, hold, namespaces, spawnIn } from "./namespaces.ts";
import { processId } from "./processes.ts";
import { allReady } from "./ready.ts";
import { complaint } from "./shell.ts";
import { claimState, type LabState, logOf, readState, writeState } from "./state.ts";
import { namespaceOf, type Topology, type TopologyNode } from "./topology.ts";
import { declaredVms } from "./vm/declared.ts";
import { mustHaveGuests, startVm } from "./vm/start.ts";

/** Where progress goes, a line at a time. */
type Say = (line: string) => void;

type UpOptions = {
  say?: Say;
  /** Aborted: stop, and take down what was made. */
  signal?: AbortSignal;
  /** Called when nodes and links are there and no program runs yet. */
  beforeStart?: (() => Promise<unknown>) | undefined;
};

/**
 * Brings a topology up: namespaces, links, each node's `exec` in order, then each `cmd`, then real VMs, and waits until
 * all are ready. Whatever stops it on the way (a failing command, `signal`), all that was made is taken down again.
 *
 * @throws Refused that says what failed and where
 */
export async function up(
  topology: Topology,
  path: string,
  { say = () => {}, signal = new AbortController().signal, beforeStart }: UpOptions = {},
): Promise<LabState> {
  mustBeRoot();
  const lab = topology.name;
  const state = freshState(topology, path);
  const vms = declaredVms(topology);
  if (vms.length > 0) mustHaveGuests();
  refuseForeign(state);
  claimState(state);
  try {
    await build(topology, state, { say, signal, beforeStart });
    if (vms.length > 0)
      await timed(say, signal)(`${count(vms, "VM")} booted`, () =>
        all(vms.map((vm) => startVm(lab, vm))),
      );
    state.phase = "up";
    writeState(state);
    return state;
  } catch (error) {
    say(`taking down ${lab} again`);
    await down(lab);
    throw error;
  }
}

async function build(
  topology: Topology,
  state: LabState,
  { say, signal, beforeStart }: UpOptions & { say: Say; signal: AbortSignal },
): Promise<void> {
  const lab = topology.name;
  const step = timed(say, signal);
  await step(`${count(topology.nodes, "node")}`, async () => {
    await addNamespaces(state.nodes.map((node) => node.namespace));
    const holding = topology.nodes.map(async (node, i) => {
      const id = await hold(lab, node);
      const entry = state.nodes[i];
      if (entry !== undefined) entry.holder = id;
    });
    await all(holding);
    writeState(state);
  });
  await step(`${count(topology.links, "link")}`, () => addLinks(lab, topology.links));
  await step("addresses and routes", () =>
    all(topology.nodes.map((node) => execAll(lab, node, signal))),
  );
  await beforeStart?.();
  const running = topology.nodes.filter((node) => node.cmd !== undefined);
  await step(`${count(running, "program")} started`, async () => {
    for (const node of running) start(state, node);
    writeState(state);
  });
  const begin = performance.now();
  const onReady = (node: string) => say(`${node} is ready (${sinceMs(begin)} ms)`);
  await allReady(state, running, onReady, () => stopIf(signal));
}

/** A step, its name and its time; none begins after the signal. */
function timed(say: Say, signal: AbortSignal) {
  return async (name: string, step: () => Promise<unknown>): Promise<void> => {
    stopIf(signal);
    const begin = performance.now();
    await step();
    say(`${name} (${sinceMs(begin)} ms)`);
  };
}

function stopIf(signal: AbortSignal): void {
  if (signal.aborted) throw new Refused("interrupted");
}

/** Waits for all to settle before it throws the first fault: nothing is still being made while we take down. */
async function all(work: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(work))
    if (outcome.status === "rejected") throw outcome.reason;
}

async function execAll(lab: string, node: TopologyNode, signal: AbortSignal): Promise<void> {
  for (const command of node.exec) {
    stopIf(signal);
    const outcome = await execIn(lab, node.name, command);
    if (outcome.code !== 0)
      throw new Refused(
        `${node.name}: exec \`${command.join(" ")}\` failed: ${complaint(outcome)}`,
      );
  }
}

function start(state: LabState, { name, cmd = [] }: TopologyNode): void {
  const log = openSync(logOf(state.lab, name), "a");
  const stdio = ["ignore" as const, log, log];
  const child = spawnIn(nodeState(state.lab, name), cmd, { cwd: "/", detached: true, stdio });
  closeSync(log);
  child.on("error", () => {}); // then there is no pid, and the node never gets ready
  child.unref();
  const id = child.pid === undefined ? undefined : processId(child.pid);
  const entry = state.nodes.find((one) => one.node === name);
  if (entry !== undefined && id !== undefined) entry.process = id;
}

function freshState(topology: Topology, path: string): LabState {
  const runner = processId(process.pid);
  if (runner === undefined) throw new Error("this process is not in /proc");
  const nodes = topology.nodes.map(({ name, cmd, env }) => ({
    node: name,
    namespace: namespaceOf(topology.name, name),
    ...(cmd === undefined ? {} : { cmd: [...cmd] }),
    env: { ...env },
  }));
  const startedUnixMs = Date.now();
  return { lab: topology.name, topology: path, phase: "starting", runner, startedUnixMs, nodes };
}

/** A namespace that is there before we made it is another lab's or a crash's. */
function refuseForeign({ lab, nodes }: LabState): void {
  const present = new Set(namespaces());
  const taken = nodes.map((node) => node.namespace).filter((name) => present.has(name));
  if (taken.length > 0 && readState(lab) === undefined)
    throw new Refused(
      `network namespace ${taken[0]} is there already: \`npx lab down ${lab}\` takes away what was left of this lab, ` +
        "`npx lab up --name <other>` uses another name",
    );
}

const sinceMs = (begin: number): number => Math.round(performance.now() - begin);

const count = (things: readonly unknown[], name: string): string =>
  `${things.length} ${name}${things.length === 1 ? "" : "s"}`;
