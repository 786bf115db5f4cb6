import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Refused } from "@nve/program/errors";
import { z } from "zod";

export const stateFolder = "/run/split-nve-lab";

const processId = z.object({ pid: z.int().positive(), startTime: z.number() });

const labState = z.object({
  lab: z.string(),
  topology: z.string(),
  phase: z.enum(["starting", "up"]),
  runner: processId,
  startedUnixMs: z.number(),
  nodes: z.array(
    z.object({
      node: z.string(),
      namespace: z.string(),
      cmd: z.array(z.string()).optional(),
      env: z.record(z.string(), z.string()),
      holder: processId.optional(),
      process: processId.optional(),
    }),
  ),
});

/** What is, or may be, of a lab on this machine: written before anything is made. */
export type LabState = z.infer<typeof labState>;
export type NodeState = LabState["nodes"][number];

export const logOf = (lab: string, node: string): string => join(stateFolder, lab, `${node}.log`);

/** @throws Refused when there is one of that name. */
export function claimState(state: LabState): void {
  mkdirSync(join(stateFolder, state.lab), { recursive: true, mode: 0o755 });
  try {
    closeSync(openSync(fileOf(state.lab), "wx"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new Refused(
      `lab ${state.lab} is up already, or was left by a crash: \`npx lab status ${state.lab}\` shows it, ` +
        `\`npx lab down ${state.lab}\` takes it down`,
      { cause: error },
    );
  }
  writeState(state);
}

export function writeState(state: LabState): void {
  const draft = `${fileOf(state.lab)}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(state, null, 2));
  renameSync(draft, fileOf(state.lab));
}

/** None when the lab has no state, or one that is cut off (its runner crashed while it wrote the first). */
export function readState(lab: string): LabState | undefined {
  try {
    const state = labState.safeParse(JSON.parse(readFileSync(fileOf(lab), "utf8")));
    return state.success ? state.data : undefined;
  } catch {
    return undefined;
  }
}

/** Names of all labs that have a state or a folder of logs. */
export function knownLabs(): readonly string[] {
  try {
    const names = readdirSync(stateFolder, { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    return names.map((entry) => entry.name).sort();
  } catch {
    return []; // no lab was ever up
  }
}

export function dropState(lab: string): void {
  rmSync(join(stateFolder, lab), { recursive: true, force: true });
}

const fileOf = (lab: string): string => join(stateFolder, lab, "state.json");
