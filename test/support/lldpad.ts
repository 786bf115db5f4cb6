import { closeSync, openSync } from "node:fs";
import { execIn, nodeState } from "@nve/lab/labs";
import { spawnIn } from "@nve/lab/namespaces";
import { end, type ProcessId, processId } from "@nve/lab/processes";
import { logOf } from "@nve/lab/state";
import { type TestLab, until } from "./lab.ts";

/** lldpad as the program of a node; it has to be told by its config file which role it has. */
export type Lldpad = {
  /** What the other end said last in its EVB TLV, as `lldptool -t -n` prints it. */
  neighbourEvb(): Promise<string>;
  stop(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Until its tools are answered. */
  start(): Promise<void>;
};

/** lldpad as a station, through its own tools (spec/lldpad-interop.md 4). */
export type LldpadStation = Lldpad & {
  /** `vdptool -T -W`: asks, and waits for the outcome. One at a time: it prints the next answer, whosesoever. */
  ask(mode: VdpMode, request: VdpRequest): Promise<VdpOutcome>;
  /** The same without waiting: `held` shows what comes of it. */
  post(mode: VdpMode, request: VdpRequest): Promise<void>;
  /** `vdptool -t`: the VSIs that it holds in this mode. */
  held(mode: VdpMode): Promise<HeldVsi[]>;
};

export type VdpMode = "preassoc" | "preassoc-rr" | "assoc" | "deassoc";

/**
 * `filters` and `oui` as vdptool has them: `0-02:00:00:00:00:01-5001`, `cisco,ipv4_addr=10.0.0.1`; `hints`: "to"
 * is the M-bit (migrating to here), "from" the S-bit (suspended here).
 */
export type VdpRequest = {
  uuid: string;
  filters: readonly string[];
  oui?: readonly string[];
  hints?: "none" | "to" | "from";
};

/** What vdptool prints; `said`: all of it. A mode of "deassoc" is a refusal of what was asked. */
export type VdpOutcome = {
  code: number;
  mode?: string;
  error?: string;
  filters: string[];
  said: string;
};

export type HeldVsi = { uuid: string; filters: string[] };

/** @param ready a command in the node that succeeds when it is there */
export function lldpad(lab: TestLab, node: string, port: string, ready: readonly string[]): Lldpad {
  let restarted: ProcessId | undefined;
  const current = () => restarted ?? nodeState(lab.name, node).process;
  return {
    neighbourEvb: () => lab.run(node, "lldptool", "-t", "-n", "-i", port, "-g", "ncb", "-V", "evb"),
    stop: async (signal) => {
      const id = current();
      if (id === undefined) throw new Error(`lldpad does not run in ${node}`);
      process.kill(id.pid, signal);
      await end([id], 5000);
    },
    start: async () => {
      await lab.run(node, "rm", "-f", "/dev/shm/lldpad.state"); // a zombie's pid in it is "already running"
      const state = nodeState(lab.name, node);
      const log = openSync(logOf(lab.name, node), "a");
      const child = spawnIn(state, state.cmd ?? [], {
        detached: true,
        stdio: ["ignore", log, log],
      });
      closeSync(log);
      child.unref();
      restarted = child.pid === undefined ? undefined : processId(child.pid);
      await until(
        `lldpad in ${node}`,
        async () => (await execIn(lab.name, node, ready)).code === 0 || undefined,
      );
    },
  };
}

export function lldpadStation(lab: TestLab, node: string, port: string): LldpadStation {
  return {
    ...lldpad(lab, node, port, ["vdptool", "-t", "-i", port, "-V", "assoc"]),
    ask: async (mode, request) => {
      const words = ["vdptool", "-T", "-i", port, "-W", "-V", mode, ...wanted(mode, request)];
      const { code, stdout, stderr } = await lab.exec(node, ...words);
      const [answer] = records(stdout);
      const error = /Error returned by Bridge: *(.*)|(Internal Error.*)/.exec(stdout);
      return {
        code,
        ...(answer?.mode !== undefined && { mode: answer.mode }),
        ...(error !== null && { error: (error[1] ?? error[2] ?? "").trim() }),
        filters: answer?.filters ?? [],
        said: `${stdout}${stderr}`,
      };
    },
    post: async (mode, request) => {
      await lab.run(node, "vdptool", "-T", "-i", port, "-V", mode, ...wanted(mode, request));
    },
    held: async (mode) =>
      records(await lab.run(node, "vdptool", "-t", "-i", port, "-V", mode)).map(
        ({ uuid = "", filters }) => ({ uuid, filters }),
      ),
  };
}

const wanted = (mode: VdpMode, { uuid, filters, oui = [], hints = "none" }: VdpRequest): string[] =>
  [
    ...[`mode=${mode}`, "mgrid2=mgr1", "typeid=7", "typeidver=1", `uuid=${uuid}`, `hints=${hints}`],
    ...filters.map((filter) => `filter=${filter}`),
    ...oui.map((one) => `oui=${one}`),
  ].flatMap((word) => ["-c", word]);

type Vsi = { mode?: string; uuid?: string; filters: string[] };

/** `key = value` lines, a VSI from each `mode` on. */
function records(text: string): Vsi[] {
  const all: Vsi[] = [];
  for (const [, key, value = ""] of text.matchAll(/^\s*(\w+) = (.*)$/gm)) {
    if (key === "mode") all.push({ mode: value, filters: [] });
    const last = all.at(-1);
    if (last === undefined) continue;
    if (key === "uuid") last.uuid = value;
    if (key === "filter") last.filters.push(value);
  }
  return all;
}
