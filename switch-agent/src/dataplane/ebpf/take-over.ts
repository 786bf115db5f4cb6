import { type Intent, intentKey } from "../../nve/intents.ts";
import type { Forwarding } from "./forwarding.ts";

/** MACs that are written in one go. */
const SOME = 10_000;

/**
 * What the maps have from an earlier run, into the record: written again, as it is, so that nothing changes for any
 * frame. @returns why some of it was left out, which `sweep` takes away
 */
export function takeOver(forwarding: Forwarding, intents: readonly Intent[]): readonly string[] {
  forwarding.beginAfterLeftovers();
  const macs = intents.filter((intent) => intent.is === "mac");
  const refused = oneByOne(
    forwarding,
    intents.filter(({ is }) => is !== "mac"),
  );
  for (let at = 0; at < macs.length; at += SOME) {
    const some = macs.slice(at, at + SOME);
    try {
      forwarding.ensureMacs(some);
    } catch {
      refused.push(...oneByOne(forwarding, some));
    }
  }
  return refused;
}

function oneByOne(forwarding: Forwarding, intents: readonly Intent[]): string[] {
  return intents.flatMap((intent) => {
    try {
      forwarding.ensure(intent);
      return [];
    } catch (error) {
      return [`${intentKey(intent)}: ${error instanceof Error ? error.message : error}`];
    }
  });
}
