import type { Stage } from "../stations/tree.ts";

/** A line of `virsh event --loop --event lifecycle`: `event 'lifecycle' for domain 'vm1': Suspended Migrated`. */
export type Lifecycle = { domain: string; event: string; detail: string };

/** @returns undefined for any other line */
export function readLifecycle(line: string): Lifecycle | undefined {
  const found = /^event 'lifecycle' for domain (.+): ([A-Z][a-z]+) (.+)$/.exec(line.trim());
  const [, name = "", event = "", detail = ""] = found ?? [];
  if (found === null) return undefined;
  const domain = /^'(.*)'$/.exec(name)?.[1] ?? name; // quoted since libvirt 9
  return { domain, event, detail };
}

/** How far the VNICs of a domain are then; undefined: as they were. Who has stopped, its hook tells. */
export function stageAfter({ event, detail }: Lifecycle): Stage | undefined {
  switch (event) {
    case "Resumed": // Migrated: arrived; Unpaused: perhaps back, after a migration that failed
      return "active";
    case "Started": // Migrated: it has yet to arrive, and its hook has prepared for it
      return detail === "Migrated" ? undefined : "active";
    case "Suspended": // any other pause is no move
      return detail === "Migrated" || detail === "Post-copy" ? "suspended" : undefined;
    default:
      return undefined;
  }
}
