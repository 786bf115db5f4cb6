import { readdirSync, readFileSync } from "node:fs";

/** A process for good: a pid alone may have been given to another one since. */
export type ProcessId = {
  pid: number;
  /** Clock ticks since boot: field 22 of /proc/<pid>/stat. */
  startTime: number;
};

/** In the environment of every process of a lab: this is how one is known whose runner has crashed. */
export const labMark = "NVE_LAB";
export const nodeMark = "NVE_LAB_NODE";

const ticksPerSecond = 100; // USER_HZ: the same on all architectures that Node runs on
const pageBytes = 4096;

/** The process behind a pid now; none when it has ended (a zombie has, too). */
export function processId(pid: number): ProcessId | undefined {
  const fields = statOf(pid);
  return fields === undefined ? undefined : { pid, startTime: fields.startTime };
}

export function isAlive({ pid, startTime }: ProcessId): boolean {
  return processId(pid)?.startTime === startTime;
}

/** Whether it is on its way into a node still: what shall run there has not been started. */
export function isEntering({ pid }: ProcessId): boolean {
  const [program = ""] = read(`/proc/${pid}/cmdline`)?.split("\0") ?? [];
  return program === ENTER;
}

/** Goes into a node's namespaces, and becomes what shall run there. */
export const ENTER = "nsenter";

/** Living processes that carry a lab's mark, by lab. Never this process itself. */
export function markedProcesses(): ReadonlyMap<string, readonly ProcessId[]> {
  const found = new Map<string, ProcessId[]>();
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const lab = markOf(pid);
    const id = lab === undefined ? undefined : processId(pid);
    if (lab !== undefined && id !== undefined) found.set(lab, [...(found.get(lab) ?? []), id]);
  }
  return found;
}

/** Asks processes to end, waits, then ends those that have not; resolves when all are gone. */
export async function end(processes: readonly ProcessId[], graceMs: number): Promise<void> {
  signal(processes, "SIGTERM");
  if (await gone(processes, graceMs)) return;
  signal(processes, "SIGKILL");
  await gone(processes, 2000); // one in an uninterruptible call may take its time: the kernel ends it later
}

type Usage = { rssBytes: number; cpuSeconds: number; ageSeconds: number };

/** What a process uses now, and how old it is. */
export function usageOf(id: ProcessId): Usage | undefined {
  const fields = statOf(id.pid);
  if (fields?.startTime !== id.startTime) return undefined;
  const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  return {
    rssBytes: fields.rssPages * pageBytes,
    cpuSeconds: fields.cpuTicks / ticksPerSecond,
    ageSeconds: Math.max(uptime - fields.startTime / ticksPerSecond, 1 / ticksPerSecond),
  };
}

function signal(processes: readonly ProcessId[], name: "SIGTERM" | "SIGKILL"): void {
  for (const id of processes) {
    if (!isAlive(id)) continue;
    try {
      process.kill(id.pid, name);
    } catch (error) {
      // It ended between the look and the signal.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

async function gone(processes: readonly ProcessId[], withinMs: number): Promise<boolean> {
  const deadline = Date.now() + withinMs;
  while (processes.some(isAlive)) {
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return true;
}

function statOf(pid: number) {
  const text = read(`/proc/${pid}/stat`);
  // The command's name stands in parentheses and may hold anything, also parentheses.
  const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
  if (fields === undefined || fields[0] === "Z" || fields[0] === "X") return undefined;
  const number = (field: number) => Number(fields[field - 3]);
  return { cpuTicks: number(14) + number(15), startTime: number(22), rssPages: number(24) };
}

function markOf(pid: number): string | undefined {
  const environment = read(`/proc/${pid}/environ`)?.split("\0") ?? [];
  return environment.find((entry) => entry.startsWith(`${labMark}=`))?.slice(labMark.length + 1);
}

/** Of a process that may end while it is read, or be another user's. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
