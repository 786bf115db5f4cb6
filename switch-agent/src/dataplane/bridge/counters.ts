import type { Bridging } from "@nve/linux";
import type { DataplaneCounters } from "../dataplane.ts";
import type { Book } from "./book.ts";
import { portRules, type Rule, vnRules } from "./rules.ts";

/** The reasons for drops that are counted: those of filters. What the bridge drops itself it does not tell. */
export const bridgeTells: readonly string[] = [
  ...new Set([...portRules(false), ...vnRules].flatMap(({ reason }: Rule) => reason ?? [])),
];

/** Frames of tagged accesses and of tunnels, as their interfaces count them. */
export async function countersOf(kernel: Bridging, book: Book): Promise<DataplaneCounters> {
  const counts = new Map((await kernel.counts()).map((each) => [each.index, each]));
  const ports = [...book.ports.values()];
  const accesses = ports.flatMap((port) => [...port.accesses.values()]);
  const sum = (indexes: readonly number[], what: "in" | "out"): number =>
    indexes.reduce((total, index) => total + (counts.get(index)?.[what] ?? 0), 0);
  const vns = [...book.vns.values()].flatMap(({ vni, device }) => {
    if (device === undefined) return [];
    const tagged = accesses.filter((one) => one.vni === vni && one.vid !== 0);
    const at = tagged.map(({ index }) => index);
    const access = { accessIn: sum(at, "in"), accessOut: sum(at, "out") };
    const tunnel = [device.index];
    const overlay = { overlayIn: sum(tunnel, "in"), overlayOut: sum(tunnel, "out") };
    return [{ vni, ...access, ...overlay, flooded: 0 }];
  });
  const drops: Record<string, number> = Object.fromEntries(
    bridgeTells.map((reason) => [reason, 0]),
  );
  const devices = [...book.vns.values()].flatMap(({ device }) => device ?? []);
  for (const { filters } of [...ports, ...devices]) {
    for (const [reason, n] of await filters.drops()) drops[reason] = (drops[reason] ?? 0) + n;
  }
  return { vns, drops };
}
