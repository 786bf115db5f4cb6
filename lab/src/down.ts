import { mustBeRoot } from "./labs.ts";
import { labOf, namespaces, removeNamespaces } from "./namespaces.ts";
import { end, isAlive, markedProcesses } from "./processes.ts";
import { dropState, knownLabs, type LabState, readState } from "./state.ts";

/** What a node's processes have to end in when asked to. */
const graceMs = 3000;

/** Takes a lab down, also what a crashed runner left of it. @returns whether there was anything. */
export async function down(lab: string): Promise<boolean> {
  mustBeRoot();
  const state = readState(lab);
  const recorded = (state?.nodes ?? []).flatMap(({ holder, process }) => [
    ...(process === undefined ? [] : [process]),
    ...(holder === undefined ? [] : [holder]),
  ]);
  if (state?.phase === "starting" && state.runner.pid !== process.pid && isAlive(state.runner))
    await end([state.runner], graceMs * 2); // takes down what it made, then ends
  const holders = new Set(state?.nodes.map((node) => node.holder?.pid));
  const marked = [...recorded, ...(markedProcesses().get(lab) ?? [])];
  // First what runs in the nodes: agents say goodbye on the wire while their links are still there.
  await end(
    marked.filter(({ pid }) => !holders.has(pid)),
    graceMs,
  );
  await end(marked, graceMs);
  const spaces = await namespacesOf(lab, state);
  await removeNamespaces(spaces);
  const known = knownLabs().includes(lab);
  dropState(lab);
  return known || marked.length > 0 || spaces.length > 0;
}

/** Recorded ones, and those with our mark whose record is lost. Another lab's are never among them. */
async function namespacesOf(lab: string, state: LabState | undefined): Promise<readonly string[]> {
  const recorded = new Set(state?.nodes.map((node) => node.namespace));
  const candidates = namespaces().filter(
    (name) => recorded.has(name) || name.startsWith(`${lab}-`),
  );
  const owners = await Promise.all(candidates.map(labOf));
  return candidates.filter(
    (name, i) => owners[i] === lab || (recorded.has(name) && owners[i] === undefined),
  );
}
